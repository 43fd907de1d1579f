import type { EjbcaSettings } from '../../../api/ca-kinds/ejbca.ts'
import { toBufferSource, toHex } from '../../../pki/encoding.ts'
import { readCertificates } from '../../../pki/pem.ts'
import type { ClientCertificate, OutgoingHttps } from '../../../ports/outgoing-https.ts'
import type { Clock } from '../../../ports/runtime.ts'
import type { CaFailure, CertificateOrder } from '../contract.ts'
import { callCa, type CaAnswer, type CaEndpoint } from '../endpoint.ts'

/** The usual path of EJBCA's REST interface. A proxy may have another. */
const usualPath = '/ejbca/ejbca-rest-api'

export interface EjbcaDeps {
  readonly outgoing: OutgoingHttps
  readonly clock: Clock
  readonly crypto: Crypto
}

/** The credentials of a connection. */
export interface EjbcaCredentials {
  readonly token: string | null
  readonly clientCertificate: ClientCertificate | null
  /** 32 random bytes of this connection. The passwords of its end entities are derived from them. */
  readonly enrolmentSecret: Uint8Array
}

/** What one adapter works with. */
export interface Ejbca {
  readonly deps: EjbcaDeps
  readonly settings: EjbcaSettings
  readonly endpoint: CaEndpoint
  readonly headers: Readonly<Record<string, string>>
  readonly enrolmentSecret: Uint8Array
}

/** Prepares what is the same for every call. */
export function prepareEjbca(deps: EjbcaDeps, settings: EjbcaSettings, credentials: EjbcaCredentials): Ejbca {
  const { authentication, tlsAnchors, timeoutSeconds, url } = settings
  const { token, clientCertificate, enrolmentSecret } = credentials
  const withToken = authentication === 'token' && token !== null
  return {
    deps,
    settings,
    enrolmentSecret,
    headers: { Accept: 'application/json', ...(withToken ? { Authorization: `Bearer ${token}` } : {}) },
    endpoint: {
      outgoing: deps.outgoing,
      url: new URL(url).pathname === '/' ? url + usualPath : url,
      tlsAnchors: tlsAnchors === null ? [] : readCertificates(tlsAnchors),
      clientCertificate: authentication === 'client-certificate' ? clientCertificate : null,
      timeoutMilliseconds: timeoutSeconds * 1_000,
    },
  }
}

/** The name of the order's own end entity. */
export const usernameOf = (order: CertificateOrder): string => `certbook-${order.request}`

/** The password of the order's end entity: the same each time, and derived from the connection's secret. */
export async function passwordOf({ deps, enrolmentSecret }: Ejbca, order: CertificateOrder): Promise<string> {
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const key = await deps.crypto.subtle.importKey('raw', toBufferSource(enrolmentSecret), hmac, false, ['sign'])
  return toHex(new Uint8Array(await deps.crypto.subtle.sign('HMAC', key, new TextEncoder().encode(order.request))))
}

export const get = ({ endpoint, headers }: Ejbca, path: string): Promise<CaAnswer> =>
  callCa(endpoint, { method: 'GET', path, headers })

export const post = ({ endpoint, headers }: Ejbca, path: string, body: unknown): Promise<CaAnswer> =>
  callCa(endpoint, {
    method: 'POST',
    path,
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })

export const put = ({ endpoint, headers }: Ejbca, path: string): Promise<CaAnswer> =>
  callCa(endpoint, { method: 'PUT', path, headers })

/** The CA may have issued. `state` is what the next question about the order gets. */
export const unclear = (failure: CaFailure, caSaid: string | null, state: string | null) => ({
  kind: 'unknown' as const,
  failure,
  caSaid,
  state,
})
