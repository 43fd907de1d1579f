import type { AdministratorRole } from '../api/admin-shapes.ts'
import {
  blob,
  command,
  integer,
  nullable,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
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

export const insertAdministrator = (row: NewAdministrator): Command =>
  command(
    `INSERT INTO administrators (id, name_sealed, roles, credential_verifier, created_at, created_by, seen_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.nameSealed,
    rolesText(row.roles),
    row.credentialVerifier,
    row.createdAt,
    row.createdBy,
    row.seenAt,
  )

/** Inserts the first administrator. Guard: there has never been one. */
export const insertFirstAdministrator = (row: NewAdministrator): Command[] => [
  command(
    `INSERT INTO administrators (id, name_sealed, roles, credential_verifier, created_at, created_by, seen_at)
     SELECT ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT /* scan: one row */ 1 FROM administrators)`,
    row.id,
    row.nameSealed,
    rolesText(row.roles),
    row.credentialVerifier,
    row.createdAt,
    row.createdBy,
    row.seenAt,
  ),
  requireOneChange('administrator_exists'),
]

/**
 * Gives the bootstrapped administrator another name and credential. Guard: it is the only administrator, nobody has
 * used its credential, and no administrator has replaced that credential. A replaced one is unused too, but it is not
 * the bootstrap's.
 */
export const replaceBootstrapped = (row: NewAdministrator): Command[] => [
  command(
    `UPDATE administrators SET name_sealed = ?, credential_verifier = ?, seen_at = ?
     WHERE id = ? AND created_by = ? AND credential_used_at IS NULL AND ended_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM administrators o WHERE o.id <> administrators.id)
       AND NOT EXISTS (
         SELECT 1 FROM audit_entries a
         WHERE a.subject = administrators.id AND a.action = 'administrator.credential_replaced'
           AND a.actor_kind = 'administrator'
       )`,
    row.nameSealed,
    row.credentialVerifier,
    row.seenAt,
    row.id,
    row.createdBy,
  ),
  requireOneChange('bootstrap_used'),
]

/** The bootstrapped administrator, while nobody has used its credential. */
export const readBootstrapped = (database: Database, createdBy: string) =>
  database.first(
    query(
      { id: text },
      `SELECT /* scan: a handful of administrators */ id FROM administrators
       WHERE created_by = ? AND credential_used_at IS NULL AND ended_at IS NULL LIMIT 1`,
      createdBy,
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

/** Changes the roles. Guard: they are still `before`, and at least one owner with a working credential is left. */
export const updateRoles = (
  { id, roles: before }: Pick<AdministratorRow, 'id' | 'roles'>,
  roles: readonly AdministratorRole[],
  ownersSeenSince: number,
): Command[] => [
  command(
    `UPDATE administrators SET roles = ?
     WHERE id = ? AND ended_at IS NULL AND roles = ?
       AND (instr(roles, '"owner"') = 0 OR instr(?, '"owner"') > 0 OR EXISTS (
         SELECT 1 FROM administrators o
         WHERE o.id <> administrators.id AND o.ended_at IS NULL AND instr(o.roles, '"owner"') > 0 AND o.seen_at >= ?
       ))`,
    rolesText(roles),
    id,
    before,
    rolesText(roles),
    ownersSeenSince,
  ),
  requireOneChange('roles_not_changed'),
]

/** Ends an administrator and their credentials. Guard: at least one owner with a working credential is left. */
export const endAdministrator = (id: string, now: number, ownersSeenSince: number): Command[] => [
  command(
    `UPDATE administrators SET ended_at = ?, next_credential_verifier = NULL
     WHERE id = ? AND ended_at IS NULL
       AND (instr(roles, '"owner"') = 0 OR EXISTS (
         SELECT 1 FROM administrators o
         WHERE o.id <> administrators.id AND o.ended_at IS NULL AND instr(o.roles, '"owner"') > 0 AND o.seen_at >= ?
       ))`,
    now,
    id,
    ownersSeenSince,
  ),
  requireOneChange('administrator_not_ended'),
]

/** Replaces a lost credential. All earlier ones stop working. Guard: the administrator has not ended. */
export const replaceCredential = (id: string, credentialVerifier: Uint8Array, today: number): Command[] => [
  command(
    `UPDATE administrators
     SET credential_verifier = ?, next_credential_verifier = NULL, credential_used_at = NULL, seen_at = ?
     WHERE id = ? AND ended_at IS NULL`,
    credentialVerifier,
    today,
    id,
  ),
  requireOneChange('administrator_ended'),
]

/**
 * Keeps the next credential of a rotation, in place of an unused one. Guard: the present credential is still `current`.
 */
export const prepareCredential = (id: string, current: Uint8Array, next: Uint8Array): Command[] => [
  command(
    `UPDATE administrators SET next_credential_verifier = ? WHERE id = ? AND credential_verifier = ? AND ended_at IS NULL`,
    next,
    id,
    current,
  ),
  requireOneChange('credential_replaced'),
]

/** Makes the next credential the present one, at its first use. Guard: it was not replaced meanwhile. */
export const promoteCredential = (id: string, next: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE administrators
     SET credential_verifier = next_credential_verifier, next_credential_verifier = NULL, credential_used_at = ?
     WHERE id = ? AND next_credential_verifier = ? AND ended_at IS NULL`,
    now,
    id,
    next,
  ),
  requireOneChange('credential_replaced'),
]

