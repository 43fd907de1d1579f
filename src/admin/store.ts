import type { AdministratorRole } from '../api/admin-shapes.ts'
import { authorityOf, pageOfFaults, requireUnchanged, type AuthorityDeps } from '../ports/authority.ts'
import type { Macs } from '../ports/row-mac.ts'
import {
  blob,
  command,
  integer,
  nullable,
  query,
  requireOneChange,
  requireRow,
  text,
  type Command,
  type Database,
  type RowOf,
  type SqlValue,
} from '../ports/database.ts'

export interface NewAdministrator {
  readonly id: string
  readonly nameSealed: Uint8Array
  readonly roles: readonly AdministratorRole[]
  readonly credentialVerifier: Uint8Array
  readonly createdAt: number
  readonly createdBy: string
  readonly seenAt: number
}

const rolesText = (roles: readonly AdministratorRole[]): string => JSON.stringify(roles)

/** What reads administrators. One whose MAC does not fit counts as absent. */
type ReadDeps = AuthorityDeps & { readonly database: Database }

/** What of an administrator grants or ends authority. */
const authority = authorityOf('administrators', [
  'id',
  'roles',
  'credentialVerifier',
  'nextCredentialVerifier',
  'credentialUsedAt',
  'createdBy',
  'endedAt',
])
/** The day on which an administrator was seen, which decides when their credential expires: a MAC of its own. */
const seenDay = authorityOf('administrators.seen_at', ['id', 'seenAt'])

/** The values of an INSERT, in its order. */
const valuesOf = (keys: Macs, row: NewAdministrator): SqlValue[] => {
  const roles = rolesText(row.roles)
  const granted = { ...row, roles, nextCredentialVerifier: null, credentialUsedAt: null, endedAt: null }
  return [
    row.id,
    row.nameSealed,
    roles,
    row.credentialVerifier,
    row.createdAt,
    row.createdBy,
    row.seenAt,
    seenDay.of(keys, row),
    authority.of(keys, granted),
  ]
}

