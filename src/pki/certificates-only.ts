import { contextConstructed, encodeElement, encodeList, encodeObjectIdentifier, tag } from './der.ts'
import { toHex } from './encoding.ts'
import { oid } from './object-identifiers.ts'

/**
 * The order of a SET OF in DER (X.690 section 11.6): by encoding; if one is the beginning of another, the shorter
 * first.
 */
const inSetOrder = (encodings: readonly Uint8Array[]): Uint8Array[] =>
  [...new Map(encodings.map((encoding) => [toHex(encoding), encoding]))]
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([, encoding]) => encoding)

/**
 * A "certs-only" message: a ContentInfo with a degenerate SignedData (RFC 5652 section 5.1). It holds certificates
 * (DER, each once, in any order), and neither content nor signers.
 */
export function writeCertificatesOnly(certificates: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const signedData = encodeElement(
    tag.sequence,
    // Version 1: certificates of X.509 only, no signer, content of type id-data.
    encodeElement(tag.integer, Uint8Array.of(1)),
    encodeElement(tag.set),
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.data)),
    encodeList(contextConstructed(0), inSetOrder(certificates)),
    encodeElement(tag.set),
  )
  return encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.signedData),
    encodeElement(contextConstructed(0), signedData),
  )
}
