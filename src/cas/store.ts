import { caKind, type CaKind } from '../api/ca-shapes.ts'
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

const connectionColumns = {
  id: text,
  kind: oneOf(...caKind.options),
  name: text,
  recipient: text,
  country: nullable(text),
  state: oneOf('active', 'paused', 'removed'),
  settings: text,
  credentialsSealed: nullable(blob),
  version: integer,
  createdAt: integer,
  createdBy: text,
  changedAt: integer,
  failures: integer,
  openUntil: nullable(integer),
  lastFailure: nullable(text),
  lastFailureAt: nullable(integer),
  lastSuccessAt: nullable(integer),
}

export const readConnection = (database: Database, id: string) =>
  database.first(
    query(
      connectionColumns,
      `SELECT id, kind, name, recipient, country, state, settings, credentials_sealed AS credentialsSealed, version,
              created_at AS createdAt, created_by AS createdBy, changed_at AS changedAt, failures,
              open_until AS openUntil, last_failure AS lastFailure, last_failure_at AS lastFailureAt,
              last_success_at AS lastSuccessAt
       FROM ca_connections WHERE id = ?`,
      id,
    ),
  )
export type ConnectionRow = NonNullable<Awaited<ReturnType<typeof readConnection>>>

/** All that there are, those too that were removed, newest first; the one inside is the oldest. */
export const readConnections = (database: Database) =>
  database.all(
    query(
      connectionColumns,
      `SELECT /* scan: an installation has a handful */
              id, kind, name, recipient, country, state, settings, credentials_sealed AS credentialsSealed, version,
              created_at AS createdAt, created_by AS createdBy, changed_at AS changedAt, failures,
              open_until AS openUntil, last_failure AS lastFailure, last_failure_at AS lastFailureAt,
              last_success_at AS lastSuccessAt
       FROM ca_connections ORDER BY created_at DESC, id DESC`,
    ),
  )

/** Removed connections whose CA was, or may have been, sent a request. */
export const readRemovedSentTo = (database: Database) =>
  database.all(
    query(
      { id: text },
      `SELECT /* scan: a handful; of the requests only where the connection itself tells of no answer */ id
       FROM ca_connections
       WHERE state = 'removed'
         AND (
           last_success_at IS NOT NULL OR last_failure_at IS NOT NULL
           OR EXISTS (
             SELECT 1 FROM certificate_requests r
             WHERE r.connection = ca_connections.id AND r.submitted_at IS NOT NULL
           )
         )`,
    ),
  )

/** What a connection is, as it is made or changed. */
export interface ConnectionValues {
  readonly id: string
  readonly name: string
  readonly recipient: string
  readonly country: string | null
  readonly settings: string
  readonly credentialsSealed: Uint8Array | null
}

/** The name is unique among those that are there. */
export const insertConnection = (
  values: ConnectionValues & { readonly kind: CaKind; readonly createdBy: string },
  now: number,
): Command =>
  command(
    `INSERT INTO ca_connections
       (id, kind, name, recipient, country, state, settings, credentials_sealed, version, created_at, created_by,
        changed_at)
     VALUES (?, ?, ?, ?, ?, 'active', ?, ?, 1, ?, ?, ?)`,
    values.id,
    values.kind,
    values.name,
    values.recipient,
    values.country,
    values.settings,
    values.credentialsSealed,
    now,
    values.createdBy,
    now,
  )

/**
 * Changes a connection that is still in the version that was read, and closes its circuit. With `movesAway` it leads to
 * another CA: that is broken while this one may have a request, of which the other one knows nothing.
 */
export const updateConnection = (
  values: ConnectionValues & { readonly movesAway: boolean },
  version: number,
  now: number,
): Command[] => [
  command(
    `UPDATE ca_connections
     SET name = ?, recipient = ?, country = ?, settings = ?, credentials_sealed = ?, version = version + 1,
         changed_at = ?, failures = 0, open_until = NULL
     WHERE id = ? AND version = ? AND state <> 'removed'
       AND (
         ? = 0
         OR NOT EXISTS (
           SELECT 1 FROM certificate_requests r WHERE r.connection = ca_connections.id AND r.open_at_ca = 1
         )
       )`,
    values.name,
    values.recipient,
    values.country,
    values.settings,
    values.credentialsSealed,
    now,
    values.id,
    version,
    values.movesAway ? 1 : 0,
  ),
  requireOneChange('connection_changed'),
]

