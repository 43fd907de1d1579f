import type { RevocationReason } from '../pki/revocation-reason.ts'
import { GuardBroken, requireOneChange, type Command } from '../ports/database.ts'
import type { AuditActor } from '../audit/entries.ts'
import { blockKey } from './keys/store.ts'
import type { CertificateDeps } from './deps.ts'
import { queueRevocationAtIssuer } from './forwarding/queue.ts'
import { readCertificate, readCertificatesWithKey, revokeCertificateRow, type CertificateRow } from './store.ts'
import { revokeStatus } from '../cas/inside/store.ts'

type RevokeDeps = Pick<
  CertificateDeps,
  | 'database'
  | 'keys'
  | 'random'
  | 'clock'
  | 'audit'
  | 'events'
  | 'mail'
  | 'registration'
  | 'connections'
  | 'onCertificatesEnded'
  | 'tellCasSoon'
>

/** What a revocation rests on beside its reason. */
interface Circumstances {
  readonly by: AuditActor
  /** A guard: where it breaks, nothing is revoked. */
  readonly onlyWhile?: readonly Command[]
  /** Whether it is the word of the CA that issued, which needs no telling then. */
  readonly isWordOfItsCa?: boolean
}

async function revocationCommands(
  deps: RevokeDeps,
  row: CertificateRow,
  reason: RevocationReason | null,
  { by, onlyWhile = [] }: Circumstances,
): Promise<Command[]> {
  const now = deps.clock()
  return [
    ...onlyWhile,
    ...revokeCertificateRow(row.id, now),
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

/** Revokes one certificate in one batch; nothing happens where it has ended meanwhile. */
async function revokeOne(
  deps: RevokeDeps,
  row: CertificateRow,
  reason: RevocationReason | null,
  circumstances: Circumstances,
): Promise<void> {
  const toItsCa = circumstances.isWordOfItsCa === true ? [] : await queueRevocationAtIssuer(deps, row, reason)
  try {
    await deps.database.batch([...(await revocationCommands(deps, row, reason, circumstances)), ...toItsCa])
  } catch (error) {
    if (error instanceof GuardBroken) return
    throw error
  }
  deps.mail.sendSoon()
  if (toItsCa.length > 0) deps.tellCasSoon()
  deps.events.certificateRevoked({ certificate: row.id, reason })
  deps.audit.sealSoon()
}

/**
 * Revokes one certificate: the directory drops it in the same batch, OCSP says so at once, the next list within
 * minutes; a CA elsewhere that issued it is told soon, and again until it confirms. A repeat, or one that has run out,
 * changes nothing. A compromised key is blocked, and every other certificate on it is revoked too. `onlyWhile` is a
 * guard: where it breaks, nothing is revoked.
 */
export async function revokeCertificate(
  deps: RevokeDeps,
  id: string,
  reason: RevocationReason | null,
  circumstances: { readonly by: AuditActor; readonly onlyWhile?: readonly Command[] },
): Promise<void> {
  await revoke(deps, id, reason, circumstances)
}

/** The same on the word of the CA elsewhere that issued it. */
export async function followRevocation(
  deps: RevokeDeps,
  id: string,
  reason: RevocationReason | null,
  by: AuditActor,
): Promise<void> {
  await revoke(deps, id, reason, { by, isWordOfItsCa: true })
}

async function revoke(
  deps: RevokeDeps,
  id: string,
  reason: RevocationReason | null,
  circumstances: Circumstances,
): Promise<void> {
  const row = await readCertificate(deps.database, id)
  if (row === null) return
  if (row.state === 'valid' || row.state === 'superseded') await revokeOne(deps, row, reason, circumstances)
  if (reason === 'keyCompromise') await revokeKey(deps, row.spkiSha256, 'revocation', circumstances.by)
}

/**
 * Blocks a key for good and revokes every certificate on it, whoever's it is. The block comes first: a request that
 * is under way finds it, or its certificate is found here.
 */
export async function revokeKey(
  deps: RevokeDeps,
  spkiSha256: string,
  source: 'reported' | 'disclosed' | 'revocation',
  by: AuditActor,
): Promise<void> {
  await blockKeyOnce(deps, spkiSha256, source, by)
  for (const row of await readCertificatesWithKey(deps.database, spkiSha256)) {
    await revokeOne(deps, row, 'keyCompromise', { by })
  }
}

/** Blocks a key and tells of it; one that is blocked already leaves no trace, however often it is sent. */
async function blockKeyOnce(
  deps: RevokeDeps,
  spkiSha256: string,
  source: 'reported' | 'disclosed' | 'revocation',
  by: AuditActor,
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
