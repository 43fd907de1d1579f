import { readTime } from './certificate.ts'
import {
  contextConstructed,
  contextPrimitive,
  DerSequence,
  MalformedDer,
  readElement,
  readFirstElement,
  readInteger,
  readOctetsOfBitString,
  readSmallInteger,
  tag,
  type DerElement,
} from './der.ts'
import { equalBytes, toHex } from './encoding.ts'
import { hasDuplicateExtension, readExtensions, type Extension } from './extensions.ts'
import { oid } from './object-identifiers.ts'
import { reasonOfCode, type RevocationReason } from './revocation-reason.ts'
import type { SignedBytes } from './signature.ts'

/** This kind of list does not tell by itself what is revoked, or it holds something that is not understood here. */
export class UnsupportedList extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UnsupportedList'
  }
}

/** One entry of another CA's list. */
export interface ForeignEntry {
  /** Lower-case hexadecimal without a sign octet, as `CertificateFacts` has it. */
  readonly serialNumber: string
  /** Null if there is none, or one that is not used here, such as a hold. */
  readonly reason: RevocationReason | null
}

/** A parsed list of another CA. The caller verifies its signature. */
export interface ForeignList {
  /** The issuer's name, as DER. */
  readonly issuer: Uint8Array
  readonly thisUpdate: Date
  /** Null if the CA does not say. RFC 5280 section 5.1.2.5 requires it. */
  readonly nextUpdate: Date | null
  readonly signature: SignedBytes
  /** The revoked entries, read one by one. Throws MalformedDer or UnsupportedList at an entry that cannot be used. */
  entries(): Generator<ForeignEntry, void, undefined>
}

/** Extensions of a list that may be ignored: they do not change the meaning of its entries. */
const listExtensionsPassedOver: ReadonlySet<string> = new Set([
  oid.authorityKeyIdentifier,
  oid.issuerAltName,
  oid.crlNumber,
  oid.freshestCrl,
  oid.authorityInfoAccess,
])
const entryExtensionsPassedOver: ReadonlySet<string> = new Set([
  oid.reasonCode,
  oid.invalidityDate,
  oid.holdInstructionCode,
])

/**
 * Parses a complete CRL of any CA (RFC 5280 section 5), version 2 or 1, with numbers of any length, and entries with or
 * without extensions. Refused are lists that are indirect, hold only changes (delta), only some reasons, or nothing
 * about certificates of persons, and lists with an unknown critical extension. A list may be of any length: its entries
 * are read one by one and never all held. Throws MalformedDer and UnsupportedList.
 */
export function readForeignCrl(der: Uint8Array): ForeignList {
  const parts = new DerSequence(readElement(der, tag.sequence))
  const toBeSigned = parts.next(tag.sequence)
  const algorithm = parts.next(tag.sequence).bytes
  const signature = readOctetsOfBitString(parts.next(tag.bitString))
  parts.end()

  const fields = new DerSequence(toBeSigned)
  const version = fields.optional(tag.integer)
  if (version !== undefined && readSmallInteger(version) !== 1) throw new MalformedDer('not a list of version 2')
  if (!equalBytes(fields.next(tag.sequence).bytes, algorithm)) throw new MalformedDer('two signature algorithms')
  const issuer = fields.next(tag.sequence).bytes
  const thisUpdate = readTime(fields.next())
  const nextUpdate = fields.optional(tag.utcTime) ?? fields.optional(tag.generalizedTime)
  const revoked = fields.optional(tag.sequence)
  const extensions = fields.optional(contextConstructed(0))
  fields.end()
  if (extensions !== undefined) requireUnderstood(readOnce(readElement(extensions.content, tag.sequence)))
  return {
    issuer,
    thisUpdate,
    nextUpdate: nextUpdate === undefined ? null : readTime(nextUpdate),
    signature: { algorithm, signed: toBeSigned.bytes, signature },
    entries: () => readEntries(revoked),
  }
}

function readOnce(element: DerElement): Extension[] {
  const extensions = readExtensions(element)
  if (hasDuplicateExtension(extensions)) throw new MalformedDer('an extension stands twice')
  return extensions
}

function requireUnderstood(extensions: readonly Extension[]): void {
  for (const { oid: id, critical, value } of extensions) {
    if (id === oid.deltaCrlIndicator) throw new UnsupportedList('a delta list')
    if (id === oid.issuingDistributionPoint) requireForPersons(value)
    else if (critical && !listExtensionsPassedOver.has(id)) throw new UnsupportedList('an unknown critical extension')
  }
}

/** RFC 5280 section 5.2.5. The list of one distribution point is only a part, but its entries are revoked. */
function requireForPersons(value: Uint8Array): void {
  for (const { tag: field } of new DerSequence(readElement(value, tag.sequence)).rest()) {
    const isUnderstood = field === contextConstructed(0) || field === contextPrimitive(1)
    if (!isUnderstood) throw new UnsupportedList('a list of something else than certificates of persons')
  }
}

/** RFC 5280 section 5.3.1: it has a meaning only in delta lists. */
const removeFromCrl = 8

type Said = { readonly kind: 'revoked'; readonly reason: RevocationReason | null } | { readonly kind: 'removed' }

function* readEntries(revoked: DerElement | undefined): Generator<ForeignEntry, void, undefined> {
  if (revoked === undefined) return
  let known: { readonly bytes: Uint8Array; readonly said: Said } | null = null
  for (let rest = revoked.content; rest.length > 0;) {
    const entry = readFirstElement(rest)
    if (entry.tag !== tag.sequence) throw new MalformedDer('element of another type')
    rest = rest.subarray(entry.bytes.length)
    const fields = new DerSequence(entry)
    const serialNumber = readInteger(fields.next(tag.integer))
    requireTime(fields.next())
    const extensions = fields.optional(tag.sequence)
    fields.end()
    let said: Said = { kind: 'revoked', reason: null }
    if (extensions !== undefined) {
      // Nearly all entries of a list have the same extensions.
      if (known === null || !equalBytes(known.bytes, extensions.bytes)) {
        known = { bytes: extensions.bytes, said: readEntryExtensions(extensions) }
      }
      said = known.said
    }
    if (said.kind === 'removed' || (serialNumber[0] ?? 0) >= 0x80) continue
    yield { serialNumber: toHex(withoutSign(serialNumber)), reason: said.reason }
  }
}

/** The time of the revocation is not used here. What counts is when the service learned of it. */
function requireTime({ tag: type }: DerElement): void {
  if (type !== tag.utcTime && type !== tag.generalizedTime) throw new MalformedDer('not a time')
}

const withoutSign = (octets: Uint8Array): Uint8Array =>
  octets[0] === 0 && octets.length > 1 ? octets.subarray(1) : octets

function readEntryExtensions(element: DerElement): Said {
  let said: Said = { kind: 'revoked', reason: null }
  for (const { oid: id, critical, value } of readOnce(element)) {
    if (id === oid.certificateIssuer) throw new UnsupportedList('an indirect list')
    if (critical && !entryExtensionsPassedOver.has(id)) throw new UnsupportedList('an unknown critical extension')
    if (id === oid.reasonCode) said = readReason(value)
  }
  return said
}

function readReason(value: Uint8Array): Said {
  const [code, ...more] = readElement(value, tag.enumerated).content
  if (code === undefined || more.length > 0) throw new MalformedDer('not a reason')
  return code === removeFromCrl ? { kind: 'removed' } : { kind: 'revoked', reason: reasonOfCode(code) }
}
