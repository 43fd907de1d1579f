import { z } from 'zod'
import { stepCaFacts, type StepCaSettings } from '../../../api/ca-kinds/step-ca.ts'
import { parseCertificate } from '../../../pki/certificate.ts'
import { toInteger } from '../../../pki/integers.ts'
import { readCertificates, toPem } from '../../../pki/pem.ts'
import { revocationReasonCodes } from '../../../pki/revocation-reason.ts'
import type { OutgoingHttps } from '../../../ports/outgoing-https.ts'
import type { Clock, Random } from '../../../ports/runtime.ts'
import type { CaAdapter, CaCheck, CaOutcome, CaRevocation, CaRevocationOutcome, CertificateOrder } from '../contract.ts'
import { callCa, retryAfterSeconds, said, type CaAnswer, type CaEndpoint, notReady } from '../endpoint.ts'
import { makeKey, secretBytes } from '../client-key.ts'
import { refusedByGo } from '../go-limits.ts'
import { clientKeyFields, defineKind } from '../kind.ts'
import { isOk, isRevokedAlready, isTermTooLong, readProvisioners, readRefusal, readSigned } from './answers.ts'
import { createTokens, provisionerJwk } from './token.ts'

interface StepCaDeps {
  readonly outgoing: OutgoingHttps
  readonly clock: Clock
  readonly crypto: Crypto
  readonly random: Random
}

/** What every call to one CA needs. */
interface StepCa extends StepCaDeps {
  readonly settings: StepCaSettings
  readonly provisionerKey: Uint8Array
  readonly get: (path: string) => Promise<CaAnswer>
  readonly post: (path: string, body: unknown) => Promise<CaAnswer>
  readonly token: ReturnType<typeof createTokens>
  /** The audience of a token. step-ca compares it with its own names, without the port. */
  readonly audience: (path: string) => string
}

/**
 * A step-ca server with a JWK provisioner. The provisioner's key is made here; its operator registers
 * `provisionerJwk`.
 *
 * What its operator has to know:
 * - A provisioner takes an X.509 template. Its default template is for TLS servers. For S/MIME:
 *   `{"subject":{},"sans":{{ toJson .SANs }},"extKeyUsage":["emailProtection"],"keyUsage":[…]}`, with `keyUsage`
 *   `digitalSignature` for the use `sign`, `keyEncipherment` (RSA) or `keyAgreement` (EC) for `encrypt`, both for
 *   `dual`. The template sees the use as `.Insecure.User.use`, and tells the kinds of key apart by `{{ if typeIs
 *   "*rsa.PublicKey" .Insecure.CR.PublicKey }}`. Or there is one provisioner for each use, all with the same key. The
 *   profile of a routing rule is the name of a provisioner.
 * - The longest term is 24 hours, unless the claim `maxTLSCertDuration` says more. An order for a longer term is
 *   refused before the signature. It is then sent without a term: the CA's usual term is never above its longest.
 * - `.Insecure.CR` in a template holds what the device wrote. So requests with more than the mailbox are refused here.
 * - Revoking is passive: step-ca ends renewals. It publishes nothing, unless it is set up for revocation lists.
 * - It cannot certify a mailbox beyond ASCII (no SmtpUTF8Mailbox), nor X25519 and brainpool keys.
 *
 * step-ca cannot tell the outcome of an order whose answer was lost, and signs an order again that is sent again.
 */
export function createStepCa(
  deps: StepCaDeps,
  settings: StepCaSettings,
  { provisionerKey }: { readonly provisionerKey: Uint8Array },
): CaAdapter {
  const endpoint: CaEndpoint = {
    outgoing: deps.outgoing,
    url: settings.url,
    tlsAnchors: settings.tlsAnchors === null ? [] : readCertificates(settings.tlsAnchors),
    clientCertificate: null,
    timeoutMilliseconds: settings.timeoutSeconds * 1_000,
  }
  const headers = { 'content-type': 'application/json' }
  const ca: StepCa = {
    ...deps,
    settings,
    provisionerKey,
    get: (path) => callCa(endpoint, { method: 'GET', path }),
    post: (path, body) => callCa(endpoint, { method: 'POST', path, headers, body: JSON.stringify(body) }),
    token: createTokens(deps, provisionerKey),
    audience: (path) => `https://${new URL(settings.url).host}${path}`,
  }
  return {
    describe: () => ({
      acceptsPublicKey: false,
      takesContentFromCsr: true,
      algorithms: ['RSA', 'EC', 'Ed25519'],
      keepsNothing: false,
      answersAgain: false,
      byHand: false,
    }),
    check: () => check(ca),
    submit: (order) => submit(ca, order),
    revoke: (revocation) => revoke(ca, revocation),
  }
}

