import type { DeviceCaller } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { mailLanguageFor } from '../../mail/templates.ts'
import { GuardBroken, type Command, type Outcome } from '../../ports/database.ts'
import { sealText } from '../../ports/keys.ts'
import { randomId, randomSecret } from '../../ports/runtime.ts'
import type { RegistrationDeps } from '../deps.ts'
import { factsOfDevice } from '../device-facts.ts'
import { readDevice } from '../device/store.ts'
import { challengeMilliseconds, isWithheld } from '../start.ts'
import { readSubscriber } from '../store.ts'
import { insertMailboxChallenge, readChallenges, type NewMailboxChallenge } from './store.ts'

/** The mailbox to prove, and why. */
export type ChallengedMailbox = Pick<NewMailboxChallenge, 'purpose' | 'mailbox' | 'addressIndex' | 'accountType'> & {
  readonly address: string
}

const hourMilliseconds = 3_600_000
/**
 * The most challenges of one subscriber in an hour. Nobody with a credential may flood other mailboxes or the table.
 */
const allowedPerHour = 20

/** The answer to a challenge. `id` is that of the mailbox. A mailbox that is being added gets this id later. */
export interface StartedChallenge {
  readonly id: string
  readonly expiresAt: number
}

/**
 * Makes the commands that keep a challenge and mail its token to this address only. `mail` is the one that queues the
 * mail.
 */
async function challengeCommands(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  asked: ChallengedMailbox,
): Promise<{ commands: Command[]; mail: Command }> {
  const [subscriber, device] = await Promise.all([
    readSubscriber(deps.database, caller.subscriberId),
    readDevice(deps.database, caller.deviceId),
  ])
  if (subscriber === null || device === null) throw new DomainError('credential_invalid', 'The credential has ended.')
  const id = randomId(deps.random)
  const token = randomSecret(deps.random, '')
  const now = deps.clock()
  const { purpose, mailbox, address, addressIndex, accountType } = asked
  const place = { table: 'mailbox_challenges', column: 'address_sealed', row: id }
  const mail = deps.mail.queue({
    kind: 'challenge',
    // Mails to prove a mailbox have a limit of their own: only a subscriber who has or had the mailbox can cause them.
    dedupeKey: purpose === 'prove' ? `challenge-prove/${mailbox}/${id}` : `challenge-add/${id}`,
    recipient: address,
    recipientIndex: addressIndex,
    language: mailLanguageFor(subscriber.language, deps.mailLanguage),
    parameters: {
      registration: mailbox,
      token,
      purpose,
      deviceType: factsOfDevice(deps.keys, device).deviceType,
      startedAt: now,
    },
  })
  const commands = [
    ...insertMailboxChallenge(
      {
        id,
        purpose,
        mailbox,
        subscriber: caller.subscriberId,
        device: caller.deviceId,
        addressSealed: sealText(deps.keys.main, place, address),
        addressIndex,
        accountType,
        tokenSha256: deps.hashSecret(token),
        createdAt: now,
        expiresAt: now + challengeMilliseconds,
      },
      { since: now - hourMilliseconds, allowed: allowedPerHour },
    ),
    mail,
    ...deps.audit.record({
      action: 'mailbox.challenged',
      actorKind: 'device',
      actor: caller.deviceId,
      subjectKind: 'mailbox',
      subject: mailbox,
      facts: { purpose },
    }),
  ]
  return { commands, mail }
}

/**
 * Mails a token to a mailbox. `run` gets the commands for it, and commits them as the last ones of its batch. Throws
 * `too_many_requests`.
 */
export async function challengeMailbox(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  asked: ChallengedMailbox,
  run: (commands: readonly Command[]) => Promise<readonly Outcome[]>,
): Promise<void> {
  try {
    const { commands, mail } = await challengeCommands(deps, caller, asked)
    const outcomes = await run(commands)
    deps.mail.sendSoon()
    deps.audit.sealSoon()
    if (isWithheld(mail, commands, outcomes)) deps.events.mailWithheld({ mailbox: asked.mailbox })
  } catch (error) {
    if (!(error instanceof GuardBroken) || error.code !== 'too_many_challenges') throw error
    throw new DomainError('too_many_requests', 'You have asked for too many proofs of mailboxes within an hour.', {
      retryAfterSeconds: hourMilliseconds / 1_000,
      cause: error,
    })
  }
}

/**
 * Does what `challengeMailbox` does, for a request that waits for a proof. If a token from the last hour is still
 * valid, no other is mailed, and `run` gets no commands.
 */
export async function challengeUnlessAsked(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  asked: ChallengedMailbox,
  run: (commands: readonly Command[]) => Promise<readonly Outcome[]>,
): Promise<void> {
  const since = deps.clock() - hourMilliseconds
  const challenges = await readChallenges(deps.database, asked.mailbox, caller.subscriberId)
  const isAsked = challenges.some(({ state, createdAt }) => state === 'pending' && createdAt > since)
  if (isAsked) await run([])
  else await challengeMailbox(deps, caller, asked, run)
}
