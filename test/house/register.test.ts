import SqliteDatabase from 'better-sqlite3'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Sqlite } from '../../src/adapters/sqlite.ts'
import { declarations, documents, outdatedDocuments } from '../../src/docs.ts'
import type { Database } from '../../src/ports/database.ts'
import { readColumns, type DatabaseRole } from '../../src/ports/schema.ts'
import { isTableCurrent } from '../standards/rules-table.ts'
import { registerFaults } from '../../src/privacy/register.ts'
import { engines, migrateD1, migrationScripts, openRoomHarness } from '../support/engines.ts'
import { startLocalD1 } from '../support/local-d1.ts'

const roles = ['main', 'journal', 'keys'] as const
const bindingOf: Readonly<Record<DatabaseRole, string>> = {
  main: 'DB_MAIN',
  journal: 'DB_JOURNAL_0',
  keys: 'DB_KEYS',
}
const ledger =
  'CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP)'

const sqliteWith = (role: DatabaseRole, ...scratch: readonly string[]): Database => {
  const connection = new SqliteDatabase(':memory:')
  for (const script of [ledger, ...migrationScripts(role), ...scratch]) connection.exec(script)
  return new Sqlite(connection)
}

const faultsOf = async (role: DatabaseRole, database: Database): Promise<string[]> =>
  registerFaults(role, await readColumns(database), declarations)

describe('the register against the real schema', () => {
  describe.each(engines)('on %s', (engine) => {
    test.each(roles)('every column of %s is declared', async (role) => {
      if (engine === 'sqlite') {
        expect(await faultsOf(role, sqliteWith(role))).toEqual([])
        return
      }
      const d1 = await startLocalD1()
      try {
        const binding = d1.bindings[bindingOf[role]]
        if (binding === undefined) throw new Error(`wrangler.toml has no ${bindingOf[role]}`)
        expect(await faultsOf(role, await migrateD1(role, binding))).toEqual([])
      } finally {
        await d1.close()
      }
    })
  })

  test('a column added without a declaration is a fault, by name', async () => {
    const database = sqliteWith('main', 'ALTER TABLE mailboxes ADD COLUMN shoe_size INTEGER')
    expect(await faultsOf('main', database)).toEqual(['main: column mailboxes.shoe_size is not declared'])
  })

  test('a table added without a declaration is a fault, by name', async () => {
    const database = sqliteWith('journal', 'CREATE TABLE habits (person TEXT) STRICT')
    expect(await faultsOf('journal', database)).toEqual(['journal: column habits.person is not declared'])
  })

  test('a declaration of a column that is gone is a fault, by name', async () => {
    const database = sqliteWith('main', 'ALTER TABLE outgoing_mail DROP COLUMN last_failure')
    expect(await faultsOf('main', database)).toEqual([
      'main: outgoing_mail.last_failure is declared but does not exist',
    ])
  })

  test.each(engines)('the running service on %s checks its own schema', async (engine) => {
    const harness = await openRoomHarness(engine)
    try {
      expect(await harness.service.check()).toEqual([])
      await harness.main.batch([{ text: 'ALTER TABLE devices ADD COLUMN location TEXT', values: [] }])
      expect(await harness.service.check()).toEqual([
        'no undeclared column: main: column devices.location is not declared',
      ])
      expect(harness.service.personalData.toSorted(byPlace)).toEqual(declarations.toSorted(byPlace))
    } finally {
      await harness.close()
    }
  })
})

const placeOf = (declaration: { database: string; table: string }): string =>
  `${declaration.database}/${declaration.table}`
const byPlace = (a: { database: string; table: string }, b: { database: string; table: string }): number =>
  placeOf(a).localeCompare(placeOf(b))

describe('what the declarations say', () => {
  test.each(declarations)('$database.$table has a purpose, a basis and an end', (declaration) => {
    for (const words of [declaration.holds, declaration.purpose, declaration.legalBasis, declaration.retention]) {
      expect(words.length).toBeGreaterThan(5)
    }
  })

  test('what names a person is sealed: no declared column holds an address in the clear', () => {
    const suspicious = declarations.flatMap(({ table, columns }) =>
      Object.entries(columns)
        .filter(
          ([name, column]) => /address|email|recipient/.test(name) && !['sealed', 'index'].includes(column.personal),
        )
        .map(([name]) => `${table}.${name}`),
    )
    // Who runs a CA: an organisation, which the privacy page names.
    expect(suspicious).toEqual(['ca_connections.recipient'])
  })

  test('the documents made from code are current', () => {
    expect(outdatedDocuments(), 'run: npm run docs').toEqual([])
    expect(isTableCurrent(), 'run: npm run docs').toBe(true)
    for (const path of Object.keys(documents)) {
      expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8').length).toBeGreaterThan(500)
    }
  })
})