async function submit(ca: StepCa, order: CertificateOrder): Promise<CaOutcome> {
  const unsent = refusedByGo(order)
  if (unsent !== null) return unsent
  const called = await sign(ca, order, { notAfter: order.notAfter.toISOString() })
  if (called.kind !== 'answer' || !isTermTooLong(called.answer, readRefusal(called.answer)))
    return outcomeOf(ca, called)
  return outcomeOf(ca, await sign(ca, order, {}))
}

/** Each call has a token of its own, because the CA takes none twice. */
async function sign(ca: StepCa, order: CertificateOrder, term: { readonly notAfter?: string }): Promise<CaAnswer> {
  const { address } = order.mailbox
  const path = '/1.0/sign'
  const ott = await ca.token({
    issuer: order.profile ?? ca.settings.provisioner,
    audience: ca.audience(path),
    subject: address,
    names: [address],
    csr: order.content,
  })
  const csr = toPem('CERTIFICATE REQUEST', order.content)
  return await ca.post(path, { csr, ott, ...term, templateData: { use: order.use } })
}

function outcomeOf({ clock }: StepCa, called: CaAnswer): CaOutcome {
  if (called.kind !== 'answer') return called
  const signed = readSigned(called.answer)
  if (signed !== null) return { kind: 'issued', ...signed }
  return { ...readRefusal(called.answer), retryAfterSeconds: retryAfterSeconds(called.answer, clock()) }
}

/** step-ca stores a revocation under the serial number as it is written here, in decimal. */
async function revoke(ca: StepCa, { certificate, reason }: CaRevocation): Promise<CaRevocationOutcome> {
  const serial = toInteger(parseCertificate(certificate).serialNumber).toString()
  const path = '/1.0/revoke'
  const ott = await ca.token({ issuer: ca.settings.provisioner, audience: ca.audience(path), subject: serial })
  const called = await ca.post(path, {
    serial,
    ott,
    passive: true,
    ...(reason === null ? {} : { reasonCode: revocationReasonCodes[reason], reason }),
  })
  if (called.kind !== 'answer') return { ...called, kind: 'transient' }
  const refusal = readRefusal(called.answer)
  if (isOk(called.answer) || isRevokedAlready(called.answer, refusal)) return { kind: 'confirmed' }
  const { kind, failure, caSaid } = refusal
  // 501: without a database, step-ca stores no revocations.
  if (kind === 'permanent' || called.answer.status === 501) return { kind: 'permanent', failure, caSaid }
  return { kind: 'transient', failure, caSaid, retryAfterSeconds: retryAfterSeconds(called.answer, ca.clock()) }
}

/** A limit above the pages of any list of provisioners. */
const pagesAtMost = 20

/** Checks that the CA is well and that its provisioner has this connection's key. step-ca tells this to everybody. */
async function check(ca: StepCa): Promise<CaCheck> {
  const health = await ca.get('/health')
  if (health.kind !== 'answer') return notReady(health)
  if (!isOk(health.answer)) return notReady(readRefusal(health.answer))

  const { kid } = await provisionerJwk(ca.crypto, ca.provisionerKey)
  let cursor = ''
  for (let page = 0; page < pagesAtMost; page += 1) {
    const called = await ca.get(`/1.0/provisioners?limit=100&cursor=${encodeURIComponent(cursor)}`)
    if (called.kind !== 'answer') return notReady(called)
    const found = readProvisioners(called.answer)
    if (found === null) return notReady(readRefusal(called.answer))
    const own = found.provisioners.find(
      ({ type, name, key }) => type === 'JWK' && name === ca.settings.provisioner && key?.kid === kid,
    )
    if (own !== undefined) {
      const longestTerm = said(own.claims?.maxTLSCertDuration)
      return { kind: 'ready', facts: { provisioner: own.name, key: kid, ...(longestTerm ? { longestTerm } : {}) } }
    }
    if (!found.nextCursor) break
    cursor = found.nextCursor
  }
  return { kind: 'not_ready', failure: 'credential_refused', caSaid: `no provisioner of that name has the key ${kid}` }
}

export const stepCa = defineKind({
  ...stepCaFacts,
  /** `provisionerKey`: PKCS#8 of a P-256 key, base64. */
  credentials: z.strictObject({ ...clientKeyFields, provisionerKey: z.string().optional() }),
  nextCredentials: async ({ crypto }, _request, before) => ({
    provisionerKey: before?.credentials.provisionerKey ?? (await makeKey(crypto)),
  }),
  create: (deps, settings, { provisionerKey }) =>
    createStepCa(deps, settings, { provisionerKey: secretBytes(provisionerKey) }),
  keyForCa: async (crypto, { provisionerKey }) => {
    if (provisionerKey === undefined) return null
    const jwk = await provisionerJwk(crypto, secretBytes(provisionerKey))
    return { form: 'jwk', value: JSON.stringify(jwk), certificateUntil: null }
  },
})
