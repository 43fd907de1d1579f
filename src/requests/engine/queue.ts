import { commitUnlessTaken } from '../../ports/database.ts'
import { toEachAtOnce } from '../../ports/bounded.ts'
import { randomId } from '../../ports/runtime.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { provedAfter, sendBackToProof } from '../waiting/mailbox-proof.ts'
import { sendability } from './circuit/circuit.ts'
import { leaseMilliseconds, perRunMilliseconds } from '../../ports/backoff.ts'
import { toCancelledAsEnded, toSubmitting } from '../transitions.ts'
import { readClaimed, readQueue, readQueueOfTired, readWaitingConnections } from './store.ts'
import { takeUp } from './submit.ts'

/** How many orders one process takes from the queue of one CA at a time. */
export const atOnce = 8
/** What one run takes up at most; the next one goes on. */
const perRun = 400

interface Claimed {
  readonly claim: string
  readonly ids: readonly string[]
  /** Whether some were taken out of the queue instead: to wait for a proof of their mailbox, or for good. */
  readonly hasLeft: boolean
}

/** Takes the oldest requests that are due, if the connection can be sent to; null where none waits. */
async function claimSome(deps: EnrolmentDeps, connection: string): Promise<Claimed | null> {
  const now = deps.clock()
  const { canSend, isSuspect } = await sendability(deps, connection)
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
  for (const id of waiting) if (!taken.has(id)) hasLeft = (await takeOut(deps, id)) || hasLeft
  return { claim: claim.id, ids: [...taken], hasLeft }
}

/** What is sent next: what has failed often comes after everything else, lest it hold up what the CA would do. */
async function readNext(deps: EnrolmentDeps, connection: string, now: number, limit: number): Promise<string[]> {
  const first = await readQueue(deps.database, connection, now, limit)
  const left = limit - first.length
  const tired = left === 0 ? [] : await readQueueOfTired(deps.database, connection, now, left)
  return [...first, ...tired].map(({ id }) => id)
}

/** Takes a request out of the queue that must not be sent; resolves to whether it has left. */
async function takeOut(deps: EnrolmentDeps, id: string): Promise<boolean> {
  const isEnded = await commitUnlessTaken(deps.database, [
    ...toCancelledAsEnded(id, deps.clock()),
    ...deps.audit.record({
      action: 'certificate.request_cancelled',
      actorKind: 'service',
      actor: null,
      subjectKind: 'certificate request',
      subject: id,
    }),
  ])
  if (isEnded) deps.audit.sealSoon()
  return isEnded || (await sendBackToProof(deps, id))
}

/**
 * Sends what waits for a connection, in the order in which it was asked for, until nothing is due or the CA fails. Many
 * processes may do so at once: each takes others. What cannot be sent holds up no other; the failures are thrown together.
 */
export async function workOff(deps: EnrolmentDeps, connection: string): Promise<void> {
  const failures: unknown[] = []
  const end = deps.clock() + perRunMilliseconds
  for (let sent = 0; sent < perRun && deps.clock() < end;) {
    const claimed = await claimSome(deps, connection)
    if (claimed === null || (claimed.ids.length === 0 && !claimed.hasLeft)) break
    await toEachAtOnce(claimed.ids, atOnce, (id) => takeUp(deps, id, claimed.claim)).catch((error: unknown) =>
      failures.push(error),
    )
    sent += claimed.ids.length
  }
  if (failures.length > 0) throw new AggregateError(failures, 'requests could not be sent')
}

/** The same for every connection that something waits for; a CA that is slow holds up no other. */
export async function workOffAll(deps: EnrolmentDeps): Promise<void> {
  const connections = await readWaitingConnections(deps.database)
  await toEachAtOnce(connections, connections.length, ({ connection }) => workOff(deps, connection))
}
