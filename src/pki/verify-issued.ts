import { DomainError } from '../errors.ts'
import type { MailboxAddress } from '../mailbox/address.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import { factsOf, type CertificateFacts } from './certificate-facts.ts'
import { hasUnknownCriticalExtension, prepareChain, type PreparedChain } from './chain.ts'
import { MalformedDer } from './der.ts'
import { equalBytes } from './encoding.ts'
import { readBasicConstraints, readExtendedKeyUsage, readKeyUsage, type KeyUsageBit } from './extensions.ts'
import { checkPublicKey } from './key-policy.ts'
import { keyUsageFor, type CertificateUse } from './key-usage.ts'
import { readGeneralNames, readName } from './names.ts'
import { oid } from './object-identifiers.ts'
import { hourMilliseconds } from '../ports/time.ts'

/** Why a certificate from a CA is not kept; policy rule 15. */
export const issuedFaults = [
  'malformed',
  'serial_number_unfit',
  'spki_differs',
  'mailbox_differs',
  'second_mailbox',
  'foreign_san_type',
  'subject_foreign',
  'eku_unprofiled',
  'key_usage_unfit',
  'is_ca',
  'unknown_critical_extension',
  'not_yet_valid',
  'expired',
  'validity_too_long',
  'signature_invalid',
  'chain_untrusted',
] as const

export type IssuedFault = (typeof issuedFaults)[number]

/** What the CA was asked for, what it answered, and which anchors the connection trusts. */
export interface IssuedCertificate {
  readonly certificate: Uint8Array
  /** Issuing CA first, root last. It may end below the anchor. */
  readonly chain: readonly Uint8Array[]
  readonly anchors: readonly Uint8Array[]
  /** The result of `prepareChain` for this chain and these anchors, if many certificates share them. */
  readonly prepared?: PreparedChain | undefined
  readonly spki: Uint8Array
  readonly mailbox: MailboxAddress
  readonly use: CertificateUse
  readonly notBefore: Date
  readonly notAfter: Date
  readonly at: Date
}

/** The facts of a certificate that may be kept, or the first reason against it. */
export type IssuedVerdict =
  | { readonly ok: true; readonly facts: CertificateFacts }
  | { readonly ok: false; readonly reason: IssuedFault }

/** CAs date notBefore some minutes back, so that clients with slow clocks accept a new certificate. */
const backdatingAllowed = hourMilliseconds

/** How far the CA's clock may be ahead of this one. */
const clockSkewAllowed = 5 * 60 * 1000

/**
 * Judges a certificate from a CA by policy rule 15, before it is kept: the requested key and mailbox, the profile, a
 * lifetime not longer than requested, the signature, and a chain to an anchor. The caller must check that the issuer
 * has not used the serial number before.
 *
 * Never throws because of what a CA sent.
 */
export async function verifyIssuedCertificate(crypto: Crypto, issued: IssuedCertificate): Promise<IssuedVerdict> {
  try {
    const certificate = parseCertificate(issued.certificate)
    const reason = faultOf(certificate, issued) ?? (await faultOfChain(crypto, certificate, issued))
    return reason === undefined ? { ok: true, facts: await factsOf(crypto, certificate) } : { ok: false, reason }
  } catch (error) {
    if (error instanceof MalformedDer) return { ok: false, reason: 'malformed' }
    throw error
  }
}

/** Applies the rules in order. The first fault counts. */
function faultOf(certificate: Certificate, issued: IssuedCertificate): IssuedFault | undefined {
  return (
    faultOfSerialNumber(certificate) ??
    faultOfKey(certificate, issued.spki) ??
    faultOfAlternativeName(certificate, issued.mailbox) ??
    faultOfSubject(certificate, issued.mailbox) ??
    faultOfConstraints(certificate) ??
    faultOfPurposes(certificate, issued.at) ??
    faultOfKeyUsage(certificate, issued.use) ??
    (hasUnknownCriticalExtension(certificate) ? 'unknown_critical_extension' : undefined) ??
    faultOfTerm(certificate, issued)
  )
}

/** RFC 5280 section 4.1.2.2: positive, at most 20 octets. */
function faultOfSerialNumber({ serialNumber }: Certificate): IssuedFault | undefined {
  const first = serialNumber[0] ?? 0
  const isZero = first === 0 && serialNumber.length === 1
  return first >= 0x80 || isZero || serialNumber.length > 20 ? 'serial_number_unfit' : undefined
}

function faultOfKey({ spki }: Certificate, asked: Uint8Array): IssuedFault | undefined {
  return equalBytes(spki, asked) ? undefined : 'spki_differs'
}

/**
 * Policy rules 10 and 15: exactly the one mailbox, byte for byte, and no name of another type. RFC 9598 section 3: an
 * ASCII local part is never in an SmtpUTF8Mailbox, and any other is never in an rfc822Name.
 */
function faultOfAlternativeName(
  { extensions }: Certificate,
  { address, kind }: MailboxAddress,
): IssuedFault | undefined {
  const extension = extensions.get(oid.subjectAltName)
  if (extension === undefined) return 'mailbox_differs'
  const names = readGeneralNames(extension.value)
  const wanted = kind === 'ascii' ? 'rfc822Name' : 'smtpUtf8Mailbox'
  const mailboxes = names.flatMap((name) => (name.kind === wanted ? [name.text] : []))
  if (mailboxes.length !== names.length) return 'foreign_san_type'
  if (!mailboxes.includes(address)) return 'mailbox_differs'
  return mailboxes.length === 1 ? undefined : 'second_mailbox'
}

