import { modularPower, toInteger } from './integers.ts'

/** RFC 7748 section 4.1: 2^255 - 19. */
const prime = 2n ** 255n - 19n

/** RFC 8032 section 5.1: the d of the Edwards curve, -121665/121666. */
const edwardsD = modulo(-121665n * inverse(121666n))

/** RFC 7748 section 4.1: the A of the Montgomery curve. */
const montgomeryA = 486662n

const topBit = 1n << 255n

function modulo(value: bigint): bigint {
  const rest = value % prime
  return rest < 0n ? rest + prime : rest
}

function inverse(value: bigint): bigint {
  return modularPower(modulo(value), prime - 2n, prime)
}

function littleEndian(octets: Uint8Array): bigint {
  return toInteger(octets.toReversed())
}

/** Euler's criterion: whether a number other than 0 has a square root modulo the prime. */
function hasRoot(value: bigint): boolean {
  return modularPower(value, (prime - 1n) / 2n, prime) === 1n
}

/**
 * RFC 8032 section 5.1.3: the octets must be the one encoding of a point on the curve. Its order must not be 1, 2, 4 or
 * 8: one signature by such a key fits many messages (Chalkias et al., "Taming the Many EdDSAs", section 3).
 */
export function isEd25519Point(octets: Uint8Array): boolean {
  if (octets.length !== 32) return false
  const y = littleEndian(octets) & (topBit - 1n)
  if (y >= prime) return false
  const ySquared = modulo(y * y)
  const [numerator, denominator] = [modulo(ySquared - 1n), modulo(edwardsD * ySquared + 1n)]
  // x = 0 has order 1 or 2. y = 0 has order 4. The order is 8 if the doubled point has y = 0, where x^2 = -y^2.
  if (numerator === 0n || y === 0n || modulo(numerator + denominator * ySquared) === 0n) return false
  return hasRoot(modulo(numerator * denominator))
}

/**
 * RFC 7748 section 6.1: refuses the points whose product with every private key is zero. Exactly those go to infinity
 * in three doublings (section 5). The encoding must be the smallest one (below the prime, top bit clear), although
 * section 5 has readers accept others. Otherwise one key would have several names, and a blocklist knows only one.
 */
export function isX25519Point(octets: Uint8Array): boolean {
  if (octets.length !== 32) return false
  let x = littleEndian(octets)
  if (x >= prime) return false
  let z = 1n
  for (let doubling = 0; doubling < 3; doubling++) {
    const [xx, zz, xz] = [modulo(x * x), modulo(z * z), modulo(x * z)]
    x = modulo((xx - zz) ** 2n)
    z = modulo(4n * xz * (xx + montgomeryA * xz + zz))
  }
  return z !== 0n
}
