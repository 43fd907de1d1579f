import { DomainError } from '../errors.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import { parseCertificate, type Certificate } from '../pki/certificate.ts'
import { factsOf } from '../pki/certificate-facts.ts'
import { hasUnknownCriticalExtension, prepareChain } from '../pki/chain.ts'
import { MalformedDer } from '../pki/der.ts'
import { fromBase64, sha256Hex } from '../pki/encoding.ts'
import { readBasicConstraints, readExtendedKeyUsage, readKeyUsage } from '../pki/extensions.ts'
import { checkPublicKey, type KeyFacts } from '../pki/key-policy.ts'
import { keyUsageFor } from '../pki/key-usage.ts'
import { readGeneralNames } from '../pki/names.ts'
import { oid } from '../pki/object-identifiers.ts'
import type { KeyUse } from './keys.ts'

/** Why a certificate is not used, whatever the service says about it. */
export const rejectionReasons = [
  /** The certificate or its chain is not DER. */
  'malformed',
  /** It does not name the address that was asked for. */
  'mailbox_differs',
  /** It is a CA certificate. */
  'is_ca',
  /** It is not for mail (`emailProtection`). */
  'eku_unprofiled',
  /** certbook does not accept its key: too small, broken, or of a kind that mail does not use. */
  'key_refused',
  /** It does not fit the use: a signing key cannot be encrypted to. */
  'key_usage_unfit',
  'unknown_critical_extension',
  'not_yet_valid',
  'expired',
  /** The CA certificate in the answer did not sign it. */
  'signature_invalid',
  /** Its chain leads to none of the app's anchors, or a CA in it may not issue for mail now. */
  'chain_untrusted',
  /** The answer holds more certificates than the service promises. */
  'too_many',
] as const
export type RejectionReason = (typeof rejectionReasons)[number]

/** A certificate that was judged from its own bytes. Nothing here rests on what the service says. */
export interface TrustedCertificate {
  readonly certificate: Uint8Array
  /** The CA certificates that came with it, issuing CA first. */
  readonly chain: readonly Uint8Array[]
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprintSha256: string
  /** Lower-case hexadecimal. */
  readonly serialNumber: string
  /** RFC 4514 string. */
  readonly issuer: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  readonly key: KeyFacts
}

/** A certificate of the answer, in base64 DER. */
export interface AnsweredCertificate {
  readonly certificate: string
  readonly chain: readonly string[]
}

/** What the certificate must be fit for. */
export interface Expected {
  readonly mailbox: MailboxAddress
  readonly use: KeyUse
  /** The CA certificates that the app trusts, DER. */
  readonly anchors: readonly Uint8Array[]
  readonly at: Date
}

export type Verdict =
  | { readonly trusted: true; readonly certificate: TrustedCertificate }
  | { readonly trusted: false; readonly reason: RejectionReason; readonly fingerprintSha256: string | null }

/** No CA hierarchy for mail is longer. This limits what a hostile answer costs. */
const longestChain = 6
/** No certificate for mail is larger. A larger one would only cost the app time. */
const octetsAllowed = 64 * 1_024

/**
 * Judges one certificate by RFC 5280 section 6.1 and RFC 8550 section 4: mailbox, purpose, key, time, signatures, and a
 * path to an anchor of the app. Revocation is not judged: the service says it. Never throws because of what the service
 * answered.
 */
export async function judgeCertificate(
  crypto: Crypto,
  answered: AnsweredCertificate,
  expected: Expected,
): Promise<Verdict> {
  const der = readDer(answered.certificate)
  if (der === null) return { trusted: false, reason: 'malformed', fingerprintSha256: null }
  try {
    const certificate = parseCertificate(der)
    const chain = readChain(answered.chain)
    const reason = faultOf(certificate, expected) ?? (await faultOfPath(crypto, certificate, chain, expected))
    if (reason !== undefined) return await rejected(crypto, der, reason)
    const { fingerprintSha256, serialNumber, issuer, notBefore, notAfter } = await factsOf(crypto, certificate)
    const { spki } = certificate
    const facts = { fingerprintSha256, serialNumber, issuer, notBefore, notAfter, spki, key: checkPublicKey(spki) }
    return { trusted: true, certificate: { certificate: der, chain, ...facts } }
  } catch (error) {
    if (error instanceof MalformedDer) return await rejected(crypto, der, 'malformed')
    throw error
  }
}

