import type { CertificateUse } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import { fromBase64, sha256Hex } from '../../pki/encoding.ts'
import { checkPublicKey, type KeyFacts } from '../../pki/key-policy.ts'
import { requireKeyFits } from '../../pki/key-usage.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { requireNotBlocked } from './blocklist.ts'

/** A public key that may be certified. */
export interface CheckedKey {
  readonly spki: Uint8Array
  readonly spkiSha256: string
  readonly facts: KeyFacts
}

const spkiBytesAllowed = 8 * 1_024

const malformed = (): DomainError =>
  new DomainError('key_malformed', 'Send one public key: a SubjectPublicKeyInfo as PEM (PUBLIC KEY) or base64 DER.')

/** Reads a public key as PEM (RFC 7468 section 13) or base64 DER. Throws `key_malformed`. */
function readPublicKey(text: string): Uint8Array {
  const pem = /^\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/.exec(text)
  const spki = fromBase64((pem?.[1] ?? text).replaceAll(/\s/g, ''))
  if (spki === null || spki.length === 0 || spki.length > spkiBytesAllowed) throw malformed()
  return spki
}

/** Reads and checks a bare public key, whatever it is for. Throws the refusals of `checkPublicKey`. */
export async function readKey(crypto: Crypto, text: string): Promise<CheckedKey> {
  const spki = readPublicKey(text)
  return { spki, spkiSha256: await sha256Hex(crypto, spki), facts: checkPublicKey(spki) }
}

/** Reads and checks a bare public key that is to be certified. Throws also `key_blocked` and those of `requireKeyFits`. */
export async function readKeyFor(
  deps: Pick<EnrolmentDeps, 'crypto' | 'database' | 'profile'>,
  text: string,
  use: CertificateUse,
): Promise<CheckedKey> {
  const key = await readKey(deps.crypto, text)
  requireKeyFits(key.facts, { use, profile: deps.profile })
  await requireNotBlocked(deps, key)
  return key
}
