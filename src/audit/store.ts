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
  readonly mac: Uint8Array
}

/** One seal over consecutive entries. */
export interface AuditSealRow {
  readonly number: number
  readonly predecessor: string
  readonly firstPosition: number
  readonly lastPosition: number
  readonly hash: string
  readonly at: number
  readonly mac: Uint8Array
}

/** How long the chain is, and its newest seal. */
export interface AuditHeadRow {
  readonly seals: number
  readonly lastPosition: number
  readonly hash: string
  readonly mac: Uint8Array
}

export const insertEntry = (entry: Omit<AuditEntryRow, 'position'>): Command =>
  command(
    `INSERT INTO audit_entries (id, at, action, actor_kind, actor, subject_kind, subject, facts, commitments, mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    entry.id,
    entry.at,
    entry.action,
    entry.actorKind,
    entry.actor,
    entry.subjectKind,
    entry.subject,
    entry.facts,
    entry.commitments,
    entry.mac,
  )

export const insertPrivate = ({ entry, field, saltSealed, valueSealed }: AuditPrivateRow): Command =>
  command(
    `INSERT INTO audit_private (entry, field, salt_sealed, value_sealed) VALUES (?, ?, ?, ?)`,
    entry,
    field,
    saltSealed,
    valueSealed,
  )

/** What stays of an erased value. */
export interface AuditErasureRow {
  readonly entry: string
  readonly field: string
  readonly why: string
  readonly at: number
  readonly mac: Uint8Array
}

export const insertErasure = ({ entry, field, why, at, mac }: AuditErasureRow): Command =>
  command(`INSERT INTO audit_erasures (entry, field, why, at, mac) VALUES (?, ?, ?, ?, ?)`, entry, field, why, at, mac)

/** Deletes a value. The database refuses it without an erasure, which must stand before it in the batch. */
export const deletePrivate = (entry: string, field: string): Command =>
  command(`DELETE FROM audit_private WHERE entry = ? AND field = ?`, entry, field)

/** A second seal after the same predecessor breaks a UNIQUE constraint, so the loser of a race writes nothing. */
export const insertSeal = (seal: AuditSealRow): Command =>
  command(
    `INSERT INTO audit_seals (number, predecessor, first_position, last_position, hash, at, mac)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    seal.number,
    seal.predecessor,
    seal.firstPosition,
    seal.lastPosition,
    seal.hash,
    seal.at,
    seal.mac,
  )

/** Writes the head anew. It belongs in the batch of its seal. */
export const setHead = ({ seals, lastPosition, hash, mac }: AuditHeadRow): Command =>
  command(
    `INSERT INTO audit_head (id, seals, last_position, hash, mac) VALUES (1, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET seals = excluded.seals, last_position = excluded.last_position,
       hash = excluded.hash, mac = excluded.mac`,
    seals,
    lastPosition,
    hash,
    mac,
  )

export const readHead = (database: Database): Promise<AuditHeadRow | null> =>
  database.first(
    query(
      { seals: integer, lastPosition: integer, hash: text, mac: blob },
      `SELECT seals, last_position AS lastPosition, hash, mac FROM audit_head WHERE id = 1`,
    ),
  )

const sealColumns = {
  number: integer,
  predecessor: text,
  firstPosition: integer,
  lastPosition: integer,
  hash: text,
  at: integer,
  mac: blob,
}

export const readSealsAfter = (database: Database, number: number, limit: number): Promise<AuditSealRow[]> =>
  database.all(
    query(
      sealColumns,
      `SELECT number, predecessor, first_position AS firstPosition, last_position AS lastPosition, hash, at, mac
       FROM audit_seals WHERE number > ? ORDER BY number LIMIT ?`,
      number,
      limit,
    ),
  )

/** The leaves of the tree, in order. */
export const readSealHashesAfter = (database: Database, number: number, limit: number) =>
  database.all(
    query(
      { number: integer, hash: text },
      `SELECT number, hash FROM audit_seals WHERE number > ? ORDER BY number LIMIT ?`,
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
  mac: blob,
}

/** As `entryColumns` reads them. */
const entrySelection = `position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
  commitments, mac`

export const readEntriesAfter = (database: Database, position: number, limit: number): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      entryColumns,
      `SELECT ${entrySelection}
       FROM audit_entries WHERE position > ? ORDER BY position LIMIT ?`,
      position,
      limit,
    ),
  )

/** A personal value of an entry. */
export interface AuditPrivateRow {
  readonly entry: string
  readonly field: string
  readonly saltSealed: Uint8Array
  readonly valueSealed: Uint8Array
}

export const readPrivateOf = (database: Database, entries: readonly string[]): Promise<AuditPrivateRow[]> =>
  database.all(
    query(
      { entry: text, field: text, saltSealed: blob, valueSealed: blob },
      `SELECT entry, field, salt_sealed AS saltSealed, value_sealed AS valueSealed
       FROM audit_private WHERE entry IN (SELECT value FROM json_each(?))`,
      JSON.stringify(entries),
    ),
  )

export const readErasuresOf = (database: Database, entries: readonly string[]): Promise<AuditErasureRow[]> =>
  database.all(
    query(
      { entry: text, field: text, why: text, at: integer, mac: blob },
      `SELECT entry, field, why, at, mac
       FROM audit_erasures WHERE entry IN (SELECT value FROM json_each(?))`,
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
      `SELECT ${entrySelection}
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
      `SELECT ${entrySelection}
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
      `SELECT ${entrySelection}
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
      `SELECT ${entrySelection}
       FROM audit_entries WHERE id = ?`,
      id,
    ),
  )
