import type { KeyUsageBit } from './extensions.ts'
import type { KeyFacts } from './key-policy.ts'

/** What the subscriber's key is for. */
export type CertificateUse = 'sign' | 'encrypt' | 'dual'

/**
 * The bits of KeyUsage for a subscriber's certificate: S/MIME BR 7.1.2.3 (e), RFC 5480 section 3. An RSA key decrypts
 * by keyEncipherment, one of a curve by keyAgreement.
 */
export function keyUsageFor(key: KeyFacts, use: CertificateUse): ReadonlySet<KeyUsageBit> {
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
