import type { Context } from 'hono'
import { DomainError } from '../errors.ts'
import { forwardingHeaders, type Connection } from '../ports/connection.ts'

declare module 'hono' {
  interface ContextVariableMap {
    /** Only for the checks of the edge. Rooms use `client`. */
    connection: Connection
  }
}

/** The paths and methods of CRLs and CA certificates (RFC 5280 4.2.1.13, 4.2.2.1) and OCSP (RFC 6960 A.1). */
const isPkiRequest = (context: Context): boolean => {
  const { method, path } = context.req
  if (path.startsWith('/ca/')) return method === 'GET' || method === 'HEAD'
  return path.startsWith('/ocsp/') && (method === 'GET' || method === 'HEAD' || method === 'POST')
}

const isUnder = (context: Context, hosts: readonly string[]): boolean => hosts.includes(new URL(context.req.url).host)

/**
 * Refuses a request because of how it came. `https_required`: plain HTTP from another machine; a redirect would only
 * hide that the first request was readable. `forwarding_refused`: forwarding headers from an undeclared proxy. Signed
 * PKI files may be fetched by clients without TLS: they are served over plain HTTP on a listener of their own, or
 * under `plainPkiHosts`.
 */
export function requireSafeConnection(
  context: Context,
  connection: Connection,
  plainPkiHosts: readonly string[],
): void {
  if (connection.pkiOnly) {
    if (isPkiRequest(context)) return
    throw new DomainError('not_found', 'This port has revocation lists, OCSP and CA certificates only.')
  }
  if (!connection.mayForward && forwardingHeaders.some((name) => context.req.header(name) !== undefined)) {
    throw new DomainError('forwarding_refused', 'Name the proxy in TRUSTED_PROXY, or do not send forwarding headers.')
  }
  if (connection.secure || (isPkiRequest(context) && isUnder(context, plainPkiHosts))) return
  throw new DomainError('https_required', 'Ask again over https:. What was sent has crossed the network in the clear.')
}
