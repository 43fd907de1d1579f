import {
  contextConstructed,
  contextPrimitive,
  DerSequence,
  MalformedDer,
  readElement,
  readInteger,
  readOctetsOfBitString,
  readSmallInteger,
  requireDer,
  tag,
  type DerElement,
} from './der.ts'
import { equalBytes } from './encoding.ts'
import { hasDuplicateExtension, readExtensions, type Extension } from './extensions.ts'
import type { SignedBytes } from './signature.ts'

/** A certificate taken apart, RFC 5280 section 4.1; the parts are views of its bytes. */
export interface Certificate {
  readonly der: Uint8Array
  /** The INTEGER's octets as they stand, sign octet included. */
  readonly serialNumber: Uint8Array
  readonly issuer: DerElement
  readonly subject: DerElement
  readonly notBefore: Date
  readonly notAfter: Date
  readonly spki: Uint8Array
  readonly extensions: ReadonlyMap<string, Extension>
  readonly signature: SignedBytes
}

/**
 * Takes one certificate of version 3 apart (RFC 5280 section 4.1) and judges nothing but its form: DER throughout,
 * no bytes behind it, no extension twice, both signature algorithms the same. Throws MalformedDer.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  const outer = readElement(der, tag.sequence)
  requireDer(outer)
  const parts = new DerSequence(outer)
  const toBeSigned = parts.next(tag.sequence)
  const algorithm = parts.next(tag.sequence).bytes
  const signature = readOctetsOfBitString(parts.next(tag.bitString))
  parts.end()

  const fields = new DerSequence(toBeSigned)
  const version = readElement(fields.next(contextConstructed(0)).content)
  if (readSmallInteger(version) !== 2) throw new MalformedDer('not a certificate of version 3')
  const serialNumber = readInteger(fields.next(tag.integer))
  const innerAlgorithm = fields.next(tag.sequence).bytes
  const issuer = fields.next(tag.sequence)
  const validity = new DerSequence(fields.next(tag.sequence))
  const notBefore = readTime(validity.next())
  const notAfter = readTime(validity.next())
  validity.end()
  const subject = fields.next(tag.sequence)
  const spki = fields.next(tag.sequence).bytes
  fields.optional(contextPrimitive(1))
  fields.optional(contextPrimitive(2))
  const extensions = readExtensions(readElement(fields.next(contextConstructed(3)).content, tag.sequence))
  fields.end()

  if (hasDuplicateExtension(extensions)) throw new MalformedDer('an extension stands twice')
  // RFC 5280 section 4.1.1.2: the same identifier inside and outside of what is signed.
  if (!equalBytes(innerAlgorithm, algorithm)) throw new MalformedDer('two signature algorithms')
  return {
    der,
    serialNumber,
    issuer,
    subject,
    notBefore,
    notAfter,
    spki,
    extensions: new Map(extensions.map((extension) => [extension.oid, extension])),
    signature: { algorithm, signed: toBeSigned.bytes, signature },
  }
}

/** RFC 5280 section 4.1.2.5: UTCTime to 2049, GeneralizedTime after it, both to the second and in UTC. */
export function readTime(element: DerElement): Date {
  // No time is longer, and as arguments the octets of a hostile one may not fit the stack.
  const text = String.fromCharCode(...element.content.subarray(0, 16))
  const pattern = element.tag === tag.utcTime ? /^\d{12}Z$/ : /^\d{14}Z$/
  if ((element.tag !== tag.utcTime && element.tag !== tag.generalizedTime) || !pattern.test(text)) {
    throw new MalformedDer('not a time')
  }
  const century = element.tag === tag.generalizedTime ? '' : text < '50' ? '20' : '19'
  const iso = `${century}${text}`.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const time = new Date(iso)
  // A day that its month lacks is either refused or moved on by the engine; neither is the time that was written.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) throw new MalformedDer('not a time')
  return time
}
