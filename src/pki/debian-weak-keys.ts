import { DerSequence, MalformedDer, readElement, readUnsigned, tag } from './der.ts'
import { toBufferSource, toHex } from './encoding.ts'
import { readSpki } from './spki.ts'

/** RSA's modulus in an SPKI, or null for a key of another kind. RFC 8017 A.1.1. */
function modulusOf(spki: Uint8Array): Uint8Array | null {
  try {
    return readUnsigned(new DerSequence(readElement(readSpki(spki).key, tag.sequence)).next(tag.integer))
  } catch (error) {
    if (error instanceof MalformedDer) return null
    throw error
  }
}

/**
 * The name under which Debian lists an RSA key that its OpenSSL of 2006 to 2008 could make (CVE-2008-0166): the last
 * 20 hexadecimal digits of the SHA-1 of `Modulus=<upper-case hex>` and a line feed. Null for a key that is not RSA.
 */
export async function debianModulusFingerprint(crypto: Crypto, spki: Uint8Array): Promise<string | null> {
  const modulus = modulusOf(spki)
  if (modulus === null) return null
  const line = new TextEncoder().encode(`Modulus=${toHex(modulus).toUpperCase()}\n`)
  const digest = await crypto.subtle.digest('SHA-1', toBufferSource(line))
  return toHex(new Uint8Array(digest)).slice(-20)
}
