import { blob, command, integer, nullable, oneOf, query, text, type Command, type Database } from '../ports/database.ts'
import { dayMilliseconds, hourMilliseconds } from '../ports/time.ts'

const kind = oneOf(
  'challenge',
  'new_device',
  'new_certificate',
  'new_publication',
  'mailbox_moved',
  'revocation',
  'running_out',
)

export interface QueuedMailRow {
  readonly id: string
  readonly dedupeKey: string
  readonly kind: string
  readonly recipientIndex: Uint8Array
  /** Who caused a challenge; null of an announcement. */
  readonly askerIndex: Uint8Array | null
  readonly contentSealed: Uint8Array
  readonly createdAt: number
}

/** Queues one mail. A repeat of the dedupe key queues nothing. */
export const insertAnnouncementMail = (mail: QueuedMailRow): Command =>
  command(
    `INSERT INTO outgoing_mail
       (id, dedupe_key, kind, recipient_index, content_sealed, created_at, state, attempts, next_attempt_at)
     VALUES (?, ?, ?, ?, ?, ?, 'queued', 0, ?)
     ON CONFLICT (dedupe_key) DO NOTHING`,
    mail.id,
    mail.dedupeKey,
    mail.kind,
    mail.recipientIndex,
    mail.contentSealed,
    mail.createdAt,
    mail.createdAt,
  )

/** How many mails one recipient may have whose dedupe key begins with `sharing`. */
export interface MailLimits {
  readonly sharing: string
  readonly hourly: number
  readonly daily: number
}

/**
 * Queues one mail, as `insertAnnouncementMail` does. Queues nothing if the recipient has had `hourly` mails of this group
 * within an hour, or `daily` within a day.
 */
export const insertChallengeMail = (mail: QueuedMailRow, limits: MailLimits): Command =>
  command(
    `INSERT INTO outgoing_mail
       (id, dedupe_key, kind, recipient_index, asker_index, content_sealed, created_at, state, attempts, next_attempt_at)
     SELECT ?, ?, ?, ?, ?, ?, ?, 'queued', 0, ?
     WHERE (SELECT COUNT(*) FROM outgoing_mail
            WHERE recipient_index = ? AND kind = ? AND created_at > ? AND instr(dedupe_key, ?) = 1) < ?
       AND (SELECT COUNT(*) FROM outgoing_mail
            WHERE recipient_index = ? AND kind = ? AND created_at > ? AND instr(dedupe_key, ?) = 1) < ?
     ON CONFLICT (dedupe_key) DO NOTHING`,
    mail.id,
    mail.dedupeKey,
    mail.kind,
    mail.recipientIndex,
    mail.askerIndex,
    mail.contentSealed,
    mail.createdAt,
    mail.createdAt,
    mail.recipientIndex,
    mail.kind,
    mail.createdAt - hourMilliseconds,
    limits.sharing,
    limits.hourly,
    mail.recipientIndex,
    mail.kind,
    mail.createdAt - dayMilliseconds,
    limits.sharing,
    limits.daily,
  )

/**
 * Queues one mail beyond those limits, unless it is queued already. Queues nothing if, within a day, this asker has caused
 * a challenge to the recipient, or the recipient has had such a mail: their dedupe keys begin with `sharing`.
 */
export const insertReservedMail = (mail: QueuedMailRow, sharing: string): Command =>
  command(
    `INSERT INTO outgoing_mail
       (id, dedupe_key, kind, recipient_index, asker_index, content_sealed, created_at, state, attempts, next_attempt_at)
     SELECT ?, ?, ?, ?, ?, ?, ?, 'queued', 0, ?
     WHERE NOT EXISTS (SELECT 1 FROM outgoing_mail WHERE id = ?)
       AND NOT EXISTS (SELECT 1 FROM outgoing_mail
                       WHERE recipient_index = ? AND kind = ? AND created_at > ?
                         AND (asker_index = ? OR instr(dedupe_key, ?) = 1))
     ON CONFLICT (dedupe_key) DO NOTHING`,
    mail.id,
    mail.dedupeKey,
    mail.kind,
    mail.recipientIndex,
    mail.askerIndex,
    mail.contentSealed,
    mail.createdAt,
    mail.createdAt,
    mail.id,
    mail.recipientIndex,
    mail.kind,
    mail.createdAt - dayMilliseconds,
    mail.askerIndex,
    sharing,
  )

