import { caKind, type CaKind } from '../api/ca-shapes.ts'
import {
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireNoRow,
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

/** All connections, newest first, also removed ones. The CA inside is the oldest. */
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

/** The values of a connection that is made or changed. */
export interface ConnectionValues {
  readonly id: string
  readonly name: string
  readonly recipient: string
  readonly country: string | null
  readonly settings: string
  readonly credentialsSealed: Uint8Array | null
}

/** The name must be unique among the connections that were not removed. */
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
 * Changes a connection and closes its circuit. Guard `connection_changed`: the row still has the version that was
 * read.
 */
export const updateConnection = (values: ConnectionValues, version: number, now: number): Command[] => [
  command(
    `UPDATE ca_connections
     SET name = ?, recipient = ?, country = ?, settings = ?, credentials_sealed = ?, version = version + 1,
         changed_at = ?, failures = 0, open_until = NULL
     WHERE id = ? AND version = ? AND state <> 'removed'`,
    values.name,
    values.recipient,
    values.country,
    values.settings,
    values.credentialsSealed,
    now,
    values.id,
    version,
  ),
  requireOneChange('connection_changed'),
]

/** Replaces the credentials that were read, and closes the circuit. */
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

/** Sets a connection to active and closes its circuit, whether it was paused or not. */
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

/** Removes a connection with its credentials. Guards: `connection_has_rules`, `connection_gone`. */
export const markRemoved = (id: string, now: number): Command[] => [
  requireNoRow(
    'connection_has_rules',
    query({ one: integer }, `SELECT 1 AS one FROM routing_rules WHERE connection = ?`, id),
  ),
  command(
    `UPDATE ca_connections
     SET state = 'removed', credentials_sealed = NULL, version = version + 1, changed_at = ?, failures = 0,
         open_until = NULL
     WHERE id = ? AND kind <> 'embedded' AND state <> 'removed'`,
    now,
    id,
  ),
  requireOneChange('connection_gone'),
  command(`DELETE FROM fetched_revocation_lists WHERE connection = ?`, id),
]

/** Deletes the connections among `ids` that were removed. */
export const deleteRemoved = (ids: readonly string[]): Command =>
  command(
    `DELETE FROM ca_connections WHERE id IN (SELECT value FROM json_each(?)) AND state = 'removed'`,
    JSON.stringify(ids),
  )
