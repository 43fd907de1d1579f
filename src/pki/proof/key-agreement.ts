import { concatBytes, toBufferSource } from '../encoding.ts'
import { sharedInfo } from './enveloped-data.ts'

/** The private key of one side and the public key of the other, both of one Crypto. */
export interface KeyPairOfTwo {
  readonly crypto: Crypto
  readonly on: 'EC' | 'X25519'
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  /** The octets of the shared secret: one coordinate of the curve. */
  readonly size: number
}

/** The AES key-wrap key that two parties agree on. It belongs to `crypto`, whichever Crypto made the secret. */
export async function agreeOnWrapKey(
  crypto: Crypto,
  pair: KeyPairOfTwo,
  usage: 'wrapKey' | 'unwrapKey',
): Promise<CryptoKey> {
  const agreement = { name: pair.on === 'EC' ? 'ECDH' : 'X25519', public: pair.publicKey }
  const secret = await pair.crypto.subtle.deriveBits(agreement, pair.privateKey, pair.size * 8)
  const derive = pair.on === 'EC' ? x963Sha256 : hkdfSha256
  const wrapKey = await derive(crypto, new Uint8Array(secret))
  return await crypto.subtle.importKey('raw', wrapKey, 'AES-KW', false, [usage])
}

/**
 * SEC 1 section 3.6.1, by RFC 5753 section 7.2. The key is as long as the hash, so one round with counter 1 is enough.
 */
async function x963Sha256(crypto: Crypto, secret: Uint8Array): Promise<ArrayBuffer> {
  return await crypto.subtle.digest('SHA-256', concatBytes(secret, Uint8Array.of(0, 0, 0, 1), sharedInfo))
}

/** RFC 8418 section 2.2: HKDF of RFC 5869. Without user keying material there is no salt. */
async function hkdfSha256(crypto: Crypto, secret: Uint8Array): Promise<ArrayBuffer> {
  const key = await crypto.subtle.importKey('raw', toBufferSource(secret), 'HKDF', false, ['deriveBits'])
  const algorithm = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: sharedInfo }
  return await crypto.subtle.deriveBits(algorithm, key, 256)
}

/** SHA-1 of the key's bits, RFC 5280 section 4.2.1.2 (1). It names the key; no security rests on it. */
export async function keyIdentifierOf(crypto: Crypto, keyBits: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-1', toBufferSource(keyBits)))
}
