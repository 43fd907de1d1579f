import {
  blob,
  command,
  integer,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../ports/database.ts'
import { use } from '../../api/columns.ts'

/**
 * Valid certificates whose holder is to be told today that they run out, the longest due first; none whose mailbox or device
 * has ended, for those are about to be revoked.
 */
export const readRemindersDue = (database: Database, now: number, limit: number) =>
  database.all(
    query(
      { id: text, subscriber: text, mailbox: text, use, factsSealed: blob, remindDay: integer, reminded: integer },
      `SELECT c.id, c.subscriber, c.mailbox, c.usage AS use, c.facts_sealed AS factsSealed, c.remind_day AS remindDay,
              c.reminded
       FROM certificates c JOIN mailboxes m ON m.id = c.mailbox JOIN devices d ON d.id = c.device
       WHERE c.state = 'valid' AND c.remind_day <= ? AND c.not_after_day > ? AND m.ended_at IS NULL AND d.ended_at IS NULL
       ORDER BY c.remind_day LIMIT ?`,
      now,
      now,
      limit,
    ),
  )
export type DueReminder = Awaited<ReturnType<typeof readRemindersDue>>[number]

/** Takes a reminder and says when the next one is due; broken where another worker has, or the certificate has ended. */
export const takeReminder = (
  { id, remindDay, reminded }: Pick<DueReminder, 'id' | 'remindDay' | 'reminded'>,
  nextDay: number | null,
): Command[] => [
  command(
    `UPDATE certificates SET remind_day = ?, reminded = 1
     WHERE id = ? AND remind_day = ? AND reminded = ? AND state = 'valid'`,
    nextDay,
    id,
    remindDay,
    reminded,
  ),
  requireOneChange('reminded_already'),
]

/** The valid certificates of a device whose last day is not over. */
export const readRenewable = (database: Database, device: string, now: number) =>
  database.all(
    query(
      { id: text, factsSealed: blob },
      `SELECT id, facts_sealed AS factsSealed FROM certificates
       WHERE device = ? AND state = 'valid' AND not_after_day > ? ORDER BY id`,
      device,
      now,
    ),
  )
