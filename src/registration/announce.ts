import type { MailKind, MailParameters } from '../mail/content.ts'
import { mailLanguageFor } from '../mail/templates.ts'
import type { Command } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import { mailboxesOf } from './mailboxes.ts'
import { readSubscriber } from './store.ts'

/** What is told after the fact, rather than asked. */
export type Announcement = Exclude<MailKind, 'challenge'>

/** A mailbox to which something is announced. */
interface AnnouncedTo {
  readonly subscriber: string
  readonly address: string
  readonly addressIndex: Uint8Array
  /** The language tag of a subscriber that is not kept yet. */
  readonly language?: string
}

/**
 * The command that queues a notice to one of a subscriber's mailboxes, in the subscriber's language, for the batch of
 * the change that it tells of. The same `about` is told once. Call `deps.mail.sendSoon()` after the commit.
 */
export async function announce<K extends Announcement>(
  deps: Pick<RegistrationDeps, 'database' | 'mail' | 'mailLanguage'>,
  to: AnnouncedTo,
  kind: K,
  about: string,
  parameters: MailParameters[K],
): Promise<Command> {
  const language = to.language ?? (await readSubscriber(deps.database, to.subscriber))?.language ?? ''
  return deps.mail.queue({
    kind,
    dedupeKey: `${kind}/${about}`,
    recipient: to.address,
    recipientIndex: to.addressIndex,
    language: mailLanguageFor(language, deps.mailLanguage),
    parameters,
  })
}

/**
 * As `announce`, to the mailbox that a certificate is for, whether or not its subscriber still has it; no command where
 * it is gone.
 */
export async function announceToMailbox<K extends Announcement>(
  deps: Pick<RegistrationDeps, 'database' | 'keys' | 'mail' | 'mailLanguage'>,
  of: { readonly subscriber: string; readonly mailbox: string },
  kind: K,
  about: string,
  parameters: MailParameters[K],
): Promise<Command[]> {
  const mailbox = (await mailboxesOf(deps, of.subscriber)).find(({ id }) => id === of.mailbox)
  if (mailbox === undefined) return []
  return [await announce(deps, { subscriber: of.subscriber, ...mailbox }, kind, about, parameters)]
}
