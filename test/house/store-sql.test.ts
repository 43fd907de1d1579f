import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import BetterSqlite3 from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { TableDeclaration } from '../../src/ports/personal-data.ts'
import {
  analyse,
  checkAgainstSchema,
  checkOutside,
  checkStore,
  conditionsOf,
  literalsOf,
  roomOfStore,
  withConditions,
  type Fault,
  type Rule,
} from './store-sql.ts'

const root = join(import.meta.dirname, '../..')

const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((name) => `src/${name.replaceAll('\\', '/')}`)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, source: readFileSync(join(root, file), 'utf8') }))

async function ownersOfTables(): Promise<Map<string, string>> {
  const owners = new Map<string, string>()
  for (const { file } of sources) {
    const room = /^src\/([^/]+)\/personal-data\.ts$/.exec(file)?.[1]
    if (room === undefined || room === 'ports') continue
    const declared = (await import(pathToFileURL(join(root, file)).href)) as {
      readonly personalData: readonly TableDeclaration[]
    }
    // The tables of the house itself are declared in privacy and written by ports alone.
    const owner = room === 'privacy' ? 'ports' : room
    for (const { table } of declared.personalData) {
      const other = owners.get(table) ?? owner
      if (other !== owner) throw new Error(`${owner} and ${other} both declare ${table}`)
      owners.set(table, owner)
    }
  }
  return owners
}

/** A database in memory that has been through every migration of its folder. */
function migrated(role: string): BetterSqlite3.Database {
  const database = new BetterSqlite3(':memory:')
  const folder = join(root, 'db', role)
  for (const name of readdirSync(folder).toSorted()) {
    if (name.endsWith('.sql')) database.exec(readFileSync(join(folder, name), 'utf8'))
  }
  return database
}

const readable = (faults: readonly Fault[]): string[] =>
  faults.map(({ file, line, rule, detail }) => `${file}:${line} ${rule}: ${detail}`)

describe('the SQL of the rooms', () => {
  const written = sources.flatMap(({ file, source }) => {
    const room = roomOfStore(file)
    return room === null ? [] : [{ file, room, source }]
  })
  const ofEachRoom = Map.groupBy(written, ({ room }) => room)
  const stores = written.map((store) => {
    const ofRoom = ofEachRoom.get(store.room) ?? []
    return { ...store, source: withConditions(store.source, conditionsOf(ofRoom.map(({ source }) => source))) }
  })

  it('stands in stores only', () => {
    const others = sources.filter(({ file }) => roomOfStore(file) === null)
    expect(readable(others.flatMap(({ file, source }) => checkOutside(file, source)))).toEqual([])
  })

  it('keeps to its own tables and those to its right, and to the SQL that both engines share', async () => {
    const owners = await ownersOfTables()
    expect(readable(stores.flatMap((store) => checkStore(store, owners).faults))).toEqual([])
  })

  it('writes certificate requests in their transitions only', () => {
    const writers = stores.filter((store) =>
      checkStore(store, new Map()).statements.some(({ statement }) =>
        statement.writes.includes('certificate_requests'),
      ),
    )
    expect(writers.map(({ file }) => file)).toEqual(['src/requests/transitions.ts'])
  })

  it('fits the schema and finds its rows by an index', () => {
    const databases = ['main', 'journal', 'keys'].map(migrated)
    const found = stores.map((store) => ({ file: store.file, ...checkStore(store, new Map()) }))
    const withoutSql = found.filter(({ statements }) => statements.length === 0)
    expect(withoutSql.map(({ file }) => file)).toEqual([])
    expect(stores.length).toBeGreaterThan(0)
    const statements = found.flatMap((store) => store.statements)
    expect(readable(checkAgainstSchema(statements, databases))).toEqual([])
    for (const database of databases) database.close()
  })
})

