import { CertbookError } from './errors.ts'
import { ellipticCurve } from '../pki/elliptic-curves.ts'
import { equalBytes, equalSecrets, sha256Hex, toBufferSource } from '../pki/encoding.ts'
import { decryptionProof, nonceLength } from '../pki/proof/decryption-proof.ts'
import { ecdsaValueFromRaw } from '../pki/ecdsa-value.ts'
import { readChallengeEnvelope, type KeyAgreement, type KeyTransport } from '../pki/proof/enveloped-data.ts'
import { agreeOnWrapKey, keyIdentifierOf } from '../pki/proof/key-agreement.ts'
import { readProofKey, type ProofKey } from '../pki/proof/public-key.ts'
import { ecdsaHashes } from '../pki/proof/signature-proof.ts'
import { proofLabels, proofText, type ProofPurpose } from '../pki/proof/text.ts'

/** Why there is no proof. Codes are stable. */
export type ProofErrorCode = 'challenge_refused' | 'private_key_unsuitable'

/**
 * `challenge_refused` has one message and no cause, whatever was wrong with a challenge. Whoever sends challenges must
 * not learn whether a key opened, the padding was right, or only the text differed. Each of these would make the device
 * a decryption oracle for intercepted mail (Bleichenbacher, Vaudenay, Manger), and apps do report errors to servers.
 */
export class ProofError extends CertbookError {
  override readonly code: ProofErrorCode

  constructor(code: ProofErrorCode, detail: string) {
    super(code, detail)
    this.name = 'ProofError'
    this.code = code
  }
}

/** What the client knows itself. It computes the text of the proof from this. */
export interface ExpectedProof {
  /** `possession` by default, so a key is only reported as compromised on purpose. */
  readonly purpose?: ProofPurpose
  /** The origin that the client talks to. Never one that the service names. */
  readonly origin: string
  readonly challengeId: string
  /** The client's own public key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
}

/** A challenge of kind `sign`. */
export interface SigningChallenge extends ExpectedProof {
  readonly toBeSigned: Uint8Array
}

/** A challenge of kind `decrypt`. */
export interface DecryptingChallenge extends ExpectedProof {
  readonly envelopedData: Uint8Array
}

/**
 * Answers a challenge of kind `sign` (policy rule 14): signs the text that the client computes itself. Refuses to sign
 * any other text, so the service cannot get a document of its choice signed.
 *
 * `crypto` must be the one that holds the private key, which may be non-extractable. RSA: RSASSA-PKCS1-v1_5 with
 * SHA-256. EC: ECDSA. Ed25519. Throws ProofError. Throws DomainError `key_malformed` or `key_algorithm_unsupported` if
 * certbook does not take the client's own public key.
 */
export async function proveBySigning(
  crypto: Crypto,
  challenge: SigningChallenge,
  privateKey: CryptoKey,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = readProofKey(challenge.spki)
  const algorithm = signatureAlgorithm(key)
  requirePrivateKey(privateKey, algorithm, 'sign')
  const text = await expectedText(crypto, challenge)
  if (!equalBytes(challenge.toBeSigned, text)) throw refused()
  const signature = new Uint8Array(await crypto.subtle.sign(algorithm, privateKey, text))
  return key.kind === 'EC' ? ecdsaValueFromRaw(signature) : signature
}

/**
 * Answers a challenge of kind `decrypt` (policy rule 14). It opens the EnvelopedData, which must have exactly the form
 * that the service makes. Inside must be only the text that the client computes itself, and 32 octets `y`. It returns
 * HMAC-SHA-256(y, text). No plaintext leaves this function.
 *
 * `crypto` must be the one that holds the private key, which may be non-extractable. RSA: RSA-OAEP with SHA-256 and the
 * usage `decrypt`. EC: ECDH, and X25519, with the usage `deriveBits`. Throws ProofError, and DomainError as
 * `proveBySigning` does.
 */
export async function proveByDecrypting(
  crypto: Crypto,
  challenge: DecryptingChallenge,
  privateKey: CryptoKey,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = readProofKey(challenge.spki)
  requirePrivateKey(privateKey, decryptionAlgorithm(key), key.kind === 'RSA' ? 'decrypt' : 'deriveBits')
  const text = await expectedText(crypto, challenge)
  const plaintext = await open(crypto, challenge.envelopedData, key, privateKey)
  const isExpected =
    plaintext.length === text.length + nonceLength && equalSecrets(plaintext.subarray(0, text.length), text)
  if (!isExpected) throw refused()
  return await decryptionProof(crypto, plaintext.subarray(text.length), text)
}

function refused(): ProofError {
  return new ProofError('challenge_refused', 'This is no challenge of this service for this key.')
}

async function expectedText(crypto: Crypto, expected: ExpectedProof): Promise<Uint8Array<ArrayBuffer>> {
  const { purpose = 'possession', origin, challengeId, spki } = expected
  const spkiSha256 = await sha256Hex(crypto, spki)
  try {
    return proofText({ label: proofLabels[purpose], origin, challengeId, spkiSha256 })
  } catch {
    throw refused()
  }
}

/** The algorithm of a private key. `undefined`: this part does not matter. */
interface PrivateKeyAlgorithm {
  readonly name: string
  readonly hash?: string
  readonly namedCurve?: string
}

function signatureAlgorithm(key: ProofKey): PrivateKeyAlgorithm {
  switch (key.kind) {
    case 'RSA':
      return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    case 'EC':
      return { name: 'ECDSA', hash: ecdsaHashes[key.curve], namedCurve: key.curve }
    case 'Ed25519':
      return { name: 'Ed25519' }
    case 'X25519':
      throw unsuitable('sign')
  }
}

function decryptionAlgorithm(key: ProofKey): PrivateKeyAlgorithm {
  switch (key.kind) {
    case 'RSA':
      return { name: 'RSA-OAEP', hash: 'SHA-256' }
    case 'EC':
      return { name: 'ECDH', namedCurve: key.curve }
    case 'X25519':
      return { name: 'X25519' }
    case 'Ed25519':
      throw unsuitable('deriveBits')
  }
}

function unsuitable(usage: KeyUsage): ProofError {
  return new ProofError('private_key_unsuitable', `The proof needs the private key of this public key, for "${usage}".`)
}

/** Checks the caller's own key and never looks at the challenge. So it may say more than `challenge_refused`. */
function requirePrivateKey({ type, usages, algorithm }: CryptoKey, expected: PrivateKeyAlgorithm, usage: KeyUsage) {
  const isSuitable =
    type === 'private' &&
    usages.includes(usage) &&
    algorithm.name === expected.name &&
    // Only RSA keys have a hash. ECDSA takes one with each signature.
    (!('hash' in algorithm) || nameOf(algorithm.hash) === expected.hash) &&
    (!('namedCurve' in algorithm) || algorithm.namedCurve === expected.namedCurve)
  if (!isSuitable) throw unsuitable(usage)
}

function nameOf(hash: unknown): unknown {
  return typeof hash === 'object' && hash !== null && 'name' in hash ? hash.name : hash
}

/** All failures are the same refusal without a cause; see ProofError. */
async function open(
  crypto: Crypto,
  envelopedData: Uint8Array,
  key: ProofKey,
  privateKey: CryptoKey,
): Promise<Uint8Array> {
  try {
    const { recipient, initialisationVector, ciphertext } = readChallengeEnvelope(envelopedData)
    if (!equalBytes(recipient.keyIdentifier, await keyIdentifierOf(crypto, key.bits))) throw refused()
    const contentKey =
      recipient.kind === 'transport'
        ? await decryptContentKey(crypto, recipient, key, privateKey)
        : await unwrapContentKey(crypto, recipient, key, privateKey)
    const algorithm = { name: 'AES-CBC', iv: toBufferSource(initialisationVector) }
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, contentKey, toBufferSource(ciphertext)))
  } catch {
    throw refused()
  }
}

