import { caRevocationState } from '../../api/admin-shapes.ts'
import { blob, integer, nullable, oneOf, query, text, type Database } from '../../ports/database.ts'
import { reason } from '../../cas/inside/store.ts'
import { use } from '../../api/columns.ts'
import { requestState, type RequestState } from '../store.ts'

const requestColumns = {
  id: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  provedBy: oneOf('csr', 'public_key'),
  state: requestState,
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

interface Below {
  readonly at: number
  readonly id: string
}

/** One page of all requests, newest first, below a cursor of time and id. */
export const readAllRequests = (database: Database, before: Below, limit: number) =>
  database.all(
    query(
      requestColumns,
      `SELECT id, subscriber, device, mailbox, usage AS use, proved_by AS provedBy, state, reason, connection, rule,
              attempts, last_failure AS lastFailure, due_at AS dueAt, created_at AS createdAt, updated_at AS updatedAt,
              (SELECT k.name FROM ca_connections k WHERE k.id = certificate_requests.connection) AS connectionName
       FROM certificate_requests
       WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      before.at,
      before.id,
      limit,
    ),
  )
export type ListedRequestRow = Awaited<ReturnType<typeof readAllRequests>>[number]

/** The same of those in one state. */
export const readRequestsInState = (database: Database, state: RequestState, before: Below, limit: number) =>
  database.all(
    query(
      requestColumns,
      `SELECT id, subscriber, device, mailbox, usage AS use, proved_by AS provedBy, state, reason, connection, rule,
              attempts, last_failure AS lastFailure, due_at AS dueAt, created_at AS createdAt, updated_at AS updatedAt,
              (SELECT k.name FROM ca_connections k WHERE k.id = certificate_requests.connection) AS connectionName
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

/** Who has decided on a request, the first of them first. */
export const readDecisions = (database: Database, request: string) =>
  database.all(
    query(
      { administrator: text, decision: oneOf('approved', 'rejected'), at: integer },
      `SELECT administrator, decision, at FROM request_approvals WHERE request = ? ORDER BY at, administrator`,
      request,
    ),
  )

const certificateColumns = {
  id: text,
  request: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  state: oneOf('valid', 'superseded', 'revoked', 'expired'),
  factsSealed: blob,
  notBefore: integer,
  notAfter: integer,
  createdAt: integer,
  revokedAt: nullable(integer),
  revocationReason: nullable(reason),
}

export const readCertificateWithoutBytes = (database: Database, id: string) =>
  database.first(
    query(
      certificateColumns,
      `SELECT id, request, subscriber, device, mailbox, usage AS use, state, facts_sealed AS factsSealed,
              not_before AS notBefore, not_after AS notAfter, created_at AS createdAt, revoked_at AS revokedAt,
              (SELECT s.reason FROM certificate_statuses s
               WHERE s.authority = c.authority AND s.serial_number = c.serial_number) AS revocationReason
       FROM certificates c WHERE id = ?`,
      id,
    ),
  )
export type CertificateWithoutBytes = NonNullable<Awaited<ReturnType<typeof readCertificateWithoutBytes>>>

/** Through which connection each of some certificates came, and what its CA is to be told of it. */
export const readAtTheirCas = (database: Database, certificates: readonly string[]) =>
  database.all(
    query(
      {
        certificate: text,
        connection: text,
        revocation: nullable(text),
        state: nullable(oneOf(...caRevocationState.options)),
      },
      `SELECT c.id AS certificate, r.connection, v.id AS revocation, v.state
       FROM certificates c JOIN certificate_requests r ON r.id = c.request
       LEFT JOIN ca_revocations v ON v.certificate_sha256 = c.fingerprint_sha256
       WHERE c.id IN (SELECT value FROM json_each(?))`,
      JSON.stringify(certificates),
    ),
  )
export type CertificateAtCa = Awaited<ReturnType<typeof readAtTheirCas>>[number]

/** A serial number is unique for one authority: several may have given the same. */
export const readBySerialNumber = (database: Database, serialNumber: string, limit: number) =>
  database.all(
    query(
      certificateColumns,
      `SELECT id, request, subscriber, device, mailbox, usage AS use, state, facts_sealed AS factsSealed,
              not_before AS notBefore, not_after AS notAfter, created_at AS createdAt, revoked_at AS revokedAt,
              (SELECT s.reason FROM certificate_statuses s
               WHERE s.authority = c.authority AND s.serial_number = c.serial_number) AS revocationReason
       FROM certificates c WHERE serial_number = ? LIMIT ?`,
      serialNumber,
      limit,
    ),
  )

export const readByFingerprint = (database: Database, fingerprintSha256: string, limit: number) =>
  database.all(
    query(
      certificateColumns,
      `SELECT id, request, subscriber, device, mailbox, usage AS use, state, facts_sealed AS factsSealed,
              not_before AS notBefore, not_after AS notAfter, created_at AS createdAt, revoked_at AS revokedAt,
              (SELECT s.reason FROM certificate_statuses s
               WHERE s.authority = c.authority AND s.serial_number = c.serial_number) AS revocationReason
       FROM certificates c WHERE fingerprint_sha256 = ? LIMIT ?`,
      fingerprintSha256,
      limit,
    ),
  )

/** The newest certificates of a subscriber. */
export const readNewestCertificatesOf = (database: Database, subscriber: string, limit: number) =>
  database.all(
    query(
      certificateColumns,
      `SELECT id, request, subscriber, device, mailbox, usage AS use, state, facts_sealed AS factsSealed,
              not_before AS notBefore, not_after AS notAfter, created_at AS createdAt, revoked_at AS revokedAt,
              (SELECT s.reason FROM certificate_statuses s
               WHERE s.authority = c.authority AND s.serial_number = c.serial_number) AS revocationReason
       FROM certificates c WHERE subscriber = ? ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      limit,
    ),
  )

export const countValidCertificates = (database: Database, now: number) =>
  database.first(
    query(
      { certificates: integer },
      `SELECT COUNT(*) AS certificates FROM certificates WHERE state = 'valid' AND not_after > ?`,
      now,
    ),
  )

export const countRequestsByState = (database: Database) =>
  database.all(
    query(
      { state: requestState, requests: integer },
      `SELECT /* scan: counts everything, for a dashboard */ state, COUNT(*) AS requests
       FROM certificate_requests GROUP BY state`,
    ),
  )
