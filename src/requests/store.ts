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
} from '../ports/database.ts'
import { requestState as requestStates } from '../api/admin-shapes.ts'
import { use } from '../api/columns.ts'
import type { CertificateUse } from '../api/shapes.ts'
import type { RequestLimits } from './request-limits.ts'

export const requestState = oneOf(...requestStates.options)
export type RequestState = ReturnType<typeof requestState>

export interface NewRequest {
  readonly id: string
  readonly subscriber: string
  readonly device: string
  readonly mailbox: string
  readonly use: CertificateUse
  readonly spkiSha256: string
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
}

/**
 * Inserts a request, and with `submitting` its intent to be submitted. The guard `request_refused` breaks where mailbox
 * or device has ended, where its CA connection was removed, where the key is another subscriber's or one of its
 * certificates has ended (policy rule 9: unless that was for a mailbox that has moved to this subscriber since), where
 * the key is blocked, and where device or subscriber has as many requests as `limits` says. A live request for the same
 * key, device, mailbox and use breaks the unique index instead.
 */
export const insertRequest = (row: NewRequest, limits: RequestLimits): Command[] => [
  command(
    `INSERT INTO certificate_requests
       (id, subscriber, device, mailbox, usage, spki_sha256, proved_by, csr_sealed, state, connection, ca_profile, rule,
        rule_author, approvals_needed, claim, due_at, submitted_at, open_at_ca, created_at, updated_at)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
     WHERE EXISTS (SELECT 1 FROM mailboxes m WHERE m.id = ? AND m.subscriber = ? AND m.ended_at IS NULL)
       AND EXISTS (SELECT 1 FROM devices d WHERE d.id = ? AND d.subscriber = ? AND d.ended_at IS NULL)
       AND EXISTS (SELECT 1 FROM ca_connections k WHERE k.id = ? AND k.state <> 'removed')
       AND NOT EXISTS (
         SELECT 1 FROM certificate_requests r
         WHERE r.spki_sha256 = ? AND (r.device <> ? OR r.state = 'ended')
           AND r.state NOT IN ('rejected', 'failed', 'cancelled')
           AND NOT EXISTS (
             SELECT 1 FROM mailboxes o JOIN mailboxes n ON n.address_index = o.address_index
             WHERE o.id = r.mailbox AND o.end_reason = 'moved' AND n.subscriber = ? AND n.ended_at IS NULL
           )
       )
       AND NOT EXISTS (SELECT 1 FROM blocked_keys b WHERE b.kind = 'spki-sha256' AND b.fingerprint = ?)
       AND ? > (
         SELECT COUNT(*) FROM certificate_requests o
         WHERE o.device = ?
           AND o.state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending',
                           'outcome_unknown')
       )
       AND ? > (SELECT COUNT(*) FROM certificate_requests n WHERE n.subscriber = ? AND n.created_at > ?)`,
    row.id,
    row.subscriber,
    row.device,
    row.mailbox,
    row.use,
    row.spkiSha256,
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
    row.mailbox,
    row.subscriber,
    row.device,
    row.subscriber,
    row.connection,
    row.spkiSha256,
    row.device,
    row.subscriber,
    row.spkiSha256,
    limits.openPerDevice,
    row.device,
    limits.perSubscriber,
    row.subscriber,
    limits.since,
  ),
  requireOneChange('request_refused'),
]

/** Whether mailbox and device of a request have ended; only asked to explain a broken guard. Null where one is gone. */
export const readStanding = (database: Database, of: { mailbox: string; device: string }) =>
  database.first(
    query(
      { mailboxEnd: nullable(oneOf('moved', 'removed')), deviceEndedAt: nullable(integer) },
      `SELECT m.end_reason AS mailboxEnd, d.ended_at AS deviceEndedAt
       FROM mailboxes m JOIN devices d ON d.subscriber = m.subscriber WHERE m.id = ? AND d.id = ?`,
      of.mailbox,
      of.device,
    ),
  )

/** How many requests of a device have no outcome; only asked to explain a broken guard. */
export const countOpenOf = (database: Database, device: string) =>
  database.first(
    query(
      { requests: integer },
      `SELECT COUNT(*) AS requests FROM certificate_requests
       WHERE device = ?
         AND state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending',
                       'outcome_unknown')`,
      device,
    ),
  )

/** When the newest but `passed` requests of a subscriber since a time was made; only asked to explain a broken guard. */
export const readNewestBut = (database: Database, subscriber: string, since: number, passed: number) =>
  database.first(
    query(
      { createdAt: integer },
      `SELECT created_at AS createdAt FROM certificate_requests
       WHERE subscriber = ? AND created_at > ? ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?`,
      subscriber,
      since,
      passed,
    ),
  )