async function decryptContentKey(
  crypto: Crypto,
  { encryptedKey }: KeyTransport,
  key: ProofKey,
  privateKey: CryptoKey,
): Promise<CryptoKey> {
  if (key.kind !== 'RSA') throw refused()
  const raw = await crypto.subtle.decrypt('RSA-OAEP', privateKey, toBufferSource(encryptedKey))
  if (raw.byteLength !== 32) throw refused()
  return await crypto.subtle.importKey('raw', raw, 'AES-CBC', false, ['decrypt'])
}

async function unwrapContentKey(
  crypto: Crypto,
  { on, ephemeral, encryptedKey }: KeyAgreement,
  key: ProofKey,
  privateKey: CryptoKey,
): Promise<CryptoKey> {
  // RFC 3394 section 2.2.1: a key of 32 octets is wrapped in 40.
  if (key.kind !== on || encryptedKey.length !== 40) throw refused()
  const size = key.kind === 'EC' ? ellipticCurve(key.curve).octets : 32
  // RFC 5480 section 2.2: an uncompressed point. The runtime checks that it is on the curve.
  if (key.kind === 'EC' && (ephemeral.length !== 2 * size + 1 || ephemeral[0] !== 4)) throw refused()
  const algorithm = key.kind === 'EC' ? { name: 'ECDH', namedCurve: key.curve } : { name: 'X25519' }
  const publicKey = await crypto.subtle.importKey('raw', toBufferSource(ephemeral), algorithm, false, [])
  const wrapKey = await agreeOnWrapKey(crypto, { crypto, on, privateKey, publicKey, size }, 'unwrapKey')
  const wrapped = toBufferSource(encryptedKey)
  return await crypto.subtle.unwrapKey('raw', wrapped, wrapKey, 'AES-KW', 'AES-CBC', false, ['decrypt'])
}
