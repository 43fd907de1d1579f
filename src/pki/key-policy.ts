import { DomainError } from '../errors.ts'
import { isEd25519Point, isX25519Point } from './curve25519-keys.ts'
import {
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  MalformedDer,
  readElement,
  readUnsigned,
  tag,
} from './der.ts'
import { curveOfIdentifier, isPointOnCurve, type CurveName } from './elliptic-curves.ts'
import { equalBytes } from './encoding.ts'
import { oid } from './object-identifiers.ts'
import { readSpki } from './spki.ts'
import { checkRsaKey, type RsaPublicKey } from './rsa-key.ts'

/** What profiles and answers need to know about a key. */
export type KeyFacts =
  | { readonly algorithm: 'EC'; readonly curve: CurveName }
  | { readonly algorithm: 'RSA'; readonly bits: number }
  | { readonly algorithm: 'Ed25519' }
  | { readonly algorithm: 'X25519' }

/** RFC 3279 section 2.3.1: the parameters of rsaEncryption are NULL, not absent. */
const rsaIdentifier = encodeElement(tag.sequence, encodeObjectIdentifier(oid.rsaEncryption), encodeElement(tag.null))

/** RFC 8410 section 3: the parameters are absent. */
const ed25519Identifier = encodeElement(tag.sequence, encodeObjectIdentifier(oid.ed25519))
const x25519Identifier = encodeElement(tag.sequence, encodeObjectIdentifier(oid.x25519))

/**
 * Checks a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) by policy rules 2 to 6, and says what it is.
 * `requireKeyFits` decides whether the key fits a profile and a use. This needs no cryptography of the runtime, so it
 * comes before any signature of the key is verified.
 *
 * Throws DomainError: `key_malformed`, `key_algorithm_unsupported`, `ec_point_compressed`, `ec_point_invalid`,
 * `ed25519_point_invalid`, `x25519_point_invalid`, and those of `checkRsaKey`.
 */
export function checkPublicKey(spki: Uint8Array): KeyFacts {
  const { identifier, key } = orMalformed(() => readSpki(spki))
  const curve = curveOfIdentifier(identifier)
  if (curve !== undefined) {
    requirePoint(curve, key)
    return { algorithm: 'EC', curve }
  }
  if (equalBytes(identifier, ed25519Identifier)) {
    requireEd25519Point(key)
    return { algorithm: 'Ed25519' }
  }
  if (equalBytes(identifier, x25519Identifier)) {
    requireX25519Point(key)
    return { algorithm: 'X25519' }
  }
  requireRsaIdentifier(identifier)
  return { algorithm: 'RSA', bits: checkRsaKey(orMalformed(() => readRsaKey(key))) }
}

function orMalformed<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof MalformedDer)) throw error
    throw new DomainError('key_malformed', 'The public key cannot be read: make a new key pair.', { cause: error })
  }
}

function readRsaKey(key: Uint8Array): RsaPublicKey {
  const parts = new DerSequence(readElement(key, tag.sequence))
  const modulus = readUnsigned(parts.next(tag.integer))
  const exponent = readUnsigned(parts.next(tag.integer))
  parts.end()
  return { modulus, exponent }
}

/**
 * Policy rule 2, S/MIME BR 7.1.3.1: compares algorithm identifiers byte for byte. So there are no curves given by
 * parameters, no RSASSA-PSS or RSAES-OAEP keys (few mail clients read them), and no DSA.
 */
function requireRsaIdentifier(identifier: Uint8Array): void {
  if (equalBytes(identifier, rsaIdentifier)) return
  throw new DomainError(
    'key_algorithm_unsupported',
    'Use a key on a named NIST or brainpool curve, an RSA key (rsaEncryption), or an Ed25519 or X25519 key.',
  )
}

/**
 * Policy rule 5, SP 800-56A section 5.6.2.3.3. RFC 5480 section 2.2 has every reader know the uncompressed form only.
 * Many senders could not use a certificate with a compressed key, so none is issued.
 */
function requirePoint(curve: CurveName, point: Uint8Array): void {
  if (isPointOnCurve(curve, point)) return
  if (point[0] === 2 || point[0] === 3) {
    throw new DomainError('ec_point_compressed', 'The public point is compressed: send it in the uncompressed form.')
  }
  throw new DomainError('ec_point_invalid', `The public key is no point of the curve ${curve}: make a new key pair.`)
}

/** Policy rule 6, RFC 8032 section 5.1.3. */
function requireEd25519Point(key: Uint8Array): void {
  if (isEd25519Point(key)) return
  throw new DomainError('ed25519_point_invalid', 'The public key is no sound point of Ed25519: make a new key pair.')
}

/** Policy rule 6, RFC 7748 section 6.1. */
function requireX25519Point(key: Uint8Array): void {
  if (isX25519Point(key)) return
  throw new DomainError('x25519_point_invalid', 'The public key is no sound point of X25519: make a new key pair.')
}
