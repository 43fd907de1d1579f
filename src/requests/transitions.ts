import type { CertificateUse } from '../api/shapes.ts'
import { leaseMilliseconds } from '../ports/backoff.ts'
import { command, requireOneChange, type Command } from '../ports/database.ts'

// The life of a certificate request. No other file writes `certificate_requests`: whoever wants a request to become
// something else asks for one of these commands. `to…` leads to the state that it names; the others leave the state as
// it is. Every guard is named in the docstring of the function that has it.
//
//   received -> awaiting_mailbox_proof? -> awaiting_approval? -> submitting -> pending | outcome_unknown
//            -> issued | rejected | failed | cancelled;  issued -> ended, with its certificate

// --- conditions, each written once; test/house/store-sql.ts puts them into the statements that name them ----------

/** The request has no outcome. */
export const isOpen = `state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending', 'outcome_unknown')`

/** The request has as many approvals as its rule wants. */
export const isApproved = `approvals_needed <= (
  SELECT COUNT(*) FROM request_approvals a
  WHERE a.request = certificate_requests.id AND a.decision = 'approved'
)`

/** The CA connection of the request is active, and its circuit is closed. */
export const canReachCa = `EXISTS (
  SELECT 1 FROM ca_connections k
  WHERE k.id = certificate_requests.connection AND k.state = 'active' AND k.open_until IS NULL
)`

/** The mailbox of the request is active, and was proved after the time that is the parameter. */
export const isMailboxProved = `EXISTS (
  SELECT 1 FROM mailboxes m
  WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NULL AND m.verified_at > ?
)`

/** The mailbox of the request has ended. */
const isMailboxEnded = `EXISTS (
  SELECT 1 FROM mailboxes m WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NOT NULL
)`

/** The device of the request has ended. */
export const isDeviceEnded = `EXISTS (
  SELECT 1 FROM devices d WHERE d.id = certificate_requests.device AND d.ended_at IS NOT NULL
)`

/** The key of the request must not be certified. */
export const isKeyBlocked = `EXISTS (
  SELECT 1 FROM blocked_keys b WHERE b.kind = 'spki-sha256' AND b.key_index = certificate_requests.key_index
)`

// --- a request begins -----------------------------------------------------------------------------------------

export interface NewRequest {
  readonly id: string
  readonly subscriber: string
  readonly device: string
  readonly mailbox: string
  readonly use: CertificateUse
  readonly keyIndex: string
  readonly provedBy: 'csr' | 'public_key'
  readonly csrSealed: Uint8Array
  readonly state: 'received' | 'submitting' | 'awaiting_mailbox_proof' | 'awaiting_approval'
  readonly connection: string
  readonly caProfile: string | null
  readonly rule: string | null
  readonly ruleAuthor: string | null
  readonly approvalsNeeded: number
  /** Of the worker that sends it at once. */
  readonly claim: string | null
  readonly dueAt: number | null
  readonly submittedAt: number | null
  readonly openAtCa: 0 | 1
  readonly createdAt: number
  readonly authorityMac: Uint8Array
}

/** How much one subscriber may ask for. */
export interface RequestLimits {
  /** Requests without an outcome of one device. */
  readonly openPerDevice: number
  /** Requests of one subscriber that were made after `since`, whatever became of them. */
  readonly perSubscriber: number
  readonly since: number
}

/**
 * Keeps a new request; with the state `submitting` it also keeps the intent to submit it. Guard `request_refused`: the
 * mailbox or the device has ended; the CA connection was removed; the key is another subscriber's, or one of its
 * certificates has ended (policy rule 9: unless that was for a mailbox that has moved to this subscriber since); the key
 * is blocked; the device or the subscriber has as many requests as `limits` allows. A live request for the same key,
 * device, mailbox and use breaks the unique index instead.
 */
