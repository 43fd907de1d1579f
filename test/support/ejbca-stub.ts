import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerOptions } from 'node:https'
import { text as wholeText } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import { Pkcs10CertificateRequest, X509Certificate } from '@peculiar/x509'
import { z } from 'zod'
import type { CertificateUse } from '../../src/pki/key-usage.ts'
import { serveHttps } from './odd-servers.ts'
import { toPem } from './pem.ts'
import { makeTestCa, type TestCa, type TlsIdentity } from './test-ca.ts'

/** How the stub misbehaves; a test changes it while it runs. */
export interface EjbcaMood {
  /** The CA's token is offline, which comes with either status. */
  offline: 503 | 400 | null
  /** What wants an approval of its own, and how the answer spells its number. */
  approval: 'requestId' | 'request_id' | 'link' | 'nothing' | null
  /** Something goes wrong after the signature. */
  afterSigning: 'answer' | 500 | 400 | 'cut off' | 'html' | 'gateway timeout'
  /** The search answers those it does not know of with nothing (`blind`), or not at all. */
  search: 'answers' | 'blind' | 'missing' | 'forbidden' | 'other keys'
  /** Everything is answered with the login page of a portal. */
  portal: boolean
  camelCase: boolean
  revocation: 'answers' | 'wants approval'
}

interface EndEntity {
  password: string
  readonly certificates: Uint8Array[]
}
interface Approval {
  readonly username: string
  readonly body: EnrolBody
  state: 'waiting' | 'approved' | 'rejected' | 'expired' | 'failed'
}

export interface EjbcaStub {
  readonly url: string
  readonly ca: TestCa
  readonly token: string
  readonly client: TlsIdentity
  readonly mood: EjbcaMood
  readonly names: { readonly ca: string; readonly endEntityProfile: string; readonly certificateProfiles: string[] }
  /** Certificates by the name of their end entity. */
  issued(): ReadonlyMap<string, number>
  certificatesOf(endEntity: string): readonly Uint8Array[]
  /** Bodies of the enrolments that came in. */
  readonly enrolments: readonly EnrolBody[]
  readonly revoked: ReadonlyMap<string, string>
  decide(outcome: Approval['state']): void
  close(): Promise<void>
}

const enrolBody = z.object({
  certificate_request: z.string(),
  certificate_profile_name: z.string(),
  end_entity_profile_name: z.string(),
  certificate_authority_name: z.string(),
  username: z.string(),
  password: z.string(),
  email: z.string().optional(),
  include_chain: z.boolean(),
  response_format: z.literal('DER'),
})
export type EnrolBody = z.infer<typeof enrolBody>
const finalizeBody = z.object({ password: z.string(), response_format: z.literal('DER') })
const searchBody = z.object({
  max_number_of_results: z.int().min(1).max(400),
  criteria: z.array(z.object({ property: z.string(), value: z.string(), operation: z.literal('EQUAL') })).min(1),
})

/** With `type` a text of that type, else JSON. */
type Reply =
  | { readonly status: number; readonly body: unknown; readonly type?: undefined }
  | { readonly status: number; readonly body: string; readonly type: string }
const reply = (status: number, body: unknown): Reply => ({ status, body })
const fault = (status: number, message: string): Reply => reply(status, { error_code: status, error_message: message })
const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')
const serialNumberOf = (der: Uint8Array): string => new X509Certificate(new Uint8Array(der)).serialNumber
const loginPage: Reply = { status: 200, body: '<html><title>Sign in</title></html>', type: 'text/html' }

const camelCased = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(camelCased)
  if (value === null || typeof value !== 'object') return value
  const spell = (name: string): string => name.replaceAll(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [spell(name), camelCased(inner)]))
}

const useOfProfile = (profile: string): CertificateUse =>
  profile.endsWith('sign') ? 'sign' : profile.endsWith('encrypt') ? 'encrypt' : 'dual'

/**
 * An HTTPS server that answers as EJBCA's REST interface does, traps included, and issues real certificates. It counts
 * them by end entity, and issues another one whenever it is asked twice, as EJBCA does.
 */
