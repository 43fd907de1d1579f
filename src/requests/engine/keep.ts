import { byService, type AuditActor } from '../../audit/entries.ts'
import { equalBytes, sha256Hex } from '../../pki/encoding.ts'
import { ConstraintFailed, GuardBroken, type Command } from '../../ports/database.ts'
import { randomId } from '../../ports/runtime.ts'
import {
  endCertificate,
  endLateCertificate,
  insertCertificate,
  readCertificateOfRequest,
  readValidCertificateId,
} from '../../certificates/store.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { queueCaRevocation } from '../../certificates/forwarding/queue.ts'
import { readRevocationOf } from '../../certificates/forwarding/store.ts'
import { openCertificate, sealCertificate, sealFacts, type OpenedCertificate } from '../../certificates/present.ts'
import { firstReminder } from '../../certificates/renewal/when.ts'
import { insertFreshStatus, readSerialNumberUse } from '../../cas/inside/statuses.ts'
import { readRequest, readStanding, type RequestRow, type RequestState } from '../store.ts'
import { refusedEntry } from './entries.ts'
import type { OpenRequest } from './order.ts'
import { settleIssued, settleRefused } from './outcome-store.ts'
import { certificateBytes, verifyFor, type IssuedByCa, type Verified } from './verify.ts'

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
  const verdict = await verifyFor(deps, request, issued)
  if (verdict.ok) return keepVerified(deps, request, issued.certificate, verdict.verified, by, noted)
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
    settleRefused(row.id, reason, isKept ? deps.keys.main.seal(place, returned) : null, deps.clock()),
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
  der: Uint8Array,
  verified: Verified,
  by: AuditActor,
  noted: readonly Command[],
): Promise<Kept> {
  const { row } = request
  const opened = openedCertificate(deps, request, der, verified)
  const { id, use, notAfter } = opened
  let certificate: OpenedCertificate
  const announcement = await deps.registration.announce(row, 'new_certificate', id, { use, at: deps.clock(), notAfter })
  for (;;) {
    const known = await readValidCertificateId(deps.database, row)
    // What was asked for last counts, however late the answer to what was asked for before: the device may have dropped
    // the key of then.
    const isLate = known !== null && known.requestedAt > row.createdAt
    const previous = isLate ? null : known
    certificate = isLate ? { ...opened, state: 'superseded' } : opened
    try {
      await deps.database.batch([
        ...noted,
        ...(previous === null ? [] : supersededCommands(deps, previous, id)),
        ...verified.commands,
        ...issuedCommands(deps, row, certificate, by),
        ...(isLate ? lateCommands(deps, id, known.id) : []),
        ...(previous === null ? [] : deps.onCertificateSuperseded(previous.id, id)),
        ...announcement,
      ])
      break
    } catch (error) {
      if (isGuard(error, 'request_finished')) return keepUnwanted(deps, request, der, verified, by)
      if (isSerialReused(error)) return refuseReused(deps, request, der, verified, by)
      const raced =
        isGuard(error, 'certificate_ended') ||
        (error instanceof ConstraintFailed && error.constraint.includes('certificates.device'))
      if (!raced) throw error
    }
  }
  deps.mail.sendSoon()
  deps.audit.sealSoon()
  deps.events.certificateIssued({ request: row.id, certificate: id })
  const state = certificate.state === 'valid' ? 'issued' : 'ended'
  return { kept: true, row: { ...row, state, reason: null, claim: null, dueAt: null }, certificate }
}

const isGuard = (error: unknown, code: string): boolean => error instanceof GuardBroken && error.code === code

const isSerialReused = (error: unknown): boolean =>
  isGuard(error, 'serial_number_reused') ||
  (error instanceof ConstraintFailed && error.constraint.includes('certificates.serial_number'))

/** Policy rule 15: an issuer gives no serial number twice. Revoking it would hit whoever had it first. */
async function refuseReused(
  deps: EnrolmentDeps,
  request: OpenRequest,
  der: Uint8Array,
  verified: Verified,
  by: AuditActor,
): Promise<Kept> {
  const existing = await readCertificateOfRequest(deps.database, request.row.id)
  if (existing !== null) return keepUnwanted(deps, request, der, verified, by)
  if (by.actorKind === 'administrator') return { kept: false, row: request.row, reason: 'serial_number_reused' }
  return refuse(deps, request, 'serial_number_reused', { returned: der, revoke: null }, by)
}

