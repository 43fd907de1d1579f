import { byService, type AuditActor } from '../../audit/entries.ts'
import { readSerialNumberUse } from '../../cas/inside/store.ts'
import { queueCaRevocation } from '../../certificates/forwarding/queue.ts'
import { readRevocationOf } from '../../certificates/forwarding/store.ts'
import { keepCertificate } from '../../certificates/keep.ts'
import { openCertificate, type OpenedCertificate } from '../../certificates/present.ts'
import { readCertificateOfRequest } from '../../certificates/store.ts'
import { certificateBytes, verifyIssued, type IssuedByCa, type Verified } from '../../certificates/verify.ts'
import { equalBytes, sha256Hex } from '../../pki/encoding.ts'
import type { Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { readRequest, readStanding, type RequestRow, type RequestState } from '../store.ts'
import { refusedEntry } from './entries.ts'
import type { OpenRequest } from './order.ts'
import { toFailedAnswer, toIssued } from '../transitions.ts'

/** What became of a certificate that came back. */
export type Kept =
  | { readonly kept: true; readonly row: RequestRow; readonly certificate: OpenedCertificate }
  /** `reason`: the rule that it breaks, or what has ended meanwhile. */
  | { readonly kept: false; readonly row: RequestRow; readonly reason: string }

/**
 * Verifies what came back for a request, and keeps it while it is wanted. What breaks a rule fails the request, and is
 * kept for operators to look at, unless an administrator brought it: they may have taken the wrong file, and the request
 * stays. What is fit but not wanted any more is revoked where it was issued. The same certificate a second time changes
 * nothing. `by`: the service for a CA's own answer, or who brought it from there. `noted` goes into the same batch.
 */
export async function keepIssued(
  deps: EnrolmentDeps,
  request: OpenRequest,
  issued: IssuedByCa,
  by: AuditActor = byService,
  noted: readonly Command[] = [],
): Promise<Kept> {
  const verdict = await verifyIssued(deps, request, issued)
  if (verdict.ok) return keepVerified(deps, request, verdict.verified, by, noted)
  if (by.actorKind === 'administrator') return { kept: false, row: request.row, reason: verdict.reason }
  return refuse(deps, request, verdict.reason, { returned: issued.certificate, revoke: null }, by, noted)
}

/** Ends a request without a certificate: the CA has answered, and its answer, or the request, is not fit. */
export async function refuse(
  deps: EnrolmentDeps,
  { row, connection }: Pick<OpenRequest, 'row' | 'connection'>,
  reason: string,
  what: { readonly returned: Uint8Array | null; readonly revoke: Uint8Array | null },
  by: AuditActor = byService,
  noted: readonly Command[] = [],
): Promise<Kept> {
  const { returned, revoke } = what
  const place = { table: 'certificate_requests', column: 'returned_sealed', row: row.id }
  const isKept = returned !== null && returned.length <= certificateBytes
  const revocation =
    revoke === null
      ? []
      : queueCaRevocation(deps, connection, {
          request: row.id,
          certificate: revoke,
          certificateSha256: await sha256Hex(deps.crypto, revoke),
          reason: 'cessationOfOperation',
        })
  await deps.database.batch([
    ...noted,
    toFailedAnswer(row.id, reason, isKept ? deps.keys.main.seal(place, returned) : null, deps.clock()),
    ...revocation,
    ...refusedEntry(deps, row.id, reason, by),
  ])
  deps.audit.sealSoon()
  if (revocation.length > 0) deps.tellCasSoon()
  deps.events.certificateRefused({ request: row.id, reason })
  return { kept: false, row: (await readRequest(deps.database, row.id)) ?? row, reason }
}

async function keepVerified(
  deps: EnrolmentDeps,
  request: OpenRequest,
  verified: Verified,
  by: AuditActor,
  noted: readonly Command[],
): Promise<Kept> {
  const { row, mailbox } = request
  const { address } = mailbox
  const ordered = { ...row, request: row.id, address, requestedAt: row.createdAt }
  const issued = toIssued(row.id, verified.facts.fingerprintSha256, deps.clock())
  const kept = await keepCertificate(deps, ordered, { verified, by }, [...noted, ...issued])
  if (kept.kind === 'not_taken') return keepUnwanted(deps, request, verified, by)
  if (kept.kind === 'serial_number_reused') return refuseReused(deps, request, verified, by)
  const { certificate } = kept
  const state = certificate.state === 'valid' ? 'issued' : 'ended'
  return { kept: true, row: { ...row, state, reason: null, claim: null, dueAt: null }, certificate }
}

/** Policy rule 15: an issuer gives no serial number twice. Revoking it would hit whoever had it first. */
async function refuseReused(
  deps: EnrolmentDeps,
  request: OpenRequest,
  verified: Verified,
  by: AuditActor,
): Promise<Kept> {
  const existing = await readCertificateOfRequest(deps.database, request.row.id)
  if (existing !== null) return keepUnwanted(deps, request, verified, by)
  if (by.actorKind === 'administrator') return { kept: false, row: request.row, reason: 'serial_number_reused' }
  return refuse(deps, request, 'serial_number_reused', { returned: verified.certificate, revoke: null }, by)
}

/**
 * A fit certificate for a request that has an outcome, or must come to nothing. The one that it has already is no news;
 * any other is revoked where it was issued, so that none is out that nobody here knows of. One with the serial number of
 * a certificate that is kept is for operators to look at: CAs revoke by that number.
 */
async function keepUnwanted(
  deps: EnrolmentDeps,
  request: OpenRequest,
  { certificate: der, authority, facts: { serialNumber, fingerprintSha256 } }: Verified,
  by: AuditActor,
): Promise<Kept> {
  const existing = await readCertificateOfRequest(deps.database, request.row.id)
  const row = await readRequest(deps.database, request.row.id)
  if (row === null) throw new Error('a request that was kept is gone')
  const known = existing === null ? null : openCertificate(deps.keys, existing)
  if (known !== null && equalBytes(known.certificate, der)) return { kept: true, row, certificate: known }
  const reason = existing === null ? await whyUnwanted(deps, row, fingerprintSha256) : 'issued_already'
  const isReused = (await readSerialNumberUse(deps.database, authority, serialNumber)) !== null
  const what = isReused ? { returned: der, revoke: null } : { returned: null, revoke: der }
  return refuse(deps, { ...request, row }, reason, what, by)
}

/** As `toIssued` has it: a request without an outcome that is not held back here. */
const takesCertificate: ReadonlySet<RequestState> = new Set(['received', 'submitting', 'pending', 'outcome_unknown'])

/** Why a certificate is not kept: what it was for has ended meanwhile, its key was blocked, or the request has an end. */
async function whyUnwanted(deps: EnrolmentDeps, row: RequestRow, certificateSha256: string): Promise<string> {
  if (!takesCertificate.has(row.state)) return row.state
  const standing = await readStanding(deps.database, row)
  if (standing === null || standing.mailboxEnd !== null) return 'mailbox_ended'
  if (standing.deviceEndedAt !== null) return 'device_ended'
  return (await readRevocationOf(deps.database, certificateSha256)) === null ? 'key_blocked' : 'revoked_at_ca'
}
