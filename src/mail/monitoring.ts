import type { Database } from '../ports/database.ts'
import { singleGauge, type Gauge } from '../ports/meter.ts'
import type { Clock } from '../ports/runtime.ts'
import { readQueue } from './store.ts'

interface MailMonitoringDeps {
  readonly database: Database
  readonly clock: Clock
}

/** A mail that has waited this long tells of something that does not pass by itself. */
const tooLongMilliseconds = 3_600_000

async function queueOf(deps: MailMonitoringDeps): Promise<{ waiting: number; oldestMilliseconds: number }> {
  const queue = await readQueue(deps.database)
  const oldest = queue?.oldest ?? null
  return { waiting: queue?.waiting ?? 0, oldestMilliseconds: oldest === null ? 0 : deps.clock() - oldest }
}

export const mailGauges = (deps: MailMonitoringDeps): readonly Gauge[] => [
  singleGauge('certbook_mails_queued', 'mails that wait to be handed over', async () => (await queueOf(deps)).waiting),
  singleGauge('certbook_mail_oldest_seconds', 'how long the oldest queued mail has waited', async () =>
    Math.floor((await queueOf(deps)).oldestMilliseconds / 1_000),
  ),
]

/** Warns where mails have been undeliverable for an hour: nobody can register meanwhile. */
export async function mailWarnings(deps: MailMonitoringDeps): Promise<string[]> {
  const { oldestMilliseconds } = await queueOf(deps)
  if (oldestMilliseconds <= tooLongMilliseconds) return []
  return ['Mails have been waiting for more than an hour: see mail_delayed in the log, and SMTP_URL or MAIL_HOOK_URL.']
}
