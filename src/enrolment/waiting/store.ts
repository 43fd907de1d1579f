import { command, query, requireOneChange, text, type Command, type Database } from '../../ports/database.ts'

/** Cancels a request that no CA has seen yet; broken where it is another's, or further on. */
export const cancelRequest = (id: string, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET state = 'cancelled', updated_at = ?
     WHERE id = ? AND subscriber = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    id,
    subscriber,
  ),
  requireOneChange('request_not_open'),
]

/** Cancels what was asked for a mailbox that ends and no CA has seen yet; what one has comes to nothing by itself. */
export const cancelRequestsOfMailbox = (mailbox: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'cancelled', reason = 'mailbox_ended', updated_at = ?
     WHERE mailbox = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    mailbox,
  )

/** The same of a device that ends. */
export const cancelRequestsOfDevice = (device: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'cancelled', reason = 'device_ended', updated_at = ?
     WHERE device = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    device,
  )

/** Requests that waited for a proof of their mailbox, which was given after `provedAfter`, the oldest first. */
export const readProvedRequests = (database: Database, provedAfter: number, limit: number) =>
  database.all(
    query(
      { id: text },
      `SELECT r.id AS id FROM certificate_requests r JOIN mailboxes m ON m.id = r.mailbox
       WHERE r.state = 'awaiting_mailbox_proof' AND m.ended_at IS NULL AND m.verified_at > ?
       ORDER BY r.created_at LIMIT ?`,
      provedAfter,
      limit,
    ),
  )

/** Takes a request that waited for a proof of its mailbox on to the CA; broken where another worker has, or it is not given. */
export const claimProvedRequest = (id: string, provedAfter: number, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET state = 'submitting', updated_at = ?
     WHERE id = ? AND state = 'awaiting_mailbox_proof'
       AND EXISTS (
         SELECT 1 FROM mailboxes m
         WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NULL AND m.verified_at > ?
       )`,
    now,
    id,
    provedAfter,
  ),
  requireOneChange('request_taken'),
]

/** Requests that have waited for a proof since before `createdBefore`. */
export const readUnprovedRequests = (database: Database, createdBefore: number, limit: number) =>
  database.all(
    query(
      { id: text },
      `SELECT id FROM certificate_requests
       WHERE state = 'awaiting_mailbox_proof' AND created_at <= ? ORDER BY created_at LIMIT ?`,
      createdBefore,
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
