import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { D1 } from '../../src/adapters/d1.ts'
import { JournalShards } from '../../src/adapters/journal-d1.ts'
import { JournalThread } from '../../src/adapters/journal-thread.ts'
import { sha256 } from '../../src/adapters/key-ring.ts'
import { migrate } from '../../src/adapters/migrations.ts'
import { openSqliteFile, Sqlite } from '../../src/adapters/sqlite.ts'
import {
  blob,
  command,
  ConstraintFailed,
  GuardBroken,
  integer,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../src/ports/database.ts'
import { JournalUnavailable, type Journal } from '../../src/ports/journal.ts'
import { BudgetSpent } from '../../src/ports/lookup-log.ts'
import { engines, memoryKeyRing, migrateD1 } from '../support/engines.ts'
import { startLocalD1, type LocalD1 } from '../support/local-d1.ts'
import { temporaryFolder } from '../support/node-process.ts'

/** A journal of one kind, and its rows as somebody else reads them. */
interface Subject {
  readonly journal: Journal
  /** Reads what is durable, past the journal. */
  readonly beside: readonly Database[]
  close(): Promise<void>
}

let folder: { path: string; remove(): Promise<void> }
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => folder.remove())

let files = 0
/** A file with the journal's schema; `more` is put beside it. */
async function journalFile(more = ''): Promise<string> {
  const file = join(folder.path, `journal-${(files += 1)}.db`)
  const connection = openSqliteFile(file)
  await migrate('journal', connection)
  connection.exec(more)
  connection.close()
  return file
}

const startJournal = async (file: string): Promise<JournalThread> =>
  JournalThread.start(file, { keys: await memoryKeyRing(), clock: Date.now })

async function startThread(): Promise<Subject> {
  const file = await journalFile()
  const journal = await startJournal(file)
  const beside = new Sqlite(openSqliteFile(file))
  return {
    journal,
    beside: [beside],
    close: async () => {
      await journal.close()
      beside.close()
    },
  }
}

async function startShards(): Promise<Subject> {
  const local: LocalD1 = await startLocalD1()
  const bindings = [local.bindings['DB_JOURNAL_0'], local.bindings['DB_JOURNAL_1']].filter(
    (binding) => binding !== undefined,
  )
  const shards = await Promise.all(bindings.map((binding) => migrateD1('journal', binding)))
  return {
    journal: new JournalShards(shards, sha256),
    beside: bindings.map((binding) => new D1(binding)),
    close: () => local.close(),
  }
}

let ids = 0
const nextId = (): number => (ids += 1)

const sealedAddress = Uint8Array.of(1, 0, 255)

/** One row of the log. */
const logged = (id: number, asker: string, status = 'found'): Command =>
  command(
    `INSERT INTO query_log_recent (id, at, asker, device, interface, status, address_key, address_sealed)
     VALUES (?, ?, ?, NULL, 'http', ?, x'00', ?)`,
    id,
    1_795_262_400_000,
    asker,
    status,
    sealedAddress,
  )

const rowsOf = (asker: string) =>
  query(
    { id: integer, status: text, address: blob },
    `SELECT id, status, address_sealed AS address FROM query_log_recent WHERE asker = ? ORDER BY id`,
    asker,
  )

/** The ids that an asker's rows have, read past the journal. */
const durableIds = async (subject: Pick<Subject, 'beside'>, asker: string): Promise<number[]> => {
  const rows = await Promise.all(subject.beside.map((database) => database.all(rowsOf(asker))))
  return rows
    .flat()
    .map(({ id }) => id)
    .toSorted((a, b) => a - b)
}

const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => error,
  )

const journals = { sqlite: { name: 'a thread', start: startThread }, d1: { name: 'D1 shards', start: startShards } }

