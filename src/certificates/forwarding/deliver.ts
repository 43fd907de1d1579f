import { toEachAtOnce } from '../../ports/bounded.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import { commit } from '../../audit/commit.ts'
import { byService, type OwnEvent } from '../../audit/entries.ts'
import type { CaAdapter, CaFailure, CaRevocation, CaRevocationOutcome } from '../../cas/adapters/contract.ts'
import type { CertificateDeps } from '../deps.ts'
import { leaseMilliseconds, retryDelay } from '../../ports/backoff.ts'
import { revocationPlace } from './queue.ts'
import {
  claimRevocation,
  confirmRevocation,
  delayRevocation,
  readConnectionsDue,
  readDueRevocations,
  toByHand,
  type DueRevocation,
} from './store.ts'
import { hourMilliseconds } from '../../ports/time.ts'

/** How many calls one process has at one CA at a time, beside those that issue. */
const atOnce = 4
/** What one run tells one CA at most; the next one goes on. */
const perRun = 400
/** However long a CA wishes to be left alone. */
const longestWished = hourMilliseconds

/** Whatever is told to a CA that fails so would fail so too. */
const failuresOfAll: ReadonlySet<CaFailure> = new Set([
  'unreachable',
  'tls_refused',
  'timed_out',
  'connection_lost',
  'credential_refused',
  'busy',
  'ca_offline',
])

type ForwardingDeps = Pick<
  CertificateDeps,
  'database' | 'keys' | 'clock' | 'random' | 'events' | 'audit' | 'connections' | 'background'
>

/** Notes that a certificate is revoked at its CA, on the word of `by`. A repeat changes nothing. */
export async function noteConfirmed(
  deps: Pick<ForwardingDeps, 'database' | 'clock' | 'events' | 'audit'>,
  { id, connection }: { readonly id: string; readonly connection: string },
  by: Pick<OwnEvent, 'actorKind' | 'actor'>,
): Promise<void> {
  const audit: OwnEvent = {
    action: 'ca_revocation.confirmed',
    ...by,
    subjectKind: 'ca revocation',
    subject: id,
    facts: { connection },
  }
  const confirmed = await commit(deps, { commands: confirmRevocation(id, deps.clock()), audit }, () => null)
  if (confirmed === null) return
  deps.events.caRevocationConfirmed({ connection, revocation: id })
}

/** Leaves a revocation to operators: telling its CA again would not help. */
async function leave(deps: ForwardingDeps, connection: string, id: string, failure: string): Promise<void> {
  const audit: OwnEvent = {
    action: 'ca_revocation.left_to_operators',
    ...byService,
    subjectKind: 'ca revocation',
    subject: id,
    facts: { connection, failure },
  }
  const left = await commit(deps, { commands: toByHand(id, failure), audit }, () => null)
  if (left === null) return
  deps.events.caRevocationDelayed({ connection, revocation: id, failure })
}

async function settle(
  deps: ForwardingDeps,
  connection: string,
  { id, attempts }: DueRevocation,
  outcome: CaRevocationOutcome,
): Promise<void> {
  switch (outcome.kind) {
    case 'confirmed':
      return noteConfirmed(deps, { id, connection }, { actorKind: 'service', actor: null })
    case 'permanent':
      return leave(deps, connection, id, outcome.failure)
    case 'transient': {
      const wished = Math.min((outcome.retryAfterSeconds ?? 0) * 1_000, longestWished)
      const delay = Math.max(retryDelay(deps.random, attempts), wished)
      await deps.database.batch([delayRevocation(id, deps.clock() + delay, outcome.failure)])
      deps.events.caRevocationDelayed({ connection, revocation: id, failure: outcome.failure })
    }
  }
}

type Revoke = NonNullable<CaAdapter['revoke']>

/** An adapter that throws is at fault itself: nothing is known of what its CA did, and a repeat does no harm. */
async function tell(deps: ForwardingDeps, revoke: Revoke, revocation: CaRevocation): Promise<CaRevocationOutcome> {
  try {
    return await revoke(revocation)
  } catch (error) {
    deps.events.jobFailed({ job: 'ca-call', error })
    return { kind: 'transient', failure: 'ca_error', caSaid: null, retryAfterSeconds: null }
  }
}

/** Tells one CA of one revocation, unless another worker is about to. Resolves to whether the CA can be spoken to. */
async function deliver(deps: ForwardingDeps, connection: string, revoke: Revoke, due: DueRevocation): Promise<boolean> {
  if (!(await commitUnlessTaken(deps.database, claimRevocation(due, deps.clock() + leaseMilliseconds)))) return true
  const certificate = deps.keys.main.open(revocationPlace(due.id), due.certificateSealed)
  const outcome = await tell(deps, revoke, { certificate, reason: due.reason })
  await settle(deps, connection, due, outcome)
  return outcome.kind !== 'transient' || !failuresOfAll.has(outcome.failure)
}

/**
 * Tells one CA of what is due, until it cannot be spoken to; the next run tries again. Where there is nothing to tell it
 * with any more, it is left to operators.
 */
async function deliverTo(deps: ForwardingDeps, connection: string): Promise<void> {
  const due = await readDueRevocations(deps.database, connection, deps.clock(), perRun)
  const revoke = (await deps.connections.open(connection))?.adapter.revoke
  let isThere = true
  await toEachAtOnce(due, atOnce, async (revocation) => {
    if (revoke === undefined) await leave(deps, connection, revocation.id, 'connection_removed')
    else if (isThere && !(await deliver(deps, connection, revoke, revocation))) isThere = false
  })
}

/** What tells the CAs elsewhere of revocations, until each has confirmed. */
export interface Forwarding {
  /** Tells them of everything that is due. A CA that is slow holds up no other. */
  run(): Promise<void>
  /** The same soon, in the background. */
  wake(): void
}

/** One run at a time in one process; what is woken meanwhile goes round once more. Several processes do no harm. */
export function createForwarding(deps: ForwardingDeps): Forwarding {
  let running: 'no' | 'once' | 'again' = 'no'
  const isWokenAgain = (): boolean => running === 'again'

  const run = async (): Promise<void> => {
    const connections = await readConnectionsDue(deps.database, deps.clock())
    await toEachAtOnce(connections, connections.length, ({ connection }) => deliverTo(deps, connection))
  }

  const runUntilQuiet = async (): Promise<void> => {
    try {
      do {
        running = 'once'
        await run()
      } while (isWokenAgain())
    } finally {
      running = 'no'
    }
  }

  return {
    run,
    wake: () => {
      if (running === 'no') {
        running = 'once'
        deps.background.run('ca-revocations', runUntilQuiet)
      } else {
        running = 'again'
      }
    },
  }
}
