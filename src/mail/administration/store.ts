import { integer, nullable, query, type Database } from '../../ports/database.ts'

/** How many mails wait, and since when the oldest does. */
export const countQueuedMail = (database: Database) =>
  database.first(
    query(
      { mails: integer, oldestAt: nullable(integer) },
      `SELECT COUNT(*) AS mails, MIN(created_at) AS oldestAt
       FROM outgoing_mail WHERE state = 'queued' AND next_attempt_at >= 0`,
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
