import { commit } from '../../audit/commit.ts'
import { readSendability } from '../../cas/circuit/circuit.ts'
import { leaseMilliseconds, perRunMilliseconds } from '../../ports/backoff.ts'
import { toEach, toEachAtOnce } from '../../ports/bounded.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import { randomId } from '../../ports/runtime.ts'
import type { RequestDeps } from '../deps.ts'
import { toCancelledAsEnded, toReceivedAfterProof, toSubmitting } from '../transitions.ts'
import { provedAfter, sendBackToProof } from '../waiting/mailbox-proof.ts'
import { cancelledEntry, paidByRequest } from './entries.ts'
import { readClaimed, readProved, readDueToSend, readTiredToSend, readWaitingConnections } from './store.ts'
import { sendClaimed, type SendClaimedDeps } from './submit.ts'

/** How many orders one process takes from the queue of one CA at a time. */
export const atOnce = 8
/** How many requests one run sends at most. The next run goes on. */
const perRun = 400
const provedPerRun = 50

interface Claimed {
  readonly claim: string
  readonly ids: readonly string[]
  /** Whether some have left the queue instead: to wait for a proof of their mailbox, or for good. */
  readonly hasLeft: boolean
}

type ClaimDeps = Pick<RequestDeps, 'database' | 'clock' | 'random' | 'audit' | 'registration' | 'connections'>

/** Takes the oldest requests that are due. Null where none waits, or nothing can be sent through the connection. */
async function claimSome(deps: ClaimDeps, connection: string): Promise<Claimed | null> {
  const now = deps.clock()
  const { canSend, isSuspect } = await readSendability(deps, connection)
  if (!canSend) return null
  const waiting = await readNext(deps, connection, now, isSuspect ? 1 : atOnce)
  if (waiting.length === 0) return null
  const opened = await deps.connections.open(connection)
  if (opened === null) return null
  const claim = { id: randomId(deps.random), now, until: now + leaseMilliseconds }
  const openAtCa = opened.adapter.describe().keepsNothing ? 0 : 1
  await deps.database.batch([toSubmitting(waiting, claim, { provedAfter: provedAfter(now), openAtCa })])
  const taken = new Set((await readClaimed(deps.database, waiting, claim.id)).map(({ id }) => id))
  let hasLeft = false
  for (const id of waiting) if (!taken.has(id)) hasLeft = (await removeFromQueue(deps, id)) || hasLeft
  return { claim: claim.id, ids: [...taken], hasLeft }
}

/** The next requests to send. Those that have failed often come last, so that they do not delay the others. */
async function readNext(
  { database }: Pick<RequestDeps, 'database'>,
  connection: string,
  now: number,
  limit: number,
): Promise<string[]> {
  const first = await readDueToSend(database, connection, now, limit)
  const left = limit - first.length
  const tired = left === 0 ? [] : await readTiredToSend(database, connection, now, left)
  return [...first, ...tired].map(({ id }) => id)
}

/** Takes a request out of the queue that must not be sent. Resolves to whether it has left. */
async function removeFromQueue(deps: ClaimDeps, id: string): Promise<boolean> {
  const change = { commands: toCancelledAsEnded(id, deps.clock()), audit: cancelledEntry(id), payment: paidByRequest }
  const cancelled = await commit(deps, change, () => null)
  return cancelled !== null || sendBackToProof(deps, id)
}

/**
 * Sends what waits for a connection, in the order in which it was asked for, until nothing is due or the CA fails. Many
 * processes may do so at once: each takes others. What cannot be sent holds up no other. The failures are thrown together.
 */
export async function sendWaiting(deps: SendClaimedDeps, connection: string): Promise<void> {
  const failures: unknown[] = []
  const end = deps.clock() + perRunMilliseconds
  for (let sent = 0; sent < perRun && deps.clock() < end;) {
    const claimed = await claimSome(deps, connection)
    if (claimed === null || (claimed.ids.length === 0 && !claimed.hasLeft)) break
    await toEachAtOnce(claimed.ids, atOnce, (id) => sendClaimed(deps, id, claimed.claim)).catch((error: unknown) =>
      failures.push(error),
    )
    sent += claimed.ids.length
  }
  if (failures.length > 0) throw new AggregateError(failures, 'requests could not be sent')
}

/** Sends what waits for any connection. A CA that is slow holds up no other. */
export async function sendAllWaiting(deps: SendClaimedDeps): Promise<void> {
  const connections = await readWaitingConnections(deps.database)
  await toEachAtOnce(connections, connections.length, ({ connection }) => sendWaiting(deps, connection))
}

/** Takes the requests on whose mailbox has been proved: to those who approve them, or to the CA. */
export async function continueProved(deps: SendClaimedDeps): Promise<void> {
  const since = provedAfter(deps.clock())
  const connections = new Set<string>()
  await toEach(await readProved(deps.database, since, provedPerRun), async ({ id, connection }) => {
    if (await commitUnlessTaken(deps.database, toReceivedAfterProof(id, since, deps.clock()))) {
      connections.add(connection)
    }
  })
  await toEachAtOnce([...connections], connections.size, (connection) => sendWaiting(deps, connection))
}
