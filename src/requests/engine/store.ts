import { nullable, query, text, type Database } from '../../ports/database.ts'
import {
  canReachCa,
  isApproved,
  isDeviceEnded,
  isKeyBlocked,
  isMailboxProved,
  type AskedAbout,
} from '../transitions.ts'
import { attemptsInTurn } from '../../ports/backoff.ts'

/** What waits to be sent through a connection and is due, the oldest first. What has failed often is left out. */
export const readDueToSend = (database: Database, connection: string, now: number, limit: number) =>
  database.all(
    query(
      { id: text, mailbox: text },
      `SELECT id, mailbox FROM certificate_requests
       WHERE connection = ? AND state = 'received' AND +due_at <= ? AND attempts < ? ORDER BY created_at, id LIMIT ?`,
      connection,
      now,
      attemptsInTurn,
      limit,
    ),
  )

/** What waits to be sent through a connection, is due, and has failed too often to go before the others. */
export const readTiredToSend = (database: Database, connection: string, now: number, limit: number) =>
  database.all(
    query(
      { id: text, mailbox: text },
      `SELECT id, mailbox FROM certificate_requests
       WHERE connection = ? AND state = 'received' AND +due_at <= ? AND attempts >= ? ORDER BY created_at, id LIMIT ?`,
      connection,
      now,
      attemptsInTurn,
      limit,
    ),
  )

/** The connections through which something waits to be sent. */
export const readWaitingConnections = (database: Database) =>
  database.all(
    query(
      { connection: text },
      `SELECT /* scan: a handful of connections */ k.id AS connection FROM ca_connections k
       WHERE EXISTS (SELECT 1 FROM certificate_requests r WHERE r.connection = k.id AND r.state = 'received')`,
    ),
  )

export const readClaimed = (database: Database, ids: readonly string[], claim: string) =>
  database.all(
    query(
      { id: text },
      `SELECT id FROM certificate_requests
       WHERE id IN (SELECT value FROM json_each(?)) AND claim = ? ORDER BY created_at, id`,
      JSON.stringify(ids),
      claim,
    ),
  )

/** Requests in one of these states whose CA is to be asked, and can be reached. */
export const readDueToAsk = (database: Database, state: AskedAbout, now: number, limit: number) =>
  database.all(
    query(
      { id: text, connection: text, claim: nullable(text) },
      `SELECT id, connection, claim FROM certificate_requests
       WHERE state = ? AND due_at <= ? AND (state <> 'pending' OR claim IS NULL) AND ${canReachCa}
       ORDER BY due_at LIMIT ?`,
      state,
      now,
      limit,
    ),
  )
export type DueRequest = Awaited<ReturnType<typeof readDueToAsk>>[number]

/** Requests whose worker has not let go of them in time. */
export const readLost = (database: Database, state: 'submitting' | 'pending', now: number, limit: number) =>
  database.all(
    query(
      { id: text, connection: text, claim: text },
      `SELECT id, connection, claim FROM certificate_requests
       WHERE state = ? AND due_at <= ? AND claim IS NOT NULL ORDER BY due_at LIMIT ?`,
      state,
      now,
      limit,
    ),
  )

/**
 * A request whose outcome is unknown, if it may be sent once more, which has it issued where the CA never got it: the
 * request is wanted and approved, its mailbox was proved after `provedAfter`, and its key is not blocked.
 */
export const readMayBeSentAgain = (database: Database, id: string, provedAfter: number) =>
  database.first(
    query(
      { id: text },
      `SELECT id FROM certificate_requests
       WHERE id = ? AND state = 'outcome_unknown' AND ${isMailboxProved} AND NOT ${isDeviceEnded} AND ${isApproved}
         AND NOT ${isKeyBlocked}`,
      id,
      provedAfter,
    ),
  )

/** Requests in one state that were made before a time. */
export const readOlder = (
  database: Database,
  state: 'received' | 'awaiting_approval' | 'pending',
  before: number,
  limit: number,
) =>
  database.all(
    query(
      { id: text },
      `SELECT id FROM certificate_requests WHERE state = ? AND created_at <= ? ORDER BY created_at, id LIMIT ?`,
      state,
      before,
      limit,
    ),
  )

/** Requests that wait for a proof of their mailbox, which was given after `provedAfter`; the oldest first. */
export const readProved = (database: Database, provedAfter: number, limit: number) =>
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
export const readUnproved = (database: Database, since: number, limit: number) =>
  database.all(
    query(
      { id: text },
      `SELECT id FROM certificate_requests
       WHERE state = 'awaiting_mailbox_proof' AND updated_at <= ? ORDER BY updated_at LIMIT ?`,
      since,
      limit,
    ),
  )
