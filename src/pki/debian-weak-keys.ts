import { DerSequence, MalformedDer, readElement, readUnsigned, tag } from './der.ts'
import { toBufferSource, toHex } from './encoding.ts'
import { readSpki } from './spki.ts'

/** The modulus of an RSA key in an SPKI (RFC 8017 A.1.1). Null for other keys. */
function modulusOf(spki: Uint8Array): Uint8Array | null {
  try {
    return readUnsigned(new DerSequence(readElement(readSpki(spki).key, tag.sequence)).next(tag.integer))
  } catch (error) {
    if (error instanceof MalformedDer) return null
    throw error
  }
}

/**
 * The name of an RSA key in Debian's lists of keys that its OpenSSL of 2006 to 2008 could make (CVE-2008-0166): the
 * last 20 hexadecimal digits of the SHA-1 of `Modulus=<upper-case hex>` and a line feed. Null for other keys.
 */
export async function debianModulusFingerprint(crypto: Crypto, spki: Uint8Array): Promise<string | null> {
  const modulus = modulusOf(spki)
  if (modulus === null) return null
  const line = new TextEncoder().encode(`Modulus=${toHex(modulus).toUpperCase()}\n`)
  const digest = await crypto.subtle.digest('SHA-1', toBufferSource(line))
  return toHex(new Uint8Array(digest)).slice(-20)
}
