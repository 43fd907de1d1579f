import { command, query, requireOneChange, text, type Command, type Database } from '../../ports/database.ts'

/**
 * Cancels a request that has no outcome; broken where it has one, or is being sent. What a CA has, or may have, is asked
 * about further, so that a certificate that comes all the same is revoked. A worker that asks just now keeps its hold, so
 * that its answer counts; whatever was not known of the order before stays marked as somebody's hold that is lost.
 */
export const cancelRequest = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'cancelled',
         claim = CASE
           WHEN open_at_ca = 0 OR due_at IS NULL THEN NULL
           WHEN state = 'outcome_unknown' THEN COALESCE(claim, 'before')
           ELSE claim
         END,
         due_at = CASE WHEN open_at_ca = 1 THEN due_at ELSE NULL END, waits_for = NULL, updated_at = ?
     WHERE id = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'pending', 'outcome_unknown')`,
    now,
    id,
  ),
  requireOneChange('request_not_open'),
]

/** Cancels what was asked for a mailbox that ends and no CA has seen yet; what one has comes to nothing by itself. */
export const cancelRequestsOfMailbox = (mailbox: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'cancelled', reason = 'mailbox_ended', due_at = NULL, updated_at = ?
     WHERE mailbox = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    mailbox,
  )

/** The same of a device that ends. */
export const cancelRequestsOfDevice = (device: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'cancelled', reason = 'device_ended', due_at = NULL, updated_at = ?
     WHERE device = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    device,
  )

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

/**
 * Takes a request on that waited for a proof of its mailbox: to those who approve it, where it needs them still, else to
 * the CA; broken where another worker has, or the proof is not given.
 */
export const continueProvedRequest = (id: string, provedAfter: number, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN approvals_needed > (
           SELECT COUNT(*) FROM request_approvals a
           WHERE a.request = certificate_requests.id AND a.decision = 'approved'
         ) THEN 'awaiting_approval' ELSE 'received' END,
         due_at = ?, updated_at = ?
     WHERE id = ? AND state = 'awaiting_mailbox_proof'
       AND EXISTS (
         SELECT 1 FROM mailboxes m
         WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NULL AND m.verified_at > ?
       )`,
    now,
    now,
    id,
    provedAfter,
  ),
  requireOneChange('request_taken'),
  command(`UPDATE certificate_requests SET due_at = NULL WHERE id = ? AND state = 'awaiting_approval'`, id),
]

/** Has a request wait for a proof of its mailbox again; broken where it is not in the queue any more. */
export const sendRequestBack = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET state = 'awaiting_mailbox_proof', due_at = NULL, updated_at = ?
     WHERE id = ? AND state = 'received'`,
    now,
    id,
  ),
  requireOneChange('request_taken'),
]

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

/** Gives up a request whose mailbox nobody proves. */
export const failUnprovedRequest = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET state = 'failed', reason = 'mailbox_proof_missing', updated_at = ?
     WHERE id = ? AND state = 'awaiting_mailbox_proof'`,
    now,
    id,
  ),
  requireOneChange('request_taken'),
]