export const insertRequest = (row: NewRequest, limits: RequestLimits): Command[] => [
  command(
    `INSERT INTO certificate_requests
       (id, subscriber, device, mailbox, usage, key_index, proved_by, csr_sealed, state, connection, ca_profile, rule,
        rule_author, approvals_needed, claim, due_at, submitted_at, open_at_ca, created_at, updated_at, authority_mac)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
     WHERE EXISTS (SELECT 1 FROM mailboxes m WHERE m.id = +? AND m.subscriber = +? AND m.ended_at IS NULL)
       AND EXISTS (SELECT 1 FROM devices d WHERE d.id = +? AND d.subscriber = +? AND d.ended_at IS NULL)
       AND EXISTS (SELECT 1 FROM ca_connections k WHERE k.id = +? AND k.state <> 'removed')
       AND NOT EXISTS (
         SELECT 1 FROM certificate_requests r
         WHERE r.key_index = ? AND (r.device <> ? OR r.state = 'ended')
           AND r.state NOT IN ('rejected', 'failed', 'cancelled')
           AND NOT EXISTS (
             SELECT 1 FROM mailboxes o JOIN mailboxes n ON n.address_index = o.address_index
             WHERE o.id = r.mailbox AND o.end_reason = 'moved' AND n.subscriber = +? AND n.ended_at IS NULL
           )
       )
       AND NOT EXISTS (SELECT 1 FROM blocked_keys b WHERE b.kind = 'spki-sha256' AND b.key_index = ?)
       AND NOT EXISTS (SELECT 1 FROM unknown_keys u WHERE u.key_index = ?)
       AND ? > (SELECT COUNT(*) FROM certificate_requests o WHERE o.device = ? AND ${isOpen})
       AND ? > (SELECT COUNT(*) FROM certificate_requests n WHERE n.subscriber = ? AND n.created_at > ?)`,
    row.id,
    row.subscriber,
    row.device,
    row.mailbox,
    row.use,
    row.keyIndex,
    row.provedBy,
    row.csrSealed,
    row.state,
    row.connection,
    row.caProfile,
    row.rule,
    row.ruleAuthor,
    row.approvalsNeeded,
    row.claim,
    row.dueAt,
    row.submittedAt,
    row.openAtCa,
    row.createdAt,
    row.createdAt,
    row.authorityMac,
    row.mailbox,
    row.subscriber,
    row.device,
    row.subscriber,
    row.connection,
    row.keyIndex,
    row.device,
    row.subscriber,
    row.keyIndex,
    row.keyIndex,
    limits.openPerDevice,
    row.device,
    limits.perSubscriber,
    row.subscriber,
    limits.since,
  ),
  requireOneChange('request_refused'),
]

// --- it waits for somebody, and goes on -----------------------------------------------------------------------

/** Has a request wait for a proof of its mailbox. Guard `request_taken`: it is not `received` any more. */
export const toAwaitingMailboxProof = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET state = 'awaiting_mailbox_proof', due_at = NULL, updated_at = ?
     WHERE id = ? AND state = 'received'`,
    now,
    id,
  ),
  requireOneChange('request_taken'),
]

/**
 * Takes a request on whose mailbox was proved after `provedAfter`: to `received`, or to `awaiting_approval` where
 * approvals are missing. Guard `request_taken`: another worker was faster, or the mailbox is not proved.
 */
export const toReceivedAfterProof = (id: string, provedAfter: number, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN ${isApproved} THEN 'received' ELSE 'awaiting_approval' END,
         due_at = CASE WHEN ${isApproved} THEN ? ELSE NULL END, updated_at = ?
     WHERE id = ? AND state = 'awaiting_mailbox_proof' AND ${isMailboxProved}`,
    now,
    now,
    id,
    provedAfter,
  ),
  requireOneChange('request_taken'),
]

/** Takes a request on that has all its approvals; one that lacks some stays. It stands behind the last approval. */
export const toReceivedIfApproved = (id: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'received', due_at = ?, updated_at = ?
     WHERE id = ? AND state = 'awaiting_approval' AND ${isApproved}`,
    now,
    now,
    id,
  )

/**
 * Ends a request on an administrator's word. Guard `not_rejectable`: it does not wait for an approval, or this
 * administrator has decided on it already.
 */
export const toRejectedByApprover = (
  { request, administrator, at }: { readonly request: string; readonly administrator: string; readonly at: number },
  explanationSealed: Uint8Array,
): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'rejected', reason = 'rejected_by_approver', explanation_sealed = ?, due_at = NULL, updated_at = ?
     WHERE id = ? AND state = 'awaiting_approval'
       AND NOT EXISTS (
         SELECT 1 FROM request_approvals a WHERE a.request = certificate_requests.id AND a.administrator = ?
       )`,
    explanationSealed,
    at,
    request,
    administrator,
  ),
  requireOneChange('not_rejectable'),
]

