import type { CertificateUse } from '../api/shapes.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { checkCertificateRequest } from '../pki/certificate-request.ts'
import { sha256Hex } from '../pki/encoding.ts'
import { checkPublicKey, type KeyFacts } from '../pki/key-policy.ts'
import { requireKeyFits } from '../pki/key-usage.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { EnrolmentDeps } from './deps.ts'
import { requireNotBlocked } from './keys/blocklist.ts'

/** A key that its holder has proved to hold, by a CSR or by a challenge. */
export interface ProvedKey {
  readonly provedBy: 'csr' | 'public_key'
  /** What is kept and passed on: the CSR, or the SPKI itself. */
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly spkiSha256: string
  readonly key: KeyFacts
}

/** Checks a CSR for a mailbox and a use. Throws the refusals of `checkCertificateRequest`, and `key_blocked`. */
export async function checkCsr(
  deps: Pick<EnrolmentDeps, 'crypto' | 'brainpool' | 'profile' | 'database'>,
  der: Uint8Array,
  mailbox: OwnMailbox,
  use: CertificateUse,
): Promise<ProvedKey> {
  const { crypto, brainpool, profile } = deps
  const checked = await checkCertificateRequest(crypto, der, parseMailboxAddress(mailbox.address), {
    use,
    profile,
    brainpool,
  })
  await requireNotBlocked(deps, checked)
  return { ...checked, provedBy: 'csr', content: checked.der }
}

/** Checks a bare public key for a use. Throws the refusals of the key policy, and `key_blocked`. */
export async function checkBareKey(
  deps: Pick<EnrolmentDeps, 'crypto' | 'profile' | 'database'>,
  spki: Uint8Array,
  use: CertificateUse,
): Promise<ProvedKey> {
  const key = checkPublicKey(spki)
  requireKeyFits(key, { use, profile: deps.profile })
  const spkiSha256 = await sha256Hex(deps.crypto, spki)
  await requireNotBlocked(deps, { spki, spkiSha256 })
  return { provedBy: 'public_key', content: spki, spki, spkiSha256, key }
}