export async function startEjbcaStub(now: () => number = Date.now): Promise<EjbcaStub> {
  const ca = await makeTestCa('EJBCA', now)
  const [server, client] = [await ca.issueForTls('server'), await ca.issueForTls('client')]
  const names = {
    ca: 'MailCA',
    endEntityProfile: 'Mail',
    certificateProfiles: ['SMIME', 'SMIME-sign', 'SMIME-encrypt'],
  }
  const token = 'a token of the test'
  const endEntities = new Map<string, EndEntity>()
  const approvals = new Map<number, Approval>()
  const enrolments: EnrolBody[] = []
  const revoked = new Map<string, string>()
  const mood: EjbcaMood = {
    offline: null,
    approval: null,
    afterSigning: 'answer',
    search: 'answers',
    portal: false,
    camelCase: false,
    revocation: 'answers',
  }

  const sign = async (body: EnrolBody): Promise<Uint8Array> => {
    const csr = new Pkcs10CertificateRequest(body.certificate_request)
    const certificate = await ca.issue({
      spki: new Uint8Array(csr.publicKey.rawData),
      names: body.email ?? [],
      use: useOfProfile(body.certificate_profile_name),
    })
    const known = endEntities.get(body.username) ?? { password: body.password, certificates: [] }
    known.certificates.push(certificate)
    endEntities.set(body.username, known)
    return certificate
  }

  const signed = async (body: EnrolBody, withChain: boolean): Promise<Reply | 'cut off'> => {
    const certificate = await sign(body)
    switch (mood.afterSigning) {
      case 'cut off':
        return 'cut off'
      case 'html':
        return loginPage
      case 'gateway timeout':
        return { status: 504, body: '<html>Gateway Timeout</html>', type: 'text/html' }
      case 500:
        return fault(500, `The certificate of the CA '${names.ca}' could not be published: unknown failure.`)
      case 400:
        return fault(400, 'The chain of the CA could not be loaded')
      case 'answer':
        return reply(201, {
          certificate: base64(certificate),
          serial_number: serialNumberOf(certificate),
          response_format: 'DER',
          ...(withChain ? { certificate_chain: ca.chain.map(base64) } : {}),
        })
    }
  }

  const offline = (): Reply | null =>
    mood.offline === 503
      ? fault(503, 'Device was unavailable.')
      : mood.offline === 400
        ? fault(400, `CA '${names.ca}' is offline`)
        : null

  const enrol = async (json: unknown): Promise<Reply | 'cut off'> => {
    const body = enrolBody.parse(json)
    enrolments.push(body)
    if (body.certificate_authority_name !== names.ca) return fault(400, 'CA with name Other does not exist')
    if (body.end_entity_profile_name !== names.endEntityProfile) return fault(400, 'End entity profile Other not found')
    if (!names.certificateProfiles.includes(body.certificate_profile_name)) {
      return fault(400, `Certificate profile ${body.certificate_profile_name} does not exist`)
    }
    const csr = new Pkcs10CertificateRequest(body.certificate_request)
    if (csr.publicKey.algorithm.name.startsWith('RSA'))
      return fault(400, 'Key length 2048 is not allowed by the profile')
    const down = offline()
    if (down !== null) return down
    if (mood.approval === null) return signed(body, body.include_chain)
    const waiting = [...approvals.values()].some(
      ({ username, state }) => username === body.username && state === 'waiting',
    )
    if (waiting) return fault(400, 'There is already an existing approval request for this end entity')
    const number = 1_000 + approvals.size
    approvals.set(number, { username: body.username, body, state: 'waiting' })
    return reply(202, {
      status_code: 202,
      info_message: 'The request has been submitted for approval',
      ...(mood.approval === 'requestId' ? { requestId: number } : {}),
      ...(mood.approval === 'request_id' ? { request_id: number } : {}),
      ...(mood.approval === 'link'
        ? { link: `https://127.0.0.1/ejbca/ejbca-rest-api/v1/certificate/${number}/finalize` }
        : {}),
    })
  }

  const finalize = async (number: number, json: unknown): Promise<Reply | 'cut off'> => {
    const { password } = finalizeBody.parse(json)
    const approval = approvals.get(number)
    if (approval === undefined) return fault(400, `Could not find request with Id '${number}'`)
    if (approval.state === 'waiting') {
      return reply(202, { status_code: 202, info_message: `Request with Id '${number}' is still waiting for approval` })
    }
    if (approval.state === 'rejected') return fault(400, `Request with Id '${number}' has been rejected`)
    if (approval.state === 'expired') return fault(400, `Request with Id '${number}' has expired`)
    if (approval.state === 'failed') return fault(400, `Request with Id '${number}' could not be executed`)
    if (endEntities.has(approval.username))
      return fault(400, `Enrollment with Id '${number}' has already been finalized`)
    if (password !== approval.body.password) return fault(400, 'Got request with status NEW, wrong user or password')
    return offline() ?? (await signed(approval.body, false))
  }

  const search = (json: unknown): Reply => {
    const { criteria } = searchBody.parse(json)
    if (mood.search === 'missing') return fault(404, 'RESTEASY003210: Could not find resource for full path')
    if (mood.search === 'forbidden') return fault(403, 'Not authorized to search')
    for (const { property, value } of criteria) {
      const unknown =
        (property === 'CA' && value !== names.ca) ||
        (property === 'END_ENTITY_PROFILE' && value !== names.endEntityProfile) ||
        (property === 'CERTIFICATE_PROFILE' && !names.certificateProfiles.includes(value))
      if ((mood.search === 'blind' || unknown) && property !== 'QUERY') {
        return fault(400, `Invalid search criteria content, unknown ${property.toLowerCase().replaceAll('_', ' ')}.`)
      }
    }
    const asked = criteria.find(({ property }) => property === 'QUERY')?.value ?? ''
    const found = mood.search === 'blind' ? [] : (endEntities.get(asked)?.certificates ?? [])
    const shown = mood.search === 'other keys' ? [ca.issuing] : found
    return reply(200, {
      // As the server does it: a base64 text that its JSON writer encodes once more.
      certificates: shown.map((der) => ({ certificate: base64(Buffer.from(base64(der))), response_format: 'DER' })),
      more_results: false,
    })
  }

  const revoke = (issuer: string, serialNumber: string, reason: string | null): Reply => {
    const known = [...endEntities.values()]
      .flatMap(({ certificates }) => certificates)
      .some((der) => serialNumberOf(der) === serialNumber)
    if (issuer !== ca.issuerName) return fault(404, `CA with subject DN '${issuer}' does not exist.`)
    if (!known) return fault(404, 'Certificate was not found')
    if (mood.revocation === 'wants approval')
      return reply(202, { status_code: 202, info_message: 'waits', request_id: 7 })
    if (revoked.has(serialNumber)) return fault(409, 'Certificate has previously been revoked.')
    revoked.set(serialNumber, reason ?? '')
    return reply(200, { revoked: true, serial_number: serialNumber, message: 'Successfully revoked' })
  }

  const answer = async (request: IncomingMessage, json: unknown): Promise<Reply | 'cut off'> => {
    if (mood.portal) return loginPage
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://127.0.0.1')
    const [, ejbca, rest, version, ...path] = pathname.split('/').map(decodeURIComponent)
    if (ejbca !== 'ejbca' || rest !== 'ejbca-rest-api' || version !== 'v1') {
      return { status: 404, body: '<html>Not Found</html>', type: 'text/html' }
    }
    const called = `${request.method} ${path.join('/')}`
    if (called === 'GET certificate/status')
      return reply(200, { status: 'OK', version: '1.0', revision: 'EJBCA 9.0 (stub)' })
    const isClient = (request.socket as TLSSocket).authorized
    if (!isClient && request.headers.authorization !== `Bearer ${token}`) return fault(403, 'Not an administrator')
    if (called === 'POST certificate/pkcs10enroll') return enrol(json)
    if (called === 'POST certificate/search') return search(json)
    const [first, second = '', third, fourth] = path
    if (request.method === 'POST' && first === 'certificate' && third === 'finalize')
      return finalize(Number(second), json)
    if (request.method === 'PUT' && first === 'certificate' && fourth === 'revoke') {
      return revoke(second, third ?? '', searchParams.get('reason'))
    }
    if (request.method === 'GET' && first === 'ca' && second === ca.issuerName) {
      return { status: 200, body: ca.chain.map((der) => toPem('CERTIFICATE', der)).join(''), type: 'text/plain' }
    }
    return fault(404, 'RESTEASY003210: Could not find resource for full path')
  }

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = await wholeText(request)
    const made = await answer(request, sent === '' ? null : JSON.parse(sent)).catch((error: unknown) =>
      fault(422, `The stub does not take this: ${String(error)}`),
    )
    if (made === 'cut off') {
      request.socket.destroy()
      return
    }
    const { status, type } = made
    const body = type === undefined ? JSON.stringify(mood.camelCase ? camelCased(made.body) : made.body) : made.body
    response.writeHead(status, { 'Content-Type': type ?? 'application/json' }).end(body)
  }
  const options: ServerOptions = {
    cert: server.certificate,
    key: server.key,
    ca: [toPem('CERTIFICATE', ca.root), toPem('CERTIFICATE', ca.issuing)],
    requestCert: true,
    rejectUnauthorized: false,
  }
  const https = await serveHttps(options, (request, response) => void respond(request, response))
  return {
    url: https.url,
    ca,
    token,
    client,
    mood,
    names,
    enrolments,
    revoked,
    issued: () => new Map([...endEntities].map(([name, { certificates }]) => [name, certificates.length])),
    certificatesOf: (endEntity) => endEntities.get(endEntity)?.certificates ?? [],
    decide: (outcome) => {
      for (const approval of approvals.values()) if (approval.state === 'waiting') approval.state = outcome
    },
    close: () => https.close(),
  }
}
