/**
 * Certificate requests by rules 3 and 4: RSA keys. Where a private key can exist it has signed its request, so that
 * nothing but the key is wrong; where none can, any signature stands there, since the key is looked at first.
 */
import { createPrivateKey, generatePrimeSync, checkPrimeSync, randomBytes, type KeyObject } from 'node:crypto'
import { encodeElement, tag } from '../src/pki/der.ts'
import {
  assemble,
  bitString,
  derNull,
  identifier,
  makeKey,
  privateKey,
  request,
  rsaWithSha256,
  sequence,
  spkiOf,
  writeDer,
} from './workshop.ts'

const f4 = 65537n

function octetsOf(value: bigint): Uint8Array {
  const digits = value.toString(16)
  return Buffer.from(digits.padStart(2 * Math.ceil(digits.length / 2), '0'), 'hex')
}

const base64url = (value: bigint): string => Buffer.from(octetsOf(value)).toString('base64url')

function derInteger(value: bigint): Uint8Array {
  const octets = octetsOf(value)
  return encodeElement(tag.integer, ...((octets[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []), octets)
}

function rsaSpki(modulus: bigint, exponent = f4, parameters: readonly Uint8Array[] = [derNull]): Uint8Array {
  const key = sequence(derInteger(modulus), derInteger(exponent))
  return sequence(identifier('1.2.840.113549.1.1.1', ...parameters), bitString(key))
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [low, high, one, other] = [modulus, value % modulus, 0n, 1n]
  while (high > 0n) [low, high, one, other] = [high, low % high, other, one - (low / high) * other]
  return ((one % modulus) + modulus) % modulus
}

function keyOfPrimes(p: bigint, q: bigint): KeyObject {
  const d = inverse(f4, (p - 1n) * (q - 1n))
  const key = {
    kty: 'RSA',
    n: base64url(p * q),
    e: base64url(f4),
    d: base64url(d),
    p: base64url(p),
    q: base64url(q),
    dp: base64url(d % (p - 1n)),
    dq: base64url(d % (q - 1n)),
    qi: base64url(inverse(q, p)),
  }
  return createPrivateKey({ key, format: 'jwk' })
}

/** A request for the key of two primes, signed by it. */
function writeForPrimes(name: string, p: bigint, q: bigint): void {
  const key = keyOfPrimes(p, q)
  writeDer(name, assemble({ spki: spkiOf(key), signing: rsaWithSha256(key) }))
}

function writeForModulus(name: string, modulus: bigint, exponent = f4): void {
  writeDer(name, assemble({ spki: rsaSpki(modulus, exponent) }))
}

/** With the two highest bits set, so that a product of two has all its bits. */
function primeOf(bits: number): bigint {
  const lowest = 3n << BigInt(bits - 2)
  for (;;) {
    const prime = generatePrimeSync(bits, { bigint: true })
    if (prime >= lowest && prime % f4 !== 1n) return prime
  }
}

function nextPrime(from: bigint): bigint {
  for (let candidate = from | 1n; ; candidate += 2n) {
    if (candidate % f4 !== 1n && checkPrimeSync(candidate)) return candidate
  }
}

/** An odd number of so many bits that nobody knows the factors of. */
function oddNumber(bits: number): bigint {
  const random = BigInt(`0x${randomBytes(Math.ceil(bits / 8)).toString('hex')}`)
  return BigInt.asUintN(bits - 1, random) | (1n << BigInt(bits - 1)) | 1n
}

function modulusOf(name: string): bigint {
  const { n } = privateKey(name).export({ format: 'jwk' })
  return BigInt(`0x${Buffer.from(n ?? '', 'base64url').toString('hex')}`)
}

/** Without private key: a number times a random one that gives it its size, free of smaller factors than itself. */
function multipleOf(factor: bigint, bits: number): bigint {
  return factor * nextPrime((1n << BigInt(bits - 1)) / factor + oddNumber(bits - 40))
}

export function makeRsaKeys(): void {
  makeSizes()
  makeExponents()
  makeIdentifiers()
  makeFactors()
  makeRoca()
  makeClosePrimes()
}

function makeSizes(): void {
  for (const bits of [1024, 2047, 2052, 2056, 3072, 4096]) makeKey(`rsa${bits}`, 'RSA', `rsa_keygen_bits:${bits}`)
  // Four primes are found much faster than two; the public key does not show it.
  for (const bits of [8192, 8200]) {
    makeKey(`rsa${bits}`, 'RSA', `rsa_keygen_bits:${bits}`, 'rsa_keygen_primes:4')
  }
  request('csr-rsa2048.pem', { key: 'rsa2048' })
  request('csr-rsa2056.pem', { key: 'rsa2056' })
  request('csr-rsa3072.pem', { key: 'rsa3072' })
  request('csr-rsa4096.pem', { key: 'rsa4096' })
  request('csr-rsa8192.pem', { key: 'rsa8192' })
  request('csr-rsa1024-too-small.pem', { key: 'rsa1024' })
  request('csr-rsa2047-not-whole-octets.pem', { key: 'rsa2047' })
  request('csr-rsa2052-not-whole-octets.pem', { key: 'rsa2052' })
  request('csr-rsa8200-too-large.pem', { key: 'rsa8200' })
  writeForModulus('csr-rsa16384-too-large.der', oddNumber(16_384))
}

function makeExponents(): void {
  makeKey('rsa-e3', 'RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:3')
  makeKey('rsa-e32', 'RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:4294967291')
  makeKey('rsa-e33', 'RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:4294967297')
  request('csr-rsa-largest-exponent.pem', { key: 'rsa-e32' })
  request('csr-rsa-e3.pem', { key: 'rsa-e3' })
  request('csr-rsa-exponent-above-32-bits.pem', { key: 'rsa-e33' })
  writeForModulus('csr-rsa-e1.der', modulusOf('rsa2048'), 1n)
  writeForModulus('csr-rsa-e65535.der', modulusOf('rsa2048'), 65_535n)
  writeForModulus('csr-rsa-even-exponent.der', modulusOf('rsa2048'), 65_538n)
}

function makeIdentifiers(): void {
  makeKey('rsa-pss', 'RSA-PSS', 'rsa_keygen_bits:2048')
  request('csr-rsa-pss-key.pem', { key: 'rsa-pss' })
  const modulus = modulusOf('rsa2048')
  writeDer('csr-rsa-parameters-absent.der', assemble({ spki: rsaSpki(modulus, f4, []) }))
  const negative = sequence(encodeElement(tag.integer, octetsOf(modulus)), derInteger(f4))
  const spki = sequence(identifier('1.2.840.113549.1.1.1', derNull), bitString(negative))
  writeDer('csr-rsa-negative-modulus.der', assemble({ spki }))
}

function makeFactors(): void {
  writeForModulus('csr-rsa-even-modulus.der', modulusOf('rsa2048') ^ 1n)
  writeForModulus('csr-rsa-small-factor-3.der', multipleOf(3n, 2048))
  writeForModulus('csr-rsa-small-factor-751.der', multipleOf(751n, 2048))
  writePrimeTimes('csr-rsa-factor-757.der', 757n)
  const [half, third, fifth] = [primeOf(1024), primeOf(683), primeOf(410)]
  writeForModulus('csr-rsa-prime-squared.der', half ** 2n)
  writeForModulus('csr-rsa-prime-cubed.der', shortened(third, 3n, 2048))
  writeForModulus('csr-rsa-prime-to-the-fifth.der', shortened(fifth, 5n, 2048))
  writeForModulus('csr-rsa8192-power-of-757.der', 757n ** powerFor(757n, 8192))
}

/** A prime power of exactly so many bits: the base is drawn anew until it fits. */
function shortened(start: bigint, power: bigint, bits: number): bigint {
  let base = start
  while ((base ** power).toString(2).length !== bits) base = nextPrime(base - (base >> 7n))
  return base ** power
}

/** The power that gives a modulus of 8192 bits or a multiple of 8 just below it. */
function powerFor(base: bigint, bits: number): bigint {
  let power = 1n
  for (let next = 1n; (base ** next).toString(2).length <= bits; next++) {
    if ((base ** next).toString(2).length % 8 === 0) power = next
  }
  return power
}

/** A key whose smallest factor is the smallest that is let through. */
function writePrimeTimes(name: string, factor: bigint): void {
  const other = nextPrime((3n << 2046n) / factor)
  writeForPrimes(name, other, factor)
}

/** The shape of CVE-2017-15361 for 2048 bits: primes k * M + (65537^a mod M), M the product of the first 71 primes. */
function makeRoca(): void {
  const primes = [2n]
  for (let next = 3n; primes.length < 71; next += 2n)
    if (primes.every((prime) => next % prime !== 0n)) primes.push(next)
  const product = primes.reduce((product, prime) => product * prime, 1n)
  const rocaPrime = (): bigint => {
    for (;;) {
      const power = powerModulo(f4, BigInt(`0x${randomBytes(8).toString('hex')}`), product)
      const lowest = (3n << 1022n) / product
      const candidate = (lowest + BigInt(randomBytes(4).readUInt32BE())) * product + power
      if (candidate % f4 !== 1n && checkPrimeSync(candidate)) return candidate
    }
  }
  writeForPrimes('csr-rsa-roca.der', rocaPrime(), rocaPrime())
}

function powerModulo(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base]
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

/** Two primes next to each other; and two that are found in the last round that is tried, and in the one after it. */
function makeClosePrimes(): void {
  const p = primeOf(1024)
  writeForPrimes('csr-rsa-close-primes.der', nextPrime(p + 2n), p)
  writeForPrimes('csr-rsa-close-primes-round-100.der', ...primesFoundInRound(p, 100n))
  writeForPrimes('csr-rsa-close-primes-round-101.der', ...primesFoundInRound(p, 101n))
}

/** Round r finds (p + q) / 2 = ceil(root of pq) + r - 1, and its distance to the root is (q - p)^2 / (8 root). */
function primesFoundInRound(p: bigint, round: bigint): readonly [bigint, bigint] {
  for (let tenths = 10n * round - 10n; ; tenths++) {
    const q = nextPrime(p + rootOf((8n * p * tenths) / 10n))
    const product = p * q
    const root = rootOf(product)
    const first = root * root === product ? root : root + 1n
    if ((p + q) / 2n - first + 1n === round) return [q, p]
  }
}

function rootOf(value: bigint): bigint {
  let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2))
  for (;;) {
    const next = (root + value / root) / 2n
    if (next >= root) return root
    root = next
  }
}