/** Keeps the verifier of a newer key in place of an older one of the same credential. */
export const renewAdministratorVerifier = (id: string, before: Uint8Array, after: Uint8Array): Command =>
  command(
    `UPDATE administrators SET credential_verifier = ? WHERE id = ? AND credential_verifier = ?`,
    after,
    id,
    before,
  )

/** Notes the first use of a credential. Guard: it was not used or replaced meanwhile. */
export const markAdministratorCredentialUsed = (id: string, credentialVerifier: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE administrators SET credential_used_at = ?
     WHERE id = ? AND credential_verifier = ? AND credential_used_at IS NULL AND ended_at IS NULL`,
    now,
    id,
    credentialVerifier,
  ),
  requireOneChange('credential_used_or_replaced'),
]

export const noteSeen = (id: string, today: number): Command =>
  command(`UPDATE administrators SET seen_at = ? WHERE id = ? AND seen_at < ? AND ended_at IS NULL`, today, id, today)

/** Deletes the names of administrators who ended before a time. */
export const dropNamesEndedBefore = (before: number): Command =>
  command(`UPDATE administrators SET name_sealed = x'' WHERE ended_at < ? AND name_sealed <> x''`, before)

const columns = {
  id: text,
  nameSealed: blob,
  roles: text,
  credentialUsedAt: nullable(integer),
  createdAt: integer,
  createdBy: text,
  seenAt: integer,
  endedAt: nullable(integer),
}

export const readAdministrator = (database: Database, id: string) =>
  database.first(
    query(
      columns,
      `SELECT id, name_sealed AS nameSealed, roles, credential_used_at AS credentialUsedAt, created_at AS createdAt,
              created_by AS createdBy, seen_at AS seenAt, ended_at AS endedAt
       FROM administrators WHERE id = ?`,
      id,
    ),
  )
export type AdministratorRow = NonNullable<Awaited<ReturnType<typeof readAdministrator>>>

/** One page of administrators, newest first, after a cursor of time and id. */
export const readAdministrators = (database: Database, before: { at: number; id: string }, limit: number) =>
  database.all(
    query(
      columns,
      `SELECT id, name_sealed AS nameSealed, roles, credential_used_at AS credentialUsedAt, created_at AS createdAt,
              created_by AS createdBy, seen_at AS seenAt, ended_at AS endedAt
       FROM administrators WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      before.at,
      before.id,
      limit,
    ),
  )

const credentialColumns = {
  id: text,
  roles: text,
  credentialVerifier: blob,
  credentialUsedAt: nullable(integer),
  seenAt: integer,
}

/**
 * The active administrator of a credential. `isNext`: the credential comes from a rotation and has not been used yet.
 */
export const readByCredential = (database: Database, credentialVerifier: Uint8Array) =>
  database.first(
    query(
      { ...credentialColumns, isNext: integer },
      `SELECT id, roles, credential_verifier AS credentialVerifier, credential_used_at AS credentialUsedAt,
              seen_at AS seenAt, 0 AS isNext
       FROM administrators WHERE credential_verifier = ? AND ended_at IS NULL
       UNION ALL
       SELECT id, roles, credential_verifier AS credentialVerifier, credential_used_at AS credentialUsedAt,
              seen_at AS seenAt, 1 AS isNext
       FROM administrators WHERE next_credential_verifier = ? AND ended_at IS NULL
       LIMIT 1`,
      credentialVerifier,
      credentialVerifier,
    ),
  )
