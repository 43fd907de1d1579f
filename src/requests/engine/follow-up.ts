import { commit } from '../../audit/commit.ts'
import type { FoundOutcome } from '../../cas/adapters/contract.ts'
import { leaseMilliseconds, perRunMilliseconds } from '../../ports/backoff.ts'
import { toEach, toEachAtOnce } from '../../ports/bounded.ts'
import { commitUnlessTaken } from '../../ports/database.ts'
import { randomId } from '../../ports/runtime.ts'
import type { RequestDeps } from '../deps.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { claimToAsk, stopAsking, toFreeOfLostWorker, toReceivedAbsent, type AskedAbout } from '../transitions.ts'
import { provedAfter } from '../waiting/mailbox-proof.ts'
import { unknownEntry } from './entries.ts'
import { isApprovedByPersons, readOrder, type HeldRequest } from './order.ts'
import { atOnce } from './queue.ts'
import { caStateOf, recordAnswer, type Question } from './record.ts'
import { readDueToAsk, readLost, readMayBeSentAgain, type DueRequest } from './store.ts'
import { askCa, type SendClaimedDeps } from './submit.ts'

const perRun = 200

/** Takes requests from workers that are gone. What the CA made of them is unknown, unless it keeps nothing. */
export async function findLost(
  deps: Pick<RequestDeps, 'database' | 'clock' | 'connections' | 'audit' | 'events'>,
): Promise<void> {
  const now = deps.clock()
  const lost = [
    ...(await readLost(deps.database, 'submitting', now, perRun)),
    ...(await readLost(deps.database, 'pending', now, perRun)),
  ]
  await toEach(lost, async ({ id, connection, claim }) => {
    const keepsNothing = (await deps.connections.open(connection))?.adapter.describe().keepsNothing === true
    if (keepsNothing) {
      const received = { state: 'received', lastFailure: null } as const
      await commitUnlessTaken(deps.database, toFreeOfLostWorker(id, claim, received, now))
      return
    }
    const failure = 'worker_lost'
    const commands = toFreeOfLostWorker(id, claim, { state: 'outcome_unknown', lastFailure: failure }, now)
    const audit = unknownEntry(id, { connection, failure })
    const found = await commit(deps, { commands, audit }, () => null)
    if (found !== null) deps.events.certificateOutcomeUnknown({ request: id, connection, failure })
  })
}

interface HowToAsk {
  readonly question: Question
  readonly ask: () => Promise<FoundOutcome>
}

/**
 * How a CA is asked about an order. Null where only somebody who looks at the CA can tell. `wasLost`: a worker that is
 * gone had asked already, and to ask the same way again may have it issued twice.
 */
function howToAsk(
  deps: Pick<RequestDeps, 'keys'>,
  { connection: { adapter }, order, row }: HeldRequest,
  state: AskedAbout,
  wasLost: boolean,
): HowToAsk | null {
  const { poll, find } = adapter
  const known = caStateOf(deps, row)
  if (poll !== undefined && state !== 'outcome_unknown' && !wasLost) {
    return { question: 'poll', ask: () => poll(order, known) }
  }
  if (find !== undefined) return { question: 'find', ask: () => find(order, known) }
  return adapter.describe().answersAgain ? { question: 'submit', ask: () => adapter.submit(order) } : null
}

/** Whether an order may be sent again to learn what became of it. Where the CA never got it, it issues then. */
const mayBeSentAgain = async (
  deps: Pick<RequestDeps, 'database' | 'keys' | 'events' | 'clock'>,
  row: RequestRow,
): Promise<boolean> =>
  (await readMayBeSentAgain(deps.database, row.id, provedAfter(deps.clock()))) !== null &&
  (await isApprovedByPersons(deps, row))

async function askAbout(
  deps: SendClaimedDeps,
  { id, claim: lostTo, state }: DueRequest & { readonly state: AskedAbout },
): Promise<void> {
  const now = deps.clock()
  const claim = { id: randomId(deps.random), now, until: now + leaseMilliseconds }
  if (!(await commitUnlessTaken(deps.database, claimToAsk(id, state, claim)))) return
  const row = await readRequest(deps.database, id)
  if (row === null) return
  const request = { ...(await readOrder(deps, row)), claim: claim.id }
  const how = howToAsk(deps, request, state, lostTo !== null)
  const isRefused = how?.question === 'submit' && !(await mayBeSentAgain(deps, row))
  if (how === null || isRefused) {
    await commitUnlessTaken(deps.database, stopAsking(id, claim.id, now))
    return
  }
  const outcome = await askCa(deps, request, how.ask)
  if (outcome.kind === 'absent') {
    await commitUnlessTaken(deps.database, toReceivedAbsent(id, claim.id, deps.clock()))
  } else await recordAnswer(deps, request, { question: how.question, outcome })
}

/**
 * Asks the CAs about the orders that they have, or may have. Cancelled ones are among them: their certificates are
 * revoked. A CA that is slow holds up no other. One whose circuit has opened is asked nothing more.
 */
export async function followUp(deps: SendClaimedDeps): Promise<void> {
  const end = deps.clock() + perRunMilliseconds
  const due: (DueRequest & { readonly state: AskedAbout })[] = []
  for (const state of ['pending', 'outcome_unknown', 'cancelled'] as const) {
    due.push(...(await readDueToAsk(deps.database, state, deps.clock(), perRun)).map((one) => ({ ...one, state })))
  }
  const ofEach = [...Map.groupBy(due, ({ connection }) => connection).values()]
  await toEachAtOnce(ofEach, ofEach.length, (ofOne) =>
    toEachAtOnce(ofOne, atOnce, async (request) => {
      if (deps.clock() < end) await askAbout(deps, request)
    }),
  )
}
