import {
  blob,
  command,
  integer,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../ports/database.ts'

export interface QueuedMailRow {
  readonly id: string
  readonly dedupeKey: string
  readonly kind: string
  readonly recipientIndex: Uint8Array
  readonly contentSealed: Uint8Array
  readonly createdAt: number
}

/**
 * Queues one mail. A repeat of the dedupe key queues nothing, and neither does a recipient who has had
 * `hourly` mails of this kind within an hour or `daily` within a day.
 */
export const insertMail = (mail: QueuedMailRow, limits: { hourly: number; daily: number }): Command =>
  command(
    `INSERT INTO outgoing_mail
       (id, dedupe_key, kind, recipient_index, content_sealed, created_at, state, attempts, next_attempt_at)
     SELECT ?, ?, ?, ?, ?, ?, 'queued', 0, ?
     WHERE (SELECT COUNT(*) FROM outgoing_mail WHERE recipient_index = ? AND kind = ? AND created_at > ?) < ?
       AND (SELECT COUNT(*) FROM outgoing_mail WHERE recipient_index = ? AND kind = ? AND created_at > ?) < ?
     ON CONFLICT (dedupe_key) DO NOTHING`,
    mail.id,
    mail.dedupeKey,
    mail.kind,
    mail.recipientIndex,
    mail.contentSealed,
    mail.createdAt,
    mail.createdAt,
    mail.recipientIndex,
    mail.kind,
    mail.createdAt - 3_600_000,
    limits.hourly,
    mail.recipientIndex,
    mail.kind,
    mail.createdAt - 86_400_000,
    limits.daily,
  )

export const readDueMail = (database: Database, now: number, limit: number) =>
  database.all(
    query(
      { id: text, kind: oneOf('challenge'), contentSealed: blob, createdAt: integer, attempts: integer },
      `SELECT id, kind, content_sealed AS contentSealed, created_at AS createdAt, attempts
       FROM outgoing_mail WHERE state = 'queued' AND next_attempt_at <= ? ORDER BY next_attempt_at LIMIT ?`,
      now,
      limit,
    ),
  )

/** Takes one due mail for this sender; broken where another sender took it. */
export const claimMail = (id: string, now: number, nextAttemptAt: number): Command[] => [
  command(
    `UPDATE outgoing_mail SET attempts = attempts + 1, next_attempt_at = ?
     WHERE id = ? AND state = 'queued' AND next_attempt_at <= ?`,
    nextAttemptAt,
    id,
    now,
  ),
  requireOneChange('mail_taken'),
]

/** Ends a mail and drops its content: only the dedupe key and the count stay until it is pruned. */
export const finishMail = (id: string, state: 'sent' | 'given_up', now: number, failure: string | null): Command =>
  command(
    `UPDATE outgoing_mail SET state = ?, finished_at = ?, last_failure = ?, content_sealed = x'' WHERE id = ?`,
    state,
    now,
    failure,
    id,
  )

export const postponeMail = (id: string, nextAttemptAt: number, failure: string): Command =>
  command(
    `UPDATE outgoing_mail SET next_attempt_at = ?, last_failure = ? WHERE id = ? AND state = 'queued'`,
    nextAttemptAt,
    failure,
    id,
  )

export const deleteFinishedMail = (before: number): Command =>
  command(`DELETE FROM outgoing_mail WHERE state <> 'queued' AND finished_at < ?`, before)
