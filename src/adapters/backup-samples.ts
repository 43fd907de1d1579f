import type SqliteDatabase from 'better-sqlite3'
import { SealBroken, type Place } from '../ports/keys.ts'
import { BackupUnusable } from './backup-folder.ts'
import type { KeyRing } from './key-ring.ts'

/** How many values of each sealed column are opened from either end of its table. */
const samplesPerEnd = 10

/** Rows that move to another table keep the name that they were sealed with. */
const sealedUnder: Readonly<Record<string, string>> = { query_log_recent: 'query_log' }

/** What opening samples showed. */
export interface OpenedSamples {
  /** The columns of which at least one value was opened, as `table.column`. */
  readonly columns: string[]
  readonly opened: number
  /** Values of months whose key was dropped: they are erased for good, as they should be. */
  readonly shredded: number
}

const isRow = (row: unknown): row is Readonly<Record<string, unknown>> => typeof row === 'object' && row !== null

const rowsOf = (statement: SqliteDatabase.Statement): Readonly<Record<string, unknown>>[] =>
  statement.all().filter(isRow)

/** The primary key of a table, in order: what a sealed value is bound to is made of it. */
const primaryKeyOf = (connection: SqliteDatabase.Database, table: string): string[] =>
  rowsOf(connection.prepare(`SELECT name FROM pragma_table_info('${table}') WHERE pk > 0 ORDER BY pk`)).map((row) =>
    String(row['name']),
  )

/** Every column whose values are sealed: by their names, so that the CA's keys are among them. */
const sealedColumns = (connection: SqliteDatabase.Database): { table: string; column: string }[] =>
  rowsOf(
    connection.prepare(
      `SELECT t.name AS "table", c.name AS "column" FROM sqlite_schema t JOIN pragma_table_info(t.name) c
       WHERE t.type = 'table' AND substr(c.name, -7) = '_sealed' ORDER BY 1, 2`,
    ),
  ).map((row) => ({ table: String(row['table']), column: String(row['column']) }))

/** The first and the last values of a column, each with the key of its row. The names are the schema's own. */
function samplesOf(connection: SqliteDatabase.Database, table: string, column: string) {
  const key = primaryKeyOf(connection, table)
  const sample = (direction: 'ASC' | 'DESC') =>
    rowsOf(
      connection.prepare(
        `SELECT ${key.join(', ')}, ${column} AS envelope FROM ${table} WHERE length(${column}) > 0
         ORDER BY ${key.map((name) => `${name} ${direction}`).join(', ')} LIMIT ${samplesPerEnd}`,
      ),
    )
  return [...sample('ASC'), ...sample('DESC')].map((row) => {
    const [first] = key
    const single = key.length === 1 && first !== undefined ? row[first] : undefined
    return {
      row: typeof single === 'number' ? single : key.map((name) => String(row[name])).join('/'),
      envelope: row['envelope'],
    }
  })
}

/**
 * Opens one value, or tells that its key was dropped with its month: the ring has keys of later months only. A ring that
 * lacks the newest month is older than the backup, and that is a fault. Throws `SealBroken`.
 */
function openSample(keys: KeyRing, place: Place, envelope: Uint8Array): 'opened' | 'shredded' {
  const months = keys.months()
  const { sealer, month } = keys.sealerOf(place, envelope)
  if (month !== null && !months.includes(month) && months.some((kept) => kept > month)) return 'shredded'
  sealer.open(place, envelope)
  return 'opened'
}

/** Opens samples of every sealed column of a database. Throws `BackupUnusable` where one does not open. */
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
