import { brainpoolCrypto } from '../../src/adapters/brainpool.ts'
import { proveByDecrypting, proveBySigning } from '../../src/client/proof.ts'
import type { Answer, Api, Json } from './api.ts'

/** The kinds of bare keys that a device may bring, with what Web Crypto calls them. */
export const keyKinds = {
  'RSA 2048 to encrypt': { use: 'encrypt', algorithm: { name: 'RSA-OAEP', hash: 'SHA-256', ...rsa(2048) } },
  'RSA 3072 to sign': { use: 'sign', algorithm: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', ...rsa(3072) } },
  'P-256 to encrypt': { use: 'encrypt', algorithm: { name: 'ECDH', namedCurve: 'P-256' } },
  'P-384 to encrypt': { use: 'encrypt', algorithm: { name: 'ECDH', namedCurve: 'P-384' } },
  'P-521 to encrypt': { use: 'encrypt', algorithm: { name: 'ECDH', namedCurve: 'P-521' } },
  'P-256 to sign': { use: 'sign', algorithm: { name: 'ECDSA', namedCurve: 'P-256' } },
  'P-384 for both': { use: 'dual', algorithm: { name: 'ECDSA', namedCurve: 'P-384' } },
  'P-521 to sign': { use: 'sign', algorithm: { name: 'ECDSA', namedCurve: 'P-521' } },
  'Ed25519 to sign': { use: 'sign', algorithm: { name: 'Ed25519' } },
  'X25519 to encrypt': { use: 'encrypt', algorithm: { name: 'X25519' } },
  'brainpoolP256r1 to encrypt': { use: 'encrypt', algorithm: { name: 'ECDH', namedCurve: 'brainpoolP256r1' } },
  'brainpoolP384r1 to sign': { use: 'sign', algorithm: { name: 'ECDSA', namedCurve: 'brainpoolP384r1' } },
  'brainpoolP512r1 to encrypt': { use: 'encrypt', algorithm: { name: 'ECDH', namedCurve: 'brainpoolP512r1' } },
} as const
export type KeyKind = keyof typeof keyKinds

/** The kinds that the private profile alone takes. */
export const privateOnly = (kind: KeyKind): boolean => /brainpool|X25519/.test(kind)

function rsa(modulusLength: number) {
  return { modulusLength, publicExponent: Uint8Array.of(1, 0, 1) }
}

/** A key pair on a device, its private key not extractable. */
export interface HeldKey {
  readonly use: 'sign' | 'encrypt' | 'dual'
  readonly crypto: Crypto
  readonly privateKey: CryptoKey
  readonly spki: Uint8Array
  /** SPKI in base64, as it is sent. */
  readonly publicKey: string
}

const usages = { sign: ['sign', 'verify'], dual: ['sign', 'verify'] } as const

export async function holdKey(kind: KeyKind): Promise<HeldKey> {
  const { use, algorithm } = keyKinds[kind]
  const provider = kind.startsWith('brainpool') ? brainpoolCrypto : crypto
  const forEncryption = algorithm.name === 'RSA-OAEP' ? ['encrypt', 'decrypt'] : ['deriveBits']
  const wanted = use === 'encrypt' ? forEncryption : [...usages[use]]
  const pair = (await provider.subtle.generateKey(algorithm, false, wanted as KeyUsage[])) as CryptoKeyPair
  const spki = new Uint8Array(await provider.subtle.exportKey('spki', pair.publicKey))
  return { use, crypto: provider, privateKey: pair.privateKey, spki, publicKey: Buffer.from(spki).toString('base64') }
}

const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))

/** Answers a challenge as the client library does, in base64. */
export async function prove(
  key: HeldKey,
  made: Json,
  origin: string,
  purpose: 'possession' | 'compromise' = 'possession',
): Promise<string> {
  const expected = { purpose, origin, challengeId: made.id, spki: key.spki }
  const { challenge } = made
  const proof =
    challenge.kind === 'sign'
      ? await proveBySigning(key.crypto, { ...expected, toBeSigned: bytes(challenge.toBeSigned) }, key.privateKey)
      : await proveByDecrypting(
          key.crypto,
          { ...expected, envelopedData: bytes(challenge.envelopedData) },
          key.privateKey,
        )
  return Buffer.from(proof).toString('base64')
}

/** Has a bare key certified: challenge, proof, certificate. */
export async function certifyKey(api: Api, key: HeldKey, origin: string): Promise<Answer> {
  const made = await api.post('/v1/public-keys', { publicKey: key.publicKey, use: key.use })
  if (made.status !== 201) return made
  return api.post(`/v1/public-keys/${made.body.id}/proof`, { proof: await prove(key, made.body, origin) })
}
