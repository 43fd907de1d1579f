import type { Database } from '../ports/database.ts'
import { singleGauge, type Gauge } from '../ports/meter.ts'
import type { Clock } from '../ports/runtime.ts'
import { withoutTls } from '../ports/mailer.ts'
import { countMailGivenUpSince, countQueuedMailFailedWith, countRefusedMail, readMailQueue } from './store.ts'
import { dayMilliseconds, hourMilliseconds } from '../ports/time.ts'

/**
 * How long the row of a mail stays after it was sent or given up. The limits per day count these rows, and operators
 * look in them for failures.
 */
export const finishedKeptMilliseconds = 2 * dayMilliseconds

interface MailMonitoringDeps {
  readonly database: Database
  readonly clock: Clock
}

/** When a mail has waited this long, something is wrong that does not pass by itself. */
const tooLongMilliseconds = hourMilliseconds

async function queueOf(deps: MailMonitoringDeps): Promise<{ waiting: number; oldest: number | null }> {
  return (await readMailQueue(deps.database)) ?? { waiting: 0, oldest: null }
}

const oldestWaitsMilliseconds = async (deps: MailMonitoringDeps): Promise<number> => {
  const { oldest } = await queueOf(deps)
  return oldest === null ? 0 : deps.clock() - oldest
}

/** Mails that wait, since when the oldest does (UTC milliseconds), and mails given up within the last two days. */
export async function countMails(
  deps: MailMonitoringDeps,
): Promise<{ queued: number; oldestQueuedAt: number | null; givenUp: number }> {
  const { waiting, oldest } = await queueOf(deps)
  const givenUp = await countMailGivenUpSince(deps.database, deps.clock() - finishedKeptMilliseconds)
  return { queued: waiting, oldestQueuedAt: oldest, givenUp: givenUp?.mails ?? 0 }
}

export const mailGauges = (deps: MailMonitoringDeps): readonly Gauge[] => [
  singleGauge('certbook_mails_queued', 'mails that wait to be handed over', async () => (await queueOf(deps)).waiting),
  singleGauge('certbook_mail_oldest_seconds', 'how long the oldest queued mail has waited', async () =>
    Math.floor((await oldestWaitsMilliseconds(deps)) / 1_000),
  ),
]

/** The last failure of mails that a restore gave up: no mail system has refused them. */
export const restoredReason = 'restored from a backup'

/**
 * Warns where mails have been undeliverable for an hour: nobody can register meanwhile. Warns at once where a mail was
 * held back rather than sent in clear, and where the mail system has refused mails and taken none since.
 */
export async function mailWarnings(deps: MailMonitoringDeps): Promise<string[]> {
  const warnings: string[] = []
  if ((await oldestWaitsMilliseconds(deps)) > tooLongMilliseconds) {
    warnings.push(
      'Mails have been waiting for more than an hour: see mail_delayed in the log, and SMTP_URL or MAIL_HOOK_URL.',
    )
  }
  const heldBack = (await countQueuedMailFailedWith(deps.database, withoutTls))?.mails ?? 0
  if (heldBack > 0) {
    warnings.push(
      `Mails are held back (${heldBack}), because the mail system offers no TLS that can be trusted, and mail never leaves in clear: set SMTP_URL or MAIL_HOOK_URL to a server with a certificate that is trusted (NODE_EXTRA_CA_CERTS names further anchors).`,
    )
  }
  const refused = (await countRefusedMail(deps.database, restoredReason))?.mails ?? 0
  if (refused > 0) {
    warnings.push(
      `The mail system has refused mails, or not taken them in a day (${refused}), and has taken none since: mail_delayed in the log has its answer.`,
    )
  }
  return warnings
}
