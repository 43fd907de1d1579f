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

/** Why a certificate is not used, whatever the service says of it. */
export const rejectionReasons = [
  /** No DER of a certificate, or of a chain. */
  'malformed',
  /** The address asked for is not among its names. */
  'mailbox_differs',
  /** It is a CA's. */
  'is_ca',
  /** It is not for mail (`emailProtection`). */
  'eku_unprofiled',
  /** Its key is none that certbook accepts: too small, broken, or of a kind that mail does not use. */
  'key_refused',
  /** It is not for this use: a key to sign is none to encrypt to. */
  'key_usage_unfit',
  'unknown_critical_extension',
  'not_yet_valid',
  'expired',
  /** The CA that it comes with has not signed it. */
  'signature_invalid',
  /** The CAs that it comes with lead to none of the app's anchors, or one of them is no CA for mail now. */
  'chain_untrusted',
  /** The service answered more of them than it promises to. */
  'too_many',
] as const
export type RejectionReason = (typeof rejectionReasons)[number]

/** A certificate that was judged by its own bytes alone; nothing here is what the service says about it. */
export interface TrustedCertificate {
  readonly certificate: Uint8Array
  /** The CAs it came with, issuing CA first. */
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

/** What the service answered: base64 DER, as it stands in the answer. */
export interface AnsweredCertificate {
  readonly certificate: string
  readonly chain: readonly string[]
}

/** What the certificate has to be good for. */
export interface Expected {
  readonly mailbox: MailboxAddress
  readonly use: KeyUse
  /** The CA certificates that the app trusts by itself, DER. */
  readonly anchors: readonly Uint8Array[]
  readonly at: Date
}

export type Verdict =
  | { readonly trusted: true; readonly certificate: TrustedCertificate }
  | { readonly trusted: false; readonly reason: RejectionReason; readonly fingerprintSha256: string | null }

/** No CA hierarchy for mail is longer; bounds what a hostile answer costs. */
const longestChain = 6
/** No certificate for mail is larger; one that is nothing but names would take the app's time. */
const octetsAllowed = 64 * 1_024

/**
 * Judges one certificate by RFC 5280 section 6.1 and RFC 8550 section 4: the mailbox, the purpose, the key, the time,
 * each signature, and a path to an anchor of the app. Revocation is the service's to say. Never throws for what was
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

/** Null where it is not base64, or too large. */
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

/** RFC 8550 section 3, RFC 9598 section 3: compared as mailboxes, each kind of address under its own kind of name. */
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

/** S/MIME BR 7.1.2.3 (f): a certificate for mail says so. */
function isForMail({ extensions }: Certificate): boolean {
  const extension = extensions.get(oid.extKeyUsage)
  return extension !== undefined && readExtendedKeyUsage(extension.value).includes(oid.emailProtection)
}

/** RFC 8550 section 4.4.2; S/MIME BR 7.1.2.3 (e) asks for the extension. */
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

/** The chain is only a hint how to get to an anchor; without one, an anchor itself may have issued the certificate. */
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
