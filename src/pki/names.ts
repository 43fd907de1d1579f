import {
  contextConstructed,
  contextPrimitive,
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  MalformedDer,
  readElement,
  readObjectIdentifier,
  tag,
  type DerElement,
} from './der.ts'
import { toHex } from './encoding.ts'
import { oid } from './object-identifiers.ts'

/** One attribute of a distinguished name. `text` is undefined if the value is not a character string. */
export interface NameAttribute {
  readonly oid: string
  readonly text: string | undefined
  readonly value: DerElement
}

/** One GeneralName (RFC 5280 section 4.2.1.6), as far as it matters for mailboxes. */
export type GeneralName =
  | { readonly kind: 'rfc822Name'; readonly text: string }
  | { readonly kind: 'smtpUtf8Mailbox'; readonly text: string }
  | { readonly kind: 'directoryName'; readonly name: DerElement }
  | { readonly kind: 'other' }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const utf16 = new TextDecoder('utf-16be', { fatal: true, ignoreBOM: true })

/** The attributes of a Name, RFC 5280 section 4.1.2.4, grouped by relative name. Throws MalformedDer. */
export function readName(name: DerElement): NameAttribute[][] {
  if (name.tag !== tag.sequence) throw new MalformedDer('not a Name')
  return new DerSequence(name).rest(tag.set).map((relative) =>
    new DerSequence(relative).rest(tag.sequence).map((attribute) => {
      const parts = new DerSequence(attribute)
      const type = readObjectIdentifier(parts.next(tag.objectIdentifier))
      const value = parts.next()
      parts.end()
      return { oid: type, text: readText(value), value }
    }),
  )
}

/** A Name with one common name (RFC 5280 section 4.1.2.4), at most 64 characters (appendix A, ub-common-name). */
export function encodeCommonName(text: string): Uint8Array {
  const value = encodeElement(tag.utf8String, new TextEncoder().encode(text))
  const attribute = encodeElement(tag.sequence, encodeObjectIdentifier(oid.commonName), value)
  return encodeElement(tag.sequence, encodeElement(tag.set, attribute))
}

/** The names of a SubjectAltName extension, RFC 5280 section 4.2.1.6. Throws MalformedDer. */
export function readGeneralNames(value: Uint8Array): GeneralName[] {
  return new DerSequence(readElement(value, tag.sequence)).rest().map(readGeneralName)
}

function readGeneralName(element: DerElement): GeneralName {
  if (element.tag === contextPrimitive(1)) return { kind: 'rfc822Name', text: ascii(element.content) }
  if (element.tag === contextConstructed(4)) {
    return { kind: 'directoryName', name: readElement(element.content, tag.sequence) }
  }
  if (element.tag !== contextConstructed(0)) return { kind: 'other' }
  const parts = new DerSequence(element)
  const type = readObjectIdentifier(parts.next(tag.objectIdentifier))
  const value = parts.next(contextConstructed(0))
  if (type !== oid.smtpUtf8Mailbox) return { kind: 'other' }
  return { kind: 'smtpUtf8Mailbox', text: decode(utf8, readElement(value.content, tag.utf8String).content) }
}

/**
 * Decodes all string types that X.520 allows in a name. Each decoder fails on characters that its type does not have.
 */
function readText(value: DerElement): string | undefined {
  switch (value.tag) {
    case tag.utf8String:
      return decode(utf8, value.content)
    case tag.bmpString:
      return decode(utf16, value.content)
    case tag.universalString:
      return utf32(value.content)
    case tag.printableString:
    case tag.numericString:
    case tag.ia5String:
    case tag.visibleString:
      return ascii(value.content)
    case tag.teletexString:
      return latin1(value.content)
    default:
      return undefined
  }
}

function decode(decoder: TextDecoder, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new MalformedDer('string with characters it cannot have')
  }
}

function ascii(bytes: Uint8Array): string {
  if (bytes.some((byte) => byte >= 0x80)) throw new MalformedDer('string with characters it cannot have')
  return latin1(bytes)
}

/** In practice T.61 is used as Latin-1. Both are equal for all characters of an address. */
function latin1(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

function utf32(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) throw new MalformedDer('string of broken length')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let text = ''
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const character = view.getUint32(offset)
    if (character > 0x10ffff) throw new MalformedDer('string with characters it cannot have')
    text += String.fromCodePoint(character)
  }
  return text
}

/** RFC 4514 section 3: the attribute types that have a short name. */
const shortNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.6': 'C',
  '2.5.4.9': 'STREET',
  '0.9.2342.19200300.100.1.25': 'DC',
  '0.9.2342.19200300.100.1.1': 'UID',
}

/** The text of a Name by RFC 4514 section 2, last relative name first. Throws MalformedDer. */
export function nameToString(name: DerElement): string {
  const relativeNames = readName(name).map((attributes) => attributes.map(attributeToString).join('+'))
  return relativeNames.toReversed().join(',')
}

function attributeToString({ oid: type, text, value }: NameAttribute): string {
  const shortName = shortNames[type]
  // Section 2.4: an attribute without a short name or a text is written as the hexadecimal of its encoding.
  if (shortName === undefined || text === undefined) return `${shortName ?? type}=#${toHex(value.bytes)}`
  const escaped = text.replace(/["+,;<>\\]|^[ #]| $/g, '\\$&').replaceAll('\0', '\\00')
  return `${shortName}=${escaped}`
}
