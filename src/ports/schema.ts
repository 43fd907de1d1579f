import { command, query, text, type Database } from './database.ts'

/** The databases of the service, by what they hold. `keys` exists only on Workers. */
export type DatabaseRole = 'main' | 'journal' | 'keys'

/**
 * The migrations that this code knows, in order. A Worker cannot list a folder, so the names stand here. A test
 * compares them with the files under `db/`.
 */
export const knownMigrations: Readonly<Record<DatabaseRole, readonly string[]>> = {
  main: ['0001_main.sql'],
  journal: ['0001_journal.sql'],
  keys: ['0001_key_ring.sql'],
}

/** This version of the code cannot use the database. */
export class SchemaMismatch extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SchemaMismatch'
  }
}

/**
 * Rejects where the database cannot be written. It changes nothing, and waits for no other process: false where another
 * one has the write lock at this moment.
 */
export const requireWritable = async (database: Database): Promise<boolean> =>
  (await database.batchUnlessLocked([command(`DELETE FROM batch_guard`)])) !== null

/** The names of the migrations that a database has been through, oldest first. */
export async function appliedMigrations(database: Database): Promise<string[]> {
  const ledger = await database.all(
    query({ name: text }, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'd1_migrations'`),
  )
  if (ledger.length === 0) return []
  const rows = await database.all(query({ name: text }, `SELECT name FROM d1_migrations ORDER BY id`))
  return rows.map((row) => row.name)
}

/** The migrations still to run. Throws `SchemaMismatch` where the database is newer than the code. */
export function pendingMigrations(role: DatabaseRole, applied: readonly string[]): string[] {
  const known = knownMigrations[role]
  const unknown = applied.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    throw new SchemaMismatch(
      `the ${role} database is newer than this version of certbook (it has ${unknown.join(', ')}); ` +
        `start the version that wrote it, or a later one`,
    )
  }
  return known.filter((name) => !applied.includes(name))
}

/** Throws `SchemaMismatch` unless the database has been through exactly the known migrations. */
export async function requireCurrentSchema(role: DatabaseRole, database: Database): Promise<void> {
  const pending = pendingMigrations(role, await appliedMigrations(database))
  if (pending.length > 0) {
    throw new SchemaMismatch(
      `the ${role} database lacks ${pending.join(', ')}; run the migrations (wrangler d1 migrations apply) first`,
    )
  }
}

/** The columns that a database really has, without the engine's own tables. */
export function readColumns(database: Database): Promise<{ table: string; column: string }[]> {
  return database.all(
    query(
      { table: text, column: text },
      `SELECT t.name AS "table", c.name AS "column"
       FROM sqlite_schema t JOIN pragma_table_info(t.name) c
       WHERE t.type = 'table' AND substr(t.name, 1, 7) <> 'sqlite_' AND substr(t.name, 1, 4) <> '_cf_'
       ORDER BY t.name, c.cid`,
    ),
  )
}
