import { query, text, type Database } from '../../ports/database.ts'

/** Requests that waited for a proof of their mailbox, which was given after `provedAfter`, the oldest first. */
export const readProvedRequests = (database: Database, provedAfter: number, limit: number) =>
  database.all(
    query(
      { id: text, connection: text },
      `SELECT r.id AS id, r.connection AS connection FROM certificate_requests r JOIN mailboxes m ON m.id = r.mailbox
       WHERE r.state = 'awaiting_mailbox_proof' AND m.ended_at IS NULL AND m.verified_at > ?
       ORDER BY r.updated_at LIMIT ?`,
      provedAfter,
      limit,
    ),
  )

/** Requests that have waited for a proof since before a time. */
export const readUnprovedRequests = (database: Database, since: number, limit: number) =>
  database.all(
    query(
      { id: text },
      `SELECT id FROM certificate_requests
       WHERE state = 'awaiting_mailbox_proof' AND updated_at <= ? ORDER BY updated_at LIMIT ?`,
      since,
      limit,
    ),
  )
