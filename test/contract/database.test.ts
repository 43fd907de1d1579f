import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type SqliteDatabase from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { D1, type D1Binding } from '../../src/adapters/d1.ts'
import { migrate } from '../../src/adapters/migrations.ts'
import { openSqliteFile, Sqlite } from '../../src/adapters/sqlite.ts'
import {
  blob,
  command,
  ConstraintFailed,
  GuardBroken,
  integer,
  nullable,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
  type SqlValue,
} from '../../src/ports/database.ts'
import {
  appliedMigrations,
  knownMigrations,
  pendingMigrations,
  readColumns,
  requireCurrentSchema,
  SchemaMismatch,
  type DatabaseRole,
} from '../../src/ports/schema.ts'
import { engines, migrateD1, migrationScripts, statementsOf, type Engine } from '../support/engines.ts'
import { startLocalD1, type LocalD1 } from '../support/local-d1.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { sourceModule, startChild } from './child.ts'

const guardSchema = migrationScripts('main')
  .flatMap(statementsOf)
  .filter((statement) => statement.includes('batch_guard'))

const scratchSchema = [
  `CREATE TABLE offers (id TEXT PRIMARY KEY, taken_by TEXT) STRICT`,
  `CREATE TABLE winners (id TEXT NOT NULL) STRICT`,
  `CREATE TABLE kept (id TEXT PRIMARY KEY, t TEXT, i INTEGER, b BLOB) STRICT`,
  `CREATE TABLE owners (id TEXT PRIMARY KEY) STRICT`,
  `CREATE TABLE ruled (
     id TEXT PRIMARY KEY,
     needed TEXT NOT NULL,
     amount INTEGER,
     first TEXT,
     second TEXT,
     live TEXT,
     folded TEXT,
     state TEXT,
     owner TEXT REFERENCES owners (id),
     UNIQUE (first, second),
     CONSTRAINT amount_not_negative CHECK (amount >= 0)
   ) STRICT`,
  `CREATE UNIQUE INDEX ruled_live ON ruled (live) WHERE state = 'open'`,
  `CREATE UNIQUE INDEX ruled_folded ON ruled (lower(folded))`,
  `CREATE TABLE written_once (id TEXT PRIMARY KEY) STRICT`,
  `CREATE TRIGGER written_once_not_changed BEFORE UPDATE ON written_once
   BEGIN
     SELECT RAISE(ABORT, 'refused:written_once_append_only');
   END`,
]

/** A database of one engine with the scratch tables. */
interface Scratch {
  readonly database: Database
  close(): Promise<void>
}

const bindingOf = (d1: LocalD1 | null, name: string): D1Binding => {
  const binding = d1?.bindings[name]
  if (binding === undefined) throw new Error(`no binding ${name}`)
  return binding
}

let local: LocalD1 | null = null
let folder: { path: string; remove(): Promise<void> }

beforeAll(async () => {
  if (engines.includes('d1')) local = await startLocalD1()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await local?.close()
  await folder.remove()
})

const openScratchFile = (name: string): SqliteDatabase.Database => {
  const connection = openSqliteFile(join(folder.path, name))
  connection.exec([...guardSchema, ...scratchSchema].map((statement) => `${statement};`).join('\n'))
  return connection
}

async function openScratch(engine: Engine): Promise<Scratch> {
  if (engine === 'sqlite') {
    const database = new Sqlite(openScratchFile('scratch.db'))
    return { database, close: async () => database.close() }
  }
  const binding = bindingOf(local, 'DB_MAIN')
  await binding.batch([...guardSchema, ...scratchSchema].map((statement) => binding.prepare(statement)))
  return { database: new D1(binding), close: async () => undefined }
}

const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => error,
  )

let names = 0
/** A row id that no other test uses. */
const fresh = (): string => `row-${(names += 1)}`

const count = async (database: Database, table: string, id: string): Promise<number> => {
  const found = await database.first(query({ n: integer }, `SELECT count(*) AS n FROM ${table} WHERE id = ?`, id))
  return found?.n ?? -1
}

const offer = (id: string): Command => command(`INSERT INTO offers (id) VALUES (?)`, id)
const take = (id: string, by: string): Command =>
  command(`UPDATE offers SET taken_by = ? WHERE id = ? AND taken_by IS NULL`, by, id)
const win = (id: string): Command => command(`INSERT INTO winners (id) VALUES (?)`, id)

