import { parseCertificate } from '../pki/certificate.ts'
import { sha256Hex } from '../pki/encoding.ts'
import type { RevocationReason } from '../pki/revocation-reason.ts'
import { requireOneChange, type Command } from '../ports/database.ts'
import { commit } from '../audit/commit.ts'
import type { AuditActor, AuditEvent } from '../audit/entries.ts'
import { blockKey } from './keys/store.ts'
import type { CertificateDeps } from './deps.ts'
import { keyIndex } from './fingerprints.ts'
import { queueRevocationAtIssuer } from './forwarding/queue.ts'
import { openCertificate, openFacts, sealRevocation } from './present.ts'
import { readCertificate, readCertificatesWithKey, revokeCertificateRow, type CertificateRow } from './store.ts'
import { revokeStatus } from '../cas/inside/store.ts'
import { paidWith } from '../ports/row-budgets.ts'

type RevokeDeps = Pick<
  CertificateDeps,
  | 'database'
  | 'keys'
  | 'crypto'
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

/** By whom a certificate is revoked, and on which condition. */
interface Circumstances {
  readonly by: AuditActor
  /** Guards. If one breaks, nothing is revoked. */
  readonly onlyWhile?: readonly Command[]
  /** Whether the CA that issued said so. It needs no telling then. */
  readonly isWordOfItsCa?: boolean
}

/** The SHA-256 of the key in a certificate: its bytes are sealed to their row, which `key_index` is not. */
const spkiSha256In = (deps: Pick<RevokeDeps, 'keys' | 'crypto'>, row: CertificateRow): Promise<string> =>
  sha256Hex(deps.crypto, parseCertificate(openCertificate(deps.keys, row).certificate).spki)

const keyIndexIn = async (deps: Pick<RevokeDeps, 'keys' | 'crypto'>, row: CertificateRow): Promise<string> =>
  keyIndex(deps.keys, await spkiSha256In(deps, row))

async function revocationCommands(
  deps: RevokeDeps,
  row: CertificateRow,
  reason: RevocationReason | null,
  { onlyWhile = [] }: Circumstances,
): Promise<Command[]> {
  const now = deps.clock()
  const { serialNumber } = openFacts(deps.keys, row)
  return [
    ...onlyWhile,
    ...revokeCertificateRow(row.id, sealRevocation(deps.keys, row.id, { at: now, reason }), now),
    ...revokeStatus({ authority: row.authority, serialNumber }, now, reason),
    ...deps.onCertificatesEnded([row.id]),
    ...(reason === 'keyCompromise' ? [blockKey('spki-sha256', await keyIndexIn(deps, row), 'revocation', now)] : []),
    ...(await deps.registration.announcementCommands(row, 'revocation', row.id, { reason, at: now })),
  ]
}

/** Revokes one certificate in one batch. One that has ended meanwhile stays as it is, as does one whose term is over. */
async function revokeOne(
  deps: RevokeDeps,
  row: CertificateRow,
  reason: RevocationReason | null,
  circumstances: Circumstances,
): Promise<void> {
  if (openFacts(deps.keys, row).notAfter <= deps.clock()) return
  const toItsCa = circumstances.isWordOfItsCa === true ? [] : await queueRevocationAtIssuer(deps, row, reason)
  const commands = [...(await revocationCommands(deps, row, reason, circumstances)), ...toItsCa]
  const audit: AuditEvent = {
    action: 'certificate.revoked',
    ...circumstances.by,
    subjectKind: 'certificate',
    subject: row.id,
    facts: { reason },
  }
  // A certificate ends once.
  const payment = paidWith('certificate_request')
  if ((await commit(deps, { commands, audit, payment }, () => null)) === null) return
  deps.mail.sendSoon()
  if (toItsCa.length > 0) deps.tellCasSoon()
  deps.events.certificateRevoked({ certificate: row.id, reason })
}

/**
 * Revokes one certificate. The directory drops it in the same batch, OCSP says so at once, and the next list within
 * minutes. If another CA issued it, that CA is told soon, and again until it confirms. A repeat changes nothing, nor does
 * a certificate whose term is over. A compromised key is blocked, and every other certificate on it is revoked too.
 * `onlyWhile` is a guard: if it breaks, nothing is revoked.
 */
export async function revokeCertificate(
  deps: RevokeDeps,
  id: string,
  reason: RevocationReason | null,
  circumstances: { readonly by: AuditActor; readonly onlyWhile?: readonly Command[] },
): Promise<void> {
  await revoke(deps, id, reason, circumstances)
}

/** Revokes one certificate because the other CA that issued it has revoked it. That CA is not told. */
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
  if (reason !== 'keyCompromise') return
  await revokeKey(deps, await spkiSha256In(deps, row), 'revocation', circumstances.by)
}

/**
 * Blocks a key for good and revokes every certificate on it, of whichever subscriber. The block comes first, so that no
 * request slips through: a request under way finds the block, or its certificate is found here.
 */
export async function revokeKey(
  deps: RevokeDeps,
  spkiSha256: string,
  source: 'reported' | 'disclosed' | 'revocation',
  by: AuditActor,
): Promise<void> {
  await blockKeyOnce(deps, spkiSha256, source, by)
  for (const row of await readCertificatesWithKey(deps.database, keyIndex(deps.keys, spkiSha256))) {
    if ((await spkiSha256In(deps, row)) === spkiSha256) await revokeOne(deps, row, 'keyCompromise', { by })
  }
}

/** Blocks a key, with an audit entry. A key that is blocked already leaves no trace, however often it is sent. */
async function blockKeyOnce(
  deps: RevokeDeps,
  spkiSha256: string,
  source: 'reported' | 'disclosed' | 'revocation',
  by: AuditActor,
): Promise<void> {
  const index = keyIndex(deps.keys, spkiSha256)
  const commands = [blockKey('spki-sha256', index, source, deps.clock()), requireOneChange('key_blocked_already')]
  const audit: AuditEvent = {
    action: 'key.blocked',
    ...by,
    subjectKind: 'blocklist',
    subject: 'blocklist',
    facts: { source },
    personal: { spkiSha256 },
  }
  // Of strangers only a key that was certified or asked for is blocked for good, and each once.
  const payment = paidWith('certificate_request')
  if ((await commit(deps, { commands, audit, payment }, () => null)) === null) return
  deps.events.keyBlocked({ source })
}
