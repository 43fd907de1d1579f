import type { ListedRequest, RequestReading } from '../../api/admin-shapes.ts'
import type { RequestStanding } from '../../api/ca-shapes.ts'
import { pageFrom, readCursor } from '../../api/paging.ts'
import { timestamp } from '../../api/room.ts'
import { toPem } from '../../pki/pem.ts'
import { openText, type Keys } from '../../ports/keys.ts'
import { backgroundOf } from '../approval/background.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { RequestState } from '../store.ts'
import { readAllRequests, readDecisions, readOneRequest, readRequestsInState, type ListedRequestRow } from './store.ts'

/** A request with what names a person. */
export type OpenedRequest = RequestReading

export interface RequestQuestion {
  readonly state?: RequestState | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

const timestampOrNull = (at: number | null): string | null => (at === null ? null : timestamp(at))

const presentRequest = (row: ListedRequestRow): ListedRequest => ({
  id: row.id,
  state: row.state,
  use: row.use,
  reason: row.reason,
  subscriberId: row.subscriber,
  deviceId: row.device,
  provedBy: row.provedBy,
  connectionId: row.connection,
  connectionName: row.connectionName,
  ruleId: row.rule,
  attempts: row.attempts,
  lastFailure: row.lastFailure,
  dueAt: timestampOrNull(row.dueAt),
  createdAt: timestamp(row.createdAt),
  updatedAt: timestamp(row.updatedAt),
})

/** One page, newest first. */
export async function listRequests(
  { database }: Pick<EnrolmentDeps, 'database'>,
  { state, limit, cursor }: RequestQuestion,
): Promise<{ items: ListedRequest[]; next: string | null }> {
  const before = readCursor(cursor)
  const rows = await (state === undefined
    ? readAllRequests(database, before, limit + 1)
    : readRequestsInState(database, state, before, limit + 1))
  const page = pageFrom(rows, limit)
  return { items: page.rows.map(presentRequest), next: page.next }
}

const placeOf = (id: string, column: string) => ({ table: 'certificate_requests', column, row: id })

const openTextOrNull = (keys: Keys, id: string, column: string, sealed: Uint8Array | null): string | null =>
  sealed === null ? null : openText(keys.main, placeOf(id, column), sealed)

/** One request with all that is known of it; null where there is none. */
export async function openRequest(
  deps: Pick<EnrolmentDeps, 'database' | 'keys' | 'registration'>,
  id: string,
): Promise<OpenedRequest | null> {
  const { database, keys, registration } = deps
  const row = await readOneRequest(database, id)
  if (row === null) return null
  const mailboxes = await registration.mailboxesOf(row.subscriber)
  const decisions = await readDecisions(database, id)
  const { returnedSealed } = row
  return {
    ...presentRequest(row),
    mailbox: mailboxes.find((candidate) => candidate.id === row.mailbox)?.address ?? null,
    ...(await backgroundOf(deps, id)),
    certificateId: row.certificate,
    profile: row.profile,
    submittedAt: timestampOrNull(row.submittedAt),
    waitsFor: row.waitsFor,
    openAtCa: row.openAtCa === 1,
    approvals: {
      needed: row.approvalsNeeded,
      given: decisions.map(({ administrator, decision, at }) => ({
        administratorId: administrator,
        decision,
        at: timestamp(at),
      })),
    },
    explanation: openTextOrNull(keys, id, 'explanation_sealed', row.explanationSealed),
    caSaid: openTextOrNull(keys, id, 'ca_said_sealed', row.caSaidSealed),
    returnedCertificate:
      returnedSealed === null
        ? null
        : toPem('CERTIFICATE', keys.main.open(placeOf(id, 'returned_sealed'), returnedSealed)),
  }
}

/** How a request stands, without what names a person; null where there is none. */
export async function standingOf(
  { database }: Pick<EnrolmentDeps, 'database'>,
  id: string,
): Promise<RequestStanding | null> {
  const row = await readOneRequest(database, id)
  if (row === null) return null
  const decisions = await readDecisions(database, id)
  return {
    id,
    state: row.state,
    reason: row.reason,
    certificateId: row.certificate,
    approvals: {
      needed: row.approvalsNeeded,
      given: decisions.filter(({ decision }) => decision === 'approved').length,
    },
  }
}
