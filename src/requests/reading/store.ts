import { blob, integer, nullable, oneOf, query, text, type Database } from '../../ports/database.ts'
import { use } from '../../api/columns.ts'
import { state, type RequestState } from '../store.ts'

const requestColumns = {
  id: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  provedBy: oneOf('csr', 'public_key'),
  state,
  reason: nullable(text),
  connection: text,
  connectionName: nullable(text),
  rule: nullable(text),
  attempts: integer,
  lastFailure: nullable(text),
  dueAt: nullable(integer),
  createdAt: integer,
  updatedAt: integer,
}

/** As `requestColumns` reads them. */
const readingSelection = `id, subscriber, device, mailbox, usage AS use, proved_by AS provedBy, state, reason, connection, rule,
  attempts, last_failure AS lastFailure, due_at AS dueAt, created_at AS createdAt, updated_at AS updatedAt,
  (SELECT k.name FROM ca_connections k WHERE k.id = certificate_requests.connection) AS connectionName`

interface Below {
  readonly at: number
  readonly id: string
}

/** One page of all requests, newest first, after a cursor of time and id. */
export const readAllRequests = (database: Database, before: Below, limit: number) =>
  database.all(
    query(
      requestColumns,
      `SELECT ${readingSelection}
       FROM certificate_requests
       WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      before.at,
      before.id,
      limit,
    ),
  )
export type ListedRequestRow = Awaited<ReturnType<typeof readAllRequests>>[number]

/** One page of the requests in one state, newest first. */
export const readRequestsInState = (database: Database, state: RequestState, before: Below, limit: number) =>
  database.all(
    query(
      requestColumns,
      `SELECT ${readingSelection}
       FROM certificate_requests
       WHERE state = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      state,
      before.at,
      before.id,
      limit,
    ),
  )

export const readOneRequest = (database: Database, id: string) =>
  database.first(
    query(
      {
        ...requestColumns,
        certificate: nullable(text),
        profile: nullable(text),
        approvalsNeeded: integer,
        submittedAt: nullable(integer),
        waitsFor: nullable(oneOf('ca_mailbox_challenge')),
        openAtCa: integer,
        explanationSealed: nullable(blob),
        caSaidSealed: nullable(blob),
        returnedSealed: nullable(blob),
      },
      `SELECT r.id, r.subscriber, r.device, r.mailbox, r.usage AS use, r.proved_by AS provedBy, r.state, r.reason,
              r.connection, r.rule, r.attempts, r.last_failure AS lastFailure, r.due_at AS dueAt,
              r.created_at AS createdAt, r.updated_at AS updatedAt, c.id AS certificate, r.ca_profile AS profile,
              r.approvals_needed AS approvalsNeeded, r.submitted_at AS submittedAt, r.waits_for AS waitsFor,
              r.open_at_ca AS openAtCa, r.explanation_sealed AS explanationSealed, r.ca_said_sealed AS caSaidSealed,
              r.returned_sealed AS returnedSealed,
              (SELECT k.name FROM ca_connections k WHERE k.id = r.connection) AS connectionName
       FROM certificate_requests r LEFT JOIN certificates c ON c.request = r.id
       WHERE r.id = ?`,
      id,
    ),
  )

/** The decisions on a request, oldest first. */
export const readDecisions = (database: Database, request: string) =>
  database.all(
    query(
      { administrator: text, decision: oneOf('approved', 'rejected'), at: integer },
      `SELECT administrator, decision, at FROM request_approvals WHERE request = ? ORDER BY at, administrator`,
      request,
    ),
  )

export const countRequestsByState = (database: Database) =>
  database.all(
    query(
      { state, requests: integer },
      `SELECT /* scan: counts everything, for a dashboard */ state, COUNT(*) AS requests
       FROM certificate_requests GROUP BY state`,
    ),
  )

/** The person, the device and the rule of a request, for those who decide on it. */
export const readBackground = (database: Database, request: string) =>
  database.first(
    query(
      {
        id: text,
        createdAt: integer,
        provedBy: oneOf('csr', 'public_key'),
        csrSealed: blob,
        accountType: oneOf('imap', 'exchange'),
        mailboxProvedAt: integer,
        subscriberSince: integer,
        deviceSince: integer,
        rule: nullable(text),
        ruleAuthor: nullable(text),
        rulePosition: nullable(integer),
        ruleChangedAt: nullable(integer),
      },
      `SELECT r.id, r.created_at AS createdAt, r.proved_by AS provedBy, r.csr_sealed AS csrSealed,
              m.account_type AS accountType, m.verified_at AS mailboxProvedAt, s.created_at AS subscriberSince,
              d.created_at AS deviceSince, r.rule, r.rule_author AS ruleAuthor, u.position AS rulePosition, u.changed_at AS ruleChangedAt
       FROM certificate_requests r
       JOIN mailboxes m ON m.id = r.mailbox JOIN subscribers s ON s.id = r.subscriber JOIN devices d ON d.id = r.device
       LEFT JOIN routing_rules u ON u.id = r.rule
       WHERE r.id = ?`,
      request,
    ),
  )
export type BackgroundRow = NonNullable<Awaited<ReturnType<typeof readBackground>>>
