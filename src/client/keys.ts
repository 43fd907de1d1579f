/** The kinds of keys that this library makes. An app can bring other keys: see `certifyPublicKey`. */
export type KeyChoice = 'P-256' | 'RSA-3072'
export type KeyUse = 'sign' | 'encrypt'

/**
 * A key pair of this device, for one use. Where objects can be cloned (IndexedDB), it can be stored as it is, and its
 * private key never leaves Web Crypto.
 */
export interface DeviceKeyPair {
  readonly use: KeyUse
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
}

export interface KeyOptions {
  /** `P-256` by default. */
  readonly kind?: KeyChoice
  /**
   * False by default: nobody can take the private key out of Web Crypto. True is for an app that moves it at once to a
   * key provider of its own.
   */
  readonly extractable?: boolean
}

const rsa = { hash: 'SHA-256', modulusLength: 3072, publicExponent: Uint8Array.of(1, 0, 1) } as const

const algorithms = {
  sign: {
    'P-256': { name: 'ECDSA', namedCurve: 'P-256' },
    'RSA-3072': { name: 'RSASSA-PKCS1-v1_5', ...rsa },
  },
  encrypt: {
    'P-256': { name: 'ECDH', namedCurve: 'P-256' },
    'RSA-3072': { name: 'RSA-OAEP', ...rsa },
  },
} as const

const usages: Readonly<Record<KeyUse, Readonly<Record<KeyChoice, KeyUsage[]>>>> = {
  sign: { 'P-256': ['sign', 'verify'], 'RSA-3072': ['sign', 'verify'] },
  encrypt: { 'P-256': ['deriveBits', 'deriveKey'], 'RSA-3072': ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'] },
}

/** Makes a key pair in Web Crypto. The public key can always be exported. */
export async function makeKeyPair(crypto: Crypto, use: KeyUse, options: KeyOptions = {}): Promise<DeviceKeyPair> {
  const { kind = 'P-256', extractable = false } = options
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    algorithms[use][kind],
    extractable,
    usages[use][kind],
  )
  return { use, privateKey, publicKey, spki: new Uint8Array(await crypto.subtle.exportKey('spki', publicKey)) }
}
