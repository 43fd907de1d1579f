import type SqliteDatabase from 'better-sqlite3'
import { SealBroken, type Place } from '../ports/keys.ts'
import { BackupUnusable } from './backup-folder.ts'
import type { KeyRing } from './key-ring.ts'

/** How many values of each sealed column are opened, from each end of the table. */
const samplesPerEnd = 10

/** Rows that moved to another table keep the table name that their seal is bound to. */
const sealedUnder: Readonly<Record<string, string>> = { query_log_recent: 'query_log' }

/** Tables whose seals are bound to something else than the primary key, as an SQL expression. */
const sealedFor: Readonly<Record<string, string>> = { ready_answers: "lower(hex(address_index)) || '/' || serves" }

/** The result of opening samples. */
export interface OpenedSamples {
  /** The columns of which a value was opened, as `table.column`. */
  readonly columns: string[]
  readonly opened: number
  /** How many values belong to months whose key was deleted. They are erased on purpose. */
  readonly shredded: number
}

const isRow = (row: unknown): row is Readonly<Record<string, unknown>> => typeof row === 'object' && row !== null

const rowsOf = (statement: SqliteDatabase.Statement): Readonly<Record<string, unknown>>[] =>
  statement.all().filter(isRow)

/** The primary key columns of a table, in order. The seal of a value is bound to them. */
const primaryKeyOf = (connection: SqliteDatabase.Database, table: string): string[] =>
  rowsOf(connection.prepare(`SELECT name FROM pragma_table_info('${table}') WHERE pk > 0 ORDER BY pk`)).map((row) =>
    String(row['name']),
  )

/** All sealed columns, known by their names. The CA's keys are among them. */
const sealedColumns = (connection: SqliteDatabase.Database): { table: string; column: string }[] =>
  rowsOf(
    connection.prepare(
      `SELECT t.name AS "table", c.name AS "column" FROM sqlite_schema t JOIN pragma_table_info(t.name) c
       WHERE t.type = 'table' AND substr(c.name, -7) = '_sealed' ORDER BY 1, 2`,
    ),
  ).map((row) => ({ table: String(row['table']), column: String(row['column']) }))

/** The first and last values of a column, each with what its seal is bound to. The names come from the schema. */
function samplesOf(connection: SqliteDatabase.Database, table: string, column: string) {
  const key = primaryKeyOf(connection, table)
  const bound = sealedFor[table]
  const sample = (direction: 'ASC' | 'DESC') =>
    rowsOf(
      connection.prepare(
        `SELECT ${key.join(', ')}, ${bound ?? 'NULL'} AS bound, ${column} AS envelope FROM ${table} WHERE length(${column}) > 0
         ORDER BY ${key.map((name) => `${name} ${direction}`).join(', ')} LIMIT ${samplesPerEnd}`,
      ),
    )
  return [...sample('ASC'), ...sample('DESC')].map((row) => {
    if (bound !== undefined) return { row: String(row['bound']), envelope: row['envelope'] }
    const [first] = key
    const single = key.length === 1 && first !== undefined ? row[first] : undefined
    return {
      row: typeof single === 'number' ? single : key.map((name) => String(row[name])).join('/'),
      envelope: row['envelope'],
    }
  })
}

/**
 * Opens one value, or reports that its month's key was deleted: the ring then has keys of later months only. A ring
 * without the newest month is older than the backup, which is a fault. Throws `SealBroken`.
 */
function openSample(keys: KeyRing, place: Place, envelope: Uint8Array): 'opened' | 'shredded' {
  const months = keys.months()
  const { sealer, month } = keys.sealerOf(place, envelope)
  if (month !== null && !months.includes(month) && months.some((kept) => kept > month)) return 'shredded'
  sealer.open(place, envelope)
  return 'opened'
}

/** Opens samples of every sealed column of a database. Throws `BackupUnusable` if one does not open. */
export function openSamples(connection: SqliteDatabase.Database, keys: KeyRing): OpenedSamples {
  const columns: string[] = []
  const count = { opened: 0, shredded: 0 }
  for (const { table, column } of sealedColumns(connection)) {
    const before = count.opened
    for (const { row, envelope } of samplesOf(connection, table, column)) {
      if (!(envelope instanceof Uint8Array)) throw new BackupUnusable(`${table}.${column} holds no sealed value`)
      try {
        count[openSample(keys, { table: sealedUnder[table] ?? table, column, row }, envelope)] += 1
      } catch (cause) {
        if (!(cause instanceof SealBroken)) throw cause
        throw new BackupUnusable(
          `${table}.${column} of the backup does not open; put back the key ring that was written last, or choose another backup`,
          { cause },
        )
      }
    }
    if (count.opened > before) columns.push(`${table}.${column}`)
  }
  return { columns, ...count }
}
