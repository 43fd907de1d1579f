import { blob, command, integer, nullable, query, text, type Command, type Database } from '../ports/database.ts'

export interface AuditEntryRow {
  readonly position: number
  readonly id: string
  readonly at: number
  readonly action: string
  readonly actorKind: string
  readonly actor: string | null
  readonly subjectKind: string
  readonly subject: string
  readonly facts: string
  readonly commitments: string
}

/** One seal over consecutive entries. */
export interface AuditSealRow {
  readonly number: number
  readonly predecessor: string
  readonly firstPosition: number
  readonly lastPosition: number
  readonly hash: string
  readonly at: number
}

export const insertEntry = (entry: Omit<AuditEntryRow, 'position'>): Command =>
  command(
    `INSERT INTO audit_entries (id, at, action, actor_kind, actor, subject_kind, subject, facts, commitments)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    entry.id,
    entry.at,
    entry.action,
    entry.actorKind,
    entry.actor,
    entry.subjectKind,
    entry.subject,
    entry.facts,
    entry.commitments,
  )

export const insertPrivate = (entry: string, field: string, salt: Uint8Array, valueSealed: Uint8Array): Command =>
  command(
    `INSERT INTO audit_private (entry, field, salt, value_sealed) VALUES (?, ?, ?, ?)`,
    entry,
    field,
    salt,
    valueSealed,
  )

/** A second seal after the same predecessor breaks a UNIQUE constraint, so the loser of a race writes nothing. */
export const insertSeal = (seal: AuditSealRow): Command =>
  command(
    `INSERT INTO audit_seals (number, predecessor, first_position, last_position, hash, at) VALUES (?, ?, ?, ?, ?, ?)`,
    seal.number,
    seal.predecessor,
    seal.firstPosition,
    seal.lastPosition,
    seal.hash,
    seal.at,
  )

const sealColumns = {
  number: integer,
  predecessor: text,
  firstPosition: integer,
  lastPosition: integer,
  hash: text,
  at: integer,
}

export const readHead = (database: Database): Promise<AuditSealRow | null> =>
  database.first(
    query(
      sealColumns,
      `SELECT /* scan: one step from the end */ number, predecessor, first_position AS firstPosition,
              last_position AS lastPosition, hash, at
       FROM audit_seals ORDER BY number DESC LIMIT 1`,
    ),
  )

export const readSealsAfter = (database: Database, number: number, limit: number): Promise<AuditSealRow[]> =>
  database.all(
    query(
      sealColumns,
      `SELECT number, predecessor, first_position AS firstPosition, last_position AS lastPosition, hash, at
       FROM audit_seals WHERE number > ? ORDER BY number LIMIT ?`,
      number,
      limit,
    ),
  )

const entryColumns = {
  position: integer,
  id: text,
  at: integer,
  action: text,
  actorKind: text,
  actor: nullable(text),
  subjectKind: text,
  subject: text,
  facts: text,
  commitments: text,
}

export const readEntriesAfter = (database: Database, position: number, limit: number): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      entryColumns,
      `SELECT position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
              commitments
       FROM audit_entries WHERE position > ? ORDER BY position LIMIT ?`,
      position,
      limit,
    ),
  )

export const readPrivateOf = (database: Database, entries: readonly string[]) =>
  database.all(
    query(
      { entry: text, field: text, salt: blob, valueSealed: blob },
      `SELECT entry, field, salt, value_sealed AS valueSealed
       FROM audit_private WHERE entry IN (SELECT value FROM json_each(?))`,
      JSON.stringify(entries),
    ),
  )

/** How many entries have no seal yet. */
export const countUnsealed = (database: Database) =>
  database.first(
    query(
      { entries: integer },
      `SELECT COUNT(*) AS entries FROM audit_entries
       WHERE position > COALESCE((SELECT MAX(last_position) /* scan: one seal in some hundreds of entries */ FROM audit_seals), 0)`,
    ),
  )

/** Which entries, newest first, after a cursor of time and position. Null does not restrict them. */
export interface AuditFilter {
  readonly action: string | null
  readonly subject: string | null
  readonly actor: string | null
  readonly from: number
  readonly before: { readonly at: number; readonly position: number }
  readonly limit: number
}

export const readEntries = (database: Database, of: AuditFilter): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      entryColumns,
      `SELECT position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
              commitments
       FROM audit_entries
       WHERE at >= ? AND (at, position) < (?, ?) AND (? IS NULL OR action = ?)
       ORDER BY at DESC, position DESC LIMIT ?`,
      of.from,
      of.before.at,
      of.before.position,
      of.action,
      of.action,
      of.limit,
    ),
  )

export const readEntriesOfSubject = (database: Database, of: AuditFilter): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      entryColumns,
      `SELECT position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
              commitments
       FROM audit_entries
       WHERE subject = ? AND at >= ? AND (at, position) < (?, ?) AND (? IS NULL OR action = ?)
         AND (? IS NULL OR actor = ?)
       ORDER BY at DESC, position DESC LIMIT ?`,
      of.subject,
      of.from,
      of.before.at,
      of.before.position,
      of.action,
      of.action,
      of.actor,
      of.actor,
      of.limit,
    ),
  )

export const readEntriesOfActor = (database: Database, of: AuditFilter): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      entryColumns,
      `SELECT position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
              commitments
       FROM audit_entries
       WHERE actor = ? AND at >= ? AND (at, position) < (?, ?) AND (? IS NULL OR action = ?)
       ORDER BY at DESC, position DESC LIMIT ?`,
      of.actor,
      of.from,
      of.before.at,
      of.before.position,
      of.action,
      of.action,
      of.limit,
    ),
  )

export const readEntry = (database: Database, id: string): Promise<AuditEntryRow | null> =>
  database.first(
    query(
      entryColumns,
      `SELECT position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
              commitments
       FROM audit_entries WHERE id = ?`,
      id,
    ),
  )
