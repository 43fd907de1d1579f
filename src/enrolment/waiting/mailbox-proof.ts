import type { DeviceCaller } from '../../api/room.ts'
import { toEach } from '../../ports/bounded.ts'
import { GuardBroken, type Command } from '../../ports/database.ts'
import type { OwnMailbox } from '../../registration/mailboxes.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { claimProvedRequest, failUnprovedRequest, readProvedRequests, readUnprovedRequests } from './store.ts'
import { takeUpRequest } from '../submit.ts'

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

/** Commits what takes a request; false where another worker has taken it. */
async function take(deps: EnrolmentDeps, commands: readonly Command[]): Promise<boolean> {
  try {
    await deps.database.batch(commands)
    return true
  } catch (error) {
    if (error instanceof GuardBroken) return false
    throw error
  }
}

/** Takes the requests on to the CA whose mailbox has been proved. */
export async function continueProvedRequests(deps: EnrolmentDeps): Promise<void> {
  const since = provedAfter(deps.clock())
  await toEach(await readProvedRequests(deps.database, since, requestsPerRun), async ({ id }) => {
    if (await take(deps, claimProvedRequest(id, since, deps.clock()))) await takeUpRequest(deps, id)
  })
}

/** Gives up the requests whose mailbox nobody has proved for seven days. */
export async function failUnprovedRequests(deps: EnrolmentDeps): Promise<void> {
  const waiting = await readUnprovedRequests(deps.database, deps.clock() - waitMilliseconds, requestsPerRun)
  await toEach(waiting, async ({ id }) => {
    const given = await take(deps, [
      ...failUnprovedRequest(id, deps.clock()),
      ...deps.audit.record({
        action: 'certificate.refused',
        actorKind: 'service',
        actor: null,
        subjectKind: 'certificate request',
        subject: id,
        facts: { reason: 'mailbox_proof_missing' },
      }),
    ])
    if (!given) return
    deps.audit.sealSoon()
    deps.events.certificateRequestGivenUp({ request: id })
  })
}
