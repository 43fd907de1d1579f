import type { DeviceCaller } from '../../api/room.ts'
import { isSecretOf } from '../../api/credentials.ts'
import { commit } from '../../audit/commit.ts'
import type { AuditEvent } from '../../audit/entries.ts'
import { DomainError } from '../../errors.ts'
import { parseMailboxAddress } from '../../mailbox/address.ts'
import { equalSecrets } from '../../pki/encoding.ts'
import { GuardBroken, type Command } from '../../ports/database.ts'
import { openText, sealText } from '../../ports/keys.ts'
import type { RegistrationDeps } from '../deps.ts'
import { mailboxesOf, type OwnMailbox } from '../mailboxes.ts'
import { recentMilliseconds } from '../recent-proof.ts'
import { triesBeforeTheLast } from '../wrong-tries.ts'
import { moveAwayCommands, takeForgedAway } from './move.ts'
import {
  countWrongProof,
  insertMailbox,
  isHoldingChanged,
  readChallenges,
  readHolding,
  readMailboxesOf,
  renewProof,
  returnMailbox,
  useMailboxChallenge,
  useUpChallenges,
  type MailboxChallengeRow,
} from './store.ts'
import { paidWith } from '../../ports/row-budgets.ts'

/** The refusal when no open challenge is left for a token. */
export const challengeEnded = (): DomainError =>
  new DomainError('challenge_ended', 'This proof was given, has expired, or had five wrong tokens. Ask for a new mail.')

export const noSuchMailbox = (): DomainError => new DomainError('not_found', 'You have no such mailbox.')

const isRaced = (error: unknown): boolean =>
  (error instanceof GuardBroken && error.code === 'challenge_used') || isHoldingChanged(error)

/**
 * The challenges of a mailbox that a device may answer, newest first: its own, and those that only prove the mailbox.
 * What another device asked for in order to do something is answered by that device alone.
 */
async function readAnswerable(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  id: string,
): Promise<MailboxChallengeRow[]> {
  const challenges = await readChallenges(deps, id, caller.subscriberId)
  return challenges.filter(({ act, device }) => act === null || device === caller.deviceId)
}

/**
 * Takes the token from the mail. The mailbox is then proved again, added to the caller's subscriber, or given back
 * after it moved away. If another subscriber has it, they lose it. A repeat with the same token gets the same answer.
 * Throws `not_found`, `token_wrong`, `challenge_ended`.
 */
export async function proveMailbox(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  id: string,
  token: string,
): Promise<OwnMailbox> {
  // A loop starts again only after another call changed something for good, so it ends.
  for (;;) {
    const challenges = await readAnswerable(deps, caller, id)
    const challenge = challenges.find(({ tokenVerifier }) =>
      isSecretOf(deps.keys, 'mailbox_challenges.token', { secret: token, verifier: tokenVerifier }),
    )
    if (challenge === undefined) return refuseToken(deps, caller, id)
    if (challenge.state === 'used') return provedMailbox(deps, caller, challenge)
    if (challenge.state === 'ended' || challenge.expiresAt <= deps.clock()) throw challengeEnded()
    try {
      await takeProof(deps, caller, challenge, challenges)
      return await provedMailbox(deps, caller, challenge)
    } catch (error) {
      if (!isRaced(error)) throw error
    }
  }
}

const isLastTry = ({ wrongTries }: MailboxChallengeRow): boolean => wrongTries >= triesBeforeTheLast