describe('the check itself', () => {
  it('reads a condition that statements share as if it stood in each', () => {
    const source = 'const isOld = `age > ?`\nexport const find = query({}, `SELECT id FROM mail WHERE ${isOld}`)\n'
    expect(withConditions(source, conditionsOf([source]))).toBe(
      '\nexport const find = query({}, `SELECT id FROM mail WHERE age > ?`)\n',
    )
  })

  const owners = new Map([
    ['mailboxes', 'registration'],
    ['certificates', 'certificates'],
    ['outgoing_mail', 'mail'],
    ['consent_records', 'consent'],
    ['query_log', 'query-log'],
    ['batch_guard', 'ports'],
  ])

  const scratch = (room: string, statement: string): string[] => {
    const call = /^\s*(?:SELECT|WITH)/i.test(statement) ? 'query({ id: text }, ' : 'command('
    return rulesOf(room, `export const found = ${call}\`${statement}\`, id)\n`)
  }

  const rulesOf = (room: string, source: string): Rule[] => {
    const database = new BetterSqlite3(':memory:')
    database.exec(`
      CREATE TABLE batch_guard (broken TEXT NOT NULL) STRICT;
      CREATE TABLE mailboxes (id TEXT PRIMARY KEY, owner TEXT NOT NULL) STRICT;
      CREATE TABLE certificates (id TEXT PRIMARY KEY, mailbox TEXT NOT NULL, state TEXT NOT NULL) STRICT;
      CREATE INDEX certificates_by_mailbox ON certificates (mailbox);
      CREATE TABLE outgoing_mail (id TEXT PRIMARY KEY) STRICT;
      CREATE TABLE consent_records (id TEXT PRIMARY KEY) STRICT;
    `)
    const journal = new BetterSqlite3(':memory:')
    journal.exec(`CREATE TABLE query_log (id INTEGER PRIMARY KEY) STRICT`)
    const { statements, faults } = checkStore({ file: `src/${room}/store.ts`, room, source }, owners)
    const all = [...faults, ...checkAgainstSchema(statements, [database, journal])]
    database.close()
    journal.close()
    return all.map(({ rule }) => rule)
  }

  it.each<[why: string, room: string, sql: string, rules: Rule[]]>([
    ['own rows', 'certificates', `SELECT id FROM certificates WHERE mailbox = ?`, []],
    ['a room to the right', 'certificates', `SELECT id FROM mailboxes AS m WHERE m.id = ?`, []],
    ['a count', 'certificates', `SELECT count(*) FROM certificates WHERE mailbox = ?`, []],
    ['a product', 'certificates', `SELECT 2 * count(*) AS n FROM certificates WHERE mailbox = ?`, []],
    ['a list', 'certificates', `SELECT id FROM certificates WHERE id IN (SELECT value FROM json_each(?))`, []],
    ['columns', 'certificates', `INSERT INTO certificates (id, mailbox, state) VALUES (?, ?, ?)`, []],
    [
      'an upsert',
      'registration',
      `INSERT INTO mailboxes (id, owner) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner RETURNING id`,
      [],
    ],
    ['a scan with its reason', 'certificates', `SELECT id FROM certificates /* scan: once at start */`, []],
    [
      'words in comments and strings',
      'certificates',
      `SELECT 'FROM x' AS id -- LIKE FROM x\n FROM certificates WHERE id = ?`,
      [],
    ],
    [
      'a common table',
      'certificates',
      `WITH due (id) AS (SELECT id FROM certificates WHERE mailbox = ?) SELECT d.id FROM due AS d WHERE d.id IS DISTINCT FROM ?`,
      [],
    ],

    [
      "a neighbour's table written",
      'certificates',
      `UPDATE mailboxes SET owner = ? WHERE id = ?`,
      ['writes-foreign-table'],
    ],
    ["a neighbour's row deleted", 'mail', `DELETE FROM consent_records WHERE id = ?`, ['writes-foreign-table']],
    ['the guard written by hand', 'mail', `INSERT INTO batch_guard (broken) VALUES (?)`, ['writes-foreign-table']],
    ['a table to the left', 'registration', `SELECT id FROM certificates WHERE mailbox = ?`, ['reads-foreign-table']],
    ['a room beside', 'mail', `SELECT id FROM consent_records WHERE id = ?`, ['reads-foreign-table']],
    [
      'a table to the left in a subquery',
      'registration',
      `DELETE FROM mailboxes WHERE id = ? AND NOT EXISTS (SELECT 1 FROM "certificates" c WHERE c.mailbox = mailboxes.id)`,
      ['reads-foreign-table'],
    ],
    [
      'a table to the left after a comma',
      'registration',
      `SELECT m.id FROM mailboxes AS m, main.certificates AS c WHERE m.id = ? AND c.mailbox = m.id`,
      ['reads-foreign-table'],
    ],
    [
      'a table to the left after IN',
      'mail',
      `SELECT id FROM outgoing_mail WHERE id = ? AND id IN certificates`,
      ['reads-foreign-table', 'does-not-prepare'],
    ],
    [
      'a table to the left in a common table',
      'registration',
      `WITH x AS (SELECT mailbox FROM certificates WHERE mailbox = ?) SELECT mailbox FROM x`,
      ['reads-foreign-table'],
    ],
    [
      'a table that nobody declares',
      'mail',
      `SELECT id FROM secrets WHERE id = ?`,
      ['undeclared-table', 'does-not-prepare'],
    ],
    [
      'a common table under a real name',
      'registration',
      `WITH certificates AS (SELECT id FROM mailboxes WHERE id = ?) SELECT id FROM certificates`,
      ['shadowed-table'],
    ],
    ['a star', 'certificates', `SELECT * FROM certificates WHERE id = ?`, ['select-star']],
    ["an alias's star", 'certificates', `SELECT c.* FROM certificates AS c WHERE id = ?`, ['select-star']],
    ['a star returned', 'certificates', `DELETE FROM certificates WHERE id = ? RETURNING *`, ['returning-star']],
    ['no columns', 'certificates', `INSERT INTO certificates VALUES (?, ?, ?)`, ['insert-without-columns']],
    [
      'no columns, selected',
      'certificates',
      `INSERT INTO certificates SELECT id, mailbox, state FROM certificates WHERE id = ?`,
      ['insert-without-columns'],
    ],
    ['a verb with OR', 'mail', `INSERT OR IGNORE INTO outgoing_mail (id) VALUES (?)`, ['insert-or']],
    ['REPLACE', 'mail', `REPLACE INTO outgoing_mail (id) VALUES (?)`, ['insert-or']],
    ['UPDATE OR', 'mail', `UPDATE OR REPLACE outgoing_mail SET id = ? WHERE id = ?`, ['insert-or']],
    ['LIKE', 'certificates', `SELECT id FROM certificates WHERE mailbox = ? AND id LIKE ?`, ['like']],
    ['a numbered placeholder', 'certificates', `SELECT id FROM certificates WHERE id = ?1`, ['placeholder']],
    ['a named placeholder', 'certificates', `SELECT id FROM certificates WHERE id = :id`, ['placeholder']],
    [
      'two statements',
      'mail',
      `DELETE FROM outgoing_mail WHERE id = ?; SELECT 1`,
      ['several-statements', 'does-not-prepare'],
    ],
    ['a column that is not there', 'mail', `SELECT colour FROM outgoing_mail WHERE id = ?`, ['does-not-prepare']],
    [
      'tables of two databases',
      'directory',
      `SELECT c.id FROM certificates AS c JOIN query_log AS q ON q.id = c.id WHERE c.id = ?`,
      ['does-not-prepare'],
    ],
    ['a full scan', 'certificates', `SELECT id FROM certificates WHERE state = ?`, ['full-scan']],
    ['a full scan under an alias', 'certificates', `SELECT c.id FROM certificates c WHERE c.state = ?`, ['full-scan']],
    ['a full scan that writes', 'certificates', `UPDATE certificates SET state = ? WHERE state = ?`, ['full-scan']],
  ])('%s', (_why, room, sql, rules) => {
    expect(scratch(room, sql)).toEqual(rules)
  })

  it.each<[why: string, source: string, rules: Rule[]]>([
    ['an interpolation', 'command(`DELETE FROM outgoing_mail WHERE id IN (${ids})`)', ['sql-not-a-literal']],
    ['an ordinary string', `command('DELETE FROM outgoing_mail WHERE id = ?', id)`, ['sql-not-a-literal']],
    ['a piece', "const tail = ' WHERE id = ?'", ['sql-not-a-literal']],
    ['a piece as a template', 'const tail = `WHERE id = ?`', ['sql-not-a-literal']],
    ['a concatenation', 'command(`DELETE FROM outgoing_mail WHERE id = ` + id)', ['sql-not-in-call']],
    ['a constant', 'const sql = `DELETE FROM outgoing_mail WHERE id = ?`', ['sql-not-in-call']],
    ['a write as a query', 'query({ id: text }, `DELETE FROM outgoing_mail WHERE id = ?`, id)', ['sql-not-in-call']],
    [
      'another quote in a regular expression',
      'const quote = /[`/]/\ncommand(`DELETE FROM outgoing_mail WHERE id = ?`, id)',
      [],
    ],
    ['a template around it', 'log(`a ${command(`DELETE FROM outgoing_mail WHERE id = ?`, id)} b`)', []],
    ['a comment', '// command(`SELECT * FROM everything`)\n/* `SELECT * FROM a` */', []],
  ])('a store with %s', (_why, source, rules) => {
    // Some of these texts are cut short on purpose; only what the text alone tells is asked.
    const { faults } = checkStore({ file: 'src/mail/store.ts', room: 'mail', source }, owners)
    expect(faults.map(({ rule }) => rule)).toEqual(rules)
  })

  it('finds SQL outside of stores', () => {
    const lines = [
      "const a = 'SELECT id FROM mailboxes'",
      'const b = `\n  INSERT INTO mailboxes (id) VALUES (?)`',
      'const c = "update mailboxes set id = 1"',
      "const d = 'DELETE FROM mailboxes'",
      "const e = 'Select a certificate from the list'",
      "const f = 'Update your device'",
    ].join('\n')
    expect(checkOutside('src/mail/queue.ts', lines).map(({ line }) => line)).toEqual([1, 2, 4, 5])
    expect(checkOutside('src/adapters/sqlite.ts', lines)).toEqual([])
    expect(roomOfStore('src/cas/inside/store.ts')).toBe('cas')
    expect(roomOfStore('src/cas/restore.ts')).toBeNull()
  })

  it('reads statements and sources as they are meant', () => {
    expect(
      analyse(`INSERT INTO a (x) SELECT b.y FROM b LEFT JOIN (c JOIN d USING (z)) ON b.z = c.z WHERE b.y = ?`),
    ).toMatchObject({ verb: 'INSERT', writes: ['a'], reads: ['b', 'c', 'd'], hasStar: false, insertHasColumns: true })
    expect(literalsOf("f(a / 2, 'x', `y${'z'}`)").map(({ text, argumentOf }) => [text, argumentOf])).toEqual([
      ['x', 'f'],
      ['y${}', 'f'],
      ['z', null],
    ])
  })
})
