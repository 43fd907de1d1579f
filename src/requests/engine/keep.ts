import { commit } from '../../audit/commit.ts'
import { byService, type AuditActor } from '../../audit/entries.ts'
import { readSerialNumberUse } from '../../cas/inside/store.ts'
import { fingerprintIndex } from '../../certificates/fingerprints.ts'
import { queueCaRevocation } from '../../certificates/forwarding/queue.ts'
import { readRevocationOf } from '../../certificates/forwarding/store.ts'
import { keepCertificate } from '../../certificates/keep.ts'
import { openCertificate, type OpenedCertificate } from '../../certificates/present.ts'
import { readCertificateOfRequest } from '../../certificates/store.ts'
import { certificateBytes, verifyIssued, type IssuedByCa, type Verified } from '../../certificates/verify.ts'
import { equalBytes, sha256Hex } from '../../pki/encoding.ts'
import type { Command } from '../../ports/database.ts'
import type { RequestDeps } from '../deps.ts'
import { readRequest, readEnds, type RequestRow, type RequestState } from '../store.ts'
import { toFailedAnswer, toIssued } from '../transitions.ts'
import { paidByRequest, refusedEntry } from './entries.ts'
import type { OrderedRequest, RoutedRow } from './order.ts'

/** A request as it stands after something was done with it. */
export interface RequestResult {
  readonly row: RequestRow
  /** The certificate that the request got, where the caller has it at hand. */
  readonly certificate: OpenedCertificate | null
  /** Why a certificate that came was not kept: the rule that it breaks, or what has ended meanwhile. */
  readonly refusal: string | null
}

export type KeepDeps = Pick<
  RequestDeps,
  | 'database'
  | 'keys'
  | 'crypto'
  | 'random'
  | 'clock'
  | 'events'
  | 'audit'
  | 'mail'
  | 'registration'
  | 'authorities'
  | 'onCertificatesEnded'
  | 'onCertificateSuperseded'
  | 'tellCasSoon'
>

/** How a certificate came. */
interface Arrival {
  /** The service, for a CA's own answer; or the administrator who brought it. */
  readonly by?: AuditActor
  /** What is kept in the same batch. */
  readonly noted?: readonly Command[]
}

/**
 * Verifies a certificate that came for a request, and keeps it while it is wanted. One that breaks a rule fails the
 * request, and stays for operators to look at. Where an administrator brought it, the request waits on instead: it may be
 * the wrong file. One that is fit and not wanted any more is revoked where it was issued. The same certificate a second
 * time changes nothing.
 */
export async function keepIssued(
  deps: KeepDeps,
  request: OrderedRequest,
  issued: IssuedByCa,
  arrival: Arrival,
): Promise<RequestResult> {
  const verdict = await verifyIssued(deps, request, issued)
  if (verdict.ok) return keepVerified(deps, request, verdict.verified, arrival)
  if (isBrought(arrival)) return { row: request.row, certificate: null, refusal: verdict.reason }
  return refuse(deps, request, { reason: verdict.reason, returned: issued.certificate }, arrival)
}

const isBrought = ({ by }: Arrival): boolean => by?.actorKind === 'administrator'

/** Why a request gets no certificate, and the certificate that its CA sent nevertheless. */
interface Refusal {
  readonly reason: string
  /** A certificate that operators are to look at. */
  readonly returned?: Uint8Array
  /** A certificate that its CA is to revoke. */
  readonly revoke?: Uint8Array
}

/** Ends a request without a certificate: its CA has answered, and the answer, or the request itself, is not fit. */
export async function refuse(
  deps: KeepDeps,
  { row, connection }: Pick<RoutedRow, 'row' | 'connection'>,
  { reason, returned, revoke }: Refusal,
  { by = byService, noted = [] }: Arrival = {},
): Promise<RequestResult> {
  const place = { table: 'certificate_requests', column: 'returned_sealed', row: row.id }
  const isKept = returned !== undefined && returned.length <= certificateBytes
  const returnedSealed = isKept ? deps.keys.main.seal(place, returned) : null
  const revocation =
    revoke === undefined
      ? []
      : queueCaRevocation(deps, connection, {
          request: row.id,
          certificate: revoke,
          certificateSha256: await sha256Hex(deps.crypto, revoke),
          reason: 'cessationOfOperation',
        })
  await commit(deps, {
    commands: [...noted, toFailedAnswer(row.id, reason, returnedSealed, deps.clock()), ...revocation],
    audit: refusedEntry(row.id, reason, by),
    payment: paidByRequest,
  })
  if (revocation.length > 0) deps.tellCasSoon()
  deps.events.certificateRefused({ request: row.id, reason })
  return { row: (await readRequest(deps.database, row.id)) ?? row, certificate: null, refusal: reason }
}

