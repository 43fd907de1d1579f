import type { PaidChange } from '../../audit/commit.ts'
import type { CaOutcome } from '../../cas/adapters/contract.ts'
import { DomainError } from '../../errors.ts'
import { retryDelay } from '../../ports/backoff.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import type { RequestDeps } from '../deps.ts'
import { checkAgain } from '../proved-key.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { toReceivedUnsent } from '../transitions.ts'
import { refuse, type KeepDeps, type RequestResult } from './keep.ts'
import { contentOf, mayBeSent, orderOf, readRouted, type HeldRequest, type OrderedRequest } from './order.ts'
import { recordAnswer } from './record.ts'

/** Asks a CA. Where the adapter throws, nobody knows what the CA did. */
export async function askCa<Outcome>(
  deps: Pick<RequestDeps, 'events'>,
  { connection }: OrderedRequest,
  ask: () => Promise<Outcome>,
): Promise<Outcome | Extract<CaOutcome, { kind: 'unknown' }>> {
  // What keeps nothing has no unknown outcomes: the request is sent again once its lease is over.
  if (connection.adapter.describe().keepsNothing) return ask()
  try {
    return await ask()
  } catch (error) {
    deps.events.jobFailed({ job: 'ca-call', error })
    return { kind: 'unknown', failure: 'ca_error', caSaid: null }
  }
}

export type SendDeps = KeepDeps

/**
 * Sends a request that this worker holds, and records what the CA answers. `intent` inserts the request in the same
 * batch, for a CA that keeps nothing.
 */
export async function sendRequest(deps: SendDeps, request: HeldRequest, intent?: PaidChange): Promise<RequestResult> {
  const outcome = await askCa(deps, request, () => request.connection.adapter.submit(request.order))
  return recordAnswer(deps, request, { question: 'submit', outcome }, intent)
}

export type SendClaimedDeps = SendDeps & Pick<RequestDeps, 'connections' | 'brainpool'>

/** Sends a request that this worker has taken from the queue, from what is kept of it. */
export async function sendClaimed(deps: SendClaimedDeps, id: string, claim: string): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row === null || row.claim !== claim) return
  const request = await readOrPutBack(deps, row, claim)
  if (request !== null) await sendRequest(deps, { ...request, claim })
}

/** Reads an order. One that cannot be read was certainly not sent: it goes back, and does not become unknown. */
async function readOrPutBack(deps: SendClaimedDeps, row: RequestRow, claim: string): Promise<OrderedRequest | null> {
  try {
    return await readChecked(deps, row)
  } catch (error) {
    const dueAt = deps.clock() + retryDelay(deps.random, row.attempts)
    await commitUnlessTaken(deps.database, toReceivedUnsent(row.id, claim, dueAt, deps.clock()))
    throw error
  }
}

/** Ends a request that somebody else than its device has made, or somebody else than administrators has approved. */
async function endForged(deps: SendClaimedDeps, row: RequestRow): Promise<null> {
  const connection = await deps.connections.open(row.connection)
  if (connection === null) throw new Error('the CA connection of an open request is gone')
  await refuse(deps, { row, connection }, { reason: 'request_forged' })
  return null
}

/**
 * Reads an order and checks its key once more: what was accepted then may be refused now, for the key may have been
 * blocked meanwhile. Null where that ended the request.
 */
async function readChecked(deps: SendClaimedDeps, row: RequestRow): Promise<OrderedRequest | null> {
  if (!(await mayBeSent(deps, row))) return endForged(deps, row)
  const routed = await readRouted(deps, row)
  const { mailbox, connection } = routed
  const end = async (reason: string): Promise<null> => {
    await refuse(deps, routed, { reason })
    return null
  }
  if (mailbox.state !== 'active') return end('mailbox_ended')
  try {
    const asked = { content: contentOf(deps, row), provedBy: row.provedBy }
    return orderOf(deps, routed, await checkAgain(deps, asked, { mailbox, use: row.use }, connection))
  } catch (error) {
    if (error instanceof DomainError) return end(error.code)
    throw error
  }
}