describe.each(engines.map((engine) => journals[engine]))('the journal on $name', ({ start }) => {
  let subject: Subject
  let journal: Journal

  beforeAll(async () => {
    subject = await start()
    journal = subject.journal
  })
  afterAll(() => subject.close())

  test('a batch that resolved is durable, and can be read', async () => {
    const asker = 'durable'
    const [first, second] = [nextId(), nextId()]
    const shard = journal.shard(asker)
    const outcomes = await shard.batch([
      logged(first, asker),
      logged(second, asker, 'not_found'),
      command(`DELETE FROM query_log WHERE asker = ?`, asker),
    ])
    expect(outcomes).toEqual([{ changes: 1 }, { changes: 1 }, { changes: 0 }])
    expect(await durableIds(subject, asker)).toEqual([first, second])
    const rows = [
      { id: first, status: 'found', address: sealedAddress },
      { id: second, status: 'not_found', address: sealedAddress },
    ]
    expect(await shard.all(rowsOf(asker))).toStrictEqual(rows)
    expect(await shard.first(rowsOf(asker))).toStrictEqual(rows[0])
    expect(await shard.reading('primary').all(rowsOf(asker))).toStrictEqual(rows)
    expect(await shard.reading('nearest').first(rowsOf(asker))).toStrictEqual(rows[0])
  })

  test('batches of one moment stand and fall each by itself, with the port’s errors', async () => {
    const asker = 'members'
    const shard = journal.shard(asker)
    const taken = nextId()
    await shard.batch([logged(taken, asker)])
    const good = Array.from({ length: 4 }, () => [nextId(), nextId()])
    const lost = Array.from({ length: 5 }, () => nextId())
    const broken = [
      [logged(lost[0] ?? 0, asker), logged(taken, asker)],
      [logged(lost[1] ?? 0, asker, 'no such status')],
      [
        logged(lost[2] ?? 0, asker),
        command(`UPDATE query_log SET status = 'found' WHERE asker = 'nobody'`),
        requireOneChange('nothing_to_change'),
      ],
      [logged(lost[3] ?? 0, asker), command(`INSERT INTO no_such_table (id) VALUES (1)`)],
      [logged(taken, asker)],
      [logged(lost[4] ?? 0, asker), command(`UPDATE query_log_recent SET at = 'yesterday' WHERE id = ?`, taken)],
    ]
    const all = [
      good[0]?.map((id) => logged(id, asker)) ?? [],
      ...broken.slice(0, 3),
      good[1]?.map((id) => logged(id, asker)) ?? [],
      ...broken.slice(3),
      good[2]?.map((id) => logged(id, asker)) ?? [],
      good[3]?.map((id) => logged(id, asker)) ?? [],
    ]
    const [g1, e1, e2, e3, g2, e4, e5, e6, g3, g4] = await Promise.all(
      all.map((commands) => shard.batch(commands).catch((error: unknown) => error)),
    )
    for (const outcomes of [g1, g2, g3, g4]) expect(outcomes).toEqual([{ changes: 1 }, { changes: 1 }])
    for (const [failure, kind, constraint] of [
      [e1, 'unique', 'query_log_recent.id'],
      [e2, 'check', expect.stringContaining('status')],
      [e5, 'unique', 'query_log_recent.id'],
      [e6, 'type', 'query_log_recent.at'],
    ]) {
      expect(failure).toBeInstanceOf(ConstraintFailed)
      expect(failure).toMatchObject({ kind, constraint })
    }
    expect(e3).toBeInstanceOf(GuardBroken)
    expect(e3).toMatchObject({ code: 'nothing_to_change' })
    expect(e4).toBeInstanceOf(Error)
    expect(String(e4)).toContain('no such table: no_such_table')
    expect(await durableIds(subject, asker)).toEqual([taken, ...good.flat()])
  })

  test('five hundred batches at once all land', async () => {
    const askers = Array.from({ length: 500 }, (_, index) => `many ${index}`)
    await Promise.all(
      askers.map((asker) => journal.shard(asker).batch([logged(nextId(), asker), logged(nextId(), asker)])),
    )
    const counts = await Promise.all(
      subject.beside.map((database) =>
        database.first(query({ n: integer }, `SELECT count(*) AS n FROM query_log_recent WHERE asker LIKE 'many %'`)),
      ),
    )
    expect(counts.reduce((sum, found) => sum + (found?.n ?? 0), 0)).toBe(1_000)
    for (const asker of [askers[0], askers[250], askers[499]]) {
      expect(await durableIds(subject, asker ?? '')).toHaveLength(2)
    }
  })

  test('an empty batch is a mistake of the caller', async () => {
    expect(await failureOf(journal.shard('empty').batch([]))).toBeInstanceOf(RangeError)
  })

  test('the same asker always has the same shard, which is one of the list', async () => {
    const seen = new Set<Database>()
    for (let number = 0; number < 1_000; number += 1) {
      const shard = journal.shard(`asker-${number}`)
      expect(journal.shard(`asker-${number}`)).toBe(shard)
      seen.add(shard)
    }
    expect([...seen].every((shard) => journal.shards().includes(shard))).toBe(true)
    expect(seen.size).toBe(journal.shards().length)
  })

  test('nothing of it is cached', () => {
    for (const shard of journal.shards()) expect(shard.changeStamp()).toBeNull()
  })
})

