import type { RevocationReason } from '../../pki/revocation-reason.ts'
import { GuardBroken, requireOneChange, type Command } from '../../ports/database.ts'
import type { AuditEvent } from '../../audit/entries.ts'
import { blockKey } from '../keys/store.ts'
import type { EnrolmentDeps } from '../deps.ts'
import {
  readCertificate,
  readCertificatesWithKey,
  revokeCertificateRow,
  type CertificateRow,
} from '../certificates/store.ts'
import { revokeStatus } from './store.ts'

/** Who had a certificate revoked. */
export type RevokedBy = Pick<AuditEvent, 'actorKind' | 'actor'>

type RevokeDeps = Pick<
  EnrolmentDeps,
  'database' | 'clock' | 'audit' | 'events' | 'mail' | 'registration' | 'onCertificatesEnded'
>

async function revocationCommands(
  deps: RevokeDeps,
  row: CertificateRow,
  reason: RevocationReason | null,
  by: RevokedBy,
): Promise<Command[]> {
  const now = deps.clock()
  return [
    ...revokeCertificateRow(row.id, row.request, now),
    ...revokeStatus({ authority: row.authority, serialNumber: row.serialNumber }, now, reason),
    ...deps.onCertificatesEnded([row.id]),
    ...(reason === 'keyCompromise' ? [blockKey('spki-sha256', row.spkiSha256, 'revocation', now)] : []),
    ...deps.audit.record({
      action: 'certificate.revoked',
      ...by,
      subjectKind: 'certificate',
      subject: row.id,
      facts: { reason },
    }),
    ...(await deps.registration.announce(row, 'revocation', row.id, { reason, at: now })),
  ]
}

/**
 * Revokes one certificate: the directory drops it in the same batch, OCSP says so at once, the next list within
 * minutes. A repeat, or one that has run out, changes nothing. A compromised key is blocked, and every other
 * certificate on it is revoked too. `onlyWhile` is a guard: where it breaks, nothing is revoked.
 */
export async function revokeCertificate(
  deps: RevokeDeps,
  id: string,
  reason: RevocationReason | null,
  by: RevokedBy,
  onlyWhile: readonly Command[] = [],
): Promise<void> {
  const row = await readCertificate(deps.database, id)
  if (row === null) return
  if (row.state === 'valid' || row.state === 'superseded') {
    try {
      await deps.database.batch([...onlyWhile, ...(await revocationCommands(deps, row, reason, by))])
      deps.mail.sendSoon()
      deps.events.certificateRevoked({ certificate: id, reason })
      deps.audit.sealSoon()
    } catch (error) {
      if (!(error instanceof GuardBroken)) throw error
    }
  }
  if (reason === 'keyCompromise') await revokeKey(deps, row.spkiSha256, 'revocation', by)
}

/**
 * Blocks a key for good and revokes every certificate on it, whoever's it is. The block comes first: a request that
 * is under way finds it, or its certificate is found here.
 */
export async function revokeKey(
  deps: RevokeDeps,
  spkiSha256: string,
  source: 'reported' | 'disclosed' | 'revocation',
  by: RevokedBy,
): Promise<void> {
  await blockKeyOnce(deps, spkiSha256, source, by)
  for (const row of await readCertificatesWithKey(deps.database, spkiSha256)) {
    try {
      await deps.database.batch(await revocationCommands(deps, row, 'keyCompromise', by))
      deps.mail.sendSoon()
      deps.events.certificateRevoked({ certificate: row.id, reason: 'keyCompromise' })
    } catch (error) {
      if (!(error instanceof GuardBroken)) throw error
    }
  }
}

/** Blocks a key and tells of it; one that is blocked already leaves no trace, however often it is sent. */
async function blockKeyOnce(
  deps: RevokeDeps,
  spkiSha256: string,
  source: 'reported' | 'disclosed' | 'revocation',
  by: RevokedBy,
): Promise<void> {
  try {
    await deps.database.batch([
      blockKey('spki-sha256', spkiSha256, source, deps.clock()),
      requireOneChange('key_blocked_already'),
      ...deps.audit.record({
        action: 'key.blocked',
        ...by,
        subjectKind: 'blocklist',
        subject: 'blocklist',
        facts: { source },
        personal: { spkiSha256 },
      }),
    ])
  } catch (error) {
    if (error instanceof GuardBroken) return
    throw error
  }
  deps.events.keyBlocked({ source })
  deps.audit.sealSoon()
}
