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

/** Requests that wait to be sent through a connection and are due, the oldest first, but for those that failed often. */
export const readQueue = (database: Database, connection: string, now: number, limit: number) =>
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

/** The same of those that have failed too often to go before the others. */
export const readQueueOfTired = (database: Database, connection: string, now: number, limit: number) =>
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

/** Requests in one of these states whose CA is to be asked, and can be. */
export const readDue = (database: Database, state: AskedAbout, now: number, limit: number) =>
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
export type DueRequest = Awaited<ReturnType<typeof readDue>>[number]

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
 * Whether an order may be handed to its CA once more while its outcome is unknown, which has it issued where the CA never
 * got it: the request is wanted and approved, its mailbox was proved after `provedAfter`, and its key is not blocked.
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
