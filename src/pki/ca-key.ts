import { toHex } from './encoding.ts'

/** The kinds of keys that the embedded CA can sign with. */
export type CaKeyKind = 'p256' | 'p384' | 'rsa3072' | 'rsa4096'

/** How Web Crypto makes, imports and uses a CA key. */
export interface CaKeyAlgorithm {
  /** For `generateKey` and for `importKey`. */
  readonly key: EcKeyGenParams | RsaHashedKeyGenParams
  readonly sign: EcdsaParams | Algorithm
}

function rsaOf(modulusLength: number): CaKeyAlgorithm {
  const name = 'RSASSA-PKCS1-v1_5'
  return { key: { name, hash: 'SHA-256', modulusLength, publicExponent: Uint8Array.of(1, 0, 1) }, sign: { name } }
}

const algorithms: Readonly<Record<CaKeyKind, CaKeyAlgorithm>> = {
  p256: { key: { name: 'ECDSA', namedCurve: 'P-256' }, sign: { name: 'ECDSA', hash: 'SHA-256' } },
  p384: { key: { name: 'ECDSA', namedCurve: 'P-384' }, sign: { name: 'ECDSA', hash: 'SHA-384' } },
  rsa3072: rsaOf(3072),
  rsa4096: rsaOf(4096),
}

/** The algorithms of a CA key. The hash is as strong as the curve (S/MIME BR 7.1.3.2), and never SHA-1. */
export function caKeyAlgorithm(kind: CaKeyKind): CaKeyAlgorithm {
  return algorithms[kind]
}

/**
 * A serial number in hexadecimal: 16 random octets. The first octet is neither zero nor above 0x7f, so the number is
 * positive and never shorter. S/MIME BR 7.1 requires 64 bits from a CSPRNG; RFC 5280 section 4.1.2.2.
 */
export function randomSerialNumber(crypto: Crypto): string {
  const octets = new Uint8Array(16)
  do {
    crypto.getRandomValues(octets)
    octets[0] = (octets[0] ?? 0) & 0x7f
  } while (octets[0] === 0)
  return toHex(octets)
}
