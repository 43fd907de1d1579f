import { z } from 'zod'
import { cfsslFacts, type CfsslSettings } from '../../../api/ca-kinds/cfssl.ts'
import { parseCertificate } from '../../../pki/certificate.ts'
import { sha256Hex, toBase64, toBufferSource, toHex } from '../../../pki/encoding.ts'
import { readAuthorityKeyIdentifier } from '../../../pki/extensions.ts'
import { fromHex } from '../../../pki/hexadecimal.ts'
import { toInteger } from '../../../pki/integers.ts'
import { oid } from '../../../pki/object-identifiers.ts'
import { readCertificates, toPem } from '../../../pki/pem.ts'
import type { OutgoingHttps } from '../../../ports/outgoing-https.ts'
import type { Clock } from '../../../ports/runtime.ts'
import { isDone, readInfo, readRefusal, readSigned, recordNotFound } from './answers.ts'
import type { CaAdapter, CaCheck, CaOutcome, CaRevocation, CaRevocationOutcome, CertificateOrder } from '../contract.ts'
import { callCa, nameSaid, retryAfterSeconds, type CaAnswer, type CaEndpoint, notReady } from '../endpoint.ts'
import { refusedByGo } from '../go-limits.ts'
import { clientKeyFields, defineKind } from '../kind.ts'

interface CfsslDeps {
  readonly outgoing: OutgoingHttps
  readonly clock: Clock
  readonly crypto: Crypto
}

/** RFC 5280 appendix A, ub-common-name. */
const commonNameLimit = 64

/** Not a certificate request, so CFSSL judges the credential and stops. */
const noRequest = 'none'

/**
 * A CFSSL server (`cfssl serve`, from 1.2.0 on): `sign`, or `authsign` if there is an authentication key.
 *
 * What its operator has to know:
 * - The profile alone decides the key usage. A profile serves one use, and for encryption one kind of key: usages
 *   `digital signature` for `sign`, `key encipherment` (RSA) or `key agreement` (EC) for `encrypt`, both for `dual`,
 *   each with `email protection` and nothing else. Routing rules name the profile.
 * - For an unknown profile CFSSL silently uses the default one. The facts of `check` show what the profile does.
 * - The `expiry` of a profile must be at most the term that is asked for here. CFSSL cannot be asked for a shorter term.
 * - Even with a `subject`, CFSSL takes organisation, unit, place, country and serial number from the request. If the
 *   mailbox is longer than 64 characters, it takes the common name too. A profile with
 *   `"CSRWhitelist":{"PublicKey":true,"PublicKeyAlgorithm":true,"SignatureAlgorithm":true}` takes only the key.
 * - `revoke` needs a certificate database. It asks nobody who they are, so only this service may reach it.
 * - It cannot certify a mailbox beyond ASCII (no SmtpUTF8Mailbox), nor Ed25519, X25519 and brainpool keys.
 *
 * CFSSL cannot tell the outcome of an order whose answer was lost, and signs an order again that is sent again.
 */
