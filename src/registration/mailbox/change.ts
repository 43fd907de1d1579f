import type { DeviceCaller } from '../../api/room.ts'
import type { AccountType, GuardedAct } from '../../api/shapes.ts'
import { DomainError } from '../../errors.ts'
import { parseMailboxAddress } from '../../mailbox/address.ts'
import { equalSecrets } from '../../pki/encoding.ts'
import { onLatestRows } from '../../ports/authority.ts'
import { openText } from '../../ports/keys.ts'
import { randomId } from '../../ports/runtime.ts'
import type { RegistrationDeps } from '../deps.ts'
import { mailboxesOf, type OwnMailbox } from '../mailboxes.ts'
import { commitAfterRecentProof } from '../recent-proof.ts'
import { challengeMailbox, toBeProved, type ChallengedMailbox, type StartedChallenge } from './challenge.ts'
import { challengeEnded, noSuchMailbox } from './prove.ts'
import { readChallenges, readMailboxesOf, removeMailbox } from './store.ts'
import { paidWith } from '../../ports/row-budgets.ts'

const isProvable = (mailbox: OwnMailbox): boolean => mailbox.state !== 'removed' && !mailbox.settled

/**
 * Mails a token to an address that the caller adds, or that is already a mailbox of theirs. The answer does not show
 * whether the service knows the address. Throws the refusals of addresses, `mailbox_proof_required`,
 * `too_many_requests`.
 */
export async function addMailbox(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  wish: { email: string; accountType: AccountType },
): Promise<StartedChallenge> {
  const { address, matchingKey } = parseMailboxAddress(wish.email)
  const addressIndex = deps.keys.blindIndex(matchingKey)
  const mailboxes = await mailboxesOf(deps, caller.subscriberId)
  const own = mailboxes.find((mailbox) => isProvable(mailbox) && equalSecrets(mailbox.addressIndex, addressIndex))
  const asked: ChallengedMailbox =
    own === undefined
      ? {
          purpose: 'add',
          mailbox: randomId(deps.random),
          address,
          addressIndex,
          accountType: wish.accountType,
          act: null,
          mailboxEndedAt: null,
        }
      : toBeProved(own, null)
  return challengeMailbox(deps, caller, asked, (commands) =>
    own === undefined
      ? onLatestRows(() => commitAfterRecentProof(deps, { caller, act: 'mailbox_add' }, { commands }))
      : deps.database.batch(commands),
  )
}

/**
 * Mails a token to a mailbox of the caller, to one that has moved away from them, or again to one that they are adding.
 * `act` is what the device wants to do with the proof; one of a mailbox that is being added is good for nothing else.
 * Throws `not_found`, `too_many_requests`; throws `challenge_ended` if the caller has to add the mailbox anew.
 */
export async function askForProof(
  deps: RegistrationDeps,
  caller: DeviceCaller,
  id: string,
  act: GuardedAct | null,
): Promise<StartedChallenge> {
  const mailboxes = await mailboxesOf(deps, caller.subscriberId)
  const own = mailboxes.find((mailbox) => mailbox.id === id)
  if (own === undefined ? act !== null : !isProvable(own)) throw noSuchMailbox()
  const asked = own === undefined ? await beingAdded(deps, caller, id) : toBeProved(own, act)
  return challengeMailbox(deps, caller, asked, (commands) => deps.database.batch(commands))
}

async function beingAdded(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<ChallengedMailbox> {
  const challenges = await readChallenges(deps, id, caller.subscriberId)
  if (challenges.length === 0) throw noSuchMailbox()
  const now = deps.clock()
  const pending = challenges.find(({ state, expiresAt }) => state === 'pending' && expiresAt > now)
  if (pending === undefined) throw challengeEnded()
  const { addressIndex, accountType, addressSealed } = pending
  const place = { table: 'mailbox_challenges', column: 'address_sealed', row: pending.id }
  const address = openText(deps.keys.main, place, addressSealed)
  return { purpose: 'add', mailbox: id, address, addressIndex, accountType, act: null, mailboxEndedAt: null }
}

/**
 * Removes a mailbox of the caller. Its certificates leave the directory at once and are revoked soon. A repeat changes
 * nothing. Throws `not_found`, `mailbox_moved`, `mailbox_is_last`, `mailbox_proof_required`.
 */
export async function endMailbox(deps: RegistrationDeps, caller: DeviceCaller, id: string): Promise<void> {
  const hasEnded = await onLatestRows(async () => {
    const own = (await readMailboxesOf(deps, caller.subscriberId)).find((mailbox) => mailbox.id === id)
    if (own === undefined) throw noSuchMailbox()
    if (own.endReason === 'moved') {
      throw new DomainError('mailbox_moved', 'This mailbox is registered elsewhere now: nothing is left to remove.')
    }
    if (own.endReason === 'removed') return false
    await commitAfterRecentProof(
      deps,
      { caller, act: 'mailbox_end' },
      {
        commands: [...removeMailbox(deps.keys, own, deps.clock()), ...deps.onMailboxEnded(id)],
        audit: {
          action: 'mailbox.removed',
          actorKind: 'device',
          actor: caller.deviceId,
          subjectKind: 'mailbox',
          subject: id,
        },
        payment: paidWith('mailbox_proof'),
      },
      (cause) => {
        throw new DomainError('mailbox_is_last', 'This is your only mailbox: add another one first.', { cause })
      },
    )
    return true
  })
  if (hasEnded) deps.onConsequencesDue()
}
