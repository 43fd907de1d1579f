const base64Alphabet = /^[A-Za-z0-9+/]*={0,2}$/
const hexDigits = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'))

/** How many bytes one call of `String.fromCharCode` gets. Every engine allows far more arguments. */
const chunkSize = 8192

/** Base64 of RFC 4648 section 4, padded, on one line. */
export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (let start = 0; start < bytes.length; start += chunkSize) {
    binary += String.fromCharCode(...bytes.subarray(start, start + chunkSize))
  }
  return btoa(binary)
}

/**
 * Reads base64 of RFC 4648 section 4 strictly, so that one value has one text: with padding, without white space, no
 * other alphabet, and no stray bits in the last character (section 3.5). Null for anything else.
 */
export function fromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || !base64Alphabet.test(text)) return null
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index)
  if (!text.endsWith('=')) return bytes
  const tail = bytes.subarray(text.endsWith('==') ? -1 : -2)
  return toBase64(tail) === text.slice(-4) ? bytes : null
}

/** Lower-case hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += hexDigits[byte]
  return text
}

/** Whether both hold the same bytes. Not in constant time: use it for public values only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}

/** All parts in one new array. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** The same bytes for Web Crypto, never in shared memory. Copied only if they were. */
export function toBufferSource(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes)
}

/** SHA-256 in lower-case hexadecimal. Keys and certificates are named by it. */
export async function sha256Hex(crypto: Crypto, bytes: Uint8Array): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', toBufferSource(bytes))))
}

/** Compares two secrets in a time that does not tell where they differ. */
export function equalSecrets(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  let difference = 0
  for (const [index, octet] of left.entries()) difference |= octet ^ (right[index] ?? 0)
  return difference === 0
}
