import { DomainError } from '../../errors.ts'
import { encodeElement, encodeObjectIdentifier, MalformedDer, tag } from '../der.ts'
import { curveOfIdentifier, ellipticCurve, type CurveName } from '../elliptic-curves.ts'
import { equalBytes } from '../encoding.ts'
import { readSpki } from '../spki.ts'
import { oid } from '../object-identifiers.ts'

/** The kinds of public keys that proofs distinguish. `bits` is the content of the BIT STRING. */
export type ProofKey =
  | { readonly kind: 'RSA'; readonly bits: Uint8Array }
  | { readonly kind: 'EC'; readonly bits: Uint8Array; readonly curve: CurveName }
  | { readonly kind: 'Ed25519'; readonly bits: Uint8Array }
  | { readonly kind: 'X25519'; readonly bits: Uint8Array }

/** Policy rule 2: compared byte for byte. RFC 3279 section 2.3.1, RFC 8410 section 3. */
const rsa = encodeElement(tag.sequence, encodeObjectIdentifier(oid.rsaEncryption), encodeElement(tag.null))
const ed25519 = encodeElement(tag.sequence, encodeObjectIdentifier(oid.ed25519))
const x25519 = encodeElement(tag.sequence, encodeObjectIdentifier(oid.x25519))

/**
 * Reads the kind of key in a SubjectPublicKeyInfo. Before this, `checkPublicKey` decides whether the key is good.
 * Throws DomainError: `key_malformed`, `key_algorithm_unsupported`.
 */
export function readProofKey(spki: Uint8Array): ProofKey {
  const { identifier, key: bits } = readPublicKey(spki)
  const curve = curveOfIdentifier(identifier)
  if (curve !== undefined) return { kind: 'EC', bits, curve }
  if (equalBytes(identifier, rsa)) return { kind: 'RSA', bits }
  if (equalBytes(identifier, ed25519)) return { kind: 'Ed25519', bits }
  if (equalBytes(identifier, x25519)) return { kind: 'X25519', bits }
  throw new DomainError('key_algorithm_unsupported', 'Use an RSA key, or one on a named curve.')
}

function readPublicKey(spki: Uint8Array) {
  try {
    return readSpki(spki)
  } catch (error) {
    if (!(error instanceof MalformedDer)) throw error
    throw new DomainError('key_malformed', 'The public key cannot be read: make a new key pair.', { cause: error })
  }
}

/** What a proof may also need of the runtime. */
export interface ProofRuntime {
  /** A Crypto that knows the brainpool curves by their names in RFC 5639. Null or absent: there is none. */
  readonly brainpool?: Crypto | null
}

/** The Crypto that computes on a curve. Throws DomainError `key_not_on_this_runtime` if there is none. */
export function cryptoOfCurve(crypto: Crypto, curve: CurveName, { brainpool = null }: ProofRuntime): Crypto {
  if (!ellipticCurve(curve).brainpool) return crypto
  if (brainpool !== null) return brainpool
  throw new DomainError('key_not_on_this_runtime', 'This service cannot compute on brainpool curves: use P-256.')
}
