import {
  contextPrimitive,
  DerSequence,
  encodeElement,
  MalformedDer,
  readBoolean,
  readElement,
  readObjectIdentifier,
  readSmallInteger,
  tag,
  type DerElement,
} from './der.ts'

/** One extension (RFC 5280 section 4.1). `value` is the content of its OCTET STRING. */
export interface Extension {
  readonly oid: string
  readonly critical: boolean
  readonly value: Uint8Array
}

/** Reads `Extensions` (RFC 5280 section 4.1), with duplicates. Throws MalformedDer. */
export function readExtensions(extensions: DerElement): Extension[] {
  return new DerSequence(extensions).rest(tag.sequence).map((element) => {
    const parts = new DerSequence(element)
    const oid = readObjectIdentifier(parts.next(tag.objectIdentifier))
    const critical = parts.optional(tag.boolean)
    const value = parts.next(tag.octetString).content
    parts.end()
    return { oid, critical: critical !== undefined && readBoolean(critical), value }
  })
}

/** RFC 5280 section 4.2: an extension may stand only once. */
export function hasDuplicateExtension(extensions: readonly Extension[]): boolean {
  return new Set(extensions.map((extension) => extension.oid)).size !== extensions.length
}

/** The bits of KeyUsage in their order, RFC 5280 section 4.2.1.3. */
const keyUsageBits = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const

/** One bit of KeyUsage, RFC 5280 section 4.2.1.3. */
export type KeyUsageBit = (typeof keyUsageBits)[number]

/** The bits that a KeyUsage extension sets, RFC 5280 section 4.2.1.3. Throws MalformedDer. */
export function readKeyUsage(value: Uint8Array): Set<KeyUsageBit> {
  const { content } = readElement(value, tag.bitString)
  const octets = content.subarray(1)
  if (content.length < 2 || (content[0] ?? 8) > 7) throw new MalformedDer('not a named bit list')
  return new Set(keyUsageBits.filter((_, bit) => ((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0))
}

/** KeyUsage with these bits, RFC 5280 section 4.2.1.3. X.690 section 11.2.2: zero bits at the end are not written. */
export function encodeKeyUsage(bits: ReadonlySet<KeyUsageBit>): Uint8Array {
  const last = keyUsageBits.findLastIndex((bit) => bits.has(bit))
  if (last < 0) throw new RangeError('a key is usable for something')
  const octets = new Uint8Array((last >> 3) + 1)
  for (const [bit, name] of keyUsageBits.entries()) {
    if (bits.has(name)) octets[bit >> 3] = (octets[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  }
  return encodeElement(tag.bitString, Uint8Array.of(7 - (last & 7)), octets)
}

/** The purposes that an ExtKeyUsage extension lists, RFC 5280 section 4.2.1.12. Throws MalformedDer. */
export function readExtendedKeyUsage(value: Uint8Array): string[] {
  return new DerSequence(readElement(value, tag.sequence)).rest(tag.objectIdentifier).map(readObjectIdentifier)
}

/** BasicConstraints, RFC 5280 section 4.2.1.9. Throws MalformedDer. */
export function readBasicConstraints(value: Uint8Array): { readonly ca: boolean; readonly pathLength?: number } {
  const parts = new DerSequence(readElement(value, tag.sequence))
  const ca = parts.optional(tag.boolean)
  const pathLength = parts.optional(tag.integer)
  parts.end()
  return {
    ca: ca !== undefined && readBoolean(ca),
    ...(pathLength === undefined ? {} : { pathLength: readSmallInteger(pathLength) }),
  }
}

/** The key identifier of an AuthorityKeyIdentifier, RFC 5280 section 4.2.1.1, if it has one. Throws MalformedDer. */
export function readAuthorityKeyIdentifier(value: Uint8Array): Uint8Array | undefined {
  return new DerSequence(readElement(value, tag.sequence)).optional(contextPrimitive(0))?.content
}

/** The key identifier of a SubjectKeyIdentifier, RFC 5280 section 4.2.1.2. Throws MalformedDer. */
export function readSubjectKeyIdentifier(value: Uint8Array): Uint8Array {
  return readElement(value, tag.octetString).content
}