export const readDueMail = (database: Database, now: number, limit: number) =>
  database.all(
    query(
      { id: text, kind, contentSealed: blob, createdAt: integer, attempts: integer },
      `SELECT id, kind, content_sealed AS contentSealed, created_at AS createdAt, attempts
       FROM outgoing_mail WHERE state = 'queued' AND next_attempt_at <= ? ORDER BY next_attempt_at LIMIT ?`,
      now,
      limit,
    ),
  )

/** Claims one due mail. Changes no row if another sender has claimed it. */
export const claimMail = (id: string, now: number, nextAttemptAt: number): Command =>
  command(
    `UPDATE outgoing_mail SET attempts = attempts + 1, next_attempt_at = ?, claimed_at = ?
     WHERE id = ? AND state = 'queued' AND next_attempt_at <= ?`,
    nextAttemptAt,
    now,
    id,
    now,
  )

/** Makes all claimed mails due, for a process that knows that no other sends. */
export const releaseClaimedMail = (now: number): Command =>
  command(
    `UPDATE outgoing_mail /* scan: what waits, once, at a start */ SET next_attempt_at = ?, claimed_at = NULL
     WHERE state = 'queued' AND claimed_at IS NOT NULL`,
    now,
  )

/** Ends a mail and deletes its content. The rest of the row stays until it is pruned. */
export const finishMail = (id: string, state: 'sent' | 'given_up', now: number, failure: string | null): Command =>
  command(
    `UPDATE outgoing_mail SET state = ?, claimed_at = NULL, finished_at = ?, last_failure = ?, content_sealed = x'' WHERE id = ?`,
    state,
    now,
    failure,
    id,
  )

/** Ends all queued mails, as `finishMail` does. */
export const finishQueuedMail = (now: number, failure: string): Command =>
  command(
    `UPDATE outgoing_mail /* scan: once, after a restore */
     SET state = 'given_up', claimed_at = NULL, finished_at = ?, last_failure = ?, content_sealed = x'' WHERE state = 'queued'`,
    now,
    failure,
  )

export const postponeMail = (id: string, nextAttemptAt: number, failure: string): Command =>
  command(
    `UPDATE outgoing_mail SET next_attempt_at = ?, claimed_at = NULL, last_failure = ? WHERE id = ? AND state = 'queued'`,
    nextAttemptAt,
    failure,
    id,
  )

export const deleteFinishedMail = (before: number): Command =>
  command(`DELETE FROM outgoing_mail WHERE state <> 'queued' AND finished_at < ?`, before)

/** How many mails wait, and since when the oldest waits (null if none). */
export const readMailQueue = (database: Database) =>
  database.first(
    query(
      { waiting: integer, oldest: nullable(integer) },
      `SELECT /* scan: what waits, by the index of it */ COUNT(*) AS waiting, MIN(created_at) AS oldest
       FROM outgoing_mail WHERE state = 'queued'`,
    ),
  )

export const countMailGivenUpSince = (database: Database, since: number) =>
  database.first(
    query(
      { mails: integer },
      `SELECT COUNT(*) AS mails FROM outgoing_mail
       WHERE state <> 'queued' AND finished_at >= ? AND state = 'given_up'`,
      since,
    ),
  )

/** How many mails wait whose last try failed with these words. */
export const countQueuedMailFailedWith = (database: Database, failure: string) =>
  database.first(
    query(
      { mails: integer },
      `SELECT /* scan: what waits, by the index of it */ COUNT(*) AS mails
       FROM outgoing_mail WHERE state = 'queued' AND last_failure = ?`,
      failure,
    ),
  )

/** How many mails were given up since the last one was sent, for another reason than `exceptFor`. */
export const countRefusedMail = (database: Database, exceptFor: string) =>
  database.first(
    query(
      { mails: integer },
      `SELECT COUNT(*) AS mails FROM outgoing_mail
       WHERE state <> 'queued' AND state = 'given_up' AND last_failure <> ? AND finished_at > COALESCE(
         (SELECT finished_at FROM outgoing_mail
          WHERE state <> 'queued' AND state = 'sent' ORDER BY finished_at DESC LIMIT 1), 0)`,
      exceptFor,
    ),
  )
