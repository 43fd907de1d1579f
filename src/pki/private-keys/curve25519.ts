import { encodeElement, encodeObjectIdentifier, tag } from '../der.ts'
import { equalBytes, toBufferSource } from '../encoding.ts'
import { fromBase64Url } from './integers.ts'
import type { PrivateValues } from './values.ts'

/** RFC 8410 section 3. */
const identifiers = { Ed25519: '1.3.101.112', X25519: '1.3.101.110' } as const

/** Which of the two an object identifier names. */
export function curve25519ByIdentifier(identifier: string): keyof typeof identifiers | null {
  if (identifier === identifiers.Ed25519) return 'Ed25519'
  return identifier === identifiers.X25519 ? 'X25519' : null
}

/**
 * The SubjectPublicKeyInfo of an Ed25519 or X25519 key. The runtime computes it from the seed, and it is proved. Null
 * if that fails.
 */
export async function curve25519PublicKey(
  crypto: Crypto,
  { kind, seed }: Extract<PrivateValues, { kind: 'Ed25519' | 'X25519' }>,
): Promise<Uint8Array | null> {
  if (seed.length !== 32) return null
  const identifier = encodeElement(tag.sequence, encodeObjectIdentifier(identifiers[kind]))
  // A new PKCS#8 with only the seed, so that no public key that came with it can be used.
  const pkcs8 = encodeElement(
    tag.sequence,
    encodeElement(tag.integer, Uint8Array.of(0)),
    identifier,
    encodeElement(tag.octetString, encodeElement(tag.octetString, seed)),
  )
  const privateKey = await crypto.subtle.importKey(
    'pkcs8',
    pkcs8,
    kind,
    true,
    kind === 'Ed25519' ? ['sign'] : ['deriveBits'],
  )
  const { x } = await crypto.subtle.exportKey('jwk', privateKey)
  const octets = x === undefined ? null : fromBase64Url(x)
  if (octets === null) return null
  const spki = encodeElement(tag.sequence, identifier, encodeElement(tag.bitString, Uint8Array.of(0), octets))
  const publicKey = await crypto.subtle.importKey('spki', spki, kind, false, kind === 'Ed25519' ? ['verify'] : [])
  const belong = kind === 'Ed25519' ? proveSigning : proveAgreement
  return (await belong(crypto, privateKey, publicKey)) ? spki : null
}

async function proveSigning(crypto: Crypto, privateKey: CryptoKey, publicKey: CryptoKey): Promise<boolean> {
  const message = crypto.getRandomValues(new Uint8Array(32))
  const signature = await crypto.subtle.sign('Ed25519', privateKey, message)
  return crypto.subtle.verify('Ed25519', publicKey, signature, message)
}

/** X25519 cannot sign. Instead, both sides of a key agreement with a fresh key must get the same secret. */
async function proveAgreement(crypto: Crypto, privateKey: CryptoKey, publicKey: CryptoKey): Promise<boolean> {
  const other = await crypto.subtle.generateKey('X25519', false, ['deriveBits'])
  if (!('privateKey' in other)) return false
  const secret = async (own: CryptoKey, theirs: CryptoKey): Promise<Uint8Array> =>
    new Uint8Array(await crypto.subtle.deriveBits({ name: 'X25519', public: theirs }, own, 256))
  const [one, two] = await Promise.all([secret(privateKey, other.publicKey), secret(other.privateKey, publicKey)])
  return equalBytes(toBufferSource(one), two)
}
