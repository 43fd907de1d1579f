import { command, requireOneChange, type Command } from '../../ports/database.ts'

/** What an operator knows of a request whose outcome was unknown: the CA has issued nothing for it. */
export interface NotIssued {
  readonly state: 'received' | 'failed'
  readonly reason: string | null
  readonly dueAt: number | null
}

/** Settles a request whose outcome is unknown; broken where it is not, or while its CA is asked about it. */
export const settleNotIssued = (id: string, to: NotIssued, now: number): Command[] => [
  command(
    `UPDATE certificate_requests
     SET state = ?, reason = ?, due_at = ?, claim = NULL, attempts = 0, open_at_ca = 0, ca_state_sealed = NULL,
         updated_at = ?
     WHERE id = ? AND state = 'outcome_unknown' AND (claim IS NULL OR due_at <= ?)`,
    to.state,
    to.reason,
    to.dueAt,
    now,
    id,
    now,
  ),
  requireOneChange('request_not_unknown'),
]

/** Has the CA of a request that came to nothing not be asked about it any more; broken where it is not open there. */
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
