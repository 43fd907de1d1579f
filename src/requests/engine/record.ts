import { commit, type PaidChange } from '../../audit/commit.ts'
import type { AuditEvent } from '../../audit/entries.ts'
import type { CaFailure, CaOutcome } from '../../cas/adapters/contract.ts'
import { circuitNote } from '../../cas/circuit/circuit.ts'
import { attemptsInTurn, pollDelay, retryDelay } from '../../ports/backoff.ts'
import { openText, sealText } from '../../ports/keys.ts'
import type { RequestDeps } from '../deps.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { toAnswered, type Answer } from '../transitions.ts'
import { paidByRequest, refusedEntry, unknownEntry } from './entries.ts'
import { keepIssued, type KeepDeps, type RequestResult } from './keep.ts'
import type { HeldRequest } from './order.ts'

const statePlace = (id: string) => ({ table: 'certificate_requests', column: 'ca_state_sealed', row: id })
const saidPlace = (id: string) => ({ table: 'certificate_requests', column: 'ca_said_sealed', row: id })

/** What an adapter keeps of an order between two questions. */
export const caStateOf = (deps: Pick<RequestDeps, 'keys'>, row: RequestRow): string | null =>
  row.caStateSealed === null ? null : openText(deps.keys.main, statePlace(row.id), row.caStateSealed)

/** What the CA was asked: for a certificate, or what has become of an order that it has or may have. */
export type Question = 'submit' | 'poll' | 'find'

/** A question to a CA, and what came of it. */
export interface Answered {
  readonly question: Question
  readonly outcome: CaOutcome
}

type NotIssued = Exclude<CaOutcome, { kind: 'issued' }>

const atCa = { reason: null, openAtCa: 1, waitsFor: null, lastFailure: null, nothingSent: false } as const

/** With these a certain failure means that the CA was not reached. */
const notReached: ReadonlySet<CaFailure> = new Set(['unreachable', 'tls_refused', 'timed_out', 'connection_lost'])

type JudgeDeps = Pick<RequestDeps, 'keys' | 'random' | 'clock'>

function pendingAnswer(
  deps: JudgeDeps,
  { row, connection }: HeldRequest,
  { state, retryAfterSeconds, waitsFor }: Extract<CaOutcome, { kind: 'pending' }>,
): Answer {
  const polls = row.state === 'pending' ? row.attempts + 1 : 0
  const delay = pollDelay(deps.random, retryAfterSeconds, polls)
  return {
    ...atCa,
    state: 'pending',
    dueAt: connection.adapter.poll === undefined ? null : deps.clock() + delay,
    attempts: polls,
    waitsFor,
    caStateSealed: state === null ? null : sealText(deps.keys.main, statePlace(row.id), state),
    caSaidSealed: null,
  }
}

/** Whether the service can learn what became of an order, without somebody who looks at the CA. */
const canFind = ({ connection: { adapter } }: HeldRequest): boolean =>
  adapter.find !== undefined || adapter.describe().answersAgain

/**
 * How a request stands after an answer without a certificate. Where the CA may have fulfilled the order, only a certain
 * answer changes the state.
 */
function answerOf(
  deps: JudgeDeps,
  request: HeldRequest,
  { question, outcome }: { readonly question: Question; readonly outcome: NotIssued },
  circuitOpens: boolean,
): Answer {
  if (outcome.kind === 'pending') return pendingAnswer(deps, request, outcome)
  const { row } = request
  const { failure, caSaid } = outcome
  const now = deps.clock()
  const caSaidSealed = caSaid === null ? null : sealText(deps.keys.main, saidPlace(row.id), caSaid)
  const kept = { ...atCa, lastFailure: failure, caStateSealed: row.caStateSealed, caSaidSealed }
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

const entriesOf = ({ row, connection }: HeldRequest, to: Answer): readonly AuditEvent[] => {
  if (to.state === 'failed' || to.state === 'rejected') return [refusedEntry(row.id, to.reason)]
  if (to.state !== 'outcome_unknown' || row.state === 'outcome_unknown') return []
  return [unknownEntry(row.id, { connection: connection.id, failure: to.lastFailure })]
}

const nothingBefore: PaidChange = { commands: [], audit: [], payment: paidByRequest }

/**
 * Records what a CA answered about a request, in one batch with what it says of the CA itself. Where this worker does
 * not hold the request any more, only a certificate counts. `intent` is kept in the same batch.
 */
export async function recordAnswer(
  deps: KeepDeps,
  request: HeldRequest,
  { question, outcome }: Answered,
  intent: PaidChange = nothingBefore,
): Promise<RequestResult> {
  const note = await circuitNote(deps, request.connection, outcome)
  const before = 'action' in intent.audit ? [intent.audit] : intent.audit
  if (outcome.kind === 'issued') {
    const noted = [
      ...intent.payment.commands,
      ...intent.commands,
      ...before.flatMap((entry) => deps.audit.record(entry, intent.payment)),
      ...note.commands,
    ]
    const kept = await keepIssued(deps, request, outcome, { noted })
    note.tell()
    return kept
  }
  const { row, claim } = request
  const to = answerOf(deps, request, { question, outcome }, note.opens)
  const change = {
    commands: [...intent.commands, ...toAnswered(row.id, claim, to, deps.clock()), ...note.commands],
    audit: [...before, ...entriesOf(request, to)],
    payment: intent.payment,
  }
  const recorded = await commit(deps, change, (guard) => {
    if (guard.code !== 'request_taken') throw guard
    return null
  })
  if (recorded !== null) {
    note.tell()
    tellOf(deps, request, to)
  }
  return { row: (await readRequest(deps.database, row.id)) ?? row, certificate: null, refusal: null }
}

function tellOf({ events }: Pick<RequestDeps, 'events'>, { row, connection }: HeldRequest, to: Answer): void {
  if (to.reason !== null) events.certificateRefused({ request: row.id, reason: to.reason })
  if (to.state === 'outcome_unknown' && row.state !== 'outcome_unknown') {
    const failure = to.lastFailure ?? 'unknown'
    events.certificateOutcomeUnknown({ request: row.id, connection: connection.id, failure })
  }
}
