import type { CaConnectionRequest, EjbcaSettings, EstSettings } from '../api/ca-shapes.ts'
import { DomainError } from '../errors.ts'
import { toBase64 } from '../pki/encoding.ts'
import type { CaDeps } from './deps.ts'
import type { Credentials } from './settings.ts'

type CredentialDeps = Pick<CaDeps, 'crypto' | 'random'>

/** A connection before a change. */
interface Before {
  readonly settings: CaConnectionRequest
  readonly credentials: Credentials
}

/** A P-256 key, PKCS#8 in base64. */
async function makeKey({ crypto }: CredentialDeps): Promise<string> {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  return toBase64(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)))
}

/**
 * What a connection proves itself with from now on: what was sent, what is kept from before where nothing was sent, and
 * the keys that are made here and never leave. Throws `connection_unfit`.
 */
export async function nextCredentials(
  deps: CredentialDeps,
  request: CaConnectionRequest,
  before: Before | null,
): Promise<Credentials> {
  const kept = before?.credentials ?? {}
  switch (request.kind) {
    case 'cfssl': {
      const authKey = request.authKey ?? kept.authKey
      return authKey === undefined ? {} : { authKey }
    }
    case 'step-ca':
      return { provisionerKey: kept.provisionerKey ?? (await makeKey(deps)) }
    case 'est':
      return estCredentials(deps, request, before)
    case 'ejbca':
      return {
        enrolmentSecret: kept.enrolmentSecret ?? toBase64(deps.random.bytes(32)),
        ...(await ejbcaAuthentication(deps, request, before)),
      }
    case 'manual':
      return {}
  }
}

async function estCredentials(deps: CredentialDeps, request: EstSettings, before: Before | null): Promise<Credentials> {
  if (request.authentication === 'client-certificate') {
    if (request.password !== null) throw superfluous('password', 'password')
    return clientKey(deps, before)
  }
  const password = request.password ?? keptFor(request, before, before?.credentials.password)
  if (password === undefined) throw missing('password')
  return { password }
}

async function ejbcaAuthentication(
  deps: CredentialDeps,
  request: EjbcaSettings,
  before: Before | null,
): Promise<Credentials> {
  if (request.authentication === 'client-certificate') {
    if (request.token !== null) throw superfluous('token', 'token')
    return clientKey(deps, before)
  }
  const token = request.token ?? keptFor(request, before, before?.credentials.token)
  if (token === undefined) throw missing('token')
  return { token }
}

async function clientKey(deps: CredentialDeps, before: Before | null): Promise<Credentials> {
  const { clientKey: key, clientCertificate } = before?.credentials ?? {}
  if (key === undefined) return { clientKey: await makeKey(deps) }
  return clientCertificate === undefined ? { clientKey: key } : { clientKey: key, clientCertificate }
}

/**
 * A secret that goes over the wire is kept only for the server that it was given for: else whoever may change a
 * connection could have it sent to a server of their own.
 */
function keptFor<T>(request: EstSettings | EjbcaSettings, before: Before | null, secret: T | undefined): T | undefined {
  const settings = before?.settings
  if (settings === undefined || settings.kind !== request.kind || secret === undefined) return undefined
  if (settings.url === request.url && settings.tlsAnchors === request.tlsAnchors) return secret
  throw new DomainError(
    'connection_unfit',
    'The secret that is kept was given for another url or other tlsAnchors: send it again with them.',
  )
}

const missing = (field: string): DomainError =>
  new DomainError('connection_unfit', `Send ${field}: this authentication needs it.`)

const superfluous = (field: string, authentication: string): DomainError =>
  new DomainError('connection_unfit', `Leave ${field} out, or choose the authentication ${authentication}.`)
