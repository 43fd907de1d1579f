import { commitUnlessTaken, type Command } from '../../../ports/database.ts'
import { timestamp } from '../../../api/room.ts'
import { toEachAtOnce, within } from '../../../ports/bounded.ts'
import type { CaCheck, CaFailure, CaOutcome } from '../../../cas/adapters/contract.ts'
import { embeddedConnection, type OpenConnection } from '../../../cas/contract.ts'
import type { EnrolmentDeps } from '../../deps.ts'
import { circuitDelay } from '../../../ports/backoff.ts'
import { claimTrial, closeCircuit, noteFailure, noteSuccess, readSendability, readTrials } from './store.ts'

/** So many failures in a row open the circuit: nothing more is sent until a look at the CA goes well. */
const failuresThatOpen = 3
/** Nothing but an operator, or time, mends these: one is enough. */
const opensAtOnce: ReadonlySet<CaFailure> = new Set(['credential_refused', 'tls_refused', 'ca_offline'])
/** These tell of one order, and nothing of the CA. */
const tellsOfTheOrder: ReadonlySet<CaFailure> = new Set([
  'request_refused',
  'profile_refused',
  'key_refused',
  'rejected_by_ca',
  'expired_at_ca',
  'unknown_to_ca',
  'worker_lost',
])
const trialMilliseconds = 3 * 60_000
/** Well below a trial's hold, and short enough for the next run to begin soon. */
const lookMilliseconds = 60_000

type CircuitDeps = Pick<EnrolmentDeps, 'database' | 'clock' | 'random' | 'events'>

/** What an outcome says of its connection. */
export interface CircuitNote {
  readonly commands: readonly Command[]
  /** Whether nothing is sent from now on. */
  readonly opens: boolean
  /** Tells of it; to be called once the commands are committed. */
  tell(): void
}

const nothingToNote: CircuitNote = { commands: [], opens: false, tell: () => undefined }

/** Notes that a CA failed; the circuit opens with the third time in a row, or at once. */
async function failureNote(
  deps: CircuitDeps,
  connection: string,
  failure: CaFailure,
  isTrial = false,
): Promise<CircuitNote> {
  const now = deps.clock()
  const known = await readSendability(deps.database, connection)
  const inARow = (known?.failures ?? 0) + 1
  const opens = isTrial || opensAtOnce.has(failure) || inARow >= failuresThatOpen
  const until = opens ? now + circuitDelay(deps.random, Math.max(0, inARow - failuresThatOpen)) : null
  return {
    commands: [noteFailure(connection, failure, until, now)],
    opens,
    tell: () => {
      deps.events.caFailed({ connection, failure })
      if (until !== null && known?.openUntil === null) {
        deps.events.caCircuitOpened({ connection, failure, until: timestamp(until) })
      }
    },
  }
}

/** What an outcome says of the CA: whether it works. The CA inside has no circuit. */
export async function noteOutcome(
  deps: CircuitDeps,
  connection: Pick<OpenConnection, 'id'>,
  outcome: CaOutcome,
): Promise<CircuitNote> {
  if (connection.id === embeddedConnection) return nothingToNote
  if (outcome.kind === 'transient' || outcome.kind === 'unknown') {
    if (tellsOfTheOrder.has(outcome.failure)) return nothingToNote
    return failureNote(deps, connection.id, outcome.failure)
  }
  return { ...nothingToNote, commands: [noteSuccess(connection.id, deps.clock())] }
}

/** Whether a connection can be sent to now. */
export interface Sendability {
  readonly canSend: boolean
  /** Something waits there already. */
  readonly waiting: boolean
  /** It failed last time: what is sent now may become unknown too, so one order at a time goes first. */
  readonly isSuspect: boolean
}

export async function sendability(deps: Pick<EnrolmentDeps, 'database'>, connection: string): Promise<Sendability> {
  const found = await readSendability(deps.database, connection)
  if (found === null) return { canSend: false, waiting: false, isSuspect: false }
  return {
    canSend: found.state === 'active' && found.openUntil === null,
    waiting: found.waiting === 1,
    isSuspect: found.failures > 0,
  }
}

/** An adapter that throws is at fault itself, and one may make many calls; no other connection has to wait for that. */
async function lookAt(deps: Pick<EnrolmentDeps, 'events'>, { adapter }: OpenConnection): Promise<CaCheck> {
  try {
    const found = await within(adapter.check(), lookMilliseconds)
    return found ?? { kind: 'not_ready', failure: 'timed_out', caSaid: null }
  } catch (error) {
    deps.events.jobFailed({ job: 'ca-call', error })
    return { kind: 'not_ready', failure: 'ca_error', caSaid: null }
  }
}

async function tryOne(deps: CircuitDeps & Pick<EnrolmentDeps, 'connections'>, id: string): Promise<void> {
  const until = deps.clock() + trialMilliseconds
  if (!(await commitUnlessTaken(deps.database, claimTrial(id, until, deps.clock())))) return
  const connection = await deps.connections.open(id)
  if (connection === null) return
  const found = await lookAt(deps, connection)
  if (found.kind === 'not_ready') {
    const note = await failureNote(deps, id, found.failure, true)
    await deps.database.batch(note.commands)
    note.tell()
    return
  }
  if (await commitUnlessTaken(deps.database, closeCircuit(id, until))) deps.events.caCircuitClosed({ connection: id })
}

/**
 * Looks at the CAs whose circuit has been open for long enough, without leaving anything behind there, and closes it for
 * those that answer well.
 */
export async function tryOpenCircuits(deps: CircuitDeps & Pick<EnrolmentDeps, 'connections'>): Promise<void> {
  const trials = await readTrials(deps.database, deps.clock())
  await toEachAtOnce(trials, trials.length, ({ id }) => tryOne(deps, id))
}