async function keepVerified(
  deps: KeepDeps,
  request: OrderedRequest,
  verified: Verified,
  { by = byService, noted = [] }: Arrival,
): Promise<RequestResult> {
  const { row, mailbox } = request
  const { address, addressIndex } = mailbox
  const ordered = { ...row, request: row.id, address, addressIndex, requestedAt: row.createdAt }
  const issued = toIssued(row.id, fingerprintIndex(deps.keys, verified.facts.fingerprintSha256), deps.clock())
  const kept = await keepCertificate(deps, ordered, { verified, by }, [...noted, ...issued])
  if (kept.kind === 'not_taken') return keepUnwanted(deps, request, verified, by)
  if (kept.kind === 'serial_number_reused') return refuseReused(deps, request, verified, by)
  const { certificate } = kept
  const state = certificate.state === 'valid' ? 'issued' : 'ended'
  return { row: { ...row, state, reason: null, claim: null, dueAt: null }, certificate, refusal: null }
}

/** Policy rule 15: an issuer gives no serial number twice. Revoking it would hit whoever had it first. */
async function refuseReused(
  deps: KeepDeps,
  request: OrderedRequest,
  verified: Verified,
  by: AuditActor,
): Promise<RequestResult> {
  const existing = await readCertificateOfRequest(deps.database, request.row.id)
  if (existing !== null) return keepUnwanted(deps, request, verified, by)
  const reason = 'serial_number_reused'
  if (isBrought({ by })) return { row: request.row, certificate: null, refusal: reason }
  return refuse(deps, request, { reason, returned: verified.certificate }, { by })
}

/**
 * A fit certificate for a request that has an outcome, or must come to nothing. The certificate that it has already
 * changes nothing. Any other is revoked where it was issued, so that none is valid that nobody here knows of. One with
 * the serial number of a certificate that is kept stays for operators to look at: CAs revoke by that number.
 */
async function keepUnwanted(
  deps: KeepDeps,
  request: OrderedRequest,
  { certificate: der, authority, facts: { serialNumber, fingerprintSha256 } }: Verified,
  by: AuditActor,
): Promise<RequestResult> {
  const existing = await readCertificateOfRequest(deps.database, request.row.id)
  const row = await readRequest(deps.database, request.row.id)
  if (row === null) throw new Error('a request that was kept is gone')
  const known = existing === null ? null : openCertificate(deps.keys, existing)
  if (known !== null && equalBytes(known.certificate, der)) return { row, certificate: known, refusal: null }
  const reason = existing === null ? await whyUnwanted(deps, row, fingerprintSha256) : 'issued_already'
  const isReused = (await readSerialNumberUse(deps.database, authority, serialNumber)) !== null
  return refuse(deps, { ...request, row }, { reason, ...(isReused ? { returned: der } : { revoke: der }) }, { by })
}

/** As `toIssued` has it: a request without an outcome that does not wait for somebody here. */
const takesCertificate: ReadonlySet<RequestState> = new Set(['received', 'submitting', 'pending', 'outcome_unknown'])

/** Why a certificate is not kept: the request has an end, mailbox or device has ended, or the key is blocked. */
async function whyUnwanted(
  { database, keys }: Pick<RequestDeps, 'database' | 'keys'>,
  row: RequestRow,
  certificateSha256: string,
): Promise<string> {
  if (!takesCertificate.has(row.state)) return row.state
  const ends = await readEnds(database, row)
  if (ends === null || ends.mailboxEnd !== null) return 'mailbox_ended'
  if (ends.deviceEndedAt !== null) return 'device_ended'
  return (await readRevocationOf(database, fingerprintIndex(keys, certificateSha256))) === null
    ? 'key_blocked'
    : 'revoked_at_ca'
}
