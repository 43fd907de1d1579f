/** The octets of a number of zero or more, at least `size` of them. */
export function toOctets(value: bigint, size = 1): Uint8Array<ArrayBuffer> {
  const digits = value.toString(16)
  const text = digits.padStart(Math.max(size * 2, digits.length + (digits.length % 2)), '0')
  return Uint8Array.from({ length: text.length / 2 }, (_, index) =>
    Number.parseInt(text.slice(index * 2, index * 2 + 2), 16),
  )
}

/** Base64url without padding (RFC 7518 section 2). */
export const toBase64Url = (octets: Uint8Array): string =>
  btoa(String.fromCharCode(...octets))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

/** The bytes of base64 in either alphabet, padded or not; null for anything else. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = new Uint8Array(binary.length)
    for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index)
    return bytes
  } catch {
    return null
  }
}

/** The remainder that is zero or more. */
export function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus
  return rest < 0n ? rest + modulus : rest
}

/** The greatest common divisor of two numbers that are not negative. */
export function greatestCommonDivisor(left: bigint, right: bigint): bigint {
  let [larger, smaller] = [left, right]
  while (smaller !== 0n) [larger, smaller] = [smaller, larger % smaller]
  return larger
}

/** The inverse of a number. Null if it has none. */
export function inverse(value: bigint, modulus: bigint): bigint | null {
  let [rest, next] = [modulus, modulo(value, modulus)]
  let [factor, nextFactor] = [0n, 1n]
  while (next !== 0n) {
    const quotient = rest / next
    ;[rest, next] = [next, rest - quotient * next]
    ;[factor, nextFactor] = [nextFactor, factor - quotient * nextFactor]
  }
  return rest === 1n ? modulo(factor, modulus) : null
}

/** A power of a small base. One squaring per bit of the exponent. */
export function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  for (const bit of exponent.toString(2)) {
    const square = (result * result) % modulus
    result = bit === '1' ? (square * base) % modulus : square
  }
  return result
}
