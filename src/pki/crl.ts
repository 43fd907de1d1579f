import { parseCertificate } from './certificate.ts'
import {
  contextConstructed,
  contextPrimitive,
  encodeElement,
  encodeList,
  encodeObjectIdentifier,
  encodeUnsigned,
  tag,
} from './der.ts'
import { encodeTime } from './der-time.ts'
import { readSubjectKeyIdentifier } from './extensions.ts'
import { fromHex } from './hexadecimal.ts'
import { oid } from './object-identifiers.ts'
import { revocationReasonCodes, type RevocationReason } from './revocation-reason.ts'
import { signAsBitString, signatureAlgorithmOf, type SigningCa } from './signing.ts'

/** A revoked certificate. */
export interface CrlEntry {
  /** Lower-case hexadecimal without a sign octet, as `CertificateFacts` has it. */
  readonly serialNumber: string
  readonly revokedAt: Date
  /** Null if no reason was given. Readers take that as unspecified. */
  readonly reason: RevocationReason | null
}

export interface CrlParameters extends SigningCa {
  /** CRLNumber, positive. The caller makes sure that it never goes back for one CA. */
  readonly number: bigint | number
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** In any order; no serial number twice. */
  readonly entries: readonly CrlEntry[]
}

/** RFC 5280 section 5.2.3: at most 20 octets. The first holds the sign. */
const largestNumber = 2n ** 159n - 1n

/**
 * Makes a complete CRL (RFC 5280 section 5, version 2) of everything its CA issued. The signature algorithm follows
 * from the CA's key. Extensions are the key identifier and the number. Entries are sorted by serial number. Time and
 * memory are proportional to its length, except for the sorting.
 *
 * Throws RangeError for a number or time that a CRL cannot hold, and for a serial number that stands twice. Throws
 * TypeError for a serial number that is not hexadecimal, and for a CA without a key identifier.
 */
export async function createCrl(crypto: Crypto, parameters: CrlParameters): Promise<Uint8Array> {
  const { issuer, issuerKeyKind, number, thisUpdate, nextUpdate, entries } = parameters
  if (nextUpdate <= thisUpdate) throw new RangeError('the next update is not after this one')
  const { subject, extensions } = parseCertificate(issuer)
  const keyIdentifier = extensions.get(oid.subjectKeyIdentifier)
  if (keyIdentifier === undefined) throw new TypeError('the issuer has no key identifier')

  const algorithm = signatureAlgorithmOf(issuerKeyKind)
  const toBeSigned = encodeElement(
    tag.sequence,
    encodeUnsigned(Uint8Array.of(1)),
    algorithm,
    subject.bytes,
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    // RFC 5280 section 5.1.2.6: without revoked certificates the list is absent.
    ...(entries.length === 0 ? [] : [encodeList(tag.sequence, encodeEntries(entries))]),
    encodeElement(
      contextConstructed(0),
      encodeElement(
        tag.sequence,
        encodeExtension(oid.authorityKeyIdentifier, encodeKeyIdentifier(readSubjectKeyIdentifier(keyIdentifier.value))),
        encodeExtension(oid.crlNumber, encodeNumber(number)),
      ),
    ),
  )
  return encodeElement(tag.sequence, toBeSigned, algorithm, await signAsBitString(crypto, parameters, toBeSigned))
}

function encodeEntries(entries: readonly CrlEntry[]): Uint8Array[] {
  const sorted = entries
    .map((entry) => ({ digits: entry.serialNumber.replace(/^(?:00)+(?=.)/, ''), entry }))
    .toSorted((left, right) => compareDigits(left.digits, right.digits))
  return sorted.map(({ digits, entry: { revokedAt, reason } }, index) => {
    if (sorted[index - 1]?.digits === digits) throw new RangeError('a serial number stands twice')
    const serialNumber = encodeUnsigned(fromHex(digits))
    const time = encodeTime(revokedAt)
    return reason === null
      ? encodeElement(tag.sequence, serialNumber, time)
      : encodeElement(tag.sequence, serialNumber, time, reasonExtensions[reason])
  })
}

/** Compares two numbers in hexadecimal without leading zeros. */
function compareDigits(left: string, right: string): number {
  if (left.length !== right.length) return left.length - right.length
  if (left === right) return 0
  return left < right ? -1 : 1
}

/** RFC 5280 section 5.3.1: not critical. The five extensions are encoded once, for CRLs of any length. */
const reasonExtensions: Readonly<Record<RevocationReason, Uint8Array>> = {
  keyCompromise: encodeReason('keyCompromise'),
  affiliationChanged: encodeReason('affiliationChanged'),
  superseded: encodeReason('superseded'),
  cessationOfOperation: encodeReason('cessationOfOperation'),
  privilegeWithdrawn: encodeReason('privilegeWithdrawn'),
}

function encodeReason(reason: RevocationReason): Uint8Array {
  const code = encodeElement(tag.enumerated, Uint8Array.of(revocationReasonCodes[reason]))
  return encodeElement(tag.sequence, encodeExtension(oid.reasonCode, code))
}

/** No extension of a CRL is critical here. FALSE is the default, so it is not written. */
function encodeExtension(identifier: string, value: Uint8Array): Uint8Array {
  return encodeElement(tag.sequence, encodeObjectIdentifier(identifier), encodeElement(tag.octetString, value))
}

function encodeKeyIdentifier(identifier: Uint8Array): Uint8Array {
  return encodeElement(tag.sequence, encodeElement(contextPrimitive(0), identifier))
}

function encodeNumber(number: bigint | number): Uint8Array {
  if (typeof number === 'number' && !Number.isSafeInteger(number)) throw new RangeError('not a whole number')
  const value = BigInt(number)
  if (value < 1n || value > largestNumber) throw new RangeError('a CRL number is positive and of 20 octets at most')
  const digits = value.toString(16)
  return encodeUnsigned(fromHex(digits.length % 2 === 0 ? digits : `0${digits}`))
}
