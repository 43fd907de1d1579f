import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from './der.ts'
import { oid } from './object-identifiers.ts'

/**
 * A certs-only message (RFC 8551 section 3.8) of DER certificates: SignedData without signers, and without an
 * eContent field, as RFC 5652 section 5.2 asks for where nothing is signed.
 */
export function certsOnly(certificates: readonly Uint8Array[]): Uint8Array {
  const version = encodeElement(tag.integer, Uint8Array.of(1))
  const none = encodeElement(tag.set)
  const signedData = encodeElement(
    tag.sequence,
    version,
    none,
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.data)),
    encodeElement(contextConstructed(0), ...certificates.toSorted(compareEncodings)),
    none,
  )
  const content = encodeElement(contextConstructed(0), signedData)
  return encodeElement(tag.sequence, encodeObjectIdentifier(oid.signedData), content)
}

/** X.690 section 11.6: the members of a SET OF stand in the order of their encodings. */
function compareEncodings(left: Uint8Array, right: Uint8Array): number {
  const differing = left.findIndex((octet, index) => octet !== right[index])
  return differing < 0 ? left.length - right.length : (left[differing] ?? 0) - (right[differing] ?? 0)
}
