import { DomainError } from '../../errors.ts'
import { ellipticCurve } from '../elliptic-curves.ts'
import { concatBytes, toBufferSource } from '../encoding.ts'
import { writeChallengeEnvelope, type KeyAgreement, type KeyTransport } from './enveloped-data.ts'
import { agreeOnWrapKey, keyIdentifierOf, type KeyPairOfTwo } from './key-agreement.ts'
import { cryptoOfCurve, readProofKey, type ProofKey, type ProofRuntime } from './public-key.ts'

/** Octets of the random value `y`, which follows the text. */
export const nonceLength = 32

/** A challenge that only the holder of the private key can answer. */
export interface DecryptionChallenge {
  /** The DER of a ContentInfo. Send this. */
  readonly envelopedData: Uint8Array<ArrayBuffer>
  /**
   * The right answer. It is as random as `y`, so keeping its plain SHA-256 is enough. Compare the hashes, or the values
   * with `equalSecrets`. Use it once, within ten minutes.
   */
  readonly expectedProof: Uint8Array<ArrayBuffer>
}

/**
 * Policy rule 14, use `encrypt`: makes a CMS EnvelopedData of the text and 32 random octets `y`, which the caller never
 * sees. The proof is HMAC-SHA-256(y, text), after RFC 5272 section 6.7. Call `checkPublicKey` on the key before.
 *
 * Throws DomainError: `key_use_unfit` for a key that cannot decrypt, `key_not_on_this_runtime`,
 * `key_algorithm_unsupported`; `key_malformed`, also for a key with which no secret can be shared (RFC 7748 section
 * 6.1).
 */
export async function createDecryptionChallenge(
  crypto: Crypto,
  spki: Uint8Array,
  text: Uint8Array,
  runtime: ProofRuntime = {},
): Promise<DecryptionChallenge> {
  const key = readProofKey(spki)
  const nonce = random(crypto, nonceLength)
  const initialisationVector = random(crypto, 16)
  // Extractable, because Web Crypto counts wrapping a key as extracting it.
  const contentKey = await crypto.subtle.importKey('raw', random(crypto, 32), 'AES-CBC', true, ['encrypt'])
  const recipient = await encryptFor(crypto, { ...key, spki }, contentKey, runtime)
  const algorithm = { name: 'AES-CBC', iv: initialisationVector }
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt(algorithm, contentKey, concatBytes(text, nonce)))
  return {
    envelopedData: writeChallengeEnvelope({ recipient, initialisationVector, ciphertext }),
    expectedProof: await decryptionProof(crypto, nonce, text),
  }
}

/** HMAC-SHA-256 over the text with the key `y`. The service expects it, and the client answers it. */
export async function decryptionProof(
  crypto: Crypto,
  nonce: Uint8Array,
  text: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', toBufferSource(nonce), algorithm, false, ['sign'])
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, toBufferSource(text)))
}

function random(crypto: Crypto, length: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(length))
}

async function encryptFor(
  crypto: Crypto,
  key: ProofKey & { readonly spki: Uint8Array },
  contentKey: CryptoKey,
  runtime: ProofRuntime,
): Promise<KeyTransport | KeyAgreement> {
  const { spki } = key
  const keyIdentifier = await keyIdentifierOf(crypto, key.bits)
  switch (key.kind) {
    case 'RSA': {
      const publicKey = await importPublicKey(crypto, spki, { name: 'RSA-OAEP', hash: 'SHA-256' }, ['wrapKey'])
      const encryptedKey = await crypto.subtle.wrapKey('raw', contentKey, publicKey, 'RSA-OAEP')
      return { kind: 'transport', keyIdentifier, encryptedKey: new Uint8Array(encryptedKey) }
    }
    case 'EC': {
      const onCurve = cryptoOfCurve(crypto, key.curve, runtime)
      const algorithm = { name: 'ECDH', namedCurve: key.curve }
      const publicKey = await importPublicKey(onCurve, spki, algorithm, [])
      const own = await onCurve.subtle.generateKey(algorithm, false, ['deriveBits'])
      const side = { crypto: onCurve, on: 'EC', publicKey, own, size: ellipticCurve(key.curve).octets } as const
      return await wrapFor(crypto, side, contentKey, keyIdentifier)
    }
    case 'X25519': {
      const publicKey = await importPublicKey(crypto, spki, { name: 'X25519' }, [])
      const own = await crypto.subtle.generateKey('X25519', false, ['deriveBits'])
      const side = { crypto, on: 'X25519', publicKey, own, size: 32 } as const
      return await wrapFor(crypto, side, contentKey, keyIdentifier)
    }
    case 'Ed25519':
      throw new DomainError('key_use_unfit', 'An Ed25519 key cannot decrypt: ask for the use "sign".')
  }
}

/** Ephemeral-static: `own` is used once and forgotten. */
async function wrapFor(
  crypto: Crypto,
  { own, ...side }: Omit<KeyPairOfTwo, 'privateKey'> & { readonly own: CryptoKeyPair },
  contentKey: CryptoKey,
  keyIdentifier: Uint8Array,
): Promise<KeyAgreement> {
  const ephemeral = new Uint8Array(await side.crypto.subtle.exportKey('raw', own.publicKey))
  const wrapKey = await agree(crypto, { ...side, privateKey: own.privateKey })
  const encryptedKey = new Uint8Array(await crypto.subtle.wrapKey('raw', contentKey, wrapKey, 'AES-KW'))
  return { kind: 'agreement', on: side.on, ephemeral, keyIdentifier, encryptedKey }
}

async function agree(crypto: Crypto, pair: KeyPairOfTwo): Promise<CryptoKey> {
  try {
    return await agreeOnWrapKey(crypto, pair, 'wrapKey')
  } catch (cause) {
    throw keyMalformed(cause)
  }
}

async function importPublicKey(
  crypto: Crypto,
  spki: Uint8Array,
  algorithm: Algorithm | EcKeyImportParams | RsaHashedImportParams,
  usages: KeyUsage[],
): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey('spki', toBufferSource(spki), algorithm, false, usages)
  } catch (cause) {
    throw keyMalformed(cause)
  }
}

/** The runtime refuses to compute with a point off its curve, or an X25519 point that makes every secret zero. */
function keyMalformed(cause: unknown): DomainError {
  return new DomainError('key_malformed', 'Nothing can be encrypted to this public key: make a new key pair.', {
    cause,
  })
}
