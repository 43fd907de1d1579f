import { join } from 'node:path'
import { z } from 'zod'
import { openSqliteFile, type SqliteConnection } from '../src/adapters/sqlite.ts'

/**
 * Parts of a stock are made side by side, from copies of one new data directory, so that keys and CA are the same. Here
 * the rows of one part are moved into another. The numbers that SQLite gives begin elsewhere in each part.
 */

const namesShape = z.array(z.string())
const triggersShape = z.array(z.object({ name: z.string(), sql: z.string() }))

/** Its numbers have no gaps, so that entries go behind those that are there, and are sealed afterwards. */
const entries = 'audit_entries'
const seals = new Set(['audit_seals', 'audit_head'])
const numbersOfPart = 1_000_000_000

const openToWriteFast = (dataDir: string): SqliteConnection => {
  const connection = openSqliteFile(join(dataDir, 'main.db'))
  connection.pragma('journal_mode = MEMORY')
  connection.pragma('synchronous = OFF')
  connection.pragma('secure_delete = OFF')
  connection.pragma('cache_size = -1000000')
  return connection
}

const tablesOf = (connection: SqliteConnection): string[] =>
  namesShape.parse(
    connection
      .prepare(`SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`)
      .pluck()
      .all(),
  )

/** Has the numbers that are given in a part begin where those of no other part are. */
export function separateNumbers(dataDir: string, part: number): void {
  const connection = openToWriteFast(dataDir)
  try {
    connection.prepare('UPDATE sqlite_sequence SET seq = seq + ? WHERE name <> ?').run(part * numbersOfPart, entries)
    const missing = connection.prepare(
      `INSERT INTO sqlite_sequence (name, seq)
       SELECT name, ? FROM sqlite_master
       WHERE sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence)`,
    )
    missing.run(part * numbersOfPart)
    connection.pragma('journal_mode = WAL')
  } finally {
    connection.close()
  }
}

const columns = 'id, at, action, actor_kind, actor, subject_kind, subject, facts, commitments, mac'
const appendEntries = `INSERT INTO main.audit_entries (${columns})
  SELECT ${columns} FROM part.audit_entries WHERE id NOT IN (SELECT id FROM main.audit_entries) ORDER BY position`

/** Adds to the main database of `into` what the one of `from` has besides. */
export function mergeInto(into: string, from: string): void {
  const connection = openToWriteFast(into)
  try {
    // Rows come table by table, and what they refer to may come later.
    connection.pragma('foreign_keys = OFF')
    connection.prepare('ATTACH ? AS part').run(join(from, 'main.db'))
    // What triggers would do has been done in the part.
    const triggers = triggersShape.parse(
      connection.prepare(`SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'`).all(),
    )
    connection.exec('BEGIN IMMEDIATE')
    for (const { name } of triggers) connection.exec(`DROP TRIGGER main.${name}`)
    for (const table of tablesOf(connection)) {
      if (table === entries || seals.has(table)) continue
      connection.exec(`INSERT OR IGNORE INTO main.${table} SELECT * FROM part.${table}`)
    }
    connection.exec(appendEntries)
    for (const { sql } of triggers) connection.exec(sql)
    connection.exec('COMMIT')
    connection.exec('DETACH part')
    connection.pragma('journal_mode = WAL')
  } finally {
    connection.close()
  }
}