/** Makes what waits to be sent through a connection due now, whenever it was to be tried again. */
export const makeReceivedDue = (connection: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET due_at = ? WHERE connection = ? AND state = 'received' AND due_at > ?`,
    now,
    connection,
    now,
  )

// --- a worker takes it, and lets go of it -----------------------------------------------------------------------

/** A worker's hold of requests until `until`. Whoever finds it past that takes them over. */
export interface Claim {
  readonly id: string
  readonly now: number
  readonly until: number
}

/**
 * Takes those requests that are still due and may be sent: their CA can be reached, their device is active, and their
 * mailbox was proved after `provedAfter`. `readClaimed` tells which were taken. `openAtCa` is 0 for a CA that keeps
 * nothing.
 */
export const toSubmitting = (
  ids: readonly string[],
  claim: Claim,
  of: { provedAfter: number; openAtCa: 0 | 1 },
): Command =>
  command(
    `UPDATE certificate_requests
     SET state = 'submitting', claim = ?, due_at = ?, open_at_ca = ?, submitted_at = COALESCE(submitted_at, ?),
         updated_at = ?
     WHERE id IN (SELECT value FROM json_each(?)) AND +state = 'received' AND +due_at <= ?
       AND ${canReachCa} AND ${isMailboxProved} AND NOT ${isDeviceEnded}`,
    claim.id,
    claim.until,
    of.openAtCa,
    claim.now,
    claim.now,
    JSON.stringify(ids),
    claim.now,
    of.provedAfter,
  )

/** Puts a request back that was taken and certainly not sent. Guard `request_taken`: this worker does not have it. */
export const toReceivedUnsent = (id: string, claim: string, dueAt: number, now: number): Command[] => [
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

/**
 * Takes a request from a worker that is gone: to `outcome_unknown`, or to `received` where the CA keeps nothing. Guard
 * `request_taken`: that worker has let go of it, or has more time.
 */
export const toFreeOfLostWorker = (
  id: string,
  claim: string,
  to: { readonly state: 'received' | 'outcome_unknown'; readonly lastFailure: string | null },
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

/** The states in which a CA is asked what has become of an order. */
export type AskedAbout = 'pending' | 'outcome_unknown' | 'cancelled'

/**
 * Takes one request to ask its CA about it. Guard `request_taken`: another worker has it, it is in another state, it is
 * not due, or the CA cannot be reached.
 */
export const claimToAsk = (id: string, state: AskedAbout, claim: Claim): Command[] => [
  command(
    `UPDATE certificate_requests SET claim = ?, due_at = ?
     WHERE id = ? AND state = ? AND due_at <= ? AND (state <> 'pending' OR claim IS NULL) AND ${canReachCa}`,
    claim.id,
    claim.until,
    id,
    state,
    claim.now,
  ),
  requireOneChange('request_taken'),
]

/**
 * Stops asking the CA about a request, of which only an operator can learn more. Guard `request_taken`: this worker does
 * not have it.
 */
export const stopAsking = (id: string, claim: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests SET claim = NULL, due_at = NULL, updated_at = ? WHERE id = ? AND claim = ?`,
    now,
    id,
    claim,
  ),
  requireOneChange('request_taken'),
]

// --- its CA has answered ----------------------------------------------------------------------------------------

/** How a request stands after its CA answered without a certificate. A sealed value that is null is dropped. */
export interface Answer {
  readonly state: 'received' | 'pending' | 'outcome_unknown' | 'rejected' | 'failed'
  readonly reason: string | null
  readonly dueAt: number | null
  readonly attempts: number
  readonly openAtCa: 0 | 1
  readonly waitsFor: 'ca_mailbox_challenge' | null
  readonly lastFailure: string | null
  readonly caStateSealed: Uint8Array | null
  readonly caSaidSealed: Uint8Array | null
  /** Whether nothing was sent since the worker took the request. */
  readonly nothingSent: boolean
}

/**
 * Lets go of a request with what its CA answered. A cancelled one stays cancelled, and is asked about until the CA has
 * answered for good. Where nothing was sent, the request counts as never passed on, unless an earlier worker sent it.
 * Guard `request_taken`: this worker does not have it.
 */
