import { DomainError } from '../errors.ts'
import { bitLength, isOddPower, isSquare, oddPrimesUpTo, squareRoot, toInteger } from './integers.ts'
import { hasRocaFingerprint } from './roca.ts'

/** S/MIME BR 6.1.5 requires 2048 bits or more. The upper limit keeps one request from costing seconds. */
const sizeInBits = { least: 2048, most: 8192 } as const

/** S/MIME BR 6.1.6, SP 800-89 section 5.3.3: no factor smaller than 752. */
const smallPrimes = oddPrimesUpTo(751)
const smallPrimeProduct = smallPrimes.reduce((product, prime) => product * BigInt(prime), 1n)

/** Without a factor below 752, a modulus of 8192 bits cannot be a higher power. */
const powersTried = oddPrimesUpTo(Math.floor(sizeInBits.most / Math.log2(752)))

/** S/MIME BR 6.1.6. */
const fermatRounds = 100

/** An RSA key as in RFC 8017 appendix A.1.1. Both numbers are octets without leading zeros. */
export interface RsaPublicKey {
  readonly modulus: Uint8Array
  readonly exponent: Uint8Array
}

/**
 * Checks an RSA key by policy rules 3 and 4, cheap rules first, and returns its size in bits. The size is checked first
 * of all, because it limits the work.
 *
 * Throws DomainError: `rsa_modulus_size_refused`, `rsa_exponent_unsupported`, `rsa_modulus_even`, `rsa_small_factor`,
 * `rsa_roca`, `rsa_prime_power`, `rsa_close_primes`.
 */
export function checkRsaKey({ modulus: octets, exponent }: RsaPublicKey): number {
  const bits = requireModulusSize(octets)
  requireExponent(exponent)
  const modulus = toInteger(octets)
  requireOddModulus(modulus)
  requireNoSmallFactor(modulus)
  requireNoRocaFingerprint(modulus)
  requireNoPrimePower(modulus)
  requireNoClosePrimes(modulus)
  return bits
}

/** Policy rule 3, S/MIME BR 6.1.5: the size in bits, in whole octets. */
function requireModulusSize(modulus: Uint8Array): number {
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24
  if (bits >= sizeInBits.least && bits <= sizeInBits.most && bits % 8 === 0) return bits
  throw new DomainError(
    'rsa_modulus_size_refused',
    `Use an RSA key of ${sizeInBits.least} to ${sizeInBits.most} bits, a multiple of 8.`,
  )
}

/**
 * Policy rule 3, S/MIME BR 6.1.6: odd, and at least 2^16 + 1. Below 2^32, because runtimes do not verify more reliably.
 */
function requireExponent(exponent: Uint8Array): void {
  if (exponent.length <= 4) {
    const value = exponent.reduce((sum, octet) => sum * 256 + octet, 0)
    if (value >= 65537 && value % 2 === 1) return
  }
  throw new DomainError('rsa_exponent_unsupported', 'Use an RSA key with the public exponent 65537.')
}

/** Policy rule 4, S/MIME BR 6.1.6: a product of two odd primes is odd. */
function requireOddModulus(modulus: bigint): void {
  if ((modulus & 1n) === 1n) return
  throw new DomainError('rsa_modulus_even', 'The RSA modulus is even, so the key is broken: make a new key pair.')
}

/** Policy rule 4, S/MIME BR 6.1.6. */
function requireNoSmallFactor(modulus: bigint): void {
  const rest = modulus % smallPrimeProduct
  if (smallPrimes.every((prime) => rest % BigInt(prime) !== 0n)) return
  throw new DomainError(
    'rsa_small_factor',
    'The RSA modulus has a small factor, so the key is broken: make a new key pair.',
  )
}

/** Policy rule 4, S/MIME BR 6.1.1.3: keys of the library of CVE-2017-15361 can be factorised. */
function requireNoRocaFingerprint(modulus: bigint): void {
  if (!hasRocaFingerprint(modulus)) return
  throw new DomainError(
    'rsa_roca',
    'The RSA key comes from a generator that is broken (ROCA, CVE-2017-15361): update the device and make a new key pair.',
  )
}

/**
 * Policy rule 4, S/MIME BR 6.1.6: the modulus is not a power of an integer, so not of a prime. A modulus that is a
 * prime itself passes: finding out would take half a second at 8192 bits.
 */
function requireNoPrimePower(modulus: bigint): void {
  const highest = bitLength(modulus) / Math.log2(752)
  const isPower = isSquare(modulus) || powersTried.some((power) => power <= highest && isOddPower(modulus, power))
  if (!isPower) return
  throw new DomainError('rsa_prime_power', 'The RSA modulus is a power, so the key is broken: make a new key pair.')
}

/**
 * Policy rule 4, S/MIME BR 6.1.1.3 and CVE-2022-26320. If the factors are close, then for one of the first integers a
 * from the root of the modulus upwards, a^2 - modulus is a square b^2. The factors are then a - b and a + b.
 */
function requireNoClosePrimes(modulus: bigint): void {
  const root = squareRoot(modulus)
  let middle = root * root === modulus ? root : root + 1n
  let difference = middle * middle - modulus
  for (let round = 0; round < fermatRounds; round++) {
    if (isSquare(difference)) {
      throw new DomainError(
        'rsa_close_primes',
        'The factors of the RSA modulus are too close to each other, so the key is broken: make a new key pair.',
      )
    }
    difference += 2n * middle + 1n
    middle += 1n
  }
}
