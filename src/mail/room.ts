import MailComposer from 'nodemailer/lib/mail-composer/index.js'
import type { Room } from '../api/room.ts'
import type { Events } from '../events.ts'
import { accountKey } from '../mailbox/account.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { Command, Database } from '../ports/database.ts'
import { openText, sealText, type Keys } from '../ports/keys.ts'
import { DeliveryFailed, type Mailer } from '../ports/mailer.ts'
import { randomId, type Background, type Clock, type Random } from '../ports/runtime.ts'
import { mailContent, type MailContent, type MailKind, type MailLanguage, type MailParameters } from './content.ts'
import { finishedKeptMilliseconds, mailGauges, mailWarnings, restoredReason } from './monitoring.ts'
import { personalData } from './personal-data.ts'
import {
  claimMail,
  deleteFinishedMail,
  finishMail,
  finishQueuedMail,
  insertAnnouncementMail,
  insertChallengeMail,
  insertReservedMail,
  postponeMail,
  readDueMail,
  releaseClaimedMail,
  type QueuedMailRow,
} from './store.ts'
import { renderMail } from './templates.ts'
import { dayMilliseconds } from '../ports/time.ts'

/**
 * Anyone can cause a challenge mail to anyone, and SBR 4.2.1 sets no limit. Three an hour and six a day keep the
 * service from flooding a mailbox. Mails of one group are counted together. So strangers do not use up the limit of the
 * mailbox's own subscriber. One more a day is for askers who have caused none to this mailbox, so strangers do not use up
 * what its holder needs. Announcements have no limit: each tells of one thing that has happened.
 */
const challengesPerRecipient = { hourly: 3, daily: 6 }
const retryMinutes = [1, 2, 5, 15, 30, 60, 120, 240]
/**
 * For this long no other sender takes a mail that a sender has claimed. After a crash it is due again then, or at the
 * next start of a process that is alone.
 */
const claimMilliseconds = 90_000
const mailsAtOnce = 20
const givenUpAfterMilliseconds = dayMilliseconds

/** A mail that tells what has happened, and asks for nothing. */
export type Announcement = Exclude<MailKind, 'challenge'>

interface Notice<K extends MailKind> {
  readonly kind: K
  /** A key is queued once, however often it is asked for. */
  readonly dedupeKey: string
  readonly recipient: string
  readonly language: MailLanguage
  readonly parameters: MailParameters[K]
}

interface ChallengeNotice extends Omit<Notice<'challenge'>, 'kind' | 'dedupeKey'> {
  /** The mails of one group to one mailbox have a limit together. */
  readonly group: string
  /** Who causes it, as text that never leaves the service. Null: there is no mail beyond the limit of the group. */
  readonly asker: string | null
}

/** A challenge to be queued. */
export interface QueuedChallenge {
  /** Of the mail. */
  readonly id: string
  /** Commit them next to each other. If none of them changes a row, the mail is withheld: the mailbox had too many. */
  readonly commands: readonly Command[]
}

export interface MailRoom extends Room {
  /** Makes the command that queues a notice. Commit it with the change that the notice tells of. */
  queue<K extends Announcement>(notice: Notice<K>): Command
  /** Makes the commands that queue a challenge. Commit them with what it challenges. */
  queueChallenge(notice: ChallengeNotice): QueuedChallenge
  /** Sends soon. Call it after the commit. */
  sendSoon(): void
  /** Sends what was claimed when the last process ended. Only for a process that knows that no other sends. */
  resume(): Promise<void>
  /** Makes the command that gives up all queued mails. After a restore nobody knows which of them were sent. */
  giveUpQueued(): Command
}

interface MailDeps {
  readonly database: Database
  readonly keys: Keys
  readonly mailer: Mailer
  readonly mailFrom: string
  /** The service's own address. Mails name its host, and their links lead there. */
  readonly publicUrl: string
  /** Who runs the service, as mails name them. */
  readonly controller: string | null
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly background: Background
}

const contentPlace = (id: string) => ({ table: 'outgoing_mail', column: 'content_sealed', row: id })

type DueMail = Awaited<ReturnType<typeof readDueMail>>[number]

/** Opens the content of a queued mail. Throws a permanent `DeliveryFailed` if this version cannot read it. */
const contentOf = (deps: MailDeps, mail: DueMail): MailContent => {
  const opened = openText(deps.keys.main, contentPlace(mail.id), mail.contentSealed)
  const content = mailContent.safeParse(JSON.parse(opened))
  if (content.success && content.data.kind === mail.kind) return content.data
  throw new DeliveryFailed('its content is not one that this version can read', true)
}

async function compose(deps: MailDeps, mail: DueMail): Promise<{ to: string; raw: Uint8Array }> {
  const content = contentOf(deps, mail)
  const rendered = renderMail(content, content.language, deps)
  const composer = new MailComposer({
    from: deps.mailFrom,
    to: content.recipient,
    subject: rendered.subject,
    text: rendered.text,
    html: rendered.html,
    headers: rendered.headers,
    date: new Date(mail.createdAt),
    messageId: `<${mail.id}@${/@([^\s>]+)/.exec(deps.mailFrom)?.[1] ?? 'localhost'}>`,
  })
  return { to: content.recipient, raw: new Uint8Array(await composer.compile().build()) }
}

