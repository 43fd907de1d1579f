import { caKind, type CaKind } from '../api/ca-shapes.ts'
import { embeddedConnection } from './contract.ts'
import { authorityOf, requireUnchanged, type AuthorityDeps } from '../ports/authority.ts'
import type { Macs } from '../ports/row-mac.ts'
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
  type RowOf,
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
  authorityMac: blob,
}

/** As `connectionColumns` reads them. */
const connectionSelection = `id, kind, name, recipient, country, state, settings, credentials_sealed AS credentialsSealed,
  version, created_at AS createdAt, created_by AS createdBy, changed_at AS changedAt, failures, open_until AS openUntil,
  last_failure AS lastFailure, last_failure_at AS lastFailureAt, last_success_at AS lastSuccessAt,
  authority_mac AS authorityMac`
export type ConnectionRow = RowOf<typeof connectionColumns>

/** What reads connections. One whose MAC does not fit counts as absent. */
type ReadDeps = AuthorityDeps & { readonly database: Database }

/** What of a connection grants or ends authority: which CA it is, with which anchors, and by which credentials. */
const authority = authorityOf('ca_connections', [
  'id',
  'kind',
  'recipient',
  'country',
  'state',
  'settings',
  'credentialsSealed',
  'version',
])

const isTrusted = (deps: AuthorityDeps, row: ConnectionRow): boolean => authority.trusted(deps, row) !== null

export const readConnection = async (deps: ReadDeps, id: string): Promise<ConnectionRow | null> => {
  const row = await deps.database.first(
    query(
      connectionColumns,
      `SELECT ${connectionSelection}
       FROM ca_connections WHERE id = ?`,
      id,
    ),
  )
  return row === null || !isTrusted(deps, row) ? null : row
}

/** All connections, newest first, also removed ones. The CA inside is the oldest. */
export const readConnections = async (deps: ReadDeps): Promise<ConnectionRow[]> =>
  (await readAllConnections(deps.database)).filter((row) => isTrusted(deps, row))

const readAllConnections = (database: Database) =>
  database.all(
    query(
      connectionColumns,
      `SELECT /* scan: an installation has a handful */ ${connectionSelection}
       FROM ca_connections ORDER BY created_at DESC, id DESC`,
    ),
  )

/** In words, the connections whose MAC does not fit. */
export const readConnectionFaults = async ({ database, keys }: { readonly database: Database; readonly keys: Macs }) =>
  authority.faults(keys, await readAllConnections(database))

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
  keys: Macs,
  values: ConnectionValues & { readonly kind: CaKind; readonly createdBy: string },
  now: number,
): Command =>
  command(
    `INSERT INTO ca_connections
       (id, kind, name, recipient, country, state, settings, credentials_sealed, version, created_at, created_by,
        changed_at, authority_mac)
     VALUES (?, ?, ?, ?, ?, 'active', ?, ?, 1, ?, ?, ?, ?)`,
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
    authority.of(keys, { ...values, state: 'active', version: 1 }),
  )

/** The connection to the CA inside, with which everything begins. */
export const insertEmbedded = (keys: Macs): Command =>
  insertConnection(
    keys,
    {
      id: embeddedConnection,
      kind: 'embedded',
      name: embeddedConnection,
      recipient: '',
      country: null,
      settings: '{}',
      credentialsSealed: null,
      createdBy: 'service',
    },
    0,
  )

/** Changes a connection as it was read. The guard that follows judges whether it has changed since. */
const changeRow = (
  keys: Macs,
  row: ConnectionRow,
  change: Partial<Pick<ConnectionRow, 'name' | 'recipient' | 'country' | 'state' | 'settings' | 'credentialsSealed'>>,
  now: number,
): Command => {
  const next = { ...row, ...change, version: row.version + 1 }
  return command(
    `UPDATE ca_connections
     SET name = ?, recipient = ?, country = ?, state = ?, settings = ?, credentials_sealed = ?, version = ?,
         changed_at = ?, authority_mac = ?
     WHERE id = ? AND version = ? AND authority_mac = ?`,
    next.name,
    next.recipient,
    next.country,
    next.state,
    next.settings,
    next.credentialsSealed,
    next.version,
    now,
    authority.after(keys, row, { ...change, version: next.version }),
    row.id,
    row.version,
    row.authorityMac,
  )
}

const closeCircuit = (id: string): Command =>
  command(`UPDATE ca_connections SET failures = 0, open_until = NULL WHERE id = ?`, id)

/** Changes a connection and closes its circuit. Guard `connection_changed`: the row is still as it was read. */
export const updateConnection = (keys: Macs, row: ConnectionRow, values: ConnectionValues, now: number): Command[] => {
  const { name, recipient, country, settings, credentialsSealed } = values
  return [
    changeRow(keys, row, { name, recipient, country, settings, credentialsSealed }, now),
    requireOneChange('connection_changed'),
    closeCircuit(row.id),
  ]
}

/** Replaces the credentials that were read, and closes the circuit. Guard `connection_changed`. */
export const updateCredentials = (
  keys: Macs,
  row: ConnectionRow,
  credentialsSealed: Uint8Array,
  now: number,
): Command[] => [
  changeRow(keys, row, { credentialsSealed }, now),
  requireOneChange('connection_changed'),
  closeCircuit(row.id),
]

/** Pauses a connection. Guard `connection_changed`. */
export const markPaused = (keys: Macs, row: ConnectionRow, now: number): Command[] => [
  changeRow(keys, row, { state: 'paused' }, now),
  requireOneChange('connection_changed'),
]

/** Sets a connection to active and closes its circuit, whether it was paused or not. Guard `requireUnchanged`. */
export const markActive = (keys: Macs, row: ConnectionRow, now: number): Command[] => [
  changeRow(keys, row, { state: 'active' }, now),
  requireUnchanged(),
  closeCircuit(row.id),
]

/** Removes a connection with its credentials. Guards: `connection_has_rules`, `requireUnchanged`. */
export const markRemoved = (keys: Macs, row: ConnectionRow, now: number): Command[] => [
  requireNoRow(
    'connection_has_rules',
    query({ one: integer }, `SELECT 1 AS one FROM routing_rules WHERE connection = ?`, row.id),
  ),
  changeRow(keys, row, { state: 'removed', credentialsSealed: null }, now),
  requireUnchanged(),
  closeCircuit(row.id),
  command(`DELETE FROM fetched_revocation_lists WHERE connection = ?`, row.id),
]

/** Deletes the connections among `ids` that were removed. */
export const deleteRemoved = (ids: readonly string[]): Command =>
  command(
    `DELETE FROM ca_connections WHERE id IN (SELECT value FROM json_each(?)) AND state = 'removed'`,
    JSON.stringify(ids),
  )
