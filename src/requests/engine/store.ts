import { command, nullable, query, requireOneChange, text, type Command, type Database } from '../../ports/database.ts'
import type { RequestState } from '../store.ts'
import { leaseMilliseconds } from '../../ports/backoff.ts'
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

/** A worker's hold of requests until `until`; whoever finds it past looks after them. */
export interface Claim {
  readonly id: string
  readonly now: number
  readonly until: number
}

/**
 * Takes those of the requests that are still due and may be sent: the connection is in use and its circuit closed, the
 * device is active, and the mailbox was proved after `provedAfter`. `readClaimed` tells which. `openAtCa` is 0 for a CA that keeps nothing.
 */
export const claimWaiting = (
  ids: readonly string[],
  claim: Claim,
  of: { provedAfter: number; openAtCa: 0 | 1 },
): Command =>
  command(
    `UPDATE certificate_requests
     SET state = 'submitting', claim = ?, due_at = ?, open_at_ca = ?, submitted_at = COALESCE(submitted_at, ?),
         updated_at = ?
     WHERE id IN (SELECT value FROM json_each(?)) AND +state = 'received' AND +due_at <= ?
       AND EXISTS (
         SELECT 1 FROM ca_connections k
         WHERE k.id = certificate_requests.connection AND k.state = 'active' AND k.open_until IS NULL
       )
       AND EXISTS (
         SELECT 1 FROM mailboxes m
         WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NULL AND m.verified_at > ?
       )
       AND EXISTS (SELECT 1 FROM devices d WHERE d.id = certificate_requests.device AND d.ended_at IS NULL)`,
    claim.id,
    claim.until,
    of.openAtCa,
    claim.now,
    claim.now,
    JSON.stringify(ids),
    claim.now,
    of.provedAfter,
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

/** The states in which a CA is asked again what has become of an order. */
export type LookedAfter = 'pending' | 'outcome_unknown' | 'cancelled'

/** Requests in one of these states whose CA is to be asked, and can be. */
export const readDue = (database: Database, state: LookedAfter, now: number, limit: number) =>
  database.all(
    query(
      { id: text, connection: text, claim: nullable(text) },
      `SELECT id, connection, claim FROM certificate_requests
       WHERE state = ? AND due_at <= ? AND (state <> 'pending' OR claim IS NULL)
         AND EXISTS (
           SELECT 1 FROM ca_connections k
           WHERE k.id = certificate_requests.connection AND k.state = 'active' AND k.open_until IS NULL
         )
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

/** Takes one request to ask the CA about it; broken where another worker has, it is further on, or the CA cannot be asked. */
export const claimLook = (id: string, state: LookedAfter, claim: Claim): Command[] => [
  command(
    `UPDATE certificate_requests SET claim = ?, due_at = ?
     WHERE id = ? AND state = ? AND due_at <= ? AND (state <> 'pending' OR claim IS NULL)
       AND EXISTS (
         SELECT 1 FROM ca_connections k
         WHERE k.id = certificate_requests.connection AND k.state = 'active' AND k.open_until IS NULL
       )`,
    claim.id,
    claim.until,
    id,
    state,
    claim.now,
  ),
  requireOneChange('request_taken'),
]

/**
 * Whether an order may be handed to its CA once more while its outcome is unknown, which has it issued where the CA never
 * got it: the request is wanted and approved, its mailbox was proved after `provedAfter`, and its key is not blocked.
 */
export const readMayBeSentAgain = (database: Database, id: string, provedAfter: number) =>
  database.first(
    query(
      { id: text },
      `SELECT r.id AS id FROM certificate_requests r
       JOIN mailboxes m ON m.id = r.mailbox JOIN devices d ON d.id = r.device
       WHERE r.id = ? AND r.state = 'outcome_unknown' AND m.ended_at IS NULL AND m.verified_at > ? AND d.ended_at IS NULL
         AND r.approvals_needed <= (
           SELECT COUNT(*) FROM request_approvals a WHERE a.request = r.id AND a.decision = 'approved'
         )
         AND NOT EXISTS (
           SELECT 1 FROM blocked_keys b WHERE b.kind = 'spki-sha256' AND b.fingerprint = r.spki_sha256
         )`,
      id,
      provedAfter,
    ),
  )

/** Has a request wait for the approvals that it lacks, in the batch that puts it back into the queue. */
export const awaitMissingApprovals = (id: string): Command =>
  command(
    `UPDATE certificate_requests SET state = 'awaiting_approval', due_at = NULL
     WHERE id = ? AND state = 'received'
       AND approvals_needed > (
         SELECT COUNT(*) FROM request_approvals a
         WHERE a.request = certificate_requests.id AND a.decision = 'approved'
       )`,
    id,
  )

/** Ends a request in the queue whose mailbox or device has ended; broken where both are active, or it has left the queue. */
export const cancelEnded = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'cancelled', due_at = NULL, claim = NULL, updated_at = ?,
         reason = CASE
           WHEN EXISTS (SELECT 1 FROM mailboxes m WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NOT NULL)
           THEN 'mailbox_ended' ELSE 'device_ended'
         END
     WHERE id = ? AND state = 'received'
       AND (
         EXISTS (SELECT 1 FROM mailboxes n WHERE n.id = certificate_requests.mailbox AND n.ended_at IS NOT NULL)
         OR EXISTS (SELECT 1 FROM devices d WHERE d.id = certificate_requests.device AND d.ended_at IS NOT NULL)
       )`,
    now,
    id,
  ),
  requireOneChange('request_not_ended'),
]

/** Lets go of a request that nothing here can move on. */
export const leaveToOperators = (id: string, claim: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET claim = NULL, due_at = NULL, updated_at = ? WHERE id = ? AND claim = ?`,
    now,
    id,
    claim,
  ),
  requireOneChange('request_taken'),
]

/** How a request stands after its CA was asked; what is left out of the sealed values is dropped. */
export interface Settled {
  readonly state: Extract<RequestState, 'received' | 'pending' | 'outcome_unknown' | 'rejected' | 'failed'>
  readonly reason: string | null
  readonly dueAt: number | null
  readonly attempts: number
  readonly openAtCa: 0 | 1
  readonly waitsFor: 'ca_mailbox_challenge' | null
  readonly lastFailure: string | null
  readonly caStateSealed: Uint8Array | null
  readonly caSaidSealed: Uint8Array | null
  readonly returnedSealed: Uint8Array | null
  /** Whether nothing of the request has left this service since the worker took it. */
  readonly nothingSent: boolean
}

/**
 * Lets go of a request with what is known of it now; broken where this worker does not have it any more. One that was
 * cancelled stays so, and is looked after until the CA has answered. Where nothing was sent, it has not been passed on,
 * unless an earlier worker did.
 */
export const settle = (id: string, claim: string, to: Settled, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN state = 'cancelled' THEN state ELSE ? END,
         reason = CASE WHEN state = 'cancelled' THEN reason ELSE ? END,
         due_at = ?, claim = NULL, attempts = ?, open_at_ca = ?, waits_for = ?, last_failure = ?, ca_state_sealed = ?,
         ca_said_sealed = ?, returned_sealed = ?, updated_at = ?,
         submitted_at = CASE WHEN ? = 1 AND submitted_at = due_at - ? THEN NULL ELSE submitted_at END
     WHERE id = ? AND claim = ?`,
    to.state,
    to.reason,
    to.dueAt,
    to.attempts,
    to.openAtCa,
    to.waitsFor,
    to.lastFailure,
    to.caStateSealed,
    to.caSaidSealed,
    to.returnedSealed,
    now,
    to.nothingSent ? 1 : 0,
    leaseMilliseconds,
    id,
    claim,
  ),
  requireOneChange('request_taken'),
]