/** Tries one mail. Resolves to the command that keeps the result. */
async function sendOne(deps: MailDeps, mail: DueMail): Promise<Command> {
  try {
    const { to, raw } = await compose(deps, mail)
    await deps.mailer.deliver({ id: mail.id, from: deps.mailFrom, to, raw })
  } catch (error) {
    const failed =
      error instanceof DeliveryFailed ? error : new DeliveryFailed('the mailer failed', false, { cause: error })
    const overdue = deps.clock() > mail.createdAt + givenUpAfterMilliseconds
    const wait = (retryMinutes[Math.min(mail.attempts, retryMinutes.length - 1)] ?? 1) * 60_000
    deps.events.mailDelayed({ mail: mail.id, kind: mail.kind, reason: failed.message, permanent: failed.permanent })
    return failed.permanent || overdue
      ? finishMail(mail.id, 'given_up', deps.clock(), failed.message)
      : postponeMail(mail.id, deps.clock() + wait, failed.message)
  }
  deps.events.mailSent({ mail: mail.id, kind: mail.kind })
  return finishMail(mail.id, 'sent', deps.clock(), null)
}

/** Claims what is due for this sender. Each claim stands alone: mails that another sender has claimed are left out. */
async function claimDue(deps: MailDeps): Promise<{ due: number; mine: DueMail[] }> {
  const now = deps.clock()
  const due = await readDueMail(deps.database, now, mailsAtOnce)
  if (due.length === 0) return { due: 0, mine: [] }
  const outcomes = await deps.database.batch(due.map(({ id }) => claimMail(id, now, now + claimMilliseconds)))
  return { due: due.length, mine: due.filter((_, index) => outcomes[index]?.changes === 1) }
}

/** Sends all that is due, a few mails at a time. Each group takes two commits. */
async function sendDue(deps: MailDeps): Promise<void> {
  for (;;) {
    const { due, mine } = await claimDue(deps)
    if (due === 0) return
    const kept = await Promise.all(mine.map((mail) => sendOne(deps, mail)))
    if (kept.length > 0) await deps.database.batch(kept)
  }
}

function rowOf<K extends MailKind>(deps: MailDeps, notice: Notice<K>, askerIndex: Uint8Array | null): QueuedMailRow {
  const id = randomId(deps.random)
  const { kind, dedupeKey, recipient, language, parameters } = notice
  const content = mailContent.parse({ kind, recipient, language, parameters })
  return {
    id,
    dedupeKey,
    kind,
    recipientIndex: deps.keys.blindIndex(accountKey(parseMailboxAddress(recipient))),
    askerIndex,
    contentSealed: sealText(deps.keys.main, contentPlace(id), JSON.stringify(content)),
    createdAt: deps.clock(),
  }
}

/** Outgoing mail: a queue, written in the batch of the change, sent afterwards at least once. */
export function createMailRoom(deps: MailDeps): MailRoom {
  // A time, not a flag: Workers may cancel a call while it sends, and nobody would ever reset a flag.
  let sendingUntil = 0
  let again = false
  const send = async (): Promise<void> => {
    if (sendingUntil > deps.clock()) {
      again = true
      return
    }
    try {
      do {
        again = false
        sendingUntil = deps.clock() + claimMilliseconds
        await sendDue(deps)
      } while (again)
    } finally {
      sendingUntil = 0
    }
  }
  return {
    queue: (notice) => insertAnnouncementMail(rowOf(deps, notice, null)),
    queueChallenge: ({ group, asker, ...notice }) => {
      const account = accountKey(parseMailboxAddress(notice.recipient))
      const askerIndex = asker === null ? null : deps.keys.blindIndex(`mail-asker/${asker}/${account}`)
      const { registration } = notice.parameters
      const row = rowOf(deps, { ...notice, kind: 'challenge', dedupeKey: `${group}/${registration}` }, askerIndex)
      const commands = [insertChallengeMail(row, { ...challengesPerRecipient, sharing: `${group}/` })]
      if (asker !== null) {
        const sharing = `${group}-reserve/`
        commands.push(insertReservedMail({ ...row, dedupeKey: `${sharing}${registration}` }, sharing))
      }
      return { id: row.id, commands }
    },
    sendSoon: () => deps.background.run('mail-send', send),
    resume: async () => {
      await deps.database.batch([releaseClaimedMail(deps.clock())])
      deps.background.run('mail-send', send)
    },
    giveUpQueued: () => finishQueuedMail(deps.clock(), restoredReason),
    routes: [],
    jobs: [
      { name: 'mail-send', cron: '* * * * *', run: send },
      {
        name: 'mail-prune',
        cron: '17 3 * * *',
        run: async () => {
          const [pruned] = await deps.database.batch([deleteFinishedMail(deps.clock() - finishedKeptMilliseconds)])
          deps.events.rowsPruned({ table: 'outgoing_mail', rows: pruned?.changes ?? 0 })
        },
      },
    ],
    personalData,
    checks: [],
    gauges: mailGauges(deps),
    warnings: () => mailWarnings(deps),
  }
}
