import { KeyObject, sign } from 'node:crypto'
import {
  contextConstructed,
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  encodeOctetsAsBitString,
  readElement,
  tag,
} from '../../src/pki/der.ts'

/** What takes the place of a part of a certificate; DER, whole elements. */
export interface Replaced {
  readonly serialNumber?: Uint8Array
  readonly issuer?: Uint8Array
  readonly subject?: Uint8Array
  /** From the extensions as they are, in order. */
  readonly extensions?: (extensions: readonly Uint8Array[]) => readonly Uint8Array[]
}

const identifier = (algorithm: string, ...parameters: readonly Uint8Array[]): Uint8Array =>
  encodeElement(tag.sequence, encodeObjectIdentifier(algorithm), ...parameters)
const derNull = encodeElement(tag.null)

/** Ways to sign, the refused ones among them. */
export const signatures = {
  'ECDSA with SHA-256': { hash: 'sha256', identifier: identifier('1.2.840.10045.4.3.2') },
  'ECDSA with SHA-1': { hash: 'sha1', identifier: identifier('1.2.840.10045.4.1') },
  'RSA with SHA-256': { hash: 'sha256', identifier: identifier('1.2.840.113549.1.1.11', derNull) },
  'RSA with MD5': { hash: 'md5', identifier: identifier('1.2.840.113549.1.1.4', derNull) },
} as const

/** The object identifier of an extension, as it stands in it. */
export const extensionId = (extension: Uint8Array): Uint8Array =>
  new DerSequence(readElement(extension, tag.sequence)).next(tag.objectIdentifier).bytes

/** A certificate with other parts, signed anew. */
export function resign(
  certificate: Uint8Array,
  key: CryptoKey,
  replaced: Replaced,
  way: keyof typeof signatures = 'ECDSA with SHA-256',
): Uint8Array {
  const { hash, identifier: algorithm } = signatures[way]
  const fields = new DerSequence(new DerSequence(readElement(certificate, tag.sequence)).next(tag.sequence))
  const version = fields.next().bytes
  const serialNumber = fields.next(tag.integer).bytes
  fields.next(tag.sequence)
  const issuer = fields.next(tag.sequence).bytes
  const [validity, subject, spki] = [fields.next().bytes, fields.next().bytes, fields.next().bytes]
  const list = readElement(fields.next(contextConstructed(3)).content, tag.sequence)
  const extensions = new DerSequence(list).rest().map(({ bytes }) => bytes)
  const toBeSigned = encodeElement(
    tag.sequence,
    version,
    replaced.serialNumber ?? serialNumber,
    algorithm,
    replaced.issuer ?? issuer,
    validity,
    replaced.subject ?? subject,
    spki,
    encodeElement(
      contextConstructed(3),
      encodeElement(tag.sequence, ...(replaced.extensions?.(extensions) ?? extensions)),
    ),
  )
  const signature = sign(hash, toBeSigned, KeyObject.from(key))
  return encodeElement(tag.sequence, toBeSigned, algorithm, encodeOctetsAsBitString(signature))
}