/** Takes a request from a worker that is gone; what the CA made of it is not known, unless it keeps nothing. */
export const settleLost = (
  id: string,
  claim: string,
  to: { state: 'received' | 'outcome_unknown'; lastFailure: string | null },
  now: number,
): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = ?, claim = NULL, due_at = ?, last_failure = ?, updated_at = ?
     WHERE id = ? AND claim = ? AND state IN ('submitting', 'pending') AND due_at <= ?`,
    to.state,
    now,
    to.lastFailure,
    now,
    id,
    claim,
    now,
  ),
  requireOneChange('request_taken'),
]

/** Puts a request back into the queue that was taken and not sent. */
export const release = (id: string, claim: string, dueAt: number, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'received', claim = NULL, due_at = ?, attempts = attempts + 1, open_at_ca = 0, updated_at = ?,
         submitted_at = CASE WHEN submitted_at = due_at - ? THEN NULL ELSE submitted_at END
     WHERE id = ? AND claim = ?`,
    dueAt,
    now,
    leaseMilliseconds,
    id,
    claim,
  ),
  requireOneChange('request_taken'),
]

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

/** Gives up a request that nobody answers. What a CA may still do about it is kept in mind. */
export const giveUp = (
  id: string,
  from: 'received' | 'awaiting_approval' | 'pending',
  reason: string,
  now: number,
): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'failed', reason = ?, due_at = NULL, claim = NULL, waits_for = NULL, updated_at = ?
     WHERE id = ? AND state = ?`,
    reason,
    now,
    id,
    from,
  ),
  requireOneChange('request_taken'),
]

/**
 * Marks the open requests of CAs elsewhere as unknown in an older copy of the data: they may have been sent, and
 * answered, since it was made. Cancelled ones stay so, as ones whose worker is gone: to ask for them as if they still
 * waited there may issue a second time.
 */
export const forgetProgress = (now: number): Command =>
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN state = 'cancelled' THEN state ELSE 'outcome_unknown' END, open_at_ca = 1,
         claim = CASE WHEN state = 'cancelled' THEN 'before' ELSE NULL END, due_at = ?, last_failure = 'worker_lost',
         submitted_at = COALESCE(submitted_at, created_at), updated_at = ?
     WHERE connection <> ?
       AND (
         state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting')
         OR (state IN ('pending', 'cancelled') AND due_at IS NOT NULL)
       )`,
    now,
    now,
    'embedded',
  )
