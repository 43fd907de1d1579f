import type { MailParameters } from '../mail/content.ts'
import type { Announcement } from '../mail/room.ts'
import { mailLanguageFor } from '../mail/templates.ts'
import type { Command } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import { mailboxesOf } from './mailboxes.ts'
import { readSubscriber } from './store.ts'

/** A mailbox to which something is announced. */
export interface AnnouncedTo {
  readonly subscriber: string
  readonly address: string
  /** The language tag of a new subscriber, whose row is not written yet. */
  readonly language?: string
}

/**
 * The command that queues a notice to one mailbox, in the language of its subscriber. Commit it with the change
 * that the notice tells of, then call `deps.mail.sendSoon()`. Each `about` is told once.
 */
export async function announcementCommand<K extends Announcement>(
  deps: Pick<RegistrationDeps, 'database' | 'mail' | 'mailLanguage'>,
  to: AnnouncedTo,
  { kind, about }: { readonly kind: K; readonly about: string },
  parameters: MailParameters[K],
): Promise<Command> {
  const language = to.language ?? (await readSubscriber(deps.database, to.subscriber))?.language ?? ''
  return deps.mail.queue({
    kind,
    dedupeKey: `${kind}/${about}`,
    recipient: to.address,
    language: mailLanguageFor(language, deps.mailLanguage),
    parameters,
  })
}

/** The mailbox of a certificate: known already, or by its id. */
export type CertifiedMailbox = AnnouncedTo | { readonly subscriber: string; readonly mailbox: string }

/**
 * The same notice for the mailbox of a certificate, also where the subscriber no longer has it. No command where the
 * mailbox does not exist.
 */
export async function announcementCommands<K extends Announcement>(
  deps: Pick<RegistrationDeps, 'database' | 'keys' | 'events' | 'mail' | 'mailLanguage'>,
  of: CertifiedMailbox,
  notice: { readonly kind: K; readonly about: string },
  parameters: MailParameters[K],
): Promise<Command[]> {
  if ('address' in of) return [await announcementCommand(deps, of, notice, parameters)]
  const mailbox = (await mailboxesOf(deps, of.subscriber)).find(({ id }) => id === of.mailbox)
  if (mailbox === undefined) return []
  return [await announcementCommand(deps, { subscriber: of.subscriber, ...mailbox }, notice, parameters)]
}
