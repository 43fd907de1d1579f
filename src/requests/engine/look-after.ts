import { toEach, toEachAtOnce } from '../../ports/bounded.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import { randomId } from '../../ports/runtime.ts'
import type { FoundOutcome } from '../../cas/adapters/contract.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { readRequest } from '../store.ts'
import { carryOut, caStateOf, type Question } from './answer.ts'
import { provedAfter } from '../waiting/mailbox-proof.ts'
import { leaseMilliseconds, perRunMilliseconds } from '../../ports/backoff.ts'
import { unknownEntry } from './entries.ts'
import { openRequest, type OpenRequest } from './order.ts'
import { atOnce } from './queue.ts'
import { readDue, readLost, readMayBeSentAgain, type DueRequest } from './store.ts'
import { askCa } from './submit.ts'
import { claimToAsk, stopAsking, toFreeOfLostWorker, toReceivedAbsent, type AskedAbout } from '../transitions.ts'

const perRun = 200

/** Takes requests from workers that are gone: what their CA made of them is unknown, unless it keeps nothing. */
export async function findLost(deps: EnrolmentDeps): Promise<void> {
  const now = deps.clock()
  const lost = [
    ...(await readLost(deps.database, 'submitting', now, perRun)),
    ...(await readLost(deps.database, 'pending', now, perRun)),
  ]
  await toEach(lost, async ({ id, connection, claim }) => {
    const keepsNothing = (await deps.connections.open(connection))?.adapter.describe().keepsNothing === true
    if (keepsNothing) {
      await commitUnlessTaken(
        deps.database,
        toFreeOfLostWorker(id, claim, { state: 'received', lastFailure: null }, now),
      )
      return
    }
    const failure = 'worker_lost'
    const found = await commitUnlessTaken(deps.database, [
      ...toFreeOfLostWorker(id, claim, { state: 'outcome_unknown', lastFailure: failure }, now),
      ...unknownEntry(deps, id, { connection, failure }),
    ])
    if (!found) return
    deps.audit.sealSoon()
    deps.events.certificateOutcomeUnknown({ request: id, connection, failure })
  })
}

interface Look {
  readonly question: Question
  readonly ask: () => Promise<FoundOutcome>
}

/**
 * How a CA is asked about an order; null where only somebody who looks at the CA can tell. `lost`: a worker was gone
 * that had asked already, and asking the same way again may issue twice.
 */
function lookAt(deps: EnrolmentDeps, request: OpenRequest, state: AskedAbout, lost: boolean): Look | null {
  const { adapter } = request.connection
  const { poll, find } = adapter
  const { order, row } = request
  const known = caStateOf(deps, row)
  if (poll !== undefined && state !== 'outcome_unknown' && !lost) {
    return { question: 'poll', ask: () => poll(order, known) }
  }
  if (find !== undefined) return { question: 'find', ask: () => find(order, known) }
  return adapter.describe().answersAgain ? { question: 'submit', ask: () => adapter.submit(order) } : null
}

/** Whether an order may be sent again to learn what became of it: the CA may never have got it, and issues then. */
const mayBeSentAgain = async (deps: EnrolmentDeps, id: string): Promise<boolean> =>
  (await readMayBeSentAgain(deps.database, id, provedAfter(deps.clock()))) !== null

async function look(deps: EnrolmentDeps, { id, claim: lostTo }: DueRequest, state: AskedAbout): Promise<void> {
  const now = deps.clock()
  const claim = { id: randomId(deps.random), now, until: now + leaseMilliseconds }
  if (!(await commitUnlessTaken(deps.database, claimToAsk(id, state, claim)))) return
  const row = await readRequest(deps.database, id)
  if (row === null) return
  const request = await openRequest(deps, row)
  const how = lookAt(deps, request, state, lostTo !== null)
  const isRefused = how?.question === 'submit' && !(await mayBeSentAgain(deps, id))
  if (how === null || isRefused) {
    await commitUnlessTaken(deps.database, stopAsking(id, claim.id, now))
    return
  }
  const found = await askCa(deps, request, how.ask)
  if (found.kind === 'absent') await commitUnlessTaken(deps.database, toReceivedAbsent(id, claim.id, deps.clock()))
  else await carryOut(deps, request, claim.id, how.question, found)
}

/**
 * Asks the CAs about the orders that they have, or may have; also of cancelled ones, whose certificates are revoked. A CA
 * that is slow holds up no other, and is asked nothing more once its circuit has opened.
 */
export async function lookAfter(deps: EnrolmentDeps): Promise<void> {
  const end = deps.clock() + perRunMilliseconds
  const due: (DueRequest & { readonly state: AskedAbout })[] = []
  for (const state of ['pending', 'outcome_unknown', 'cancelled'] as const) {
    due.push(...(await readDue(deps.database, state, deps.clock(), perRun)).map((one) => ({ ...one, state })))
  }
  const ofEach = [...Map.groupBy(due, ({ connection }) => connection).values()]
  await toEachAtOnce(ofEach, ofEach.length, (ofOne) =>
    toEachAtOnce(ofOne, atOnce, async (request) => {
      if (deps.clock() < end) await look(deps, request, request.state)
    }),
  )
}