/** Puts other credentials in the place of those that were read, and closes the circuit. */
export const updateCredentials = (
  { id, version }: Pick<ConnectionRow, 'id' | 'version'>,
  credentialsSealed: Uint8Array,
  now: number,
): Command[] => [
  command(
    `UPDATE ca_connections
     SET credentials_sealed = ?, version = version + 1, changed_at = ?, failures = 0, open_until = NULL
     WHERE id = ? AND version = ? AND state <> 'removed'`,
    credentialsSealed,
    now,
    id,
    version,
  ),
  requireOneChange('connection_changed'),
]

export const markPaused = (id: string, now: number): Command[] => [
  command(
    `UPDATE ca_connections SET state = 'paused', version = version + 1, changed_at = ? WHERE id = ? AND state = 'active'`,
    now,
    id,
  ),
  requireOneChange('connection_not_active'),
]

/** Puts a connection to use again, and closes its circuit, whether it was paused or not. */
export const markActive = (id: string, now: number): Command[] => [
  command(
    `UPDATE ca_connections
     SET state = 'active', version = version + 1, changed_at = ?, failures = 0, open_until = NULL
     WHERE id = ? AND state <> 'removed'`,
    now,
    id,
  ),
  requireOneChange('connection_removed'),
]

/** Has what waits to be sent through a connection be due now, whenever it was to be tried again. */
export const hurryWaiting = (connection: string, now: number): Command =>
  command(
    `UPDATE certificate_requests SET due_at = ? WHERE connection = ? AND state = 'received' AND due_at > ?`,
    now,
    connection,
    now,
  )

/** Removes a connection with its credentials, where nothing rests on it: no rule, no request, no valid certificate, no revocation. */
export const markRemoved = (id: string, now: number): Command[] => [
  command(
    `UPDATE ca_connections
     SET state = 'removed', credentials_sealed = NULL, version = version + 1, changed_at = ?, failures = 0,
         open_until = NULL
     WHERE id = ? AND kind <> 'embedded' AND state <> 'removed'
       AND NOT EXISTS (SELECT 1 FROM routing_rules n WHERE n.connection = ca_connections.id)
       AND NOT EXISTS (
         SELECT 1 FROM certificate_requests r
         WHERE r.connection = ca_connections.id
           AND r.state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending',
                           'outcome_unknown')
       )
       AND NOT EXISTS (
         SELECT 1 FROM certificate_requests r WHERE r.connection = ca_connections.id AND r.open_at_ca = 1
       )
       AND NOT EXISTS (
         SELECT 1 FROM certificates c JOIN certificate_requests r ON r.id = c.request
         WHERE c.state = 'valid' AND c.not_after > ? AND r.connection = ca_connections.id
       )
       AND NOT EXISTS (
         SELECT 1 FROM ca_revocations v WHERE v.connection = ca_connections.id AND v.state <> 'confirmed'
       )`,
    now,
    id,
    now,
  ),
  requireOneChange('connection_in_use'),
  command(`DELETE FROM fetched_revocation_lists WHERE connection = ?`, id),
]

/** Forgets removed connections to which nothing leads any more: no request was kept that went through them. */
export const forgetConnections = (): Command =>
  command(
    `DELETE /* scan: once a night, and stops at the first request of each removed connection */ FROM ca_connections
     WHERE state = 'removed'
       AND NOT EXISTS (SELECT 1 FROM certificate_requests r WHERE r.connection = ca_connections.id)
       AND NOT EXISTS (SELECT 1 FROM ca_revocations v WHERE v.connection = ca_connections.id)`,
  )

/** Where the revocation lists of a connection are, from now on: new ones are due at once, others are forgotten. */
export const replaceLists = (connection: string, urls: readonly string[], now: number): Command[] => [
  command(
    `DELETE FROM fetched_revocation_lists WHERE connection = ? AND url NOT IN (SELECT value FROM json_each(?))`,
    connection,
    JSON.stringify(urls),
  ),
  ...[...new Set(urls)].map((url) =>
    command(
      `INSERT INTO fetched_revocation_lists (connection, url, due_at) VALUES (?, ?, ?)
       ON CONFLICT (connection, url) DO UPDATE SET due_at = excluded.due_at`,
      connection,
      url,
      now,
    ),
  ),
]

