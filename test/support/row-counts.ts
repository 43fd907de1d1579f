import { integer, query, type Database } from '../../src/ports/database.ts'
import { migrationScripts } from './engines.ts'

/** The tables of the main database. */
const tables = migrationScripts('main').flatMap((script) =>
  [...script.matchAll(/^CREATE TABLE (\w+)/gm)].map(([, table = '']) => table),
)

/** How many rows each table of the main database has. */
export async function countRows(main: Database): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  for (const table of tables) {
    const row = await main.first(query({ rows: integer }, `SELECT COUNT(*) AS rows FROM ${table}`))
    counts.set(table, row?.rows ?? 0)
  }
  return counts
}

/** The tables whose number of rows is another one than before. */
export const changedTables = (
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): readonly string[] => tables.filter((table) => after.get(table) !== before.get(table))
