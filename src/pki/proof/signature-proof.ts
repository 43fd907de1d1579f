import { DomainError } from '../../errors.ts'
import { encodeElement, encodeObjectIdentifier, tag } from '../der.ts'
import type { CurveName } from '../elliptic-curves.ts'
import { oid } from '../object-identifiers.ts'
import { verifySignature } from '../signature.ts'
import { cryptoOfCurve, readProofKey, type ProofKey, type ProofRuntime } from './public-key.ts'

/** The hash of an ECDSA proof. It is as strong as the curve, and the signer cannot choose it. */
export const ecdsaHashes: Readonly<Record<CurveName, 'SHA-256' | 'SHA-384' | 'SHA-512'>> = {
  'P-256': 'SHA-256',
  'P-384': 'SHA-384',
  'P-521': 'SHA-512',
  brainpoolP256r1: 'SHA-256',
  brainpoolP384r1: 'SHA-384',
  brainpoolP512r1: 'SHA-512',
}

/** RFC 5758 section 3.2, RFC 8410 section 3: no parameters. RFC 4055 section 5: NULL. */
const ecdsaAlgorithms = {
  'SHA-256': encodeElement(tag.sequence, encodeObjectIdentifier(oid.ecdsaWithSha256)),
  'SHA-384': encodeElement(tag.sequence, encodeObjectIdentifier(oid.ecdsaWithSha384)),
  'SHA-512': encodeElement(tag.sequence, encodeObjectIdentifier(oid.ecdsaWithSha512)),
} as const
const rsaAlgorithm = encodeElement(
  tag.sequence,
  encodeObjectIdentifier(oid.sha256WithRsaEncryption),
  encodeElement(tag.null),
)
const ed25519Algorithm = encodeElement(tag.sequence, encodeObjectIdentifier(oid.ed25519))

/**
 * Policy rule 14, uses `sign` and `dual`: whether `proof` is the key's signature over exactly the text. RSA PKCS#1 v1.5
 * with SHA-256; ECDSA in DER with the hash of the curve; Ed25519. Call `checkPublicKey` on the key before. False for a
 * signature that does not verify.
 *
 * Throws DomainError: `key_use_unfit` for a key that cannot sign, `key_not_on_this_runtime`, `key_malformed`,
 * `key_algorithm_unsupported`.
 */
export async function verifySignatureProof(
  crypto: Crypto,
  spki: Uint8Array,
  { text, proof }: { readonly text: Uint8Array; readonly proof: Uint8Array },
  runtime: ProofRuntime = {},
): Promise<boolean> {
  const key = readProofKey(spki)
  if (key.kind === 'EC') cryptoOfCurve(crypto, key.curve, runtime)
  const algorithm = signatureIdentifierOf(key)
  return await verifySignature(crypto, spki, { algorithm, signed: text, signature: proof }, runtime.brainpool ?? null)
}

/**
 * The AlgorithmIdentifier of signatures in proofs and requests: RSA PKCS#1 v1.5 with SHA-256, ECDSA with the hash of
 * the curve, Ed25519. Throws DomainError `key_use_unfit`.
 */
export function signatureIdentifierOf(key: ProofKey): Uint8Array {
  switch (key.kind) {
    case 'RSA':
      return rsaAlgorithm
    case 'EC':
      return ecdsaAlgorithms[ecdsaHashes[key.curve]]
    case 'Ed25519':
      return ed25519Algorithm
    case 'X25519':
      throw new DomainError('key_use_unfit', 'An X25519 key cannot sign: ask for the use "encrypt".')
  }
}
