import { DomainError } from '../errors.ts'
import { ellipticCurve } from './elliptic-curves.ts'
import type { KeyUsageBit } from './extensions.ts'
import type { KeyFacts } from './key-policy.ts'

/** What the key of a subscriber is for. */
export type CertificateUse = 'sign' | 'encrypt' | 'dual'

/** The profile under which a certificate is issued. */
export type ProfileKind = 'sbr-strict' | 'private'

/** What a key is for, and under which profile. */
export interface KeyPurpose {
  readonly use: CertificateUse
  readonly profile: ProfileKind
}

/**
 * Policy rules 5 and 6, the part that depends on use and profile: whether the profile allows such keys, and whether the
 * key can do what is asked.
 *
 * Throws DomainError: `key_not_in_profile`, `key_use_unfit`.
 */
export function requireKeyFits(key: KeyFacts, { use, profile }: KeyPurpose): void {
  requireKeyInProfile(key, profile)
  requireUse(key, use)
}

/** Policy rules 5 and 6, S/MIME BR 6.1.5: brainpool curves and X25519 only under `private`. */
function requireKeyInProfile(key: KeyFacts, profile: ProfileKind): void {
  const isPrivateOnly = key.algorithm === 'X25519' || (key.algorithm === 'EC' && ellipticCurve(key.curve).brainpool)
  if (!isPrivateOnly || profile === 'private') return
  throw new DomainError(
    'key_not_in_profile',
    'This CA issues for RSA, P-256, P-384, P-521 and Ed25519 keys only: make a key of one of these kinds.',
  )
}

/** Policy rule 6, RFC 8410 section 5: Ed25519 only signs, X25519 only agrees on keys. */
function requireUse(key: KeyFacts, use: CertificateUse): void {
  if (key.algorithm === 'Ed25519' && use !== 'sign') {
    throw new DomainError('key_use_unfit', 'An Ed25519 key can only sign: ask for the use "sign", or use another key.')
  }
  if (key.algorithm === 'X25519' && use !== 'encrypt') {
    throw new DomainError(
      'key_use_unfit',
      'An X25519 key can only decrypt: ask for the use "encrypt", or use another key.',
    )
  }
}

/**
 * The KeyUsage bits of a subscriber's certificate: S/MIME BR 7.1.2.3 (e), RFC 5480 section 3, RFC 8410 section 5. An
 * RSA key decrypts by keyEncipherment, a key on a curve by keyAgreement.
 *
 * Throws DomainError `key_use_unfit` for a use that this kind of key cannot have.
 */
export function keyUsageFor(key: KeyFacts, use: CertificateUse): ReadonlySet<KeyUsageBit> {
  requireUse(key, use)
  const decrypting = key.algorithm === 'RSA' ? 'keyEncipherment' : 'keyAgreement'
  switch (use) {
    case 'sign':
      return new Set(['digitalSignature'])
    case 'encrypt':
      return new Set([decrypting])
    case 'dual':
      return new Set(['digitalSignature', decrypting])
  }
}
