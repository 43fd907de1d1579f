import { z } from 'zod'
import type { AuditLogEntry } from '../api/admin-shapes.ts'
import { timestamp } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import type { Database } from '../ports/database.ts'
import { openText, type Keys } from '../ports/keys.ts'
import { privatePlace } from './entries.ts'
import {
  readEntries,
  readEntriesOfActor,
  readEntriesOfSubject,
  readEntry,
  readPrivateOf,
  type AuditEntryRow,
} from './store.ts'

/**
 * Which entries an administrator asks for. A field that is left out does not restrict them. Times in UTC milliseconds.
 */
interface AuditQuestion {
  readonly action?: string | undefined
  readonly subject?: string | undefined
  readonly actor?: string | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

const factsShape = z.record(z.string(), z.union([z.string(), z.number(), z.null()]))
const commitmentsShape = z.record(z.string(), z.string())

const present = (row: AuditEntryRow): AuditLogEntry => ({
  id: row.id,
  position: row.position,
  at: timestamp(row.at),
  action: row.action,
  actorKind: row.actorKind,
  actor: row.actor,
  subjectKind: row.subjectKind,
  subject: row.subject,
  facts: factsShape.parse(JSON.parse(row.facts)),
  personal: Object.keys(commitmentsShape.parse(JSON.parse(row.commitments))),
})

const readCursor = (cursor: string | undefined, to: number | undefined): { at: number; position: number } => {
  if (cursor === undefined) return { at: to ?? Number.MAX_SAFE_INTEGER, position: 0 }
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor)
  if (match === null) throw new DomainError('invalid_request', 'cursor: send the one that the last page gave.')
  return { at: Number(match[1]), position: Number(match[2]) }
}

/** One page of the log, newest first, without the values that name somebody. Throws `invalid_request` for a bad cursor. */
export async function listAuditEntries(
  { database }: { readonly database: Database },
  question: AuditQuestion,
): Promise<{ items: AuditLogEntry[]; next: string | null }> {
  const { limit, cursor, from, to } = question
  const filter = {
    action: question.action ?? null,
    subject: question.subject ?? null,
    actor: question.actor ?? null,
    from: from ?? 0,
    before: readCursor(cursor, to),
    limit: limit + 1,
  }
  const read = filter.subject !== null ? readEntriesOfSubject : filter.actor !== null ? readEntriesOfActor : readEntries
  const rows = await read(database, filter)
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return {
    items: page.map(present),
    next: rows.length > limit && last !== undefined ? `${last.at}.${last.position}` : null,
  }
}

/** One entry of the log, or null. */
export async function findAuditEntry(
  { database }: { readonly database: Database },
  id: string,
): Promise<AuditLogEntry | null> {
  const row = await readEntry(database, id)
  return row === null ? null : present(row)
}

/** The values of an entry that name somebody. An erased value is null. */
export async function openAuditValues(
  { database, keys }: { readonly database: Database; readonly keys: Keys },
  entry: AuditLogEntry,
): Promise<Record<string, string | null>> {
  const kept = new Map(
    (await readPrivateOf(database, [entry.id])).map((row) => [
      row.field,
      openText(keys.main, privatePlace(row.entry, row.field), row.valueSealed),
    ]),
  )
  return Object.fromEntries(entry.personal.map((field) => [field, kept.get(field) ?? null]))
}
