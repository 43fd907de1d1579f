import { encodeElement, encodeObjectIdentifier, tag } from '../der.ts'
import { toBufferSource } from '../encoding.ts'
import { oid } from '../object-identifiers.ts'
import { bitLength } from '../integers.ts'
import { greatestCommonDivisor, inverse, power, toBase64Url, toOctets } from './integers.ts'
import type { PrivateValues } from './values.ts'

/**
 * The largest modulus that is certified, and the largest that is factorised here without its primes. A larger forged
 * key would cost a second of work.
 */
const mostBits = { withPrimes: 8_192, withoutPrimes: 4_096 } as const

/** Runtimes verify with no larger exponent, and some would sign with it for seconds. */
const mostExponent = 2n ** 64n

const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const

type Rsa = Extract<PrivateValues, { kind: 'rsa' }>
type RsaWithoutPrimes = Extract<PrivateValues, { kind: 'rsa-without-primes' }>

/**
 * The SubjectPublicKeyInfo of an RSA key. It is computed from its primes and private exponent, and proved by a
 * signature. Null if that fails.
 */
export async function rsaPublicKey(crypto: Crypto, values: Rsa | RsaWithoutPrimes): Promise<Uint8Array | null> {
  const key = values.kind === 'rsa' ? values : primesOf(values)
  if (key === null) return null
  const { p, q, d } = key
  if (p <= 1n || q <= 1n || p === q || d <= 1n) return null
  if (bitLength(p) + bitLength(q) > mostBits.withPrimes + 1 || bitLength(d) > mostBits.withPrimes) return null
  const n = p * q
  const lambda = ((p - 1n) * (q - 1n)) / greatestCommonDivisor(p - 1n, q - 1n)
  // The public exponent is the inverse of the private one, so the one in the file is not needed.
  const e = inverse(d, lambda)
  const coefficient = inverse(q, p)
  if (e === null || e <= 1n || e >= mostExponent || coefficient === null) return null
  const text = (value: bigint): string => toBase64Url(toOctets(value))
  const jwk: JsonWebKey = {
    kty: 'RSA',
    n: text(n),
    e: text(e),
    d: text(d % lambda),
    p: text(p),
    q: text(q),
    dp: text(d % (p - 1n)),
    dq: text(d % (q - 1n)),
    qi: text(coefficient),
  }
  const spki = rsaSpki(n, e)
  const privateKey = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
  const publicKey = await crypto.subtle.importKey('spki', spki, algorithm, false, ['verify'])
  const message = crypto.getRandomValues(new Uint8Array(32))
  const signature = await crypto.subtle.sign(algorithm, privateKey, message)
  return (await crypto.subtle.verify(algorithm, publicKey, toBufferSource(new Uint8Array(signature)), message))
    ? spki
    : null
}

/** The SubjectPublicKeyInfo of an RSA key (RFC 8017 appendix A.1.1). */
export function rsaSpki(n: bigint, e: bigint): Uint8Array<ArrayBuffer> {
  const key = encodeElement(tag.sequence, unsigned(n), unsigned(e))
  return encodeElement(
    tag.sequence,
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.rsaEncryption), encodeElement(tag.null)),
    encodeElement(tag.bitString, Uint8Array.of(0), key),
  )
}

function unsigned(value: bigint): Uint8Array<ArrayBuffer> {
  const octets = toOctets(value)
  return encodeElement(tag.integer, ...((octets[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []), octets)
}

/** SP 800-56B appendix C.2: the primes from both exponents. Null if the exponents do not fit the modulus. */
function primesOf({ n, e, d }: RsaWithoutPrimes): Rsa | null {
  const tooLarge = [n, e, d].some((value) => bitLength(value) > mostBits.withoutPrimes)
  if (tooLarge || n % 2n === 0n || n < 9n || e <= 1n || d <= 1n) return null
  if (e >= mostExponent) return null
  let odd = e * d - 1n
  let twos = 0
  for (; odd % 2n === 0n; odd /= 2n) twos++
  for (const base of [2n, 3n, 5n, 7n, 11n, 13n]) {
    // For at least every second base, the last square before 1 is a root of 1 other than -1.
    let root = power(base, odd, n)
    let square = root
    for (let step = 0; step < twos && square !== 1n; step++) {
      root = square
      square = (root * root) % n
    }
    if (square !== 1n) return null
    const p = greatestCommonDivisor(root - 1n, n)
    if (p > 1n && p < n) return { kind: 'rsa', p, q: n / p, d }
  }
  return null
}
