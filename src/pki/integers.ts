import { toHex } from './encoding.ts'

/** The number of big-endian octets. */
export function toInteger(octets: Uint8Array): bigint {
  return octets.length === 0 ? 0n : BigInt(`0x${toHex(octets)}`)
}

/** How many bits a number has that is at least one. */
export function bitLength(value: bigint): number {
  const digits = value.toString(16)
  return digits.length * 4 - Math.clz32(Number.parseInt(digits.slice(0, 1), 16)) + 28
}

/** The largest integer whose square is at most `value`. Newton's method from above. */
export function squareRoot(value: bigint): bigint {
  if (value < 2n) return value
  let root = 1n << BigInt(Math.ceil(bitLength(value) / 2))
  for (;;) {
    const next = (root + value / root) >> 1n
    // The steps fall until the root is reached, a few more than the logarithm of the number of bits.
    if (next >= root) return root
    root = next
  }
}

/** The moduli of the first tests, before a root is computed: 5 * 7 * 9 * 11 * 13 and 256. */
const residueModulus = 45_045
const squaresModulo = (modulus: number): ReadonlySet<number> =>
  new Set(Array.from({ length: modulus }, (_, root) => (root * root) % modulus))
const squareResidues = squaresModulo(residueModulus)
const squareOctets = squaresModulo(256)

/** Whether a number is a square. The first tests reject all but one of some hundred other numbers. */
export function isSquare(value: bigint): boolean {
  if (value < 0n) return false
  if (!squareOctets.has(Number(BigInt.asUintN(8, value)))) return false
  if (!squareResidues.has(Number(value % BigInt(residueModulus)))) return false
  return squareRoot(value) ** 2n === value
}

/** `base` to the power of `exponent` modulo `modulus`; for numbers of a few hundred bits. */
export function modularPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let square = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

/**
 * Whether an odd number is the `exponent`-th power of an integer, for an odd exponent. Modulo a power of two, an odd
 * number has exactly one such root, and Hensel lifting finds it. If there is an integer root, it is this one, and it is
 * short.
 */
export function isOddPower(value: bigint, exponent: number): boolean {
  const rootBits = Math.ceil(bitLength(value) / exponent)
  // This many more bits than the root can have: nearly all other numbers are rejected without a power.
  const bits = rootBits + 16
  const root = rootModuloPowerOfTwo(BigInt.asUintN(bits, value), exponent, bits)
  return root >> BigInt(rootBits) === 0n && root ** BigInt(exponent) === value
}

/** If value * x^k = 1 modulo 2^known, then x * (1 + (1 - value * x^k) / k) fulfils it modulo 2^(2 known). */
function rootModuloPowerOfTwo(value: bigint, exponent: number, bits: number): bigint {
  let inverseRoot = 1n
  for (let known = 1; known < bits; known *= 2) {
    const width = Math.min(2 * known, bits)
    const error = BigInt.asUintN(width, 1n - value * powerModuloPowerOfTwo(inverseRoot, exponent, width))
    inverseRoot = BigInt.asUintN(width, inverseRoot * (1n + error * inverseModuloPowerOfTwo(BigInt(exponent), width)))
  }
  return BigInt.asUintN(bits, value * powerModuloPowerOfTwo(inverseRoot, exponent - 1, bits))
}

function inverseModuloPowerOfTwo(odd: bigint, bits: number): bigint {
  let inverse = 1n
  for (let known = 1; known < bits; known *= 2) inverse = BigInt.asUintN(bits, inverse * (2n - odd * inverse))
  return inverse
}

function powerModuloPowerOfTwo(base: bigint, exponent: number, bits: number): bigint {
  let result = 1n
  let square = BigInt.asUintN(bits, base)
  for (let rest = exponent; rest > 0; rest >>= 1) {
    if ((rest & 1) === 1) result = BigInt.asUintN(bits, result * square)
    if (rest > 1) square = BigInt.asUintN(bits, square * square)
  }
  return result
}

/** The odd primes up to `limit`. */
export function oddPrimesUpTo(limit: number): number[] {
  const primes: number[] = []
  for (let candidate = 3; candidate <= limit; candidate += 2) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate)
  }
  return primes
}