export const toAnswered = (id: string, claim: string, to: Answer, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN state = 'cancelled' THEN state ELSE ? END,
         reason = CASE WHEN state = 'cancelled' THEN reason ELSE ? END,
         due_at = ?, claim = NULL, attempts = ?, open_at_ca = ?, waits_for = ?, last_failure = ?, ca_state_sealed = ?,
         ca_said_sealed = ?, returned_sealed = NULL, updated_at = ?,
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
    now,
    to.nothingSent ? 1 : 0,
    leaseMilliseconds,
    id,
    claim,
  ),
  requireOneChange('request_taken'),
]

/**
 * Begins a request anew that the CA has certainly not got: to `received`, or to `awaiting_approval` where approvals are
 * missing. A cancelled one stays cancelled. Guard `request_taken`: this worker does not have it.
 */
export const toReceivedAbsent = (id: string, claim: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = CASE
           WHEN state = 'cancelled' THEN state WHEN ${isApproved} THEN 'received' ELSE 'awaiting_approval'
         END,
         reason = CASE WHEN state = 'cancelled' THEN reason ELSE NULL END,
         due_at = CASE WHEN state = 'cancelled' OR ${isApproved} THEN ? ELSE NULL END,
         claim = NULL, attempts = 0, open_at_ca = 0, waits_for = NULL, last_failure = NULL, ca_state_sealed = NULL,
         ca_said_sealed = NULL, returned_sealed = NULL, updated_at = ?
     WHERE id = ? AND claim = ?`,
    now,
    now,
    id,
    claim,
  ),
  requireOneChange('request_taken'),
]

/**
 * Ends a request with its certificate, whoever brought it and however late. Guard `request_finished`: the request has an
 * outcome or waits for somebody here; its mailbox or its device has ended; its key is blocked; or the CA is to revoke
 * this very certificate, which it may give out again for the same CSR.
 */
export const toIssued = (id: string, fingerprint: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'issued', reason = NULL, due_at = NULL, claim = NULL, open_at_ca = 0, waits_for = NULL,
         last_failure = NULL, ca_state_sealed = NULL, ca_said_sealed = NULL, updated_at = ?
     WHERE id = ? AND state IN ('received', 'submitting', 'pending', 'outcome_unknown')
       AND NOT ${isKeyBlocked} AND NOT ${isMailboxEnded} AND NOT ${isDeviceEnded}
       AND NOT EXISTS (SELECT 1 FROM ca_revocations v WHERE v.fingerprint_index = ?)`,
    now,
    id,
    fingerprint,
  ),
  requireOneChange('request_finished'),
]

/**
 * Fails a request whose certificate breaks a rule or is not wanted any more, whoever brought it. One that has an outcome,
 * or is to be sent again, keeps its state. The CA has done what it was asked for, and is not asked again.
 */
export const toFailedAnswer = (id: string, reason: string, returnedSealed: Uint8Array | null, now: number): Command =>
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN state IN ('submitting', 'pending', 'outcome_unknown') THEN 'failed' ELSE state END,
         reason = CASE WHEN state IN ('submitting', 'pending', 'outcome_unknown') THEN ? ELSE reason END,
         due_at = NULL, claim = NULL, open_at_ca = 0, returned_sealed = ?, updated_at = ?
     WHERE id = ? AND state IN ('submitting', 'pending', 'outcome_unknown', 'cancelled', 'failed')`,
    reason,
    returnedSealed,
    now,
    id,
  )

// --- nobody answers, or nobody wants it -------------------------------------------------------------------------

/** The states that somebody else has to end. */
export type Unanswered = 'received' | 'awaiting_mailbox_proof' | 'awaiting_approval' | 'pending'

/**
 * Fails a request that nobody has answered for too long. What its CA may still do about it is kept. Guard
 * `request_taken`: it is not in the state `from` any more.
 */
export const toFailedUnanswered = (id: string, from: Unanswered, reason: string, now: number): Command[] => [
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
 * Cancels a request. Guard `request_not_open`: it has an outcome, or is being sent. The CA is asked further about what it
 * has, or may have, so that a certificate that comes all the same is revoked. A worker that asks just now keeps its hold,
 * so that its answer counts. An order whose outcome is unknown is marked by the hold `before`, of a worker that is gone.
 */
export const toCancelled = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'cancelled',
         claim = CASE
           WHEN open_at_ca = 0 OR due_at IS NULL THEN NULL
           WHEN state = 'outcome_unknown' THEN COALESCE(claim, 'before')
           ELSE claim
         END,
         due_at = CASE WHEN open_at_ca = 1 THEN due_at ELSE NULL END, waits_for = NULL, updated_at = ?
     WHERE id = ? AND ${isOpen} AND state <> 'submitting'`,
    now,
    id,
  ),
  requireOneChange('request_not_open'),
]

