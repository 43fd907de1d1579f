import type { Command } from '../../ports/database.ts'
import type { Payment } from '../../ports/row-budgets.ts'
import { announcementCommand } from '../announcements.ts'
import type { RegistrationDeps } from '../deps.ts'
import { mailboxesOf } from '../mailboxes.ts'
import { endForgedMailbox, moveMailbox, type MailboxRow } from './store.ts'
import { dayMilliseconds } from '../../ports/time.ts'

/** How long the old devices can prove a moved mailbox again, before its certificates are revoked. */
export const returnMilliseconds = 7 * dayMilliseconds

type MoveDeps = Pick<
  RegistrationDeps,
  'database' | 'keys' | 'events' | 'clock' | 'audit' | 'mail' | 'mailLanguage' | 'onMailboxEnded'
>

/**
 * Makes the commands that take a mailbox from its subscriber, for the batch that gives it to another one. The mailbox
 * ends, its certificates leave the directory, and the old subscriber is told at this and all other mailboxes of theirs.
 * Guard `requireUnchanged`: it has not ended, and was not proved since it was read. Call `deps.mail.sendSoon()` after the commit.
 */
export async function moveAwayCommands(
  deps: MoveDeps,
  holder: MailboxRow,
  by: { readonly device: string; readonly payment: Payment },
): Promise<Command[]> {
  const at = deps.clock()
  const mailboxes = await mailboxesOf(deps, holder.subscriber)
  const told = mailboxes.filter(({ state }) => state === 'active')
  const notices = await Promise.all(
    told.map(({ id, address }) =>
      announcementCommand(
        deps,
        { subscriber: holder.subscriber, address },
        { kind: 'mailbox_moved', about: `${holder.id}/${at}/${id}` },
        { which: id === holder.id ? 'this' : 'another', at, until: at + returnMilliseconds },
      ),
    ),
  )
  return [
    ...moveMailbox(deps.keys, holder, at),
    ...deps.onMailboxEnded(holder.id),
    ...notices,
    ...deps.audit.record(
      {
        action: 'mailbox.moved',
        actorKind: 'device',
        actor: by.device,
        subjectKind: 'mailbox',
        subject: holder.id,
      },
      by.payment,
    ),
  ]
}

/**
 * Makes the commands that take an address from a mailbox that nobody here wrote, for the batch that gives it to whoever
 * has proved it. Nobody is told, as nobody knows whose it was.
 */
export const takeForgedAway = (deps: Pick<MoveDeps, 'clock' | 'onMailboxEnded'>, forged: string): Command[] => [
  ...endForgedMailbox(forged, deps.clock()),
  ...deps.onMailboxEnded(forged),
]
