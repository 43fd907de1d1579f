import { DomainError } from '../../errors.ts'
import { commitUnlessTaken, type Command } from '../../ports/database.ts'
import type { CaOutcome } from '../../cas/adapters/contract.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { checkAgain } from '../proved-key.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { carryOut, type Answered } from './answer.ts'
import { retryDelay } from '../../ports/backoff.ts'
import { contentOf, openRequestWith, type OpenRequest } from './order.ts'
import { refuse } from './keep.ts'
import { toReceivedUnsent } from '../transitions.ts'

/** Asks a CA. An adapter that throws is at fault itself; what the CA did meanwhile nobody knows. */
export async function askCa<Outcome>(
  deps: Pick<EnrolmentDeps, 'events'>,
  { connection }: OpenRequest,
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

/**
 * Sends a request that this worker has taken, and keeps what the CA answers. `intent` inserts it in the same batch, for
 * a CA that keeps nothing.
 */
export async function sendRequest(
  deps: EnrolmentDeps,
  request: OpenRequest,
  claim: string,
  intent: readonly Command[] = [],
): Promise<Answered> {
  const outcome = await askCa(deps, request, () => request.connection.adapter.submit(request.order))
  return carryOut(deps, request, claim, 'submit', outcome, intent)
}

/** Sends a request that this worker has taken from the queue, from what is kept of it. */
export async function takeUp(deps: EnrolmentDeps, id: string, claim: string): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row === null || row.claim !== claim) return
  const request = await openOrRelease(deps, row, claim)
  if (request !== null) await sendRequest(deps, request, claim)
}

/** Opens a request; one that cannot be opened was certainly not sent, and does not become unknown. */
async function openOrRelease(deps: EnrolmentDeps, row: RequestRow, claim: string): Promise<OpenRequest | null> {
  try {
    return await openChecked(deps, row)
  } catch (error) {
    const dueAt = deps.clock() + retryDelay(deps.random, row.attempts)
    await commitUnlessTaken(deps.database, toReceivedUnsent(row.id, claim, dueAt, deps.clock()))
    throw error
  }
}

/**
 * Opens a request and checks its key once more: what was accepted then may be refused now, for the key may have been
 * blocked meanwhile. Null where that ended the request.
 */
async function openChecked(deps: EnrolmentDeps, row: RequestRow): Promise<OpenRequest | null> {
  const connection = await deps.connections.open(row.connection)
  if (connection === null) throw new Error('the CA connection of an open request is gone')
  const mailboxes = await deps.registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find(({ id }) => id === row.mailbox)
  const end = async (reason: string): Promise<null> => {
    await refuse(deps, { row, connection }, reason, { returned: null, revoke: null })
    return null
  }
  if (mailbox?.state !== 'active') return end('mailbox_ended')
  try {
    const proved = await checkAgain(deps, contentOf(deps, row), row, mailbox, connection)
    return openRequestWith(deps, row, mailbox, connection, proved)
  } catch (error) {
    if (error instanceof DomainError) return end(error.code)
    throw error
  }
}
