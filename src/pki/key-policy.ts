import { DomainError } from '../errors.ts'
import {
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  MalformedDer,
  readElement,
  readObjectIdentifier,
  readOctetsOfBitString,
  readUnsigned,
  tag,
} from './der.ts'
import { equalBytes, toHex } from './encoding.ts'
import { oid } from './object-identifiers.ts'

/** What a key is, as far as profiles and answers need it. */
export type KeyFacts =
  | { readonly algorithm: 'EC'; readonly curve: 'P-256' }
  | { readonly algorithm: 'RSA'; readonly bits: number }

/** S/MIME BR 6.1.5 asks for 2048 bits or more; the upper bound keeps one request from costing seconds. */
const rsaBits = { least: 2048, most: 4096 } as const

/** RFC 5480 section 2.1.1: id-ecPublicKey with the named curve secp256r1. */
const p256Identifier = encodeElement(
  tag.sequence,
  encodeObjectIdentifier(oid.idEcPublicKey),
  encodeObjectIdentifier('1.2.840.10045.3.1.7'),
)

/** RFC 3279 section 2.3.1: rsaEncryption, whose parameters are NULL and not absent. */
const rsaIdentifier = encodeElement(tag.sequence, encodeObjectIdentifier(oid.rsaEncryption), encodeElement(tag.null))

/** FIPS 186-5 / SP 800-186 section 3.2.1.3. */
const p256 = {
  prime: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
  b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
}

/**
 * Checks a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) against the keys that are accepted, and says what it is.
 * Needs no cryptography of the runtime, so it comes before any signature made with the key is looked at.
 *
 * Throws DomainError: `key_malformed`, `key_algorithm_unsupported`, `ec_point_invalid`, `rsa_modulus_size_refused`,
 * `rsa_modulus_even`, `rsa_exponent_unsupported`.
 */
export function checkPublicKey(spki: Uint8Array): KeyFacts {
  const { identifier, algorithm, key } = readPublicKey(spki)
  if (algorithm === oid.idEcPublicKey) {
    requireIdentifier(identifier, p256Identifier)
    requireP256Point(key)
    return { algorithm: 'EC', curve: 'P-256' }
  }
  requireIdentifier(identifier, rsaIdentifier)
  const { modulus, exponent } = readRsaKey(key)
  const bits = requireModulusSize(modulus)
  requireOddModulus(modulus)
  requireExponent(exponent)
  return { algorithm: 'RSA', bits }
}

function keyMalformed(cause: unknown): DomainError {
  return new DomainError('key_malformed', 'The public key cannot be read: make a new key pair.', { cause })
}

function readPublicKey(spki: Uint8Array) {
  try {
    const parts = new DerSequence(readElement(spki, tag.sequence))
    const identifier = parts.next(tag.sequence)
    const key = readOctetsOfBitString(parts.next(tag.bitString))
    parts.end()
    const algorithm = readObjectIdentifier(new DerSequence(identifier).next(tag.objectIdentifier))
    return { identifier: identifier.bytes, algorithm, key }
  } catch (error) {
    if (error instanceof MalformedDer) throw keyMalformed(error)
    throw error
  }
}

function readRsaKey(key: Uint8Array) {
  try {
    const parts = new DerSequence(readElement(key, tag.sequence))
    const modulus = readUnsigned(parts.next(tag.integer))
    const exponent = readUnsigned(parts.next(tag.integer))
    parts.end()
    return { modulus, exponent }
  } catch (error) {
    if (error instanceof MalformedDer) throw keyMalformed(error)
    throw error
  }
}

/** Policy rule 2, S/MIME BR 7.1.3.1: algorithm identifiers byte for byte, so no explicit curve parameters either. */
function requireIdentifier(identifier: Uint8Array, expected: Uint8Array): void {
  if (equalBytes(identifier, expected)) return
  throw new DomainError('key_algorithm_unsupported', 'Use a key on the named curve P-256, or an RSA key.')
}

/** Policy rule 5, SP 800-56A section 5.6.2.3.3: uncompressed, not infinity, coordinates in range, on the curve. */
function requireP256Point(point: Uint8Array): void {
  if (point.length === 65 && point[0] === 4) {
    const x = BigInt(`0x${toHex(point.subarray(1, 33))}`)
    const y = BigInt(`0x${toHex(point.subarray(33))}`)
    const { prime, b } = p256
    if (x < prime && y < prime && (y * y - (x * x * x - 3n * x + b)) % prime === 0n) return
  }
  throw new DomainError(
    'ec_point_invalid',
    'The public key is no uncompressed point of the curve P-256: make a new key pair.',
  )
}

/** Policy rule 3, S/MIME BR 6.1.5: the size in bits, in whole octets. */
function requireModulusSize(modulus: Uint8Array): number {
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24
  if (bits >= rsaBits.least && bits <= rsaBits.most && bits % 8 === 0) return bits
  throw new DomainError(
    'rsa_modulus_size_refused',
    `Use an RSA key of ${rsaBits.least} to ${rsaBits.most} bits, a multiple of 8.`,
  )
}

/** Policy rule 4, S/MIME BR 6.1.6: a product of two odd primes is odd. */
function requireOddModulus(modulus: Uint8Array): void {
  if (((modulus.at(-1) ?? 0) & 1) === 1) return
  throw new DomainError('rsa_modulus_even', 'The RSA modulus is even, so the key is broken: make a new key pair.')
}

/** Policy rule 3, S/MIME BR 6.1.6: odd, 2^16 + 1 or more; below 2^32, since no runtime verifies more reliably. */
function requireExponent(exponent: Uint8Array): void {
  if (exponent.length <= 4) {
    const value = exponent.reduce((sum, octet) => sum * 256 + octet, 0)
    if (value >= 65537 && value % 2 === 1) return
  }
  throw new DomainError('rsa_exponent_unsupported', 'Use an RSA key with the public exponent 65537.')
}
