import type { DeviceCaller } from '../../api/room.ts'
import { commit, type PaidChange } from '../../audit/commit.ts'
import { DomainError } from '../../errors.ts'
import { commitUnlessTaken, GuardBroken } from '../../ports/database.ts'
import type { OwnMailbox } from '../../registration/mailboxes.ts'
import type { CommitDeps, RequestDeps } from '../deps.ts'
import { readRequest } from '../store.ts'
import { toAwaitingMailboxProof } from '../transitions.ts'
import { dayMilliseconds } from '../../ports/time.ts'

/** Policy rule 13, SBR 4.2.1: a proof of a mailbox is good for 30 days of issuance. */
const proofGoodMilliseconds = 30 * dayMilliseconds

/** A mailbox that was proved after this time can be certified at `now`. */
export const provedAfter = (now: number): number => now - proofGoodMilliseconds

type ProofDeps = CommitDeps & Pick<RequestDeps, 'registration'>

/** Keeps a request that waits for a proof of its mailbox. Mails a token there, unless one is on its way. */
export async function awaitProof(
  deps: ProofDeps,
  caller: DeviceCaller,
  mailbox: OwnMailbox,
  intent: PaidChange,
): Promise<void> {
  await deps.registration.challengeUnlessAsked(caller, mailbox, (commands) =>
    commit(deps, { ...intent, commands: [...intent.commands, ...commands] }),
  )
}

/** Mails a token again for a request that waits, where the last one was mailed too long ago. */
export async function remindOfProof(deps: ProofDeps, caller: DeviceCaller, mailbox: OwnMailbox): Promise<void> {
  await deps.registration.challengeUnlessAsked(caller, mailbox, async (commands) =>
    commands.length > 0 ? deps.database.batch(commands) : [],
  )
}

/**
 * Sends a request from its queue back to wait for a proof of its mailbox, where the last proof has grown too old (policy
 * rule 13), and mails a token. A subscriber who was mailed too many tokens lately waits without one, and holds up nobody:
 * asking again mails it. A request that waits for something else stays. Resolves to whether the request has left.
 */
export async function sendBackToProof(deps: ProofDeps & Pick<RequestDeps, 'clock'>, id: string): Promise<boolean> {
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
    if (error instanceof DomainError && error.code === 'too_many_requests') {
      return commitUnlessTaken(deps.database, back)
    }
    if (error instanceof GuardBroken) return false
    throw error
  }
}