describe.each(engines)('the SQL port on %s', (engine) => {
  let scratch: Scratch
  let database: Database

  beforeAll(async () => {
    scratch = await openScratch(engine)
    database = scratch.database
  })
  afterAll(() => scratch.close())

  describe('batches', () => {
    test('say how many rows each command changed', async () => {
      const [a, b] = [fresh(), fresh()]
      const outcomes = await database.batch([
        offer(a),
        offer(b),
        command(`UPDATE offers SET taken_by = 'x' WHERE id IN (?, ?)`, a, b),
        command(`UPDATE offers SET taken_by = 'y' WHERE id = 'nobody'`),
        command(`DELETE FROM offers WHERE id = ?`, a),
      ])
      expect(outcomes).toEqual([{ changes: 1 }, { changes: 1 }, { changes: 2 }, { changes: 0 }, { changes: 1 }])
    })

    test('leave no trace where a later command fails', async () => {
      const id = fresh()
      expect(await failureOf(database.batch([offer(id), win(id), offer(id)]))).toBeInstanceOf(ConstraintFailed)
      expect(await count(database, 'offers', id)).toBe(0)
      expect(await count(database, 'winners', id)).toBe(0)
    })

    test('leave no trace where a later command is not SQL', async () => {
      const id = fresh()
      expect(await failureOf(database.batch([offer(id), command('NOT A STATEMENT')]))).toBeInstanceOf(Error)
      expect(await count(database, 'offers', id)).toBe(0)
    })

    test('work again after one that failed', async () => {
      const id = fresh()
      await database.batch([offer(id)])
      await failureOf(database.batch([offer(id)]))
      await database.batch([offer(fresh())])
      expect(await count(database, 'offers', id)).toBe(1)
    })

    test('are refused where they are empty', async () => {
      expect(await failureOf(database.batch([]))).toBeInstanceOf(RangeError)
    })
  })

  describe('guards', () => {
    test('pass where exactly one row changed', async () => {
      const id = fresh()
      await database.batch([offer(id), requireOneChange('not_offered'), take(id, 'me'), requireOneChange('not_taken')])
      const row = await database.first(query({ by: text }, `SELECT taken_by AS "by" FROM offers WHERE id = ?`, id))
      expect(row).toEqual({ by: 'me' })
    })

    test.each([
      ['none', `UPDATE offers SET taken_by = 'x' WHERE id = 'nobody' AND id <> ?`],
      ['two', `UPDATE offers SET taken_by = 'x' WHERE id IN (?, 'second-row')`],
    ])('break where %s changed', async (_, statement) => {
      const id = fresh()
      await database.batch([
        offer(id),
        command(`INSERT INTO offers (id) VALUES ('second-row') ON CONFLICT (id) DO NOTHING`),
      ])
      const failure = await failureOf(
        database.batch([win(id), command(statement, id), requireOneChange('not_one'), win(id)]),
      )
      expect(failure).toBeInstanceOf(GuardBroken)
      expect(failure).toMatchObject({ code: 'not_one' })
      expect(await count(database, 'winners', id)).toBe(0)
      const row = await database.first(
        query({ by: nullable(text) }, `SELECT taken_by AS "by" FROM offers WHERE id = ?`, id),
      )
      expect(row).toEqual({ by: null })
    })

    test.each([0, 1, 2])('report their own code: number %i of three', async (broken) => {
      const id = fresh()
      const codes = ['first_broken', 'second_broken', 'third_broken']
      const ids = codes.map((_, index) => `${id}-${index}`)
      await database.batch(ids.filter((_, index) => index !== broken).map(offer))
      const failure = await failureOf(
        database.batch(codes.flatMap((code, index) => [win(id), take(ids[index] ?? '', 'me'), requireOneChange(code)])),
      )
      expect(failure).toBeInstanceOf(GuardBroken)
      expect(failure).toMatchObject({ code: codes[broken] })
      expect(await count(database, 'winners', id)).toBe(0)
      const taken = await database.all(
        query({ id: text }, `SELECT id FROM offers WHERE taken_by = 'me' AND id IN (?, ?, ?)`, ...ids),
      )
      expect(taken).toEqual([])
    })

    test('judge an INSERT … SELECT that selected nothing by its own count, not by an earlier one', async () => {
      const id = fresh()
      const failure = await failureOf(
        database.batch([
          offer(id),
          command(`INSERT INTO winners (id) SELECT id FROM offers WHERE id = ? AND taken_by IS NOT NULL`, id),
          requireOneChange('nothing_selected'),
        ]),
      )
      expect(failure).toMatchObject({ name: 'GuardBroken', code: 'nothing_selected' })
      expect(await count(database, 'offers', id)).toBe(0)
    })

    test('judge an insert that met a conflict', async () => {
      const id = fresh()
      const insert = command(`INSERT INTO offers (id) VALUES (?) ON CONFLICT (id) DO NOTHING`, id)
      await database.batch([insert, requireOneChange('already_there')])
      const failure = await failureOf(database.batch([insert, requireOneChange('already_there')]))
      expect(failure).toMatchObject({ name: 'GuardBroken', code: 'already_there' })
    })

    test('let one of twenty racing batches through', async () => {
      const id = fresh()
      await database.batch([offer(id)])
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, number) =>
          database.batch([take(id, `racer ${number}`), requireOneChange('too_late'), win(id)]),
        ),
      )
      const lost = results.filter((result) => result.status === 'rejected')
      expect(lost.map((result) => (result.reason as GuardBroken).code)).toEqual(Array(19).fill('too_late'))
      expect(lost.every((result) => result.reason instanceof GuardBroken)).toBe(true)
      expect(await count(database, 'winners', id)).toBe(1)
    })

    test('keep nothing in their table', async () => {
      expect(await database.all(query({ broken: text }, `SELECT broken FROM batch_guard`))).toEqual([])
    })
  })

  describe('values', () => {
    const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index)

    test.each<[string, 't' | 'i' | 'b', SqlValue]>([
      ['null as text', 't', null],
      ['null as integer', 'i', null],
      ['null as blob', 'b', null],
      ['the empty text', 't', ''],
      ['a text with NUL', 't', 'before\0after'],
      ['a text that ends with NUL', 't', 'end\0'],
      ['a text beyond the basic plane', 't', '📕 bücher 漢字 \u{10FFFF}'],
      ['a text with quotes and line ends', 't', `'"\\\r\n%_`],
      ['a text of digits', 't', '0123'],
      ['zero', 'i', 0],
      ['minus one', 'i', -1],
      ['a time', 'i', 1_795_262_400_000],
      ['the largest safe integer', 'i', Number.MAX_SAFE_INTEGER],
      ['the smallest safe integer', 'i', Number.MIN_SAFE_INTEGER],
      ['an empty blob', 'b', new Uint8Array()],
      ['a blob of every byte', 'b', everyByte],
      ['a part of a larger buffer', 'b', everyByte.subarray(100, 110)],
      ['a large blob', 'b', new Uint8Array(100_000).fill(0xa5)],
    ])('come back as they went: %s', async (_, column, value) => {
      const id = fresh()
      await database.batch([command(`INSERT INTO kept (id, ${column}) VALUES (?, ?)`, id, value)])
      const nothing = { t: null, i: null, b: null }
      const columns = { t: nullable(text), i: nullable(integer), b: nullable(blob) }
      const statement = query(columns, `SELECT t, i, b FROM kept WHERE id = ?`, id)
      const found = await database.first(statement)
      expect(found).toStrictEqual({ ...nothing, [column]: value })
      expect(await database.all(statement)).toStrictEqual([found])
    })

    test('are found by an equal value', async () => {
      const id = fresh()
      const [t, i, b] = ['\0📕', Number.MAX_SAFE_INTEGER - 7, Uint8Array.of(0, 255, 0)]
      await database.batch([command(`INSERT INTO kept (id, t, i, b) VALUES (?, ?, ?, ?)`, id, t, i, b)])
      const found = await database.all(
        query({ id: text }, `SELECT id FROM kept WHERE t = ? AND i = ? AND b = ?`, t, i, b),
      )
      expect(found).toEqual([{ id }])
    })

    test('computed by the engine are read by the same readers', async () => {
      const row = await database.first(
        query(
          { t: text, i: integer, b: blob, n: nullable(text) },
          `SELECT 'x' AS t, 1 + 1 AS i, x'00ff' AS b, NULL AS n`,
        ),
      )
      expect(row).toStrictEqual({ t: 'x', i: 2, b: Uint8Array.of(0, 255), n: null })
    })

    test('that no row has are null', async () => {
      expect(await database.first(query({ id: text }, `SELECT id FROM kept WHERE id = 'nobody'`))).toBeNull()
      expect(await database.all(query({ id: text }, `SELECT id FROM kept WHERE id = 'nobody'`))).toEqual([])
    })

    test.each<[string, unknown]>([
      ['an integer that would be rounded', 2 ** 53],
      ['a negative integer that would be rounded', -(2 ** 53)],
      ['a fraction', 1.5],
      ['NaN', Number.NaN],
      ['infinity', Number.POSITIVE_INFINITY],
      ['a bigint', 1n],
      ['undefined', undefined],
      ['a boolean', true],
      ['a date', new Date(0)],
      ['a list', [1, 2]],
    ])('are refused: %s', (_, value) => {
      expect(() => command(`INSERT INTO kept (id, i) VALUES ('refused', ?)`, value as SqlValue)).toThrow(RangeError)
      expect(() => query({ id: text }, `SELECT id FROM kept WHERE i = ?`, value as SqlValue)).toThrow(RangeError)
    })

    test('that the engine would round are not read', async () => {
      const statement = query({ i: integer }, `SELECT 9007199254740993 AS i`)
      await expect(database.first(statement)).rejects.toThrow('column i: expected integer')
    })

    test('of another type than the code reads are not read', async () => {
      await expect(database.all(query({ t: text }, `SELECT 1 AS t`))).rejects.toThrow('column t: expected text')
      await expect(database.all(query({ b: blob }, `SELECT 'x' AS b`))).rejects.toThrow('column b: expected blob')
      await expect(database.all(query({ t: text }, `SELECT NULL AS t`))).rejects.toThrow('found null')
      await expect(database.all(query({ gone: text }, `SELECT 'x' AS t`))).rejects.toThrow('column gone')
    })

    test('may be a hundred', async () => {
      const ids = Array.from({ length: 100 }, () => fresh())
      const marks = (mark: string): string => ids.map(() => mark).join(', ')
      await database.batch([command(`INSERT INTO kept (id) VALUES ${marks('(?)')}`, ...ids)])
      const found = await database.all(query({ id: text }, `SELECT id FROM kept WHERE id IN (${marks('?')})`, ...ids))
      expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    })

    test('may be a list of a thousand in one parameter', async () => {
      const ids = Array.from({ length: 1_000 }, () => fresh())
      const list = JSON.stringify(ids)
      const [inserted] = await database.batch([
        command(`INSERT INTO kept (id, i) SELECT value, key FROM json_each(?)`, list),
      ])
      expect(inserted).toEqual({ changes: 1_000 })
      const found = await database.all(
        query(
          { id: text },
          `SELECT kept.id FROM json_each(?) AS asked JOIN kept ON kept.id = asked.value ORDER BY asked.key`,
          list,
        ),
      )
      expect(found.map(({ id }) => id)).toEqual(ids)
    })
  })

  describe('constraints', () => {
    const insert = (columns: Readonly<Record<string, SqlValue>>): Command => {
      const all = { id: fresh(), needed: 'x', ...columns }
      const marks = Object.keys(all).map(() => '?')
      return command(
        `INSERT INTO ruled (${Object.keys(all).join(', ')}) VALUES (${marks.join(', ')})`,
        ...Object.values(all),
      )
    }

    beforeAll(async () => {
      await database.batch([
        insert({ id: 'taken' }),
        insert({ first: 'a', second: 'b' }),
        insert({ live: 'one', state: 'open' }),
        insert({ folded: 'Straight' }),
        command(`INSERT INTO written_once (id) VALUES ('once')`),
      ])
    })

    test.each<[string, string, string, () => Command]>([
      ['a primary key', 'unique', 'ruled.id', () => insert({ id: 'taken' })],
      ['a composite key', 'unique', 'ruled.first, ruled.second', () => insert({ first: 'a', second: 'b' })],
      ['a partial unique index', 'unique', 'ruled.live', () => insert({ live: 'one', state: 'open' })],
      ['a unique index on an expression', 'unique', 'ruled_folded', () => insert({ folded: 'STRAIGHT' })],
      ['a check', 'check', 'amount_not_negative', () => insert({ amount: -1 })],
      ['NOT NULL', 'not_null', 'ruled.needed', () => insert({ needed: null })],
      ['a foreign key', 'foreign_key', '', () => insert({ owner: 'nobody' })],
      ['the type of an integer', 'type', 'ruled.amount', () => insert({ amount: 'many' })],
      ['the type of a text', 'type', 'ruled.needed', () => insert({ needed: Uint8Array.of(1) })],
      [
        'a trigger',
        'trigger',
        'written_once_append_only',
        () => command(`UPDATE written_once SET id = 'twice' WHERE id = 'once'`),
      ],
    ])('name what refused: %s', async (_, kind, constraint, broken) => {
      const before = fresh()
      const failure = await failureOf(database.batch([offer(before), broken()]))
      expect(failure).toBeInstanceOf(ConstraintFailed)
      expect(failure).toMatchObject({ kind, constraint })
      expect(await count(database, 'offers', before)).toBe(0)
    })

    test('leave alone what a partial index does not cover', async () => {
      await database.batch([insert({ live: 'one', state: 'closed' }), insert({ live: 'one', state: 'closed' })])
    })

    test('do not stand for other failures', async () => {
      const failure = await failureOf(database.batch([command(`INSERT INTO no_such_table (id) VALUES (1)`)]))
      expect(failure).toBeInstanceOf(Error)
      expect(failure).not.toBeInstanceOf(ConstraintFailed)
      expect(failure).not.toBeInstanceOf(GuardBroken)
      expect(String(failure)).toContain('no such table: no_such_table')
      await expect(database.all(query({ id: text }, `SELECT id FROM no_such_table`))).rejects.toThrow('no such table')
    })
  })

  test.each(['primary', 'nearest'] as const)('reading from %s sees what was committed', async (where) => {
    const id = fresh()
    await database.batch([offer(id)])
    const statement = query({ id: text }, `SELECT id FROM offers WHERE id = ?`, id)
    expect(await database.reading(where).first(statement)).toEqual({ id })
    expect(await database.reading(where).all(statement)).toEqual([{ id }])
  })
})