export function createCfsslCa(
  deps: CfsslDeps,
  settings: CfsslSettings,
  credentials: { readonly authKey: string | null },
): CaAdapter {
  const endpoint: CaEndpoint = {
    outgoing: deps.outgoing,
    url: `${settings.url}/api/v1/cfssl`,
    tlsAnchors: settings.tlsAnchors === null ? [] : readCertificates(settings.tlsAnchors),
    clientCertificate: null,
    timeoutMilliseconds: settings.timeoutSeconds * 1_000,
  }
  const call = (path: string, body: unknown): Promise<CaAnswer> =>
    callCa(endpoint, {
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  /** The token authenticates exactly the bytes of `request`. */
  const sign = async (request: Record<string, unknown>): Promise<CaAnswer> => {
    if (credentials.authKey === null) return await call('/sign', request)
    const bytes = new TextEncoder().encode(JSON.stringify(request))
    const token = await authenticate(deps.crypto, credentials.authKey, bytes)
    return await call('/authsign', { token: toBase64(token), request: toBase64(bytes) })
  }

  return {
    describe: () => ({
      acceptsPublicKey: false,
      takesContentFromCsr: settings.takesContentFromCsr,
      algorithms: ['RSA', 'EC'],
      keepsNothing: false,
      answersAgain: false,
      byHand: false,
    }),
    check: () => check(deps.crypto, settings, call, sign),
    submit: (order) => submit(deps.clock, settings, order, sign),
    revoke: (revocation) => revoke(deps.clock, revocation, call),
  }
}

type Call = (path: string, body: unknown) => Promise<CaAnswer>
type Sign = (request: Record<string, unknown>) => Promise<CaAnswer>

async function authenticate(crypto: Crypto, authKey: string, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', fromHex(authKey), algorithm, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, toBufferSource(bytes)))
}

/** CFSSL takes an empty `label` and `profile` as its usual ones. */
const placeOf = (settings: CfsslSettings, profile: string | null): { label: string; profile: string } => ({
  label: settings.label ?? '',
  profile: profile ?? settings.profile ?? '',
})

/** Checks the CA's certificate and the profile, then with an invalid request whether the credential is accepted. */
async function check(crypto: Crypto, settings: CfsslSettings, call: Call, sign: Sign): Promise<CaCheck> {
  const place = placeOf(settings, null)
  const asked = await call('/info', place)
  if (asked.kind !== 'answer') return notReady(asked)
  const info = readInfo(asked.answer)
  if (info === null) return notReady(readRefusal(asked.answer))

  const tried = await sign({ ...place, certificate_request: noRequest, hosts: [] })
  if (tried.kind !== 'answer') return notReady(tried)
  const refusal = readRefusal(tried.answer)
  // CSRError: the credential was accepted, and the request was read.
  if (refusal.code === null || refusal.code < 9_000 || refusal.code >= 10_000) return notReady(refusal)
  const { subject } = parseCertificate(info.issuer)
  return {
    kind: 'ready',
    facts: {
      issuer: nameSaid(subject),
      issuerSha256: await sha256Hex(crypto, info.issuer),
      usages: info.usages,
      term: info.term,
    },
    issuers: [info.issuer],
    ...(info.isForMail ? {} : { usagesWithoutMail: info.usages }),
  }
}

async function submit(clock: Clock, settings: CfsslSettings, order: CertificateOrder, sign: Sign): Promise<CaOutcome> {
  const unsent = refusedByGo(order)
  if (unsent !== null) return unsent
  const { address } = order.mailbox
  const called = await sign({
    ...placeOf(settings, order.profile),
    certificate_request: toPem('CERTIFICATE REQUEST', order.content),
    hosts: [address],
    subject: address.length <= commonNameLimit ? { CN: address } : {},
  })
  if (called.kind !== 'answer') return called
  const certificate = readSigned(called.answer)
  if (certificate !== null) return { kind: 'issued', certificate, chain: [] }
  const { kind, failure, caSaid } = readRefusal(called.answer)
  return { kind, failure, caSaid, retryAfterSeconds: retryAfterSeconds(called.answer, clock()) }
}

/**
 * Revokes a certificate. CFSSL 1.2.0 stores certificates without the identifier of the CA's key, later versions with
 * it. A repeat does no harm.
 */
async function revoke(clock: Clock, { certificate, reason }: CaRevocation, call: Call): Promise<CaRevocationOutcome> {
  const { serialNumber, extensions } = parseCertificate(certificate)
  const identifier = extensions.get(oid.authorityKeyIdentifier)
  const authorityKey = identifier === undefined ? undefined : readAuthorityKeyIdentifier(identifier.value)
  const request = { serial: toInteger(serialNumber).toString(), ...(reason === null ? {} : { reason }) }

  const asKept = (authority_key_id: string): Promise<CaAnswer> => call('/revoke', { ...request, authority_key_id })
  const first = await asKept('')
  const isMissing = first.kind === 'answer' && readRefusal(first.answer).code === recordNotFound
  return revoked(clock, isMissing && authorityKey !== undefined ? await asKept(toHex(authorityKey)) : first)
}

function revoked(clock: Clock, called: CaAnswer): CaRevocationOutcome {
  if (called.kind !== 'answer') return { ...called, kind: 'transient' }
  if (isDone(called.answer)) return { kind: 'confirmed' }
  const { kind, failure, caSaid, code } = readRefusal(called.answer)
  if (code === recordNotFound) return { kind: 'permanent', failure: 'unknown_to_ca', caSaid }
  // Without a certificate database CFSSL has no such path.
  if (kind === 'permanent' || called.answer.status === 404) return { kind: 'permanent', failure, caSaid }
  return { kind: 'transient', failure, caSaid, retryAfterSeconds: retryAfterSeconds(called.answer, clock()) }
}

export const cfssl = defineKind({
  ...cfsslFacts,
  /** `authKey`: hexadecimal. */
  credentials: z.strictObject({ ...clientKeyFields, authKey: z.string().optional() }),
  nextCredentials: async (_deps, request, before) => {
    const authKey = request.authKey ?? before?.credentials.authKey
    return authKey === undefined ? {} : { authKey }
  },
  create: (deps, settings, { authKey }) => createCfsslCa(deps, settings, { authKey: authKey ?? null }),
})