describe('the journal on D1 shards', () => {
  // Only told apart here, never asked.
  const shardsOf = (length: number): D1[] =>
    Array.from({ length }, () => new D1({} as ConstructorParameters<typeof D1>[0]))

  test('a thousand askers lie on both about evenly, and the same in another process', () => {
    const shards = shardsOf(2)
    const askers = Array.from({ length: 1_000 }, (_, number) => `asker-${number}`)
    const journal = new JournalShards(shards, sha256)
    const first = askers.filter((asker) => journal.shard(asker) === shards[0])
    expect(first.length).toBeGreaterThan(400)
    expect(first.length).toBeLessThan(600)
    const restarted = new JournalShards(shards, sha256)
    expect(askers.filter((asker) => restarted.shard(asker) === shards[0])).toEqual(first)
    // Written down: a row logged by an older version must be found by a newer one.
    expect(['alice', 'bob', 'carol', 'dave'].map((asker) => shards.indexOf(journal.shard(asker) as D1))).toEqual([
      1, 0, 1, 1,
    ])
  })

  test('there is at least one', () => {
    expect(() => new JournalShards([], sha256)).toThrow(RangeError)
  })
})

describe('the journal’s thread', () => {
  afterEach(() => vi.restoreAllMocks())

  /** Starts a journal and notes its thread, which nobody else can reach, at the first group it is sent. */
  async function watched(
    more = '',
  ): Promise<{ journal: JournalThread; file: string; thread: () => Worker; groups: () => number }> {
    const file = await journalFile(more)
    const posted = vi.spyOn(Worker.prototype, 'postMessage')
    const journal = await startJournal(file)
    return {
      journal,
      file,
      thread: () => {
        const thread: unknown = posted.mock.contexts[0]
        if (!(thread instanceof Worker)) throw new Error('nothing was sent yet')
        return thread
      },
      groups: () => posted.mock.calls.filter(([message]) => 'group' in message).length,
    }
  }

  /** Resolves when the event loop has gone round, and with it what was waiting has been sent. */
  const sent = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

  test('commits in one group what arrives while it commits another', async () => {
    const { journal, file, groups } = await watched()
    const batches = [journal.batch([logged(nextId(), 'grouped')])]
    await sent()
    for (let number = 0; number < 200; number += 1) batches.push(journal.batch([logged(nextId(), 'grouped')]))
    await Promise.all(batches)
    expect(groups()).toBe(2)
    await journal.close()
    const beside = new Sqlite(openSqliteFile(file))
    expect(await durableIds({ beside: [beside] }, 'grouped')).toHaveLength(201)
    beside.close()
  })

  test('commits what waits before it closes, and then is unavailable', async () => {
    const { journal, file } = await watched()
    const asked = Array.from({ length: 10 }, () => journal.batch([logged(nextId(), 'closing')]))
    const closed = journal.close()
    await Promise.all([...asked, closed])
    const failure = await failureOf(journal.batch([logged(nextId(), 'closing')]))
    expect(failure).toBeInstanceOf(JournalUnavailable)
    await journal.close()
    const beside = new Sqlite(openSqliteFile(file))
    expect(await durableIds({ beside: [beside] }, 'closing')).toHaveLength(10)
    beside.close()
  })

  test('answers a batch that comes while it closes, one way or the other', async () => {
    const { journal, file } = await watched()
    await journal.batch([logged(nextId(), 'late')])
    const closed = journal.close()
    const late = Array.from({ length: 5 }, () => failureOf(journal.batch([logged(nextId(), 'late')])))
    await closed
    const results = await Promise.all(late)
    const landed = results.filter((result) => result === 'resolved').length
    expect(results.filter((result) => result instanceof JournalUnavailable)).toHaveLength(5 - landed)
    const beside = new Sqlite(openSqliteFile(file))
    expect(await durableIds({ beside: [beside] }, 'late')).toHaveLength(1 + landed)
    beside.close()
  })

  test('that dies answers nothing: what was sent and what waits is unavailable, and not written', async () => {
    const { journal, file, thread, groups } = await watched()
    await journal.batch([logged(nextId(), 'before')])
    // Holds the write lock, so that the thread has the group in hand when it is ended.
    const holder = openSqliteFile(file)
    holder.exec('BEGIN IMMEDIATE')
    const inHand = failureOf(journal.batch([logged(nextId(), 'dying')]))
    await sent()
    expect(groups()).toBe(2)
    const waiting = failureOf(journal.batch([logged(nextId(), 'dying')]))
    const ended = thread().terminate()
    holder.exec('ROLLBACK')
    await ended
    expect(await inHand).toBeInstanceOf(JournalUnavailable)
    expect(await waiting).toBeInstanceOf(JournalUnavailable)
    expect(await failureOf(journal.batch([logged(nextId(), 'dying')]))).toBeInstanceOf(JournalUnavailable)
    const beside = new Sqlite(holder)
    expect(await durableIds({ beside: [beside] }, 'dying')).toEqual([])
    expect(await durableIds({ beside: [beside] }, 'before')).toHaveLength(1)
    // The lock died with the thread: others write.
    await beside.batch([logged(nextId(), 'after')])
    await journal.close()
    beside.close()
  })

  test('tells a whole group where the transaction is lost under it, and goes on', async () => {
    // What a full disk or an I/O error does: SQLite rolls back everything, savepoints and all.
    const { journal, file, groups } = await watched(
      `CREATE TRIGGER disk_full BEFORE INSERT ON query_log WHEN NEW.asker = 'too much'
       BEGIN
         SELECT RAISE(ROLLBACK, 'database or disk is full');
       END`,
    )
    const overflow = command(
      `INSERT INTO query_log (id, at, asker, interface, status, address_key, address_sealed, salt)
       VALUES (1, 1, 'too much', 'http', 'found', x'00', x'00', x'00')`,
    )
    const results = await Promise.all(
      [[logged(nextId(), 'lost')], [logged(nextId(), 'lost'), overflow], [logged(nextId(), 'lost')]].map((commands) =>
        failureOf(journal.batch(commands)),
      ),
    )
    expect(groups()).toBe(1)
    for (const result of results) {
      expect(result).toBeInstanceOf(JournalUnavailable)
      expect(String(result)).toContain('disk is full')
    }
    const id = nextId()
    await journal.batch([logged(id, 'found again')])
    await journal.close()
    const beside = new Sqlite(openSqliteFile(file))
    expect(await durableIds({ beside: [beside] }, 'lost')).toEqual([])
    expect(await durableIds({ beside: [beside] }, 'found again')).toEqual([id])
    beside.close()
  })

  test('is unavailable while somebody else holds the file too long, and goes on afterwards', async () => {
    const { journal, file } = await watched()
    const lookup = (address: string): Promise<void> =>
      journal.record({
        asker: 'alice',
        device: null,
        scopes: [{ kind: 'subscriber', name: 'alice', limit: 2 }],
        addresses: [{ address, matchingKey: address, status: 'found' }],
      })
    await lookup('before@example.com')
    const holder = openSqliteFile(file)
    holder.exec('BEGIN IMMEDIATE')
    const failures = await Promise.all(
      [journal.batch([logged(nextId(), 'held up')]), lookup('refused@example.com')].map(failureOf),
    )
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(JournalUnavailable)
      expect(String(failure)).toContain('database is locked')
    }
    holder.exec('ROLLBACK')
    // What could not be logged was not charged, and what was logged before stays charged.
    expect(await journal.faults()).toEqual([])
    await lookup('after@example.com')
    expect(await failureOf(lookup('too.many@example.com'))).toBeInstanceOf(BudgetSpent)
    const id = nextId()
    await journal.batch([logged(id, 'held up')])
    const beside = new Sqlite(holder)
    expect(await durableIds({ beside: [beside] }, 'held up')).toEqual([id])
    await journal.close()
    beside.close()
  })

  test('does not start over a file it cannot open', async () => {
    await expect(startJournal(join(folder.path, 'no', 'such', 'folder.db'))).rejects.toThrow()
  })
})
