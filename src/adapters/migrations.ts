import { readFileSync } from 'node:fs'
import type SqliteDatabase from 'better-sqlite3'
import { appliedMigrations, pendingMigrations, type DatabaseRole } from '../ports/schema.ts'
import { Sqlite } from './sqlite.ts'

const folder = new URL('../../db/', import.meta.url)

/**
 * Brings a SQLite file up to the schema of the code. Each migration and its line in the ledger are one transaction. The
 * ledger is the one that wrangler keeps on D1. Throws `SchemaMismatch` if the file is newer than the code.
 */
export async function migrate(role: DatabaseRole, connection: SqliteDatabase.Database): Promise<string[]> {
  connection.exec(
    `CREATE TABLE IF NOT EXISTS d1_migrations (
       id INTEGER PRIMARY KEY AUTOINCREMENT,
       name TEXT UNIQUE,
       applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
     )`,
  )
  const pending = pendingMigrations(role, await appliedMigrations(new Sqlite(connection)))
  for (const name of pending) {
    const script = readFileSync(new URL(`${role}/${name}`, folder), 'utf8')
    const apply = connection.transaction(() => {
      connection.exec(script)
      connection.prepare('INSERT INTO d1_migrations (name) VALUES (?)').run(name)
    })
    apply.immediate()
  }
  return pending
}
