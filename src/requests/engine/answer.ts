import { GuardBroken, type Command } from '../../ports/database.ts'
import { openText, sealText } from '../../ports/keys.ts'
import type { CaFailure, CaOutcome } from '../../cas/adapters/contract.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { OpenedCertificate } from '../../certificates/present.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { noteOutcome } from './circuit/circuit.ts'
import { attemptsInTurn, pollDelay, retryDelay } from '../../ports/backoff.ts'
import { refusedEntry, unknownEntry } from './entries.ts'
import type { OpenRequest } from './order.ts'
import { keepIssued } from './keep.ts'
import { toAnswered, type Answer } from '../transitions.ts'

/** A request after its CA was asked, and its certificate where it got one. */
export interface Answered {
  readonly row: RequestRow
  readonly certificate: OpenedCertificate | null
}

const statePlace = (id: string) => ({ table: 'certificate_requests', column: 'ca_state_sealed', row: id })
const saidPlace = (id: string) => ({ table: 'certificate_requests', column: 'ca_said_sealed', row: id })

/** What an adapter keeps of an order between two questions. */
export const caStateOf = (deps: Pick<EnrolmentDeps, 'keys'>, row: RequestRow): string | null =>
  row.caStateSealed === null ? null : openText(deps.keys.main, statePlace(row.id), row.caStateSealed)

/** What was asked: for a certificate, or what has become of an order that the CA has or may have. */
export type Question = 'submit' | 'poll' | 'find'

type NotIssued = Exclude<CaOutcome, { kind: 'issued' }>

const open = {
  reason: null,
  openAtCa: 1,
  waitsFor: null,
  lastFailure: null,
  nothingSent: false,
} as const

/** With these a certain failure means that the CA was not reached. */
const notReached: ReadonlySet<CaFailure> = new Set(['unreachable', 'tls_refused', 'timed_out', 'connection_lost'])

function settledPending(
  deps: EnrolmentDeps,
  { row, connection }: OpenRequest,
  outcome: Extract<CaOutcome, { kind: 'pending' }>,
): Answer {
  const { state, retryAfterSeconds, waitsFor } = outcome
  const polls = row.state === 'pending' ? row.attempts + 1 : 0
  const delay = pollDelay(deps.random, retryAfterSeconds, polls)
  return {
    ...open,
    state: 'pending',
    dueAt: connection.adapter.poll === undefined ? null : deps.clock() + delay,
    attempts: polls,
    waitsFor,
    caStateSealed: state === null ? null : sealText(deps.keys.main, statePlace(row.id), state),
    caSaidSealed: null,
  }
}

/** Whether there is a way to learn what became of an order without somebody looking at the CA. */
const canFind = ({ connection: { adapter } }: OpenRequest): boolean =>
  adapter.find !== undefined || adapter.describe().answersAgain

/**
 * How a request stands after an answer that brought no certificate. A question about an order that the CA may have
 * fulfilled leaves it where it was, unless the answer is certain.
 */
function settled(
  deps: EnrolmentDeps,
  request: OpenRequest,
  question: Question,
  outcome: NotIssued,
  circuitOpens: boolean,
): Answer {
  if (outcome.kind === 'pending') return settledPending(deps, request, outcome)
  const { row } = request
  const { failure, caSaid } = outcome
  const now = deps.clock()
  const caSaidSealed = caSaid === null ? null : sealText(deps.keys.main, saidPlace(row.id), caSaid)
  const kept = { ...open, lastFailure: failure, caStateSealed: row.caStateSealed, caSaidSealed }
  const later = now + retryDelay(deps.random, row.attempts)
  const attempts = row.attempts + 1
  // An order that is sent again because its outcome is unknown: that this one was refused says nothing of the first.
  const isResent = question === 'submit' && row.state === 'outcome_unknown'
  if (outcome.kind === 'permanent' && !isResent) {
    const state = failure === 'rejected_by_ca' ? 'rejected' : 'failed'
    return { ...kept, state, reason: failure, dueAt: null, attempts, openAtCa: 0 }
  }
  if (outcome.kind === 'transient' && question === 'submit' && !isResent) {
    const wait = Math.max(later, now + (outcome.retryAfterSeconds ?? 0) * 1_000)
    // The circuit says when; of those that wait for it the oldest is to be the first again, unless it may be the cause.
    const isFirstAgain = circuitOpens && row.attempts < attemptsInTurn
    const nothingSent = notReached.has(failure)
    return { ...kept, state: 'received', dueAt: isFirstAgain ? now : wait, attempts, openAtCa: 0, nothingSent }
  }
  if (outcome.kind === 'transient' && question === 'poll') {
    return { ...kept, state: 'pending', dueAt: later, attempts, waitsFor: row.waitsFor }
  }
  if (outcome.kind === 'permanent') return { ...kept, state: 'outcome_unknown', dueAt: null, attempts }
  const caStateSealed =
    outcome.kind === 'unknown' && outcome.state !== undefined && outcome.state !== null
      ? sealText(deps.keys.main, statePlace(row.id), outcome.state)
      : row.caStateSealed
  return { ...kept, caStateSealed, state: 'outcome_unknown', dueAt: canFind(request) ? later : null, attempts }
}

const auditOf = (deps: EnrolmentDeps, { row, connection }: OpenRequest, to: Answer, wasUnknown: boolean): Command[] => {
  if (to.state === 'failed' || to.state === 'rejected') return refusedEntry(deps, row.id, to.reason)
  if (to.state !== 'outcome_unknown' || wasUnknown) return []
  return unknownEntry(deps, row.id, { connection: connection.id, failure: to.lastFailure })
}

/**
 * Carries what a CA answered into the request, in one batch with what it says of the CA itself. Where this worker does
 * not have the request any more, only a certificate counts.
 */
export async function carryOut(
  deps: EnrolmentDeps,
  request: OpenRequest,
  claim: string,
  question: Question,
  outcome: CaOutcome,
  intent: readonly Command[] = [],
): Promise<Answered> {
  const note = await noteOutcome(deps, request.connection, outcome)
  if (outcome.kind === 'issued') {
    const kept = await keepIssued(deps, request, outcome, undefined, [...intent, ...note.commands])
    note.tell()
    return { row: kept.row, certificate: kept.kept ? kept.certificate : null }
  }
  const { row } = request
  const to = settled(deps, request, question, outcome, note.opens)
  const wasUnknown = row.state === 'outcome_unknown'
  try {
    await deps.database.batch([
      ...intent,
      ...toAnswered(row.id, claim, to, deps.clock()),
      ...note.commands,
      ...auditOf(deps, request, to, wasUnknown),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken) || error.code !== 'request_taken') throw error
    return { row: (await readRequest(deps.database, row.id)) ?? row, certificate: null }
  }
  note.tell()
  deps.audit.sealSoon()
  tellOf(deps, request, to, wasUnknown)
  return { row: (await readRequest(deps.database, row.id)) ?? row, certificate: null }
}

function tellOf(deps: EnrolmentDeps, { row, connection }: OpenRequest, to: Answer, wasUnknown: boolean): void {
  if (to.reason !== null) deps.events.certificateRefused({ request: row.id, reason: to.reason })
  if (to.state === 'outcome_unknown' && !wasUnknown) {
    const failure = to.lastFailure ?? 'unknown'
    deps.events.certificateOutcomeUnknown({ request: row.id, connection: connection.id, failure })
  }
}
