import { bodyBytes, bodyBytesName } from './body-bytes.ts'
import type { OpenApiDocument } from './openapi-document.ts'

/** The texts of the OpenAPI document that stand in no route or shape. */

export const documentDescription = [
  'The phone book for S/MIME: a device registers a mailbox, has its keys certified, and asks by exact address for the ' +
    'certificates of others.',
  '**Credentials.** A device gets its credential once, from `mintCredential`, and sends it as `Authorization: Bearer ' +
    'cb_dev_…`. Administrators have credentials of their own (`cb_adm_…`).',
  '**Refusals** are problem documents (RFC 9457, `application/problem+json`) with a stable `code`: branch on it, not on ' +
    'the words. Codes may be added.',
  '**Repeats.** A call whose answer was lost can be sent again. Where an answer carries `Retry-After`, wait that many ' +
    'seconds.',
  '**Shapes.** Requests are closed: an unknown field is refused. Answers may grow. Times are RFC 3339 in UTC, DER is ' +
    'base64. Lists take `limit` and `cursor`, and answer `{"items": […], "next": cursor or null}`.',
  'No private key, password or message is ever to be sent: a body that holds a private key is refused, and the key is ' +
    'treated as disclosed.',
].join('\n\n')

export const tagDescriptions = {
  Policy: 'The texts that people are shown, and their versions.',
  Registration: 'A device and a mailbox become a subscriber.',
  Subscriber: 'What is held about the calling subscriber.',
  Mailboxes: 'The mailboxes of a subscriber, and proofs of them.',
  Devices: 'The devices of a subscriber, their credentials and reports.',
  'Certificate requests': 'From a CSR or a proved public key to a certificate.',
  Certificates: 'The certificates of the calling subscriber.',
  Directory: 'Publication, and lookup by exact address.',
  'Key compromise': 'For anyone who can prove to hold a key that others know.',
  Administration: 'For administrators, by their roles.',
  'Public key infrastructure': 'CA certificates, revocation lists and OCSP: plain HTTP will do, as they are signed.',
  Operation: 'Pages for people, and what a monitoring system asks for.',
} as const

/** The headings of the reference. */
export type DocumentTag = keyof typeof tagDescriptions

type Paths = NonNullable<OpenApiDocument['paths']>

const body = (description: string, type: string) => ({
  description,
  content: { [type]: { schema: { type: 'string' as const } } },
})
const binary = (description: string, type: string) => ({
  description,
  content: { [type]: { schema: { type: 'string' as const, format: 'binary' } } },
})
const page = (operationId: string, summary: string, type: string, secured = false): Paths[string] => ({
  get: {
    operationId,
    tags: ['Operation'],
    summary,
    ...(secured ? { security: [{ bearer: [] }, {}] } : {}),
    responses: { 200: body(summary, type) },
  },
})
const authority = {
  name: 'id',
  in: 'path' as const,
  required: true,
  description: 'The id of the certificate authority',
  schema: { type: 'string' as const },
}
const pki = (operationId: string, summary: string, type: string): Paths[string] => ({
  get: {
    operationId,
    tags: ['Public key infrastructure'],
    summary,
    parameters: [authority],
    responses: { 200: binary(summary, type) },
  },
})

/** The endpoints outside `/v1`. No JSON shape describes them. */
export const plainOperations: Paths = {
  '/ca/{id}.cer': pki('getCaCertificate', 'The certificate of a CA (RFC 5280, 4.2.2.1)', 'application/pkix-cert'),
  '/ca/{id}.crl': pki('getRevocationList', 'The revocation list of a CA (RFC 5280, 4.2.1.13)', 'application/pkix-crl'),
  '/ocsp/{id}': {
    post: {
      operationId: 'askOcsp',
      tags: ['Public key infrastructure'],
      summary: 'The status of one certificate (RFC 6960)',
      parameters: [authority],
      requestBody: {
        required: true,
        [bodyBytesName]: bodyBytes.usual,
        ...binary('The request', 'application/ocsp-request'),
      },
      responses: { 200: binary('The signed answer', 'application/ocsp-response') },
    },
  },
  '/terms': page('getTerms', 'The terms of use', 'text/plain'),
  '/privacy': page('getPrivacyPage', 'The privacy page, in German or English by Accept-Language', 'text/html'),
  '/docs': page('getReference', 'This reference, in German or English by Accept-Language', 'text/html'),
  '/openapi.json': page('getOpenApiDocument', 'This document', 'application/json'),
  '/healthz': page('getHealth', 'Whether the process answers', 'application/json'),
  '/readyz': {
    get: {
      operationId: 'getReadiness',
      tags: ['Operation'],
      summary: 'Whether the databases can be used, and warnings',
      responses: {
        200: body(
          'Usable; `warnings` says what is not as it should be, in words to this machine and with METRICS_TOKEN only',
          'application/json',
        ),
        503: body('A database cannot be used', 'application/json'),
      },
    },
  },
  '/metrics': page(
    'getMetrics',
    'Figures for Prometheus: with METRICS_TOKEN, or from this machine; not on Workers',
    'text/plain',
    true,
  ),
}
