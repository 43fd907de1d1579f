import { authorityOf, pageOfFaults, type AuthorityDeps } from '../ports/authority.ts'
import type { Macs } from '../ports/row-mac.ts'
import { blob, integer, nullable, oneOf, query, text, type Database } from '../ports/database.ts'
import { requestState } from '../api/admin-shapes.ts'
import { use } from '../api/columns.ts'
import type { CertificateUse } from '../api/shapes.ts'
import { isOpen } from './transitions.ts'

/** The column of a request's state. */
export const state = oneOf(...requestState.options)
export type RequestState = ReturnType<typeof state>

/** Whether mailbox and device of a request have ended. Null where one is gone. It explains a broken guard. */
export const readEnds = (database: Database, of: { mailbox: string; device: string }) =>
  database.first(
    query(
      { mailboxEnd: nullable(oneOf('moved', 'removed')), deviceEndedAt: nullable(integer) },
      `SELECT m.end_reason AS mailboxEnd, d.ended_at AS deviceEndedAt
       FROM mailboxes m JOIN devices d ON d.subscriber = m.subscriber WHERE m.id = ? AND d.id = ?`,
      of.mailbox,
      of.device,
    ),
  )

/** How many requests of a device have no outcome. It explains a broken guard. */
export const countOpenOf = (database: Database, device: string) =>
  database.first(
    query(
      { requests: integer },
      `SELECT COUNT(*) AS requests FROM certificate_requests
       WHERE device = ? AND ${isOpen}`,
      device,
    ),
  )

/** When the newest but `passed` requests of a subscriber since a time was made. It explains a broken guard. */
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

/** What of a request grants authority: for whom and what it asks, where it goes, and how many must approve it. */
export const requestAuthority = authorityOf('certificate_requests', [
  'id',
  'subscriber',
  'device',
  'mailbox',
  'use',
  'keyIndex',
  'provedBy',
  'connection',
  'caProfile',
  'rule',
  'ruleAuthor',
  'approvalsNeeded',
])

const requestColumns = {
  id: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  keyIndex: text,
  provedBy: oneOf('csr', 'public_key'),
  csrSealed: blob,
  state,
  reason: nullable(text),
  connection: text,
  caProfile: nullable(text),
  rule: nullable(text),
  ruleAuthor: nullable(text),
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
  authorityMac: blob,
}

/** As `requestColumns` reads them. */
const requestSelection = `id, subscriber, device, mailbox, usage AS use, key_index AS keyIndex, proved_by AS provedBy,
  csr_sealed AS csrSealed, state, reason, connection, ca_profile AS caProfile, rule, rule_author AS ruleAuthor,
  approvals_needed AS approvalsNeeded, claim, due_at AS dueAt, attempts, submitted_at AS submittedAt,
  open_at_ca AS openAtCa, waits_for AS waitsFor, ca_state_sealed AS caStateSealed,
  explanation_sealed AS explanationSealed, created_at AS createdAt, authority_mac AS authorityMac`
export type RequestRow = NonNullable<Awaited<ReturnType<typeof readRequest>>>

export const readLiveRequest = (
  database: Database,
  of: { keyIndex: string; device: string; mailbox: string; use: CertificateUse },
) =>
  database.first(
    query(
      requestColumns,
      `SELECT ${requestSelection}
       FROM certificate_requests
       WHERE key_index = ? AND device = ? AND mailbox = ? AND usage = ?
         AND state NOT IN ('rejected', 'failed', 'cancelled', 'ended')`,
      of.keyIndex,
      of.device,
      of.mailbox,
      of.use,
    ),
  )

export const readRequest = (database: Database, id: string) =>
  database.first(
    query(
      requestColumns,
      `SELECT ${requestSelection}
       FROM certificate_requests WHERE id = ?`,
      id,
    ),
  )

/**
 * A request of another subscriber with this key, unless it was for a mailbox that has moved to this subscriber since. It
 * explains a broken guard.
 */
export const readForeignUse = (database: Database, keyIndex: string, subscriber: string) =>
  database.first(
    query(
      { id: text },
      `SELECT r.id AS id FROM certificate_requests r
       WHERE r.key_index = ? AND r.subscriber <> ? AND r.state NOT IN ('rejected', 'failed', 'cancelled')
         AND NOT EXISTS (
           SELECT 1 FROM mailboxes o JOIN mailboxes n ON n.address_index = o.address_index
           WHERE o.id = r.mailbox AND o.end_reason = 'moved' AND n.subscriber = ? AND n.ended_at IS NULL
         )
       LIMIT 1`,
      keyIndex,
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
      `SELECT ${requestSelection}
       FROM certificate_requests
       WHERE subscriber = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      before.at,
      before.id,
      limit,
    ),
  )

/** Whether a key was ever asked a certificate for. */
export const readIsRequested = (database: Database, keyIndex: string) =>
  database.first(query({ id: text }, `SELECT id FROM certificate_requests WHERE key_index = ? LIMIT 1`, keyIndex))

/** A request that waits to be sent through a connection. */
export const readIsWaiting = (database: Database, connection: string) =>
  database.first(
    query(
      { id: text },
      `SELECT id FROM certificate_requests WHERE connection = ? AND state = 'received' LIMIT 1`,
      connection,
    ),
  )

/** How many requests are in each state that is not their last. */
export const countOpenRequests = (database: Database) =>
  database.all(
    query(
      { state: text, requests: integer },
      `SELECT state, COUNT(*) AS requests FROM certificate_requests
       WHERE ${isOpen} GROUP BY state`,
    ),
  )

/** One page of all requests, by id: in words, those whose MAC does not fit. */
export const readRequestFaults = async (
  { database, keys }: { readonly database: Database; readonly keys: Macs },
  after: string,
  limit: number,
) => {
  const rows = await database.all(
    query(
      requestColumns,
      `SELECT ${requestSelection}
       FROM certificate_requests WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, requestAuthority.faults(keys, rows))
}

/** What an approval grants: it is one person's word on one request. */
export const decisionAuthority = authorityOf('request_approvals', ['id', 'administrator', 'decision', 'at'])

const decisionColumns = {
  id: text,
  administrator: text,
  decision: oneOf('approved', 'rejected'),
  at: integer,
  authorityMac: blob,
}

/** As `decisionColumns` reads them. */
const decisionSelection = `request AS id, administrator, decision, at, authority_mac AS authorityMac`

/** How many administrators have approved a request. What nobody of them said does not count. */
export const countApprovals = async (deps: AuthorityDeps & { readonly database: Database }, request: string) => {
  const rows = await deps.database.all(
    query(
      decisionColumns,
      `SELECT ${decisionSelection}
       FROM request_approvals WHERE request = ?`,
      request,
    ),
  )
  return rows.filter((row) => row.decision === 'approved' && decisionAuthority.trusted(deps, row) !== null).length
}

/** The decisions on one page of all requests, by id: in words, those whose MAC does not fit. */
export const readDecisionFaults = async (
  { database, keys }: { readonly database: Database; readonly keys: Macs },
  after: string,
  limit: number,
) => {
  const requests = await database.all(
    query(
      { id: text },
      `SELECT DISTINCT request AS id FROM request_approvals WHERE request > ? ORDER BY request LIMIT ?`,
      after,
      limit,
    ),
  )
  const rows = await database.all(
    query(
      decisionColumns,
      `SELECT ${decisionSelection}
       FROM request_approvals WHERE request IN (SELECT value FROM json_each(?))`,
      JSON.stringify(requests.map(({ id }) => id)),
    ),
  )
  return pageOfFaults(requests, decisionAuthority.faults(keys, rows))
}
