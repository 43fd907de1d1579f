import type { Command } from '../../ports/database.ts'
import { announce } from '../announce.ts'
import type { RegistrationDeps } from '../deps.ts'
import { mailboxesOf } from '../mailboxes.ts'
import { endChallenges, moveMailbox, type MailboxRow } from './store.ts'

/** How long a mailbox that moved can be proved again by the devices that had it, before its certificates are revoked. */
export const returnMilliseconds = 7 * 86_400_000

type MoveDeps = Pick<
  RegistrationDeps,
  'database' | 'keys' | 'clock' | 'audit' | 'mail' | 'mailLanguage' | 'onMailboxEnded'
>

/**
 * The commands by which a mailbox leaves the subscriber that has it, for the batch in which another one gets it: it
 * ends, what rests on it leaves the directory, and the subscriber is told, at this mailbox and at all others of theirs.
 * They break with `mailbox_changed` where it ended meanwhile, or was proved after `provedAt` (UTC milliseconds), when who
 * gets it proved it. Call `deps.mail.sendSoon()` after the commit.
 */
export async function moveAway(deps: MoveDeps, holder: MailboxRow, by: string, provedAt: number): Promise<Command[]> {
  const at = deps.clock()
  const mailboxes = await mailboxesOf(deps, holder.subscriber)
  const told = mailboxes.filter(({ state }) => state === 'active')
  const notices = await Promise.all(
    told.map(({ id, address, addressIndex }) =>
      announce(
        deps,
        { subscriber: holder.subscriber, address, addressIndex },
        'mailbox_moved',
        `${holder.id}/${at}/${id}`,
        { which: id === holder.id ? 'this' : 'another', at, until: at + returnMilliseconds },
      ),
    ),
  )
  return [
    ...moveMailbox(holder.id, at, provedAt),
    endChallenges(holder.id),
    ...deps.onMailboxEnded(holder.id),
    ...notices,
    ...deps.audit.record({
      action: 'mailbox.moved',
      actorKind: 'device',
      actor: by,
      subjectKind: 'mailbox',
      subject: holder.id,
    }),
  ]
}
