import { verifiersOf } from '../../api/credentials.ts'
import { timestamp, type DeviceCaller } from '../../api/room.ts'
import type { GuardedAct } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import type { QueuedChallenge } from '../../mail/room.ts'
import { mailLanguageFor } from '../../mail/templates.ts'
import { GuardBroken, type Command, type Outcome } from '../../ports/database.ts'
import { sealText } from '../../ports/keys.ts'
import { paidWith, rowBudgets } from '../../ports/row-budgets.ts'
import { randomId, randomSecret } from '../../ports/runtime.ts'
import type { RegistrationDeps } from '../deps.ts'
import { factsOfDevice } from '../device-facts.ts'
import { readDevice } from '../device/store.ts'
import type { OwnMailbox } from '../mailboxes.ts'
import { challengeMilliseconds, isWithheld } from '../start.ts'
import { readSubscriber } from '../store.ts'
import { insertMailboxChallenge, readChallenges, type MailboxChallengeRow, type NewMailboxChallenge } from './store.ts'
import { hourMilliseconds } from '../../ports/time.ts'

/** The mailbox to prove, and why. */
export type ChallengedMailbox = Pick<
  NewMailboxChallenge,
  'purpose' | 'mailbox' | 'addressIndex' | 'accountType' | 'act' | 'mailboxEndedAt'
> & { readonly address: string }

/** A mailbox that a subscriber has, or that has moved away from them. */
export const toBeProved = (
  { id, address, addressIndex, accountType, endedAt }: OwnMailbox,
  act: GuardedAct | null,
): ChallengedMailbox => ({
  purpose: 'prove',
  mailbox: id,
  address,
  addressIndex,
  accountType,
  act,
  mailboxEndedAt: endedAt,
})

/**
 * The most challenges of one device in an hour. Nobody with a credential may flood other mailboxes or the table, or use up
 * what the other devices of the subscriber may ask for.
 */
const allowedPerHour = rowBudgets.mailbox_proof.perDay / 24

/** A challenge that was asked for. `id` is that of the mailbox. A mailbox that is being added gets this id later. */
export interface StartedChallenge {
  readonly id: string
  readonly challenge: string
  readonly expiresAt: number
}

/** A challenge as its device sees it. */
export const presentChallenge = ({ expiresAt, ...started }: StartedChallenge) => ({
  ...started,
  state: 'pending' as const,
  expiresAt: timestamp(expiresAt),
})

/**
 * Makes the commands that keep a challenge and mail its token to this address only. `mail` has the ones that queue the
 * mail.
 */
async function challengeCommands(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  asked: ChallengedMailbox,
): Promise<{ commands: Command[]; mail: QueuedChallenge; started: StartedChallenge }> {
  const [subscriber, device] = await Promise.all([
    readSubscriber(deps.database, caller.subscriberId),
    readDevice(deps, caller.deviceId),
  ])
  if (subscriber === null || device === null) throw new DomainError('credential_invalid', 'The credential has ended.')
  const id = randomId(deps.random)
  const token = randomSecret(deps.random, '')
  const now = deps.clock()
  const started = { id: asked.mailbox, challenge: id, expiresAt: now + challengeMilliseconds }
  const { purpose, mailbox, address, addressIndex, accountType, act, mailboxEndedAt } = asked
  const place = { table: 'mailbox_challenges', column: 'address_sealed', row: id }
  const mail = deps.mail.queueChallenge({
    // Mails to prove a mailbox have a limit of their own for each device: only devices of a subscriber who has or had the
    // mailbox can cause them, and a stolen one must not use up those by which another device removes it.
    group: purpose === 'prove' ? `challenge-prove/${mailbox}/${caller.deviceId}` : 'challenge-add',
    asker: purpose === 'prove' ? null : `subscriber/${caller.subscriberId}`,
    recipient: address,
    language: mailLanguageFor(subscriber.language, deps.mailLanguage),
    parameters: {
      registration: id,
      token,
      purpose,
      act,
      deviceType: factsOfDevice(deps.keys, device).deviceType,
      startedAt: now,
      also: [],
    },
  })
  const commands = [
    ...insertMailboxChallenge(
      deps.keys,
      {
        id,
        purpose,
        mailbox,
        subscriber: caller.subscriberId,
        device: caller.deviceId,
        addressSealed: sealText(deps.keys.main, place, address),
        addressIndex,
        accountType,
        tokenVerifier: verifiersOf(deps.keys, 'mailbox_challenges.token', token)[0],
        createdAt: now,
        expiresAt: started.expiresAt,
        act,
        mailboxEndedAt,
      },
      { since: now - hourMilliseconds, allowed: allowedPerHour },
    ),
    ...mail.commands,
    ...deps.audit.record(
      {
        action: 'mailbox.challenged',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'mailbox',
        subject: mailbox,
        facts: { purpose, challenge: id, act },
      },
      paidWith('mailbox_proof'),
    ),
  ]
  return { commands, mail, started }
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
): Promise<StartedChallenge> {
  try {
    const { commands, mail, started } = await challengeCommands(deps, caller, asked)
    const outcomes = await run(commands)
    deps.mail.sendSoon()
    deps.audit.sealSoon()
    if (isWithheld(mail, commands, outcomes)) deps.events.mailWithheld({ mailbox: asked.mailbox })
    return started
  } catch (error) {
    if (!(error instanceof GuardBroken) || error.code !== 'too_many_challenges') throw error
    throw new DomainError('too_many_requests', 'You have asked for too many proofs of mailboxes within an hour.', {
      retryAfterSeconds: hourMilliseconds / 1_000,
      cause: error,
    })
  }
}

/** Challenges of a device that only prove the mailbox, and were not answered, newest first. */
async function readOpenChallenges(
  deps: Pick<RegistrationDeps, 'database' | 'keys' | 'events'>,
  caller: DeviceCaller,
  mailbox: string,
): Promise<MailboxChallengeRow[]> {
  const challenges = await readChallenges(deps, mailbox, caller.subscriberId)
  return challenges.filter(
    ({ state, device, act }) => state === 'pending' && device === caller.deviceId && act === null,
  )
}

/** The newest challenge by which a device can prove a mailbox for a request that waits for it; null where there is none. */
export async function openChallenge(
  deps: Pick<RegistrationDeps, 'database' | 'keys' | 'events' | 'clock'>,
  caller: DeviceCaller,
  mailbox: string,
): Promise<StartedChallenge | null> {
  const [newest] = await readOpenChallenges(deps, caller, mailbox)
  if (newest === undefined || newest.expiresAt <= deps.clock()) return null
  return { id: mailbox, challenge: newest.id, expiresAt: newest.expiresAt }
}

/**
 * Does what `challengeMailbox` does, for a request that waits for a proof. If a token that the device asked for within
 * the last hour is still valid, no other is mailed, and `run` gets no commands.
 */
export async function challengeUnlessAsked(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  asked: ChallengedMailbox,
  run: (commands: readonly Command[]) => Promise<readonly Outcome[]>,
): Promise<void> {
  const since = deps.clock() - hourMilliseconds
  const [newest] = await readOpenChallenges(deps, caller, asked.mailbox)
  if (newest !== undefined && newest.createdAt > since) await run([])
  else await challengeMailbox(deps, caller, asked, run)
}