describe('the SQL port between processes on SQLite', () => {
  test('a batch that begins by reading waits for a writer and then sees what it wrote', async () => {
    const connection = openScratchFile('waiting.db')
    connection.exec('CREATE TEMP TABLE seen (id TEXT)')
    const database = new Sqlite(connection)
    const writer = startChild(
      `import { openSqliteFile } from ${sourceModule('adapters/sqlite.ts')}
       const connection = openSqliteFile(process.argv[1])
       connection.exec("BEGIN IMMEDIATE; INSERT INTO offers (id) VALUES ('of the writer')")
       console.log('holding')
       process.stdin.once('data', () => setTimeout(() => {
         connection.exec('COMMIT')
         connection.close()
         process.exit()
       }, 300))`,
      join(folder.path, 'waiting.db'),
    )
    expect(await writer.line()).toBe('holding')
    writer.say('end')
    await database.batch([command(`INSERT INTO temp.seen (id) SELECT id FROM offers`), offer('of the waiting')])
    await writer.ended()
    const seen = await database.all(query({ id: text }, `SELECT id FROM temp.seen`))
    expect(seen).toEqual([{ id: 'of the writer' }])
    const kept = await database.all(query({ id: text }, `SELECT id FROM offers ORDER BY id`))
    expect(kept).toEqual([{ id: 'of the waiting' }, { id: 'of the writer' }])
    database.close()
  })

  test('while another process has the lock, this thread goes on with other work', async () => {
    const database = new Sqlite(openScratchFile('locked.db'))
    const holder = openSqliteFile(join(folder.path, 'locked.db'))
    holder.exec('BEGIN IMMEDIATE')
    const written = database.batch([offer('of the patient')])
    let turns = 0
    while (turns < 100) {
      await new Promise((resolve) => setImmediate(resolve))
      turns += 1
    }
    expect(await database.all(query({ id: text }, `SELECT id FROM offers`))).toEqual([])
    const joined = database.batch([offer('of the next')])
    holder.exec('COMMIT')
    await Promise.all([written, joined])
    const kept = await database.all(query({ id: text }, `SELECT id FROM offers ORDER BY id`))
    expect(kept.map(({ id }) => id)).toEqual(['of the next', 'of the patient'])
    holder.close()
    database.close()
  })

  test('a batch that does not wait says that another process has the lock, and fails once a batch was given up', async () => {
    const database = new Sqlite(openScratchFile('not-waiting.db'), { patienceMilliseconds: 0 })
    const holder = openSqliteFile(join(folder.path, 'not-waiting.db'))
    holder.exec('BEGIN IMMEDIATE')
    expect(await database.batchUnlessLocked([offer('early')])).toBeNull()
    expect(String(await failureOf(database.batch([offer('given up')])))).toContain('locked')
    expect(String(await failureOf(database.batchUnlessLocked([offer('late')])))).toContain('locked')
    holder.exec('COMMIT')
    const before = database.changeStamp()
    expect(await database.batchUnlessLocked([offer('free')])).toEqual([{ changes: 1 }])
    expect(database.changeStamp()).not.toBe(before)
    expect(await database.all(query({ id: text }, `SELECT id FROM offers`))).toEqual([{ id: 'free' }])
    holder.exec('BEGIN IMMEDIATE')
    expect(await database.batchUnlessLocked([offer('again')])).toBeNull()
    holder.close()
    database.close()
  })

  test('of twenty racing batches in four processes exactly one wins', async () => {
    const database = new Sqlite(openScratchFile('race.db'))
    await database.batch([offer('prize')])
    const racers = Array.from({ length: 4 }, () =>
      startChild(
        `import { openSqliteFile, Sqlite } from ${sourceModule('adapters/sqlite.ts')}
         import { command, requireOneChange } from ${sourceModule('ports/database.ts')}
         const database = new Sqlite(openSqliteFile(process.argv[1]))
         console.log('ready')
         process.stdin.once('data', async () => {
           const results = await Promise.allSettled(Array.from({ length: 5 }, () => database.batch([
             command("UPDATE offers SET taken_by = 'racer' WHERE id = 'prize' AND taken_by IS NULL"),
             requireOneChange('too_late'),
             command("INSERT INTO winners (id) VALUES ('prize')"),
           ])))
           console.log(results.map((result) => result.status === 'fulfilled' ? 'won' : result.reason.code).join())
           process.exit()
         })`,
        join(folder.path, 'race.db'),
      ),
    )
    expect(await Promise.all(racers.map((racer) => racer.line()))).toEqual(Array(4).fill('ready'))
    for (const racer of racers) racer.say('go')
    const results = (await Promise.all(racers.map((racer) => racer.line()))).join().split(',')
    await Promise.all(racers.map((racer) => racer.ended()))
    expect(results.toSorted()).toEqual([...Array<string>(19).fill('too_late'), 'won'])
    expect(await count(database, 'winners', 'prize')).toBe(1)
    database.close()
  })
})

