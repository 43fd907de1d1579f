import { integer, query, type Database } from '../../src/ports/database.ts'
import { migrationScripts } from './engines.ts'

/** The tables that the migrations of the main database leave behind: one that a migration makes for itself, it drops. */
const tables = new Set<string>()
for (const script of migrationScripts('main')) {
  for (const [, change, table = ''] of script.matchAll(/(CREATE|DROP) TABLE (\w+)/g)) {
    if (change === 'CREATE') tables.add(table)
    else tables.delete(table)
  }
}

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
): readonly string[] => [...tables].filter((table) => after.get(table) !== before.get(table))