export const readLists = (database: Database, connection: string) =>
  database.all(
    query(
      {
        url: text,
        thisUpdate: nullable(integer),
        nextUpdate: nullable(integer),
        appliedAt: nullable(integer),
        lastFailure: nullable(text),
      },
      `SELECT url, this_update AS thisUpdate, next_update AS nextUpdate, applied_at AS appliedAt,
              last_failure AS lastFailure
       FROM fetched_revocation_lists WHERE connection = ? ORDER BY url`,
      connection,
    ),
  )

/** How many requests wait to be sent through each connection. */
export const countWaiting = (database: Database) =>
  database.all(
    query(
      { connection: text, requests: integer },
      `SELECT connection, COUNT(*) AS requests FROM certificate_requests WHERE state = 'received' GROUP BY connection`,
    ),
  )

/** How many requests each CA has, and of how many nobody knows whether it has. */
export const countAtCas = (database: Database) =>
  database.all(
    query(
      { connection: text, state: oneOf('pending', 'outcome_unknown'), requests: integer },
      `SELECT connection, state, COUNT(*) AS requests FROM certificate_requests
       WHERE open_at_ca = 1 AND state IN ('pending', 'outcome_unknown') GROUP BY connection, state`,
    ),
  )

/**
 * Of how many requests that came to nothing here a CA may still make, or have made, a certificate, where nobody but an
 * operator can learn of it.
 */
export const countLeftAtCas = (database: Database) =>
  database.all(
    query(
      { connection: text, requests: integer },
      `SELECT connection, COUNT(*) AS requests FROM certificate_requests
       WHERE open_at_ca = 1 AND state IN ('cancelled', 'failed') AND due_at IS NULL
         AND connection IN (SELECT /* scan: a handful of connections */ k.id FROM ca_connections k WHERE k.state <> 'removed')
       GROUP BY connection`,
    ),
  )

/** How many revocations an operator has to see to at each CA. */
export const countByHand = (database: Database) =>
  database.all(
    query(
      { connection: text, revocations: integer },
      `SELECT /* scan: of an index that holds what is not confirmed */ connection, COUNT(*) AS revocations
       FROM ca_revocations WHERE state <> 'confirmed' AND state = 'by_hand' GROUP BY connection`,
    ),
  )

/** What a connection cannot be removed for; only asked to explain a broken guard. */
export const readUses = (database: Database, id: string, now: number) =>
  database.first(
    query(
      { rules: integer, revocations: integer, certificates: integer },
      `SELECT (SELECT COUNT(*) FROM routing_rules WHERE connection = ?) AS rules,
              (SELECT COUNT(*) FROM ca_revocations WHERE connection = ? AND state <> 'confirmed') AS revocations,
              (SELECT COUNT(*) FROM certificates c JOIN certificate_requests r ON r.id = c.request
               WHERE c.state = 'valid' AND c.not_after > ? AND r.connection = ?) AS certificates`,
      id,
      id,
      now,
      id,
    ),
  )

/** One step up a chain of CAs; the issuer of a root is the root itself. */
export const readAuthorityStep = (database: Database, id: string) =>
  database.first(
    query(
      { issuer: text, certificate: blob },
      `SELECT issuer, certificate FROM certificate_authorities WHERE id = ?`,
      id,
    ),
  )

/** CAs of others that a kept certificate leads to; known ones stay as they are. */
export const insertConnectedAuthority = (row: {
  id: string
  slot: string
  issuer: string
  certificate: Uint8Array
  identity: string
  createdAt: number
}): Command =>
  command(
    `INSERT INTO certificate_authorities
       (id, role, slot, issuer, key_kind, certificate, private_key_sealed, identity, created_at)
     VALUES (?, 'connected', ?, ?, NULL, ?, NULL, ?, ?)
     ON CONFLICT (slot) DO NOTHING`,
    row.id,
    row.slot,
    row.issuer,
    row.certificate,
    row.identity,
    row.createdAt,
  )
