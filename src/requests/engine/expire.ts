import { commit } from '../../audit/commit.ts'
import { toEach } from '../../ports/bounded.ts'
import type { RequestDeps } from '../deps.ts'
import { toFailedUnanswered, type Unanswered } from '../transitions.ts'
import { paidByRequest, refusedEntry } from './entries.ts'
import { readOlder, readUnproved } from './store.ts'
import { dayMilliseconds } from '../../ports/time.ts'
const perRun = 200

/** How long a request stays in a state that somebody else has to end, and why it fails then. */
const patience = [
  { state: 'awaiting_approval', days: 30, reason: 'not_approved_in_time' },
  { state: 'received', days: 60, reason: 'ca_not_available_in_time' },
  { state: 'pending', days: 60, reason: 'not_answered_in_time' },
] as const
/** How long a request waits for somebody to prove its mailbox. */
const proofDays = 7
const unprovedPerRun = 50

type ExpireDeps = Pick<RequestDeps, 'database' | 'clock' | 'audit' | 'events'>

/** Fails a request that nobody has answered. Resolves to false where it has moved on meanwhile. */
async function fail(deps: ExpireDeps, id: string, from: Unanswered, reason: string): Promise<boolean> {
  const change = {
    commands: toFailedUnanswered(id, from, reason, deps.clock()),
    audit: refusedEntry(id, reason),
    payment: paidByRequest,
  }
  return (await commit(deps, change, () => null)) !== null
}

/**
 * Fails the requests that nobody answers. Those whose outcome at the CA is unknown are not among them: somebody has to
 * look at the CA.
 */
export async function expireRequests(deps: ExpireDeps): Promise<void> {
  for (const { state, days, reason } of patience) {
    const old = await readOlder(deps.database, state, deps.clock() - days * dayMilliseconds, perRun)
    await toEach(old, async ({ id }) => {
      if (await fail(deps, id, state, reason)) deps.events.certificateRequestExpired({ request: id, state })
    })
  }
}

/** Fails the requests whose mailbox nobody has proved for seven days. */
export async function expireUnproved(deps: ExpireDeps): Promise<void> {
  const waiting = await readUnproved(deps.database, deps.clock() - proofDays * dayMilliseconds, unprovedPerRun)
  await toEach(waiting, async ({ id }) => {
    const given = await fail(deps, id, 'awaiting_mailbox_proof', 'mailbox_proof_missing')
    if (given) deps.events.certificateRequestGivenUp({ request: id })
  })
}
