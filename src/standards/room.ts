import type { Context } from 'hono'
import { createRoutes, type Room } from '../api/room.ts'
import { authorityRoutes, type AuthorityCertificate } from './authorities.ts'
import { DomainError } from '../errors.ts'
import type { RevocationListRow } from '../cas/inside/store.ts'
import type { OcspAnswer } from '../cas/inside/ocsp.ts'
import { fromBase64 } from '../pki/encoding.ts'
import type { Clock } from '../ports/runtime.ts'
import { dayMilliseconds } from '../ports/time.ts'

export interface StandardsDeps {
  readonly crypto: Crypto
  readonly clock: Clock
  readonly authorities: readonly AuthorityCertificate[]
  /** A CA's own certificate, DER. Null if there is no such CA. */
  readonly certificateOf: (authority: string) => Uint8Array | null
  readonly revocationListOf: (authority: string) => Promise<RevocationListRow | null>
  readonly answerOcsp: (authority: string, request: Uint8Array) => Promise<OcspAnswer>
}

/** RFC 6960 A.1.1: short requests come in the URL. A request for one certificate is never longer than this. */
const ocspUrlCharactersAllowed = 1_024

const noSuchAuthority = (): DomainError => new DomainError('not_found', 'There is no such certificate authority here.')

const httpDate = (milliseconds: number): string => new Date(milliseconds).toUTCString()

/** Lets caches keep a signed answer until half a minute before it ends (RFC 5019 6.2). */
const cacheUntil = (context: Context, deps: StandardsDeps, from: number, until: number): void => {
  const seconds = Math.max(0, Math.floor((until - deps.clock()) / 1_000) - 30)
  context.header('Cache-Control', `max-age=${seconds}, public, no-transform, must-revalidate`)
  context.header('Last-Modified', httpDate(from))
  context.header('Expires', httpDate(until))
}

const bytes = (context: Context, body: Uint8Array, type: string): Response =>
  context.body(new Uint8Array(body), 200, { 'Content-Type': type })

/** A revocation is in a new list within minutes. So caches must not keep a list until its own end. */
const listCachedMilliseconds = 5 * 60_000
const certificateCachedMilliseconds = dayMilliseconds

/**
 * CA certificates (RFC 5280 4.2.2.1), revocation lists (4.2.1.13) and OCSP (RFC 6960). For anyone, also over plain
 * HTTP.
 */
export function createStandardsRoom(deps: StandardsDeps): Room {
  const routes = createRoutes()

  routes.get('/ca/:file{[\\w-]+\\.cer}', (context) => {
    const certificate = deps.certificateOf(context.req.param('file').slice(0, -4))
    if (certificate === null) throw noSuchAuthority()
    cacheUntil(context, deps, deps.clock(), deps.clock() + certificateCachedMilliseconds)
    return bytes(context, certificate, 'application/pkix-cert')
  })

  routes.get('/ca/:file{[\\w-]+\\.crl}', async (context) => {
    const list = await deps.revocationListOf(context.req.param('file').slice(0, -4))
    if (list === null) throw noSuchAuthority()
    cacheUntil(context, deps, list.thisUpdate, Math.min(list.nextUpdate, deps.clock() + listCachedMilliseconds))
    return bytes(context, list.list, 'application/pkix-crl')
  })

  const ocsp = async (
    context: Context,
    authority: string,
    request: Uint8Array,
    cacheable: boolean,
  ): Promise<Response> => {
    const answer = await deps.answerOcsp(authority, request)
    if (cacheable && answer.thisUpdate !== null && answer.nextUpdate !== null) {
      cacheUntil(context, deps, answer.thisUpdate, Math.min(answer.nextUpdate, deps.clock() + listCachedMilliseconds))
    }
    return bytes(context, answer.response, 'application/ocsp-response')
  }

  routes.post('/ocsp/:authority', async (context) => {
    const request = new Uint8Array(await context.req.arrayBuffer())
    return ocsp(context, context.req.param('authority'), request, false)
  })

  routes.get('/ocsp/:authority/:request{.+}', async (context) => {
    const encoded = context.req.param('request')
    const request = encoded.length > ocspUrlCharactersAllowed ? null : fromBase64(encoded)
    return ocsp(context, context.req.param('authority'), request ?? new Uint8Array(), true)
  })

  return { routes: [routes, authorityRoutes(deps)], jobs: [], personalData: [], checks: [] }
}
