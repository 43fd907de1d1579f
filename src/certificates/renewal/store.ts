import { command, integer, query, requireOneChange, text, type Command, type Database } from '../../ports/database.ts'
import { use } from '../../api/columns.ts'

/**
 * Valid certificates whose holder is to be told that they run out, the longest due first; none whose mailbox or device
 * has ended, for those are about to be revoked.
 */
export const readRemindersDue = (database: Database, now: number, limit: number) =>
  database.all(
    query(
      { id: text, subscriber: text, mailbox: text, use, notBefore: integer, notAfter: integer, remindAt: integer },
      `SELECT c.id, c.subscriber, c.mailbox, c.usage AS use, c.not_before AS notBefore, c.not_after AS notAfter,
              c.remind_at AS remindAt
       FROM certificates c JOIN mailboxes m ON m.id = c.mailbox JOIN devices d ON d.id = c.device
       WHERE c.state = 'valid' AND c.remind_at <= ? AND c.not_after > ? AND m.ended_at IS NULL AND d.ended_at IS NULL
       ORDER BY c.remind_at LIMIT ?`,
      now,
      now,
      limit,
    ),
  )
export type DueReminder = Awaited<ReturnType<typeof readRemindersDue>>[number]

/** Takes a reminder and says when the next one is due; broken where another worker has, or the certificate has ended. */
export const takeReminder = (
  { id, remindAt }: Pick<DueReminder, 'id' | 'remindAt'>,
  next: number | null,
): Command[] => [
  command(
    `UPDATE certificates SET remind_at = ? WHERE id = ? AND remind_at = ? AND state = 'valid'`,
    next,
    id,
    remindAt,
  ),
  requireOneChange('reminded_already'),
]

/** The valid certificates of a device that are not expired, the first to expire first. */
export const readRenewable = (database: Database, device: string, now: number) =>
  database.all(
    query(
      { id: text, notBefore: integer, notAfter: integer },
      `SELECT id, not_before AS notBefore, not_after AS notAfter FROM certificates
       WHERE device = ? AND state = 'valid' AND not_after > ? ORDER BY not_after, id`,
      device,
      now,
    ),
  )