/**
 * A fit certificate for a request that has an outcome, or must come to nothing. The one that it has already is no news;
 * any other is revoked where it was issued, so that none is out that nobody here knows of. One with the serial number of
 * a certificate that is kept is for operators to look at: CAs revoke by that number.
 */
async function keepUnwanted(
  deps: EnrolmentDeps,
  request: OpenRequest,
  der: Uint8Array,
  { authority, facts: { serialNumber, fingerprintSha256 } }: Verified,
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

/** As `settleIssued` has it: a request without an outcome that is not held back here. */
const takesCertificate: ReadonlySet<RequestState> = new Set(['received', 'submitting', 'pending', 'outcome_unknown'])

/** Why a certificate is not kept: what it was for has ended meanwhile, its key was blocked, or the request has an end. */
async function whyUnwanted(deps: EnrolmentDeps, row: RequestRow, certificateSha256: string): Promise<string> {
  if (!takesCertificate.has(row.state)) return row.state
  const standing = await readStanding(deps.database, row)
  if (standing === null || standing.mailboxEnd !== null) return 'mailbox_ended'
  if (standing.deviceEndedAt !== null) return 'device_ended'
  return (await readRevocationOf(deps.database, certificateSha256)) === null ? 'key_blocked' : 'revoked_at_ca'
}

const supersededCommands = (deps: EnrolmentDeps, previous: { readonly id: string }, successor: string): Command[] => [
  ...endCertificate(previous.id, 'superseded'),
  ...supersededEntry(deps, previous.id, successor),
]

/** For a certificate that comes when its successor is there already. */
const lateCommands = (deps: EnrolmentDeps, certificate: string, successor: string): Command[] => [
  ...endLateCertificate(certificate, successor),
  ...deps.onCertificatesEnded([certificate]),
  ...supersededEntry(deps, certificate, successor),
]

const supersededEntry = (deps: EnrolmentDeps, certificate: string, successor: string): Command[] =>
  deps.audit.record({
    action: 'certificate.superseded',
    ...byService,
    subjectKind: 'certificate',
    subject: certificate,
    facts: { successor },
  })

function openedCertificate(
  deps: EnrolmentDeps,
  { row, mailbox }: OpenRequest,
  certificate: Uint8Array,
  { authority, facts: { serialNumber, fingerprintSha256, issuer, notBefore, notAfter } }: Verified,
): OpenedCertificate {
  return {
    id: randomId(deps.random),
    use: row.use,
    state: 'valid',
    authority,
    facts: { mailbox: mailbox.address, serialNumber, fingerprintSha256, issuer },
    certificate,
    notBefore: notBefore.getTime(),
    notAfter: notAfter.getTime(),
  }
}

const issuedCommands = (
  deps: EnrolmentDeps,
  row: RequestRow,
  { id, state, authority, facts, certificate, notBefore, notAfter }: OpenedCertificate,
  by: AuditActor,
): Command[] => [
  ...settleIssued(row.id, facts.fingerprintSha256, deps.clock()),
  ...insertFreshStatus({ authority, serialNumber: facts.serialNumber, notAfter }),
  insertCertificate({
    id,
    request: row.id,
    subscriber: row.subscriber,
    device: row.device,
    mailbox: row.mailbox,
    use: row.use,
    authority,
    serialNumber: facts.serialNumber,
    spkiSha256: row.spkiSha256,
    fingerprintSha256: facts.fingerprintSha256,
    factsSealed: sealFacts(deps.keys, id, facts),
    certificateSealed: sealCertificate(deps.keys, id, certificate),
    notBefore,
    notAfter,
    state: state === 'valid' ? 'valid' : 'superseded',
    remindAt: state === 'valid' ? firstReminder(notBefore, notAfter) : null,
    createdAt: deps.clock(),
  }),
  ...deps.audit.record({
    action: 'certificate.issued',
    ...by,
    subjectKind: 'certificate',
    subject: id,
    facts: { request: row.id, use: row.use },
    personal: { mailbox: facts.mailbox, serialNumber: facts.serialNumber },
  }),
]