describe('the change stamp', () => {
  test('on SQLite differs from every earlier one after each write, of this connection or another', async () => {
    const database = new Sqlite(openScratchFile('stamp.db'))
    const other = new Sqlite(openSqliteFile(join(folder.path, 'stamp.db')))
    const stamps = [database.changeStamp()]
    for (const writer of [database, database, other, database, other, other, database]) {
      await writer.batch([offer(fresh())])
      stamps.push(database.changeStamp())
    }
    expect(new Set(stamps).size).toBe(stamps.length)
    expect(stamps.every((stamp) => Number.isSafeInteger(stamp))).toBe(true)
    other.close()
    database.close()
  })

  test('on SQLite stays where nothing was committed', async () => {
    const database = new Sqlite(openScratchFile('still.db'))
    const other = new Sqlite(openSqliteFile(join(folder.path, 'still.db')))
    const before = database.changeStamp()
    await database.all(query({ id: text }, `SELECT id FROM offers`))
    await other.all(query({ id: text }, `SELECT id FROM offers`))
    await failureOf(database.batch([offer('x'), offer('x')]))
    await failureOf(other.batch([offer('x'), offer('x')]))
    expect(database.changeStamp()).toBe(before)
    other.close()
    database.close()
  })

  test('on D1 is null, so that nothing is cached', () => {
    // Never asked.
    expect(new D1({} as D1Binding).changeStamp()).toBeNull()
  })
})