export const insertAdministrator = (keys: Macs, row: NewAdministrator): Command =>
  command(
    `INSERT INTO administrators
       (id, name_sealed, roles, credential_verifier, created_at, created_by, seen_at, seen_mac, authority_mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...valuesOf(keys, row),
  )

/** Inserts the first administrator. Guard: there has never been one. */
export const insertFirstAdministrator = (keys: Macs, row: NewAdministrator): Command[] => [
  command(
    `INSERT INTO administrators
       (id, name_sealed, roles, credential_verifier, created_at, created_by, seen_at, seen_mac, authority_mac)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT /* scan: one row */ 1 FROM administrators)`,
    ...valuesOf(keys, row),
  ),
  requireOneChange('administrator_exists'),
]

/** Changes what an administrator may do. Guard `requireUnchanged`. */
const changeAdministrator = (
  keys: Macs,
  row: AdministratorRow,
  change: Partial<
    Pick<AdministratorRow, 'roles' | 'credentialVerifier' | 'nextCredentialVerifier' | 'credentialUsedAt' | 'endedAt'>
  >,
): Command[] => {
  const next = { ...row, ...change }
  return [
    command(
      `UPDATE administrators
       SET roles = ?, credential_verifier = ?, next_credential_verifier = ?, credential_used_at = ?, ended_at = ?,
           authority_mac = ?
       WHERE id = ? AND authority_mac = ?`,
      next.roles,
      next.credentialVerifier,
      next.nextCredentialVerifier,
      next.credentialUsedAt,
      next.endedAt,
      authority.after(keys, row, change),
      row.id,
      row.authorityMac,
    ),
    requireUnchanged(),
  ]
}

const setSeen = (keys: Macs, id: string, seenAt: number): Command =>
  command(
    `UPDATE administrators SET seen_at = ?, seen_mac = ? WHERE id = ?`,
    seenAt,
    seenDay.of(keys, { id, seenAt }),
    id,
  )

/**
 * Gives the bootstrapped administrator, whose credential nobody has used, another name and credential. Guard: it is the
 * only administrator, and no administrator has replaced that credential. A replaced one is unused too, but it is not the
 * bootstrap's.
 */
export const replaceBootstrapped = (
  keys: Macs,
  before: AdministratorRow,
  row: Pick<NewAdministrator, 'nameSealed' | 'credentialVerifier' | 'seenAt'>,
): Command[] => [
  command(
    `UPDATE administrators SET name_sealed = ?
     WHERE id = ?
       AND NOT EXISTS (SELECT 1 FROM administrators o WHERE o.id <> administrators.id)
       AND NOT EXISTS (
         SELECT 1 FROM audit_entries a
         WHERE a.subject = administrators.id AND a.action = 'administrator.credential_replaced'
           AND a.actor_kind = 'administrator'
       )`,
    row.nameSealed,
    before.id,
  ),
  requireOneChange('bootstrap_used'),
  ...changeAdministrator(keys, before, { credentialVerifier: row.credentialVerifier }),
  setSeen(keys, before.id, row.seenAt),
]

/** The bootstrapped administrator, while nobody has used its credential. */
export const readBootstrapped = async (deps: ReadDeps, createdBy: string) =>
  trusted(
    deps,
    await deps.database.first(
      query(
        columns,
        `SELECT /* scan: a handful of administrators */ ${administratorSelection}
         FROM administrators
         WHERE created_by = ? AND credential_used_at IS NULL AND ended_at IS NULL LIMIT 1`,
        createdBy,
      ),
    ),
  )

/** Guard: the acting administrator is still an owner. */
export const requireStillOwner = (id: string): Command[] => [
  command(
    `UPDATE administrators SET seen_at = seen_at WHERE id = ? AND ended_at IS NULL AND instr(roles, '"owner"') > 0`,
    id,
  ),
  requireOneChange('actor_not_owner'),
]

/** Guard: beside an administrator, there is an owner with a working credential. */
const requireOtherOwner = (id: string, seenSince: number): Command =>
  requireRow(
    'last_owner',
    query(
      { id: text },
      `SELECT id FROM administrators WHERE id <> ? AND ended_at IS NULL AND instr(roles, '"owner"') > 0 AND seen_at >= ?`,
      id,
      seenSince,
    ),
  )

const isOwner = (roles: string): boolean => roles.includes('"owner"')

/** Changes the roles. Guard: at least one owner with a working credential is left. */
export const updateRoles = (
  keys: Macs,
  before: AdministratorRow,
  roles: readonly AdministratorRole[],
  ownersSeenSince: number,
): Command[] => [
  ...changeAdministrator(keys, before, { roles: rolesText(roles) }),
  ...(isOwner(before.roles) && !roles.includes('owner') ? [requireOtherOwner(before.id, ownersSeenSince)] : []),
]

/** Ends an administrator and their credentials. Guard: at least one owner with a working credential is left. */
export const endAdministrator = (
  keys: Macs,
  row: AdministratorRow,
  now: number,
  ownersSeenSince: number,
): Command[] => [
  ...changeAdministrator(keys, row, { endedAt: now, nextCredentialVerifier: null }),
  ...(isOwner(row.roles) ? [requireOtherOwner(row.id, ownersSeenSince)] : []),
]

/** Replaces a lost credential. All earlier ones stop working. */
export const replaceCredential = (
  keys: Macs,
  row: AdministratorRow,
  credentialVerifier: Uint8Array,
  today: number,
): Command[] => [
  ...changeAdministrator(keys, row, { credentialVerifier, nextCredentialVerifier: null, credentialUsedAt: null }),
  setSeen(keys, row.id, today),
]

/** Keeps the next credential of a rotation, in place of an unused one. */
export const prepareCredential = (keys: Macs, row: AdministratorRow, next: Uint8Array): Command[] =>
  changeAdministrator(keys, row, { nextCredentialVerifier: next })

/** Makes the next credential the present one, at its first use. */
export const promoteCredential = (keys: Macs, row: AdministratorRow, verifier: Uint8Array, now: number): Command[] =>
  changeAdministrator(keys, row, { credentialVerifier: verifier, nextCredentialVerifier: null, credentialUsedAt: now })

/** Notes the first use of a credential, and keeps the verifier of the newest key. */
export const markAdministratorCredentialUsed = (
  keys: Macs,
  row: AdministratorRow,
  verifier: Uint8Array,
  now: number,
): Command[] =>
  changeAdministrator(keys, row, { credentialVerifier: verifier, credentialUsedAt: row.credentialUsedAt ?? now })

export const noteSeen = (keys: Macs, id: string, today: number): Command =>
  command(
    `UPDATE administrators SET seen_at = ?, seen_mac = ? WHERE id = ? AND seen_at < ?`,
    today,
    seenDay.of(keys, { id, seenAt: today }),
    id,
    today,
  )

/** Deletes the names of administrators who ended before a time. */
export const dropNamesEndedBefore = (before: number): Command =>
  command(`UPDATE administrators SET name_sealed = x'' WHERE ended_at < ? AND name_sealed <> x''`, before)

const columns = {
  id: text,
  nameSealed: blob,
  roles: text,
  credentialVerifier: blob,
  credentialUsedAt: nullable(integer),
  nextCredentialVerifier: nullable(blob),
  createdAt: integer,
  createdBy: text,
  seenAt: integer,
  seenMac: blob,
  endedAt: nullable(integer),
  authorityMac: blob,
}

/** As `columns` reads them. */
const administratorSelection = `id, name_sealed AS nameSealed, roles, credential_verifier AS credentialVerifier,
  credential_used_at AS credentialUsedAt, next_credential_verifier AS nextCredentialVerifier,
  created_at AS createdAt, created_by AS createdBy, seen_at AS seenAt, seen_mac AS seenMac, ended_at AS endedAt,
  authority_mac AS authorityMac`
export type AdministratorRow = RowOf<typeof columns>

const trusted = (deps: AuthorityDeps, row: AdministratorRow | null): AdministratorRow | null =>
  row !== null &&
  authority.trusted(deps, row) !== null &&
  seenDay.trusted(deps, { ...row, authorityMac: row.seenMac }) !== null
    ? row
    : null

export const readAdministrator = async (deps: ReadDeps, id: string) =>
  trusted(
    deps,
    await deps.database.first(
      query(
        columns,
        `SELECT ${administratorSelection}
         FROM administrators WHERE id = ?`,
        id,
      ),
    ),
  )

/** One page of administrators, newest first, after a cursor of time and id. Forged ones are shown too. */
export const readAdministrators = (database: Database, before: { at: number; id: string }, limit: number) =>
  database.all(
    query(
      columns,
      `SELECT ${administratorSelection}
       FROM administrators WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      before.at,
      before.id,
      limit,
    ),
  )

/** The active administrator of a credential, or of one that comes from a rotation and has not been used yet. */
export const readByCredential = async (deps: ReadDeps, credentialVerifier: Uint8Array) =>
  trusted(
    deps,
    await deps.database.first(
      query(
        columns,
        `SELECT ${administratorSelection}
         FROM administrators
         WHERE id IN (
             SELECT id FROM administrators WHERE credential_verifier = ?
             UNION ALL SELECT id FROM administrators WHERE next_credential_verifier = ?
           )
           AND ended_at IS NULL
         LIMIT 1`,
        credentialVerifier,
        credentialVerifier,
      ),
    ),
  )

/** One page of all administrators, by id: in words, those whose MACs do not fit. */
export const readAdministratorFaults = async (
  deps: Pick<ReadDeps, 'database' | 'keys'>,
  after: string,
  limit: number,
) => {
  const rows = await deps.database.all(
    query(
      columns,
      `SELECT ${administratorSelection}
       FROM administrators WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  const seen = rows.map((row) => ({ ...row, authorityMac: row.seenMac }))
  return pageOfFaults(rows, [...authority.faults(deps.keys, rows), ...seenDay.faults(deps.keys, seen)])
}