const requestColumns = {
  id: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  spkiSha256: text,
  provedBy: oneOf('csr', 'public_key'),
  csrSealed: blob,
  state: requestState,
  reason: nullable(text),
  connection: text,
  caProfile: nullable(text),
  rule: nullable(text),
  approvalsNeeded: integer,
  claim: nullable(text),
  dueAt: nullable(integer),
  attempts: integer,
  submittedAt: nullable(integer),
  openAtCa: integer,
  waitsFor: nullable(oneOf('ca_mailbox_challenge')),
  caStateSealed: nullable(blob),
  explanationSealed: nullable(blob),
  createdAt: integer,
}
export type RequestRow = NonNullable<Awaited<ReturnType<typeof readRequest>>>

export const readLiveRequest = (
  database: Database,
  of: { spkiSha256: string; device: string; mailbox: string; use: CertificateUse },
) =>
  database.first(
    query(
      requestColumns,
      `SELECT id, subscriber, device, mailbox, usage AS use, spki_sha256 AS spkiSha256, proved_by AS provedBy,
              csr_sealed AS csrSealed, state, reason, connection, ca_profile AS caProfile, rule,
              approvals_needed AS approvalsNeeded, claim, due_at AS dueAt, attempts, submitted_at AS submittedAt,
              open_at_ca AS openAtCa, waits_for AS waitsFor, ca_state_sealed AS caStateSealed,
              explanation_sealed AS explanationSealed, created_at AS createdAt
       FROM certificate_requests
       WHERE spki_sha256 = ? AND device = ? AND mailbox = ? AND usage = ?
         AND state NOT IN ('rejected', 'failed', 'cancelled', 'ended')`,
      of.spkiSha256,
      of.device,
      of.mailbox,
      of.use,
    ),
  )

export const readRequest = (database: Database, id: string) =>
  database.first(
    query(
      requestColumns,
      `SELECT id, subscriber, device, mailbox, usage AS use, spki_sha256 AS spkiSha256, proved_by AS provedBy,
              csr_sealed AS csrSealed, state, reason, connection, ca_profile AS caProfile, rule,
              approvals_needed AS approvalsNeeded, claim, due_at AS dueAt, attempts, submitted_at AS submittedAt,
              open_at_ca AS openAtCa, waits_for AS waitsFor, ca_state_sealed AS caStateSealed,
              explanation_sealed AS explanationSealed, created_at AS createdAt
       FROM certificate_requests WHERE id = ?`,
      id,
    ),
  )

/**
 * Whether a key stands in a request of another subscriber, unless for a mailbox that has moved to this one; only asked
 * to explain a broken guard.
 */
export const readForeignUse = (database: Database, spkiSha256: string, subscriber: string) =>
  database.first(
    query(
      { id: text },
      `SELECT r.id AS id FROM certificate_requests r
       WHERE r.spki_sha256 = ? AND r.subscriber <> ? AND r.state NOT IN ('rejected', 'failed', 'cancelled')
         AND NOT EXISTS (
           SELECT 1 FROM mailboxes o JOIN mailboxes n ON n.address_index = o.address_index
           WHERE o.id = r.mailbox AND o.end_reason = 'moved' AND n.subscriber = ? AND n.ended_at IS NULL
         )
       LIMIT 1`,
      spkiSha256,
      subscriber,
      subscriber,
    ),
  )

/** One page of a subscriber's requests, newest first, below a cursor of time and id. */
export const readRequestsOf = (
  database: Database,
  subscriber: string,
  before: { at: number; id: string },
  limit: number,
) =>
  database.all(
    query(
      requestColumns,
      `SELECT id, subscriber, device, mailbox, usage AS use, spki_sha256 AS spkiSha256, proved_by AS provedBy,
              csr_sealed AS csrSealed, state, reason, connection, ca_profile AS caProfile, rule,
              approvals_needed AS approvalsNeeded, claim, due_at AS dueAt, attempts, submitted_at AS submittedAt,
              open_at_ca AS openAtCa, waits_for AS waitsFor, ca_state_sealed AS caStateSealed,
              explanation_sealed AS explanationSealed, created_at AS createdAt
       FROM certificate_requests
       WHERE subscriber = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      before.at,
      before.id,
      limit,
    ),
  )

/** How many requests are in each state that is not their last. */
export const countOpenRequests = (database: Database) =>
  database.all(
    query(
      { state: text, requests: integer },
      `SELECT state, COUNT(*) AS requests FROM certificate_requests
       WHERE state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending', 'outcome_unknown')
       GROUP BY state`,
    ),
  )

/** Ends the requests of certificates that have ended, so that their keys are not certified again. */
export const endRequestsOf = (certificates: readonly string[], now: number): Command =>
  command(
    `UPDATE certificate_requests SET state = 'ended', updated_at = ?
     WHERE id IN (SELECT c.request FROM certificates c WHERE c.id IN (SELECT value FROM json_each(?)))`,
    now,
    JSON.stringify(certificates),
  )
