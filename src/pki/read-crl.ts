import { readTime } from './certificate.ts'
import type { CrlEntry } from './crl.ts'
import {
  contextConstructed,
  DerSequence,
  MalformedDer,
  readElement,
  readOctetsOfBitString,
  readUnsigned,
  tag,
  type DerElement,
} from './der.ts'
import { equalBytes, toHex } from './encoding.ts'
import { readExtensions } from './extensions.ts'
import { oid } from './object-identifiers.ts'
import { reasonOfCode } from './revocation-reason.ts'
import type { SignedBytes } from './signature.ts'

/** A parsed revocation list. The caller verifies its signature. */
export interface RevocationList {
  /** The issuer's name, as DER. */
  readonly issuer: Uint8Array
  readonly number: number
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  readonly entries: readonly CrlEntry[]
  readonly signature: SignedBytes
}

/** Numbers here count up from the time in seconds. A number beyond the safe integers was not made here. */
const readNumber = (value: Uint8Array): number => {
  const number = Number.parseInt(toHex(readUnsigned(readElement(value, tag.integer))), 16)
  if (!Number.isSafeInteger(number)) throw new MalformedDer('a list number that is too large')
  return number
}

const readEntry = (element: DerElement): CrlEntry => {
  const fields = new DerSequence(element)
  const serialNumber = toHex(readUnsigned(fields.next(tag.integer)))
  const revokedAt = readTime(fields.next())
  const extensions = fields.optional(tag.sequence)
  fields.end()
  const code =
    extensions === undefined ? undefined : readExtensions(extensions).find(({ oid: id }) => id === oid.reasonCode)
  const reason = code === undefined ? undefined : readElement(code.value, tag.enumerated).content[0]
  return { serialNumber, revokedAt, reason: reason === undefined ? null : reasonOfCode(reason) }
}

/** Parses a complete CRL of version 2 as `createCrl` makes it (RFC 5280 section 5.1). Throws MalformedDer. */
export function parseCrl(der: Uint8Array): RevocationList {
  const parts = new DerSequence(readElement(der, tag.sequence))
  const toBeSigned = parts.next(tag.sequence)
  const algorithm = parts.next(tag.sequence).bytes
  const signature = readOctetsOfBitString(parts.next(tag.bitString))
  parts.end()
  const fields = new DerSequence(toBeSigned)
  fields.next(tag.integer)
  if (!equalBytes(fields.next(tag.sequence).bytes, algorithm)) throw new MalformedDer('two signature algorithms')
  const issuer = fields.next(tag.sequence).bytes
  const thisUpdate = readTime(fields.next())
  const nextUpdate = readTime(fields.next())
  const revoked = fields.optional(tag.sequence)
  const extensions = readExtensions(readElement(fields.next(contextConstructed(0)).content, tag.sequence))
  fields.end()
  const number = extensions.find(({ oid: id }) => id === oid.crlNumber)
  if (number === undefined) throw new MalformedDer('no list number')
  return {
    issuer,
    number: readNumber(number.value),
    thisUpdate,
    nextUpdate,
    entries: revoked === undefined ? [] : new DerSequence(revoked).rest(tag.sequence).map(readEntry),
    signature: { algorithm, signed: toBeSigned.bytes, signature },
  }
}