describe('the schema', () => {
  const migrationsFolder = new URL('../../db/', import.meta.url)
  const roles = Object.keys(knownMigrations) as DatabaseRole[]

  test('has a list of known migrations for each folder under db/', () => {
    const folders = readdirSync(migrationsFolder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(folders.map(({ name }) => name).toSorted()).toEqual(roles.toSorted())
  })

  test.each(roles)('knows the files of db/%s in their order', (role) => {
    expect(knownMigrations[role]).toEqual(readdirSync(new URL(role, migrationsFolder)).toSorted())
  })

  describe.each(engines)('on %s', (engine) => {
    let current: Database
    let empty: Database
    const opened: Sqlite[] = []

    beforeAll(async () => {
      if (engine === 'd1') {
        current = await migrateD1('journal', bindingOf(local, 'DB_JOURNAL_0'))
        empty = new D1(bindingOf(local, 'DB_JOURNAL_1'))
        return
      }
      const connection = openSqliteFile(join(folder.path, 'current.db'))
      await migrate('journal', connection)
      opened.push(new Sqlite(connection), new Sqlite(openSqliteFile(join(folder.path, 'empty.db'))))
      current = opened[0] ?? expect.unreachable()
      empty = opened[1] ?? expect.unreachable()
    })
    afterAll(() => {
      for (const database of opened) database.close()
    })

    test('a current one is taken', async () => {
      expect(await appliedMigrations(current)).toEqual(knownMigrations.journal)
      await requireCurrentSchema('journal', current)
    })

    test('an older one is refused by name', async () => {
      expect(await appliedMigrations(empty)).toEqual([])
      expect(pendingMigrations('journal', [])).toEqual(knownMigrations.journal)
      const failure = await failureOf(requireCurrentSchema('journal', empty))
      expect(failure).toBeInstanceOf(SchemaMismatch)
      expect(String(failure)).toContain(knownMigrations.journal[0])
    })

    test('the columns are those of the tables, without those of the engine', async () => {
      const columns = await readColumns(current)
      expect([...new Set(columns.map(({ table }) => table))]).toEqual([
        'batch_guard',
        'check_ins',
        'd1_migrations',
        'lookup_budget_addresses',
        'lookup_budgets',
        'lookup_payers',
        'query_log',
        'query_log_recent',
      ])
      expect(columns).toContainEqual({ table: 'query_log', column: 'address_sealed' })
    })

    test('a newer one is refused by name', async () => {
      const future = '9999_of_a_later_version.sql'
      await current.batch([command(`INSERT INTO d1_migrations (name) VALUES (?)`, future)])
      const failure = await failureOf(requireCurrentSchema('journal', current))
      expect(failure).toBeInstanceOf(SchemaMismatch)
      expect(String(failure)).toContain(future)
      const applied = await appliedMigrations(current)
      expect(() => pendingMigrations('journal', applied)).toThrow(SchemaMismatch)
    })
  })

  describe('migrate', () => {
    const tablesOf = (connection: SqliteDatabase.Database): unknown[] =>
      connection.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).pluck().all()

    test.each(roles)('brings an empty file up to %s, once', async (role) => {
      const connection = openSqliteFile(join(folder.path, `migrate-${role}.db`))
      expect(await migrate(role, connection)).toEqual(knownMigrations[role])
      const tables = tablesOf(connection)
      expect(await migrate(role, connection)).toEqual([])
      expect(tablesOf(connection)).toEqual(tables)
      const database = new Sqlite(connection)
      expect(await appliedMigrations(database)).toEqual(knownMigrations[role])
      await requireCurrentSchema(role, database)
      database.close()
    })

    test('leaves nothing of a file that fails half-way', async () => {
      const connection = openSqliteFile(join(folder.path, 'half-way.db'))
      // The last table of the file is in the way, after the others have been made.
      connection.exec('CREATE TABLE check_ins (x)')
      await expect(migrate('journal', connection)).rejects.toThrow('check_ins already exists')
      expect(tablesOf(connection)).toEqual(['check_ins', 'd1_migrations', 'sqlite_sequence'])
      expect(await appliedMigrations(new Sqlite(connection))).toEqual([])
      connection.exec('DROP TABLE check_ins')
      expect(await migrate('journal', connection)).toEqual(knownMigrations.journal)
      connection.close()
    })

    test('refuses a file newer than the code and leaves it as it was', async () => {
      const connection = openSqliteFile(join(folder.path, 'newer.db'))
      await migrate('journal', connection)
      connection.exec(`INSERT INTO d1_migrations (name) VALUES ('9999_of_a_later_version.sql')`)
      const tables = tablesOf(connection)
      await expect(migrate('journal', connection)).rejects.toThrow(SchemaMismatch)
      await expect(migrate('journal', connection)).rejects.toThrow('9999_of_a_later_version.sql')
      expect(tablesOf(connection)).toEqual(tables)
      connection.close()
    })
  })
})
