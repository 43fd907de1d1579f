import type { DeviceCaller } from '../../api/room.ts'
import { toEach, toEachAtOnce } from '../../ports/bounded.ts'
import { DomainError } from '../../errors.ts'
import { commitUnlessTaken, GuardBroken, type Command } from '../../ports/database.ts'
import type { OwnMailbox } from '../../registration/mailboxes.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { refusedEntry } from '../engine/entries.ts'
import { readRequest } from '../store.ts'
import { toAwaitingMailboxProof, toFailedUnanswered, toReceivedAfterProof } from '../transitions.ts'
import { readProvedRequests, readUnprovedRequests } from './store.ts'

const dayMilliseconds = 86_400_000
/** Policy rule 13, SBR 4.2.1: a proof of a mailbox is good for 30 days of issuance. */
const proofGoodMilliseconds = 30 * dayMilliseconds
/** How long a request waits for somebody to prove its mailbox. */
const waitMilliseconds = 7 * dayMilliseconds
const requestsPerRun = 50

/** A mailbox that was proved after this time can be certified at `now`. */
export const provedAfter = (now: number): number => now - proofGoodMilliseconds

/** Keeps a request that waits for a proof of its mailbox, and has a token mailed there unless one is on its way. */
export async function awaitProof(
  deps: EnrolmentDeps,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  intent: readonly Command[],
): Promise<void> {
  await deps.registration.challengeUnlessAsked(caller, mailbox, (commands) =>
    deps.database.batch([...intent, ...commands]),
  )
  deps.audit.sealSoon()
}

/** Has a token mailed again for a request that waits, where the last one was too long ago. */
export async function remindOfProof(deps: EnrolmentDeps, caller: DeviceCaller, mailbox: OwnMailbox): Promise<void> {
  await deps.registration.challengeUnlessAsked(caller, mailbox, async (commands) =>
    commands.length > 0 ? deps.database.batch(commands) : [],
  )
}

/** Takes the requests on whose mailbox has been proved: to those who approve them, or to the CA. */
export async function continueProvedRequests(deps: EnrolmentDeps, engine: Pick<Engine, 'workOff'>): Promise<void> {
  const since = provedAfter(deps.clock())
  const connections = new Set<string>()
  await toEach(await readProvedRequests(deps.database, since, requestsPerRun), async ({ id, connection }) => {
    if (await commitUnlessTaken(deps.database, toReceivedAfterProof(id, since, deps.clock())))
      connections.add(connection)
  })
  await toEachAtOnce([...connections], connections.size, (connection) => engine.workOff(connection))
}

/**
 * Has a request wait for a proof of its mailbox that has come to the front of its queue after the last proof had grown
 * too old (policy rule 13), and has a token mailed. Whose subscriber has asked for too many proofs lately waits without
 * one, and holds up nobody: a repeat of the request has it mailed. One that waits for something else stays as it is;
 * resolves to whether the request has left the queue.
 */
export async function sendBackToProof(deps: EnrolmentDeps, id: string): Promise<boolean> {
  const row = await readRequest(deps.database, id)
  if (row?.state !== 'received') return false
  const mailboxes = await deps.registration.mailboxesOf(row.subscriber)
  const mailbox = mailboxes.find((candidate) => candidate.id === row.mailbox)
  const since = provedAfter(deps.clock())
  if (mailbox === undefined || mailbox.state !== 'active' || mailbox.verifiedAt > since) return false
  const back = toAwaitingMailboxProof(id, deps.clock())
  const caller = { subscriberId: row.subscriber, deviceId: row.device }
  try {
    await deps.registration.challengeUnlessAsked(caller, mailbox, (commands) =>
      deps.database.batch([...back, ...commands]),
    )
    return true
  } catch (error) {
    if (error instanceof DomainError && error.code === 'too_many_requests')
      return commitUnlessTaken(deps.database, back)
    if (error instanceof GuardBroken) return false
    throw error
  }
}

/** Gives up the requests whose mailbox nobody has proved for seven days. */
export async function failUnprovedRequests(deps: EnrolmentDeps): Promise<void> {
  const waiting = await readUnprovedRequests(deps.database, deps.clock() - waitMilliseconds, requestsPerRun)
  await toEach(waiting, async ({ id }) => {
    const given = await commitUnlessTaken(deps.database, [
      ...toFailedUnanswered(id, 'awaiting_mailbox_proof', 'mailbox_proof_missing', deps.clock()),
      ...refusedEntry(deps, id, 'mailbox_proof_missing'),
    ])
    if (!given) return
    deps.audit.sealSoon()
    deps.events.certificateRequestGivenUp({ request: id })
  })
}
