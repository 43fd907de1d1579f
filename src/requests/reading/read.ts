import type { ListedRequest, RequestReading } from '../../api/admin-shapes.ts'
import type { RequestStanding } from '../../api/ca-shapes.ts'
import { pageFrom, readCursor } from '../../api/paging.ts'
import { timestamp } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { sha256Hex } from '../../pki/encoding.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import { toPem } from '../../pki/pem.ts'
import { openText, type Keys } from '../../ports/keys.ts'
import type { RequestDeps } from '../deps.ts'
import { contentOf } from '../engine/order.ts'
import { keyOf } from '../proved-key.ts'
import type { RequestState } from '../store.ts'
import {
  countRequestsByState,
  readAllRequests,
  readBackground,
  readDecisions,
  readOneRequest,
  readRequestsInState,
  type BackgroundRow,
  type ListedRequestRow,
} from './store.ts'

export interface RequestQuestion {
  readonly state?: RequestState | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

const timestampOrNull = (at: number | null): string | null => (at === null ? null : timestamp(at))

const presentListed = (row: ListedRequestRow): ListedRequest => ({
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

/** One page of all requests, newest first. */
export async function listRequests(
  { database }: Pick<RequestDeps, 'database'>,
  { state, limit, cursor }: RequestQuestion,
): Promise<{ items: ListedRequest[]; next: string | null }> {
  const before = readCursor(cursor)
  const rows = await (state === undefined
    ? readAllRequests(database, before, limit + 1)
    : readRequestsInState(database, state, before, limit + 1))
  const page = pageFrom(rows, limit)
  return { items: page.rows.map(presentListed), next: page.next }
}

const placeOf = (id: string, column: string) => ({ table: 'certificate_requests', column, row: id })

const openTextOrNull = (keys: Keys, id: string, column: string, sealed: Uint8Array | null): string | null =>
  sealed === null ? null : openText(keys.main, placeOf(id, column), sealed)

const inWords = (key: KeyFacts): string => {
  if (key.algorithm === 'RSA') return `RSA ${key.bits}`
  return key.algorithm === 'EC' ? `EC ${key.curve}` : key.algorithm
}

function ruleOf({ rule, ruleAuthor, rulePosition, ruleChangedAt, createdAt }: BackgroundRow): RequestReading['rule'] {
  if (rule === null || ruleAuthor === null) return null
  const state = ruleChangedAt === null ? 'gone' : ruleChangedAt > createdAt ? 'changed' : 'unchanged'
  return { id: rule, author: ruleAuthor, position: rulePosition, state }
}

/** What helps to decide on a request: who asks, since when, with which key, and which rule caught it. */
type Background = Pick<
  RequestReading,
  'accountType' | 'mailboxProvedAt' | 'subscriberSince' | 'deviceSince' | 'rule' | 'key'
>

/** Throws where there is no such request. */
async function backgroundOf(
  deps: Pick<RequestDeps, 'database' | 'keys' | 'crypto'>,
  request: string,
): Promise<Background> {
  const row = await readBackground(deps.database, request)
  if (row === null) throw new Error('a request that was there is gone')
  const { spki, key } = keyOf(contentOf(deps, row), row.provedBy)
  return {
    accountType: row.accountType,
    mailboxProvedAt: timestamp(row.mailboxProvedAt),
    subscriberSince: timestamp(row.subscriberSince),
    deviceSince: timestamp(row.deviceSince),
    rule: ruleOf(row),
    key: {
      algorithm: inWords(key),
      spkiSha256: await sha256Hex(deps.crypto, spki),
    },
  }
}

const noSuchRequest = (): DomainError => new DomainError('not_found', 'There is no such request.')

/** One request with everything that is stored of it, also what names a person. Throws `not_found`. */
export async function readRequestInFull(
  deps: Pick<RequestDeps, 'database' | 'keys' | 'crypto' | 'registration'>,
  id: string,
): Promise<RequestReading> {
  const { database, keys, registration } = deps
  const row = await readOneRequest(database, id)
  if (row === null) throw noSuchRequest()
  const mailboxes = await registration.mailboxesOf(row.subscriber)
  const decisions = await readDecisions(database, id)
  const { returnedSealed } = row
  return {
    ...presentListed(row),
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

/** The state of a request, without anything that names a person. Throws `not_found`. */
export async function readStanding({ database }: Pick<RequestDeps, 'database'>, id: string): Promise<RequestStanding> {
  const row = await readOneRequest(database, id)
  if (row === null) throw noSuchRequest()
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

/** How many requests are in each state. */
export async function countRequests({
  database,
}: Pick<RequestDeps, 'database'>): Promise<Partial<Record<RequestState, number>>> {
  const counted = await countRequestsByState(database)
  return Object.fromEntries(counted.map(({ state, requests }) => [state, requests]))
}
