import { commitUnlessTaken, type Command } from '../../ports/database.ts'
import { timestamp } from '../../api/room.ts'
import { toEachAtOnce, within } from '../../ports/bounded.ts'
import type { CaCheck, CaFailure, CaOutcome } from '../adapters/contract.ts'
import { embeddedConnection, type Connections, type OpenConnection } from '../contract.ts'
import type { CaDeps } from '../deps.ts'
import { circuitDelay } from '../../ports/backoff.ts'
import { claimTrial, closeCircuit, noteFailure, noteSuccess, readCircuit, readTrials } from './store.ts'

/** So many failures in a row open the circuit. Nothing is then sent until a check of the CA succeeds. */
const failuresThatOpen = 3
/** One such failure opens the circuit: a repeat would fail too, until an operator acts or time passes. */
const opensAtOnce: ReadonlySet<CaFailure> = new Set(['credential_refused', 'tls_refused', 'ca_offline'])
/** These failures are about one order, not about the CA. */
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
/** Much shorter than the lease of a trial, and short enough for the next run to begin soon. */
const lookMilliseconds = 60_000

type CircuitDeps = Pick<CaDeps, 'database' | 'clock' | 'random' | 'events'>

/** What the outcome of an order means for the circuit of its connection. */
export interface CircuitNote {
  readonly commands: readonly Command[]
  /** Whether the circuit opens: nothing is sent from now on. */
  readonly opens: boolean
  /** Reports the events. Call it after the commands are committed. */
  tell(): void
}

const nothingToNote: CircuitNote = { commands: [], opens: false, tell: () => undefined }

/** The note of a failure. The circuit opens with the third one in a row, or at once. */
async function failureNote(
  deps: CircuitDeps,
  connection: string,
  failure: CaFailure,
  isTrial = false,
): Promise<CircuitNote> {
  const now = deps.clock()
  const known = await readCircuit(deps.database, connection)
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

/** The note of an outcome: whether the CA works. The CA inside has no circuit. */
export async function circuitNote(
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

/** Whether requests can be sent through a connection now. */
export interface Sendability {
  readonly canSend: boolean
  /** The last call failed. The next outcome may be unknown too, so only one order is sent at a time. */
  readonly isSuspect: boolean
}

export async function readSendability(deps: Pick<CaDeps, 'database'>, connection: string): Promise<Sendability> {
  const found = await readCircuit(deps.database, connection)
  if (found === null) return { canSend: false, isSuspect: false }
  return {
    canSend: found.state === 'active' && found.openUntil === null,
    isSuspect: found.failures > 0,
  }
}

/** Checks a CA. If the adapter throws or takes too long, the CA is not ready. */
async function lookAt(deps: Pick<CaDeps, 'events'>, { adapter }: OpenConnection): Promise<CaCheck> {
  try {
    const found = await within(adapter.check(), lookMilliseconds)
    return found ?? { kind: 'not_ready', failure: 'timed_out', caSaid: null }
  } catch (error) {
    deps.events.jobFailed({ job: 'ca-call', error })
    return { kind: 'not_ready', failure: 'ca_error', caSaid: null }
  }
}

async function tryOne(
  deps: CircuitDeps & { readonly connections: Pick<Connections, 'open'> },
  id: string,
): Promise<void> {
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
 * Checks the CAs whose circuit has been open long enough, and closes the circuit of those that are ready. A check
 * leaves nothing behind at the CA.
 */
export async function tryOpenCircuits(
  deps: CircuitDeps & { readonly connections: Pick<Connections, 'open'> },
): Promise<void> {
  const trials = await readTrials(deps.database, deps.clock())
  await toEachAtOnce(trials, trials.length, ({ id }) => tryOne(deps, id))
}
