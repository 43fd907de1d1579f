import { DomainError } from '../../errors.ts'
import { fromBase64 } from '../../pki/encoding.ts'

const spkiBytesAllowed = 8 * 1_024

const malformed = (): DomainError =>
  new DomainError('key_malformed', 'Send one public key: a SubjectPublicKeyInfo as PEM (PUBLIC KEY) or base64 DER.')

/** Reads a public key as PEM (RFC 7468 section 13) or base64 DER. Throws `key_malformed`. */
export function readPublicKey(text: string): Uint8Array {
  const pem = /^\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/.exec(text)
  const spki = fromBase64((pem?.[1] ?? text).replaceAll(/\s/g, ''))
  if (spki === null || spki.length === 0 || spki.length > spkiBytesAllowed) throw malformed()
  return spki
}

/** Reads a proof as it is sent. Throws `invalid_request`. */
export function readProof(text: string): Uint8Array {
  const proof = fromBase64(text)
  if (proof === null) throw new DomainError('invalid_request', 'proof: send it in base64.')
  return proof
}
