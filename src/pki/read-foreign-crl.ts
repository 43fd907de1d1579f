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

/** The list is of a kind that does not say of itself what is revoked, or says more than is understood here. */
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
  /** Null for none, and for one that is not given here, such as a hold. */
  readonly reason: RevocationReason | null
}

/** A list of another CA taken apart; whether its signature verifies is the caller's to ask. */
export interface ForeignList {
  /** The issuer's name, as DER. */
  readonly issuer: Uint8Array
  readonly thisUpdate: Date
  /** Null where the CA does not say, which RFC 5280 section 5.1.2.5 asks it to. */
  readonly nextUpdate: Date | null
  readonly signature: SignedBytes
  /**
   * What the list names as revoked, read as it is asked for. Throws MalformedDer or UnsupportedList at the entry that is
   * not fit.
   */
  entries(): Generator<ForeignEntry, void, undefined>
}

/** Extensions of a list that may be passed over: they change nothing of what its entries say. */
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
 * Takes a complete CRL of any CA apart (RFC 5280 section 5), of version 2 or 1: numbers of any length, entries with or
 * without extensions. A list that stands for others' certificates (indirect), for changes alone (delta), for some
 * reasons, or not for certificates of persons is not read, nor is one with a critical extension that is not known. Made
 * for lists of any length: the entries are walked through, and never all held. Throws MalformedDer and UnsupportedList.
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

/** RFC 5280 section 5.2.5. A list of one distribution point is a part of all, and what stands on it is revoked. */
function requireForPersons(value: Uint8Array): void {
  for (const { tag: field } of new DerSequence(readElement(value, tag.sequence)).rest()) {
    const isUnderstood = field === contextConstructed(0) || field === contextPrimitive(1)
    if (!isUnderstood) throw new UnsupportedList('a list of something else than certificates of persons')
  }
}

/** RFC 5280 section 5.3.1: it means something on delta lists only. */
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
      // Nearly all entries of a list have the same.
      if (known === null || !equalBytes(known.bytes, extensions.bytes)) {
        known = { bytes: extensions.bytes, said: readEntryExtensions(extensions) }
      }
      said = known.said
    }
    if (said.kind === 'removed' || (serialNumber[0] ?? 0) >= 0x80) continue
    yield { serialNumber: toHex(withoutSign(serialNumber)), reason: said.reason }
  }
}

/** When the CA revoked is not asked for here: what counts is when it was heard of. */
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