/** Counts a wrong token against all open challenges that the device may answer. The fifth wrong token ends a challenge. */
async function countWrongToken(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<void> {
  // The loop starts again only if another call counted a token, or a challenge came or ended. So it ends.
  for (;;) {
    const now = deps.clock()
    const challenges = await readAnswerable(deps, caller, id)
    const waiting = challenges.filter(({ state, expiresAt }) => state === 'pending' && expiresAt > now)
    if (waiting.length === 0) return
    const ends = waiting.some(isLastTry)
    const end: AuditEvent = {
      action: 'mailbox.challenge_ended',
      actorKind: 'device',
      actor: caller.deviceId,
      subjectKind: 'mailbox',
      subject: id,
      facts: { reason: 'five wrong tries' },
    }
    const change = {
      commands: waiting.flatMap((one) => countWrongProof(deps.keys, one, isLastTry(one))),
      audit: ends ? [end] : [],
      payment: paidWith('mailbox_proof'),
    }
    const counted = await commit(deps, change, (guard) => {
      if (guard.code === 'challenge_changed') return null
      throw guard
    })
    if (counted !== null) return
  }
}

async function refuseToken(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<never> {
  await countWrongToken(deps, caller, id)
  const challenges = await readAnswerable(deps, caller, id)
  if (challenges.length === 0) {
    const own = (await mailboxesOf(deps, caller.subscriberId)).find((mailbox) => mailbox.id === id)
    throw own === undefined ? noSuchMailbox() : challengeEnded()
  }
  const now = deps.clock()
  if (!challenges.some(({ state, expiresAt }) => state === 'pending' && expiresAt > now)) throw challengeEnded()
  throw new DomainError('token_wrong', 'Send the value of the Certbook-Token header of the newest mail.')
}

/** The mailbox of a used challenge, as it is now. */
async function provedMailbox(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  challenge: MailboxChallengeRow,
): Promise<OwnMailbox> {
  const own = await mailboxesOf(deps, caller.subscriberId)
  const sameAddress = own.filter(({ addressIndex }) => equalSecrets(addressIndex, challenge.addressIndex))
  const found =
    sameAddress.find(({ state }) => state === 'active') ??
    sameAddress.find((mailbox) => mailbox.id === challenge.mailbox)
  if (found === undefined || found.state === 'removed' || found.settled) throw challengeEnded()
  return found
}

/**
 * Whether a proof by one challenge makes another one of its mailbox needless: that one is open, and asks for no more. It
 * protects nobody to use up such a one; it keeps the answer to an older mail from being a second proof.
 */
const isNeedlessAfter = (challenge: MailboxChallengeRow, other: MailboxChallengeRow): boolean =>
  other.id !== challenge.id &&
  other.state === 'pending' &&
  (other.act === null || (other.act === challenge.act && other.device === challenge.device))

/**
 * Uses up the challenge and those that it makes needless, and gives the mailbox its new state, in one batch.
 * `answerable`: all challenges to the mailbox that the device may answer.
 */
async function takeProof(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  challenge: MailboxChallengeRow,
  answerable: readonly MailboxChallengeRow[],
): Promise<void> {
  const now = deps.clock()
  const needless = answerable.filter((other) => isNeedlessAfter(challenge, other))
  const { holder, forged } = await readHolding(deps, challenge.addressIndex)
  const losing = holder?.subscriber === caller.subscriberId ? null : holder
  const mailbox = losing === null && holder !== null ? holder.id : challenge.mailbox
  const change =
    holder !== null && mailbox === holder.id
      ? { action: 'mailbox.proved', commands: renewProof(deps.keys, holder, now) }
      : await gainMailbox(deps, caller, challenge)
  const payment = paidWith('mailbox_proof')
  await commit(deps, {
    commands: [
      ...useMailboxChallenge(deps.keys, challenge, now + recentMilliseconds),
      ...(needless.length === 0 ? [] : [useUpChallenges(deps.keys, needless)]),
      ...(losing === null ? [] : await moveAwayCommands(deps, losing, { device: caller.deviceId, payment })),
      ...(forged === null ? [] : takeForgedAway(deps, forged)),
      ...change.commands,
    ],
    audit: {
      action: change.action,
      actorKind: 'device',
      actor: caller.deviceId,
      subjectKind: 'mailbox',
      subject: mailbox,
      facts: { challenge: challenge.id, act: challenge.act },
    },
    payment,
  })
  deps.mail.sendSoon()
  if (losing !== null) deps.events.mailboxMoved({ mailbox: losing.id })
  deps.events.mailboxProved({ mailbox })
  deps.onMailboxProved(mailbox)
}

/**
 * Makes the commands that bring a mailbox to a subscriber who does not have it: as a new one, or back after it moved
 * away.
 */
async function gainMailbox(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  challenge: MailboxChallengeRow,
): Promise<{ action: string; commands: Command[] }> {
  const now = deps.clock()
  const own = (await readMailboxesOf(deps, caller.subscriberId)).find((mailbox) => mailbox.id === challenge.mailbox)
  // Another call with this token has brought the mailbox meanwhile. The guard of the batch then finds the challenge
  // used.
  if (own?.endedAt === null) return { action: 'mailbox.proved', commands: renewProof(deps.keys, own, now) }
  if (own !== undefined) {
    if (own.endReason !== 'moved' || own.settledAt !== null) throw challengeEnded()
    // The mail of a challenge from before the move takes the mailbox from nobody.
    if (own.endedAt !== challenge.mailboxEndedAt) throw challengeEnded()
    return { action: 'mailbox.returned', commands: returnMailbox(deps.keys, own, now) }
  }
  if (challenge.purpose !== 'add') throw challengeEnded()
  const sealedPlace = { table: 'mailbox_challenges', column: 'address_sealed', row: challenge.id }
  const address = openText(deps.keys.main, sealedPlace, challenge.addressSealed)
  const addressIndex = deps.keys.blindIndex(parseMailboxAddress(address).matchingKey)
  if (!equalSecrets(addressIndex, challenge.addressIndex)) throw challengeEnded()
  const place = { table: 'mailboxes', column: 'address_sealed', row: challenge.mailbox }
  const insert = insertMailbox(deps.keys, {
    id: challenge.mailbox,
    subscriber: caller.subscriberId,
    addressSealed: sealText(deps.keys.main, place, address),
    addressIndex,
    accountType: challenge.accountType,
    verifiedAt: now,
    createdAt: now,
  })
  return { action: 'mailbox.added', commands: [insert] }
}
