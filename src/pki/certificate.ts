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

/** A parsed certificate, RFC 5280 section 4.1. Its parts are views of its bytes. */
export interface Certificate {
  readonly der: Uint8Array
  /** The octets of the INTEGER as they stand, with the sign octet. */
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
 * Parses one certificate of version 3 (RFC 5280 section 4.1). Judges only its form: all of it is DER, nothing follows
 * it, no extension stands twice, and both signature algorithms are equal. Throws MalformedDer.
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
  // RFC 5280 section 4.1.1.2: the algorithm is the same inside and outside of the signed part.
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

/** RFC 5280 section 4.1.2.5: UTCTime up to 2049, GeneralizedTime after that, both in UTC with seconds. */
export function readTime(element: DerElement): Date {
  // No time is longer. As arguments, the octets of a hostile one could overflow the stack.
  const text = String.fromCharCode(...element.content.subarray(0, 16))
  const pattern = element.tag === tag.utcTime ? /^\d{12}Z$/ : /^\d{14}Z$/
  if ((element.tag !== tag.utcTime && element.tag !== tag.generalizedTime) || !pattern.test(text)) {
    throw new MalformedDer('not a time')
  }
  const century = element.tag === tag.generalizedTime ? '' : text < '50' ? '20' : '19'
  const iso = `${century}${text}`.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const time = new Date(iso)
  // For a day that its month does not have, the engine refuses or moves on. Both differ from the written time.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) throw new MalformedDer('not a time')
  return time
}
