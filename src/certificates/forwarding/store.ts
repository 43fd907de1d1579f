import {
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../ports/database.ts'
import { caRevocationState } from '../../api/admin-shapes.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'
import { reason } from '../../cas/inside/store.ts'

const state = oneOf(...caRevocationState.options)
export type CaRevocationState = ReturnType<typeof state>

/** A revocation that a CA elsewhere has to be told of. */
export interface NewCaRevocation {
  readonly id: string
  readonly connection: string
  readonly request: string
  readonly fingerprintIndex: string
  readonly certificateSealed: Uint8Array
  readonly reason: RevocationReason | null
  /** `by_hand` for CAs that cannot be told by a call. */
  readonly state: 'waiting' | 'by_hand'
  readonly requestedAt: number
}

/** Queues a revocation for its CA; a certificate that is queued already stays as it is. */
export const insertCaRevocation = (row: NewCaRevocation): Command =>
  command(
    `INSERT INTO ca_revocations
       (id, connection, request, fingerprint_index, certificate_sealed, reason, state, due_at, requested_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (fingerprint_index) DO NOTHING`,
    row.id,
    row.connection,
    row.request,
    row.fingerprintIndex,
    row.certificateSealed,
    row.reason,
    row.state,
    row.requestedAt,
    row.requestedAt,
  )

/** Whether the CA of a certificate is to revoke it, or has. */
export const readRevocationOf = (database: Database, fingerprintIndex: string) =>
  database.first(query({ id: text }, `SELECT id FROM ca_revocations WHERE fingerprint_index = ?`, fingerprintIndex))

/**
 * The connections whose CA is to be told of something now. One whose circuit is open waits until a look at its CA goes
 * well; nobody looks while it is paused, so then it does not wait.
 */
export const readConnectionsDue = (database: Database, now: number) =>
  database.all(
    query(
      { connection: text },
      `SELECT DISTINCT v.connection AS connection FROM ca_revocations v JOIN ca_connections k ON k.id = v.connection
       WHERE v.state = 'waiting' AND v.due_at <= ? AND (k.open_until IS NULL OR k.state <> 'active')`,
      now,
    ),
  )

/** What one CA is to be told now, the longest due first. */
export const readDueRevocations = (database: Database, connection: string, now: number, limit: number) =>
  database.all(
    query(
      { id: text, certificateSealed: blob, reason: nullable(reason), attempts: integer, dueAt: integer },
      `SELECT id, certificate_sealed AS certificateSealed, reason, attempts, due_at AS dueAt
       FROM ca_revocations WHERE state = 'waiting' AND due_at <= ? AND connection = ? ORDER BY due_at LIMIT ?`,
      now,
      connection,
      limit,
    ),
  )
export type DueRevocation = Awaited<ReturnType<typeof readDueRevocations>>[number]

/** Takes a revocation in order to tell its CA. Guard `revocation_taken`: another worker has it. */
export const claimRevocation = ({ id, dueAt }: Pick<DueRevocation, 'id' | 'dueAt'>, until: number): Command[] => [
  command(
    `UPDATE ca_revocations SET due_at = ?, attempts = attempts + 1 WHERE id = ? AND state = 'waiting' AND due_at = ?`,
    until,
    id,
    dueAt,
  ),
  requireOneChange('revocation_taken'),
]

/** Has the CA told again at `dueAt`, because it did not confirm. */
export const delayRevocation = (id: string, dueAt: number, failure: string): Command =>
  command(
    `UPDATE ca_revocations SET due_at = ?, last_failure = ? WHERE id = ? AND state = 'waiting'`,
    dueAt,
    failure,
    id,
  )

/** Leaves a revocation to operators. Guard `revocation_settled`: it does not wait any more. */
export const toByHand = (id: string, failure: string | null): Command[] => [
  command(
    `UPDATE ca_revocations SET state = 'by_hand', last_failure = ? WHERE id = ? AND state = 'waiting'`,
    failure,
    id,
  ),
  requireOneChange('revocation_settled'),
]

/** Notes that the CA has revoked the certificate. Guard `revocation_settled`: that is known already. */
export const confirmRevocation = (id: string, now: number): Command[] => [
  command(
    `UPDATE ca_revocations SET state = 'confirmed', confirmed_at = ?, last_failure = NULL
     WHERE id = ? AND state <> 'confirmed'`,
    now,
    id,
  ),
  requireOneChange('revocation_settled'),
]

/** What a CA has not confirmed. */
export const readOpen = (database: Database, connection: string, limit: number) =>
  database.all(
    query(
      { id: text, certificateSealed: blob },
      `SELECT id, certificate_sealed AS certificateSealed
       FROM ca_revocations WHERE state <> 'confirmed' AND connection = ? ORDER BY requested_at, id LIMIT ?`,
      connection,
      limit,
    ),
  )

const listedColumns = {
  id: text,
  connection: text,
  request: text,
  certificate: nullable(text),
  certificateSealed: blob,
  reason: nullable(reason),
  state,
  attempts: integer,
  lastFailure: nullable(text),
  createdAt: integer,
  confirmedAt: nullable(integer),
}

/** As `listedColumns` reads them. */
const listedSelection = `v.id, v.connection, v.request, c.id AS certificate, v.certificate_sealed AS certificateSealed, v.reason,
  v.state, v.attempts, v.last_failure AS lastFailure, v.requested_at AS createdAt, v.confirmed_at AS confirmedAt`

interface Below {
  readonly at: number
  readonly id: string
}

/** One page of all revocations, newest first, below a cursor of time and id. */
export const readRevocations = (database: Database, before: Below, limit: number) =>
  database.all(
    query(
      listedColumns,
      `SELECT ${listedSelection}
       FROM ca_revocations v LEFT JOIN certificates c ON c.fingerprint_index = v.fingerprint_index
       WHERE (v.requested_at, v.id) < (?, ?) ORDER BY v.requested_at DESC, v.id DESC LIMIT ?`,
      before.at,
      before.id,
      limit,
    ),
  )
export type ListedRevocationRow = Awaited<ReturnType<typeof readRevocations>>[number]

/** The same of those in one state. */
export const readRevocationsInState = (database: Database, of: CaRevocationState, before: Below, limit: number) =>
  database.all(
    query(
      listedColumns,
      `SELECT ${listedSelection}
       FROM ca_revocations v LEFT JOIN certificates c ON c.fingerprint_index = v.fingerprint_index
       WHERE v.state = ? AND (v.requested_at, v.id) < (?, ?) ORDER BY v.requested_at DESC, v.id DESC LIMIT ?`,
      of,
      before.at,
      before.id,
      limit,
    ),
  )

export const readRevocation = (database: Database, id: string) =>
  database.first(
    query(
      listedColumns,
      `SELECT ${listedSelection}
       FROM ca_revocations v LEFT JOIN certificates c ON c.fingerprint_index = v.fingerprint_index
       WHERE v.id = ?`,
      id,
    ),
  )

/** How many revocations wait at each connection since before a time. */
export const countWaitingSince = (database: Database, before: number) =>
  database.all(
    query(
      { name: text, revocations: integer, lastFailure: nullable(text) },
      `SELECT k.name AS name, COUNT(*) AS revocations, MAX(v.last_failure) AS lastFailure
       FROM ca_connections k JOIN ca_revocations v ON v.connection = k.id
       WHERE v.state <> 'confirmed' AND v.state = 'waiting' AND v.requested_at < ?
       GROUP BY k.id, k.name /* scan: a handful of connections */`,
      before,
    ),
  )

/** How many revocations each CA has not confirmed. */
export const countOpen = (database: Database) =>
  database.all(
    query(
      { connection: text, revocations: integer },
      `SELECT /* scan: a handful of connections, each by the index of what is open */ k.id AS connection,
              (SELECT COUNT(*) FROM ca_revocations v WHERE v.connection = k.id AND v.state <> 'confirmed') AS revocations
       FROM ca_connections k
       WHERE k.kind <> 'embedded'
         AND (k.state <> 'removed'
              OR EXISTS (SELECT 1 FROM ca_revocations o WHERE o.connection = k.id AND o.state <> 'confirmed'))`,
    ),
  )