/** Cancels what was asked for a mailbox that ends and no CA has seen yet. What a CA has comes to nothing by itself. */
export const toCancelledOfMailbox = (mailbox: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'cancelled', reason = 'mailbox_ended', due_at = NULL, updated_at = ?
     WHERE mailbox = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    mailbox,
  )

/** Cancels what a device that ends has asked for and no CA has seen yet. */
export const toCancelledOfDevice = (device: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'cancelled', reason = 'device_ended', due_at = NULL, updated_at = ?
     WHERE device = ? AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval')`,
    now,
    device,
  )

/**
 * Cancels a request that came to the front of its queue after its mailbox or its device had ended. Guard
 * `request_not_ended`: both are active, or it has left the queue.
 */
export const toCancelledAsEnded = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'cancelled', due_at = NULL, claim = NULL, updated_at = ?,
         reason = CASE WHEN ${isMailboxEnded} THEN 'mailbox_ended' ELSE 'device_ended' END
     WHERE id = ? AND state = 'received' AND (${isMailboxEnded} OR ${isDeviceEnded})`,
    now,
    id,
  ),
  requireOneChange('request_not_ended'),
]

// --- an operator says what the CA did ---------------------------------------------------------------------------

/** On an operator's word that the CA has issued nothing, the request begins anew: see `toFailedNotIssued` for its guard. */
export const toReceivedNotIssued = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = CASE WHEN ${isApproved} THEN 'received' ELSE 'awaiting_approval' END,
         due_at = CASE WHEN ${isApproved} THEN ? ELSE NULL END,
         reason = NULL, claim = NULL, attempts = 0, open_at_ca = 0, ca_state_sealed = NULL, updated_at = ?
     WHERE id = ? AND state = 'outcome_unknown' AND (claim IS NULL OR due_at <= ?)`,
    now,
    now,
    id,
    now,
  ),
  requireOneChange('request_not_unknown'),
]

/**
 * On an operator's word that the CA has issued nothing, the request fails. Guard `request_not_unknown`: its outcome is
 * not unknown, or its CA is being asked about it.
 */
export const toFailedNotIssued = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'failed', reason = 'not_issued', due_at = NULL, claim = NULL, attempts = 0, open_at_ca = 0,
         ca_state_sealed = NULL, updated_at = ?
     WHERE id = ? AND state = 'outcome_unknown' AND (claim IS NULL OR due_at <= ?)`,
    now,
    id,
    now,
  ),
  requireOneChange('request_not_unknown'),
]

/** Stops asking the CA about a failed or cancelled request. Guard `request_not_open`: the CA holds no open order. */
export const closeAtCa = (id: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET due_at = NULL, claim = NULL, open_at_ca = 0, ca_state_sealed = NULL, updated_at = ?
     WHERE id = ? AND state IN ('cancelled', 'failed') AND open_at_ca = 1
       AND (claim IS NULL OR claim = 'before' OR due_at <= ?)`,
    now,
    id,
    now,
  ),
  requireOneChange('request_not_open'),
]

// --- its certificate ends ---------------------------------------------------------------------------------------

/** Ends the requests of certificates that end in the same batch, so that their keys cannot be certified again. */
export const toEnded = (certificates: readonly string[], now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'ended', updated_at = ?
     WHERE id IN (SELECT c.request FROM certificates c WHERE c.id IN (SELECT value FROM json_each(?)))`,
    now,
    JSON.stringify(certificates),
  )

// --- an older copy of the data was put back -----------------------------------------------------------------------

/**
 * Marks the open requests of CAs elsewhere as unknown: they may have been sent and answered since the copy was made. A
 * cancelled one stays cancelled, held by a worker that is gone (`before`): to ask for it as if it still waited there may
 * have it issued a second time.
 */
export const toUnknownAfterRestore = (now: number): Command =>
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