async function rejected(crypto: Crypto, der: Uint8Array, reason: RejectionReason): Promise<Verdict> {
  return { trusted: false, reason, fingerprintSha256: await sha256Hex(crypto, der) }
}

/** Null if it is not base64, or too large. */
function readDer(base64: string): Uint8Array | null {
  return base64.length > Math.ceil(octetsAllowed / 3) * 4 ? null : fromBase64(base64)
}

/** Throws MalformedDer. */
function readChain(chain: readonly string[]): Uint8Array[] {
  if (chain.length > longestChain) throw new MalformedDer('a chain of too many CAs')
  return chain.map((base64) => {
    const der = readDer(base64)
    if (der === null) throw new MalformedDer('not base64, or too large')
    return der
  })
}

function faultOf(certificate: Certificate, { mailbox, use, at }: Expected): RejectionReason | undefined {
  if (!namesMailbox(certificate, mailbox)) return 'mailbox_differs'
  if (isCa(certificate)) return 'is_ca'
  if (!isForMail(certificate)) return 'eku_unprofiled'
  return (
    faultOfKey(certificate, use) ??
    (hasUnknownCriticalExtension(certificate) ? 'unknown_critical_extension' : undefined) ??
    (certificate.notBefore > at ? 'not_yet_valid' : undefined) ??
    (certificate.notAfter < at ? 'expired' : undefined)
  )
}

/** RFC 8550 section 3, RFC 9598 section 3: compares mailboxes. Each kind of address has its own kind of name. */
function namesMailbox({ extensions }: Certificate, mailbox: MailboxAddress): boolean {
  const extension = extensions.get(oid.subjectAltName)
  if (extension === undefined) return false
  const wanted = mailbox.kind === 'ascii' ? 'rfc822Name' : 'smtpUtf8Mailbox'
  return readGeneralNames(extension.value).some(
    (name) => name.kind === wanted && matchingKeyOf(name.text) === mailbox.matchingKey,
  )
}

function matchingKeyOf(text: string): string | undefined {
  try {
    return parseMailboxAddress(text).matchingKey
  } catch (error) {
    if (error instanceof DomainError) return undefined
    throw error
  }
}

function isCa({ extensions }: Certificate): boolean {
  const extension = extensions.get(oid.basicConstraints)
  return extension !== undefined && readBasicConstraints(extension.value).ca
}

/** S/MIME BR 7.1.2.3 (f): a certificate for mail names that purpose. */
function isForMail({ extensions }: Certificate): boolean {
  const extension = extensions.get(oid.extKeyUsage)
  return extension !== undefined && readExtendedKeyUsage(extension.value).includes(oid.emailProtection)
}

/** RFC 8550 section 4.4.2. S/MIME BR 7.1.2.3 (e) requires the extension. */
function faultOfKey({ spki, extensions }: Certificate, use: KeyUse): RejectionReason | undefined {
  const key = readKey(spki)
  if (key === undefined) return 'key_refused'
  const extension = extensions.get(oid.keyUsage)
  if (extension === undefined || (key.algorithm === 'Ed25519' && use === 'encrypt')) return 'key_usage_unfit'
  if (key.algorithm === 'X25519' && use === 'sign') return 'key_usage_unfit'
  const granted = readKeyUsage(extension.value)
  return [...keyUsageFor(key, use)].every((bit) => granted.has(bit)) ? undefined : 'key_usage_unfit'
}

function readKey(spki: Uint8Array): KeyFacts | undefined {
  try {
    return checkPublicKey(spki)
  } catch (error) {
    if (error instanceof DomainError) return undefined
    throw error
  }
}

/** The chain is only a hint at a path to an anchor. Without one, an anchor itself may have issued the certificate. */
async function faultOfPath(
  crypto: Crypto,
  certificate: Certificate,
  chain: readonly Uint8Array[],
  { anchors, at }: Expected,
): Promise<RejectionReason | undefined> {
  const candidates = chain.length > 0 ? [chain] : anchors.map((anchor) => [anchor])
  let reason: RejectionReason = 'chain_untrusted'
  for (const candidate of candidates) {
    const prepared = await prepareChain(crypto, candidate, anchors)
    if (!(await prepared.hasIssued(certificate))) reason = chain.length > 0 ? 'signature_invalid' : 'chain_untrusted'
    else if (prepared.isTrusted(at)) return undefined
  }
  return reason
}
