import { DerSequence, readElement, readOctetsOfBitString, tag } from './der.ts'
import { toBufferSource } from './encoding.ts'

/** The two parts of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), as views of its bytes. */
export interface SpkiParts {
  /** The AlgorithmIdentifier, whole. */
  readonly identifier: Uint8Array
  /** The key's octets, without tag, length and the count of unused bits. */
  readonly key: Uint8Array
}

/** Parses a SubjectPublicKeyInfo. Judges only its form. Throws MalformedDer. */
export function readSpki(spki: Uint8Array): SpkiParts {
  const parts = new DerSequence(readElement(spki, tag.sequence))
  const identifier = parts.next(tag.sequence).bytes
  const key = readOctetsOfBitString(parts.next(tag.bitString))
  parts.end()
  return { identifier, key }
}

/** RFC 5280 section 4.2.1.2, method 1: SHA-1 names the key. No security rests on it. */
export async function keyIdentifier(crypto: Crypto, spki: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-1', toBufferSource(readSpki(spki).key)))
}
