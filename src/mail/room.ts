import MailComposer from 'nodemailer/lib/mail-composer/index.js'
import { z } from 'zod'
import type { Room } from '../api/room.ts'
import type { Events } from '../events.ts'
import { GuardBroken, type Command, type Database } from '../ports/database.ts'
import { openText, sealText, type Keys } from '../ports/keys.ts'
import { DeliveryFailed, type Mailer } from '../ports/mailer.ts'
import { randomId, type Background, type Clock, type Random } from '../ports/runtime.ts'
import { personalData } from './personal-data.ts'
import { claimMail, deleteFinishedMail, finishMail, insertMail, postponeMail, readDueMail } from './store.ts'
import { renderMail, type MailKind, type MailLanguage, type MailParameters } from './templates.ts'

/** SBR 4.2.1 leaves the number open: three an hour and six a day stop the service from flooding a mailbox. */
const limitsPerRecipient = { hourly: 3, daily: 6 }
const retryMinutes = [1, 2, 5, 15, 30, 60, 120, 240]
/** While a sender holds a mail, no other one takes it; after a crash it is due again. */
const claimMilliseconds = 90_000
const givenUpAfterMilliseconds = 24 * 3_600_000
const finishedKeptMilliseconds = 2 * 86_400_000

/** One notice to one mailbox. */
interface Notice<K extends MailKind> {
  readonly kind: K
  /** The same key is queued once, however often it is asked for. */
  readonly dedupeKey: string
  readonly recipient: string
  readonly recipientIndex: Uint8Array
  readonly language: MailLanguage
  readonly parameters: MailParameters[K]
}

export interface MailRoom extends Room {
  /** The command that queues a notice, for the batch of the change that it tells of. */
  queue<K extends MailKind>(notice: Notice<K>): Command
  /** Sends soon; call it after the batch has been committed. */
  sendSoon(): void
}

interface MailDeps {
  readonly database: Database
  readonly keys: Keys
  readonly mailer: Mailer
  readonly mailFrom: string
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly background: Background
}

const contentShape = z.strictObject({
  recipient: z.string(),
  language: z.enum(['de', 'en']),
  parameters: z.strictObject({
    registration: z.string(),
    token: z.string(),
    deviceType: z.string(),
    startedAt: z.string(),
  }),
})

const contentPlace = (id: string) => ({ table: 'outgoing_mail', column: 'content_sealed', row: id })

type DueMail = Awaited<ReturnType<typeof readDueMail>>[number]

async function compose(deps: MailDeps, mail: DueMail): Promise<{ to: string; raw: Uint8Array }> {
  const content = contentShape.parse(JSON.parse(openText(deps.keys.main, contentPlace(mail.id), mail.contentSealed)))
  const rendered = renderMail(mail.kind, content.language, content.parameters)
  const composer = new MailComposer({
    from: deps.mailFrom,
    to: content.recipient,
    subject: rendered.subject,
    text: rendered.text,
    headers: rendered.headers,
    date: new Date(mail.createdAt),
    messageId: `<${mail.id}@${/@([^\s>]+)/.exec(deps.mailFrom)?.[1] ?? 'localhost'}>`,
  })
  return { to: content.recipient, raw: new Uint8Array(await composer.compile().build()) }
}

async function sendOne(deps: MailDeps, mail: DueMail): Promise<void> {
  try {
    await deps.database.batch(claimMail(mail.id, deps.clock(), deps.clock() + claimMilliseconds))
  } catch (error) {
    if (error instanceof GuardBroken) return
    throw error
  }
  try {
    const { to, raw } = await compose(deps, mail)
    await deps.mailer.deliver({ id: mail.id, from: deps.mailFrom, to, raw })
  } catch (error) {
    const failed =
      error instanceof DeliveryFailed ? error : new DeliveryFailed('the mailer failed', false, { cause: error })
    const overdue = deps.clock() > mail.createdAt + givenUpAfterMilliseconds
    const wait = (retryMinutes[Math.min(mail.attempts, retryMinutes.length - 1)] ?? 1) * 60_000
    await deps.database.batch([
      failed.permanent || overdue
        ? finishMail(mail.id, 'given_up', deps.clock(), failed.message)
        : postponeMail(mail.id, deps.clock() + wait, failed.message),
    ])
    deps.events.mailDelayed({ mail: mail.id, kind: mail.kind, reason: failed.message, permanent: failed.permanent })
    return
  }
  await deps.database.batch([finishMail(mail.id, 'sent', deps.clock(), null)])
  deps.events.mailSent({ mail: mail.id, kind: mail.kind })
}

/** Sends what is due, a few at a time, until nothing is. */
async function sendDue(deps: MailDeps): Promise<void> {
  for (;;) {
    const due = await readDueMail(deps.database, deps.clock(), 20)
    if (due.length === 0) return
    await Promise.all(due.map((mail) => sendOne(deps, mail)))
  }
}

/** Outgoing mail: a queue in the business batch, sent afterwards, at least once. */
export function createMailRoom(deps: MailDeps): MailRoom {
  // A lease, not a flag: on Workers the call that holds it can be cancelled, and then it is never given back.
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
    queue: (notice) => {
      const id = randomId(deps.random)
      const { recipient, language, parameters } = notice
      return insertMail(
        {
          id,
          dedupeKey: notice.dedupeKey,
          kind: notice.kind,
          recipientIndex: notice.recipientIndex,
          contentSealed: sealText(
            deps.keys.main,
            contentPlace(id),
            JSON.stringify(contentShape.parse({ recipient, language, parameters })),
          ),
          createdAt: deps.clock(),
        },
        limitsPerRecipient,
      )
    },
    sendSoon: () => deps.background.run('mail-send', send),
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
  }
}