/**
 * Policy rule 15, S/MIME BR 7.1.4.2.2: the subject is empty, or holds only the mailbox. RFC 5280 section 4.2.1.6:
 * emailAddress is an IA5String.
 */
function faultOfSubject({ subject }: Certificate, { address, kind }: MailboxAddress): IssuedFault | undefined {
  const isMailbox = readName(subject)
    .flat()
    .every(
      ({ oid: type, text }) =>
        (type === oid.commonName || (type === oid.emailAddress && kind === 'ascii')) && text === address,
    )
  return isMailbox ? undefined : 'subject_foreign'
}

function faultOfConstraints({ extensions }: Certificate): IssuedFault | undefined {
  const extension = extensions.get(oid.basicConstraints)
  return extension !== undefined && readBasicConstraints(extension.value).ca ? 'is_ca' : undefined
}

/** S/MIME BR 1.0.16, 7.1.2.3 (f): from here on nothing but emailProtection and clientAuth. */
const fewerPurposesFrom = Date.UTC(2027, 6, 1)
/** Beside emailProtection no S/MIME certificate ever had these. */
const neverForMail: ReadonlySet<string> = new Set([
  oid.anyExtendedKeyUsage,
  oid.serverAuth,
  oid.codeSigning,
  oid.timeStamping,
  oid.ocspSigning,
])

/**
 * Policy rule 15: emailProtection, and beside it clientAuth at most. Other purposes that CAs still add pass until they
 * are forbidden.
 */
function faultOfPurposes({ extensions }: Certificate, at: Date): IssuedFault | undefined {
  const extension = extensions.get(oid.extKeyUsage)
  const purposes = extension === undefined ? [] : readExtendedKeyUsage(extension.value)
  const others = purposes.filter((purpose) => purpose !== oid.emailProtection && purpose !== oid.clientAuth)
  const isProfiled =
    at.getTime() < fewerPurposesFrom ? others.every((purpose) => !neverForMail.has(purpose)) : others.length === 0
  return purposes.includes(oid.emailProtection) && isProfiled ? undefined : 'eku_unprofiled'
}

/** S/MIME BR 7.1.2.3 (e) allows these bits besides the ones that the use needs. */
const tolerated: Readonly<Record<CertificateUse, readonly KeyUsageBit[]>> = {
  sign: ['nonRepudiation'],
  encrypt: ['dataEncipherment'],
  dual: ['nonRepudiation', 'dataEncipherment'],
}

function faultOfKeyUsage({ spki, extensions }: Certificate, use: CertificateUse): IssuedFault | undefined {
  const needed = neededKeyUsage(spki, use)
  const extension = extensions.get(oid.keyUsage)
  if (extension === undefined || needed === undefined) return 'key_usage_unfit'
  const granted = [...readKeyUsage(extension.value)]
  const isEnough = [...needed].every((bit) => granted.includes(bit))
  const isTooMuch = granted.some((bit) => !needed.has(bit) && !tolerated[use].includes(bit))
  return isEnough && !isTooMuch ? undefined : 'key_usage_unfit'
}

/** Undefined for a key that is not accepted. The caller requested an accepted one, so that is the caller's fault. */
function neededKeyUsage(spki: Uint8Array, use: CertificateUse): ReadonlySet<KeyUsageBit> | undefined {
  try {
    return keyUsageFor(checkPublicKey(spki), use)
  } catch (error) {
    if (error instanceof DomainError) return undefined
    throw error
  }
}

/** Policy rule 15: valid now, with a lifetime not longer than requested. */
function faultOfTerm(
  certificate: Certificate,
  { notBefore, notAfter, at }: IssuedCertificate,
): IssuedFault | undefined {
  if (certificate.notBefore.getTime() > at.getTime() + clockSkewAllowed) return 'not_yet_valid'
  if (certificate.notAfter < at) return 'expired'
  const startsTooEarly = certificate.notBefore.getTime() < notBefore.getTime() - backdatingAllowed
  return startsTooEarly || certificate.notAfter > notAfter ? 'validity_too_long' : undefined
}

/** RFC 5280 section 6.1, from the issuing CA upwards. Without a chain, the issuer may be an anchor itself. */
async function faultOfChain(
  crypto: Crypto,
  certificate: Certificate,
  { chain, anchors, prepared, at }: IssuedCertificate,
): Promise<IssuedFault | undefined> {
  if (prepared !== undefined || chain.length > 0) {
    return await faultOfPath(certificate, prepared ?? (await prepareChain(crypto, chain, anchors)), at)
  }
  for (const anchor of anchors) {
    if ((await faultOfPath(certificate, await prepareChain(crypto, [anchor], anchors), at)) === undefined) {
      return undefined
    }
  }
  return 'chain_untrusted'
}

async function faultOfPath(certificate: Certificate, chain: PreparedChain, at: Date): Promise<IssuedFault | undefined> {
  if (!(await chain.hasIssued(certificate))) return 'signature_invalid'
  return chain.isTrusted(at) ? undefined : 'chain_untrusted'
}
