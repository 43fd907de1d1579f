import { integer, nullable, query, text, type Database } from '../../ports/database.ts'
import type { AuditEntryRow } from '../store.ts'

const columns = {
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

/** Which entries: newest first, below a cursor of time and position; null where it is all the same. */
export interface AuditFilter {
  readonly action: string | null
  readonly subject: string | null
  readonly actor: string | null
  readonly from: number
  readonly before: { readonly at: number; readonly position: number }
  readonly limit: number
}

/** The newest entries of all subjects and actors. */
export const readEntries = (database: Database, of: AuditFilter): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      columns,
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

/** The newest entries of one subject. */
export const readEntriesOfSubject = (database: Database, of: AuditFilter): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      columns,
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

/** The newest entries of one actor. */
export const readEntriesOfActor = (database: Database, of: AuditFilter): Promise<AuditEntryRow[]> =>
  database.all(
    query(
      columns,
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
      columns,
      `SELECT position, id, at, action, actor_kind AS actorKind, actor, subject_kind AS subjectKind, subject, facts,
              commitments
       FROM audit_entries WHERE id = ?`,
      id,
    ),
  )
