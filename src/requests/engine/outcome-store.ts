import { command, requireOneChange, type Command } from '../../ports/database.ts'

/**
 * Ends a request with its certificate, whoever brought that and however late, while it is wanted: mailbox and device are
 * active, the key is not blocked, the request has no outcome, and the CA is not to revoke this very certificate, which it
 * may give to a later request with the same CSR.
 */
export const settleIssued = (id: string, certificateSha256: string, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = 'issued', reason = NULL, due_at = NULL, claim = NULL, open_at_ca = 0, waits_for = NULL,
         last_failure = NULL, ca_state_sealed = NULL, ca_said_sealed = NULL, updated_at = ?
     WHERE id = ? AND state IN ('received', 'submitting', 'pending', 'outcome_unknown')
       AND NOT EXISTS (
         SELECT 1 FROM blocked_keys b
         WHERE b.kind = 'spki-sha256' AND b.fingerprint = certificate_requests.spki_sha256
       )
       AND EXISTS (SELECT 1 FROM mailboxes m WHERE m.id = certificate_requests.mailbox AND m.ended_at IS NULL)
       AND EXISTS (SELECT 1 FROM devices d WHERE d.id = certificate_requests.device AND d.ended_at IS NULL)
       AND NOT EXISTS (SELECT 1 FROM ca_revocations v WHERE v.certificate_sha256 = ?)`,
    now,
    id,
    certificateSha256,
  ),
  requireOneChange('request_finished'),
]

/**
 * Ends a request whose certificate is not wanted or not fit, whoever brought that; one that has an outcome, or is to be
 * sent again, stays. The CA has done what it was asked for.
 */
export const settleRefused = (id: string, reason: string, returnedSealed: Uint8Array | null, now: number): Command =>
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
