import SqliteDatabase from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DayKeys } from '../../src/adapters/day-keys.ts'
import { SqliteBatchRunner } from '../../src/adapters/sqlite.ts'
import type { JournalWriting } from '../../src/ports/journal.ts'
import type { PackedLookup } from '../../src/ports/lookup-log.ts'
import { keyBytes, Ledger } from '../../src/query-log/ledger.ts'
import { LookupWriter } from '../../src/query-log/lookup-writer.ts'
import { CheckInWriter } from '../../src/reports/check-in-writer.ts'
import { memoryKeyRing, migrationScripts } from '../support/engines.ts'

/** What the journal's thread does for one lookup and one check-in, counted; and what it remembers. */

const at = Date.parse('2026-11-21T12:00:00Z')
const day = 86_400_000

interface Counts {
  statements: number
  readings: number
  seals: number
  hashes: number
}

let connection: SqliteDatabase.Database
let runner: SqliteBatchRunner
let counts: Counts
let counting: JournalWriting
let lookups: LookupWriter

beforeEach(async () => {
  connection = new SqliteDatabase(':memory:')
  for (const script of migrationScripts('journal')) connection.exec(script)
  runner = new SqliteBatchRunner(connection)
  const ring = await memoryKeyRing()
  await ring.journal.prepare(at)
  const keys = new DayKeys()
  keys.use(ring.journal.keysOfDay())
  counts = { statements: 0, readings: 0, seals: 0, hashes: 0 }
  counting = {
    run: (command) => {
      counts.statements += 1
      runner.run(command)
    },
    each: (query) => {
      counts.readings += 1
      return runner.each(query)
    },
    seal: (place, plaintext) => {
      counts.seals += 1
      return keys.seal(place, plaintext)
    },
    index: (column, value) => {
      counts.hashes += 1
      return keys.index(column, value)
    },
  }
  lookups = startWriter()
})
afterEach(() => connection.close())

const startWriter = (): LookupWriter => new LookupWriter(counting, () => 0)

/** Runs one transaction, and says what it cost. */
const costOf = (act: () => void): Counts => {
  counts = { statements: 0, readings: 0, seals: 0, hashes: 0 }
  runner.atomically(act)
  return counts
}

const lookupOf = (asker: string, scopes: number, ...names: readonly string[]): PackedLookup => ({
  payer: [asker, 'device', asker, ...Array.from({ length: scopes - 1 }, (_, index) => `scope ${index}`)].join('\n'),
  limits: Array.from({ length: scopes }, () => 1_000),
  ownScopeCount: 1,
  addresses: names.map((name) => {
    const address = `${name}@elsewhere.example`
    return { address, matchingKey: address, status: 'not_found' }
  }),
})

/** Writes lookups in one transaction; the scopes that refused each. */
const write = (...asked: readonly PackedLookup[]): (readonly number[])[] =>
  runner.atomically(() => {
    lookups.begin()
    return asked.map((lookup) => lookups.write(at, lookup))
  })

describe('what a lookup costs in the thread', () => {
  test.each([2, 6])(
    'with %i scopes: the asker’s first of the day one statement and a hash for each scope more',
    (scopes) => {
      write(lookupOf('somebody else', 1, 'warm'))
      const cost = costOf(() => lookups.write(at, lookupOf('alice', scopes, 'first')))
      expect(cost).toEqual({ statements: 2, readings: 0, seals: 1, hashes: 1 + scopes })
    },
  )

  test.each([2, 6])('with %i scopes: every other one statement, one seal and one hash for each address', (scopes) => {
    write(lookupOf('alice', scopes, 'first'))
    const one = costOf(() => lookups.write(at, lookupOf('alice', scopes, 'second')))
    expect(one).toEqual({ statements: 1, readings: 0, seals: 1, hashes: 1 })
    const three = costOf(() => lookups.write(at, lookupOf('alice', scopes, 'first', 'third', 'fourth')))
    expect(three).toEqual({ statements: 3, readings: 0, seals: 3, hashes: 3 })
  })

  test('one that passes a budget a hash for each address, and nothing is written', () => {
    write(lookupOf('alice', 2, 'first'))
    const refused = { ...lookupOf('alice', 2, 'second', 'third'), limits: [1_000, 2] }
    const cost = costOf(() => expect(lookups.write(at, refused)).toEqual([1]))
    expect(cost).toEqual({ statements: 0, readings: 0, seals: 0, hashes: 2 })
  })
})

describe('what a check-in costs in the thread', () => {
  const report = { device: 'phone', subscriber: 'alice', facts: '{"appVersion":"1"}' }
  const written = { statements: 1, readings: 1, seals: 1, hashes: 1 }

  test('the first after a start a reading; one that says nothing new a hash; one that does a statement and a seal', () => {
    const checkIns = new CheckInWriter(counting)
    const cost = (facts: string, after = 0): Counts => costOf(() => checkIns.write(at + after, { ...report, facts }))
    expect(cost('{"appVersion":"1"}')).toEqual(written)
    expect(cost('{"appVersion":"1"}', 300_000)).toEqual({ statements: 0, readings: 0, seals: 0, hashes: 1 })
    expect(cost('{"appVersion":"2"}')).toEqual(written)
    expect(cost('{"appVersion":"2"}', 7_200_000)).toEqual({ statements: 1, readings: 0, seals: 1, hashes: 1 })
    const restarted = new CheckInWriter(counting)
    const again = costOf(() => restarted.write(at + 7_200_000, { ...report, facts: '{"appVersion":"2"}' }))
    expect(again).toEqual({ statements: 0, readings: 1, seals: 0, hashes: 1 })
  })
})

describe('what is counted', () => {
  test('is the same after a start, for every scope, also where an asker’s scopes change within the day', () => {
    write(lookupOf('alice', 3, 'a', 'b'), lookupOf('bob', 3, 'a'), lookupOf('alice', 1, 'b', 'c'))
    connection.exec(
      `INSERT INTO query_log SELECT *, randomblob(16), NULL FROM query_log_recent; DELETE FROM query_log_recent`,
    )
    write(lookupOf('alice', 3, 'a', 'd'), lookupOf('bob', 2, 'e'))
    expect(lookups.faults(at)).toEqual([])
    lookups = startWriter()
    // Four of alice, two of bob; those that alice asked for as one who has no other scope are not in these.
    for (const [asker, own, scope, left] of [
      ['alice', 4, 3 + 2, 'f'],
      ['bob', 2, 3 + 2, 'f'],
    ] as const) {
      const refusedBy = (limits: readonly number[]) => write({ ...lookupOf(asker, 2, left), limits })[0]
      expect(refusedBy([own, scope])).toEqual([0, 1])
      expect(refusedBy([own + 1, scope])).toEqual([1])
    }
  })

  test('is the same after a start for shares: who asked for little may, and who asked for much may not', () => {
    write(lookupOf('alice', 2, 'a', 'b'), lookupOf('bob', 2, 'a', 'b'))
    const refusedBy = (asker: string, limit: number, ...names: readonly string[]) =>
      write({ ...lookupOf(asker, 2, ...names), limits: [1_000, limit] })[0]
    // Four are counted, and a quarter more is for shares of one.
    expect(refusedBy('carol', 4, 'a')).toEqual([])
    for (const again of [false, true]) {
      if (again) lookups = startWriter()
      expect(refusedBy('alice', 5, 'c')).toEqual([1])
      expect(refusedBy('carol', 5, 'b')).toEqual([1])
      expect(refusedBy('dave', 5, 'a', 'b')).toEqual([1])
      expect(refusedBy('dave', 4, 'a')).toEqual([1])
    }
    expect(lookups.faults(at)).toEqual([])
  })

  test('is given back where the transaction is not committed', () => {
    write(lookupOf('alice', 2, 'a'))
    const lost = Array.from({ length: 400 }, (_, index) => `lost ${index}`)
    const failing = (): void =>
      runner.atomically(() => {
        lookups.begin()
        lookups.write(at, lookupOf('alice', 2, ...lost))
        lookups.write(at, lookupOf('bob', 2, 'lost'))
        throw new Error('the disk is full')
      })
    expect(failing).toThrow('the disk is full')
    lookups.rollBack()
    expect(lookups.faults(at)).toEqual([])
    // A transaction that could not even begin has charged nothing.
    lookups.begin()
    lookups.rollBack()
    expect(lookups.faults(at)).toEqual([])
    write(lookupOf('alice', 2, ...lost), lookupOf('bob', 2, 'a'))
    expect(lookups.faults(at)).toEqual([])
  })

  test('begins anew with the UTC day, and of a day that comes back it is what was logged', () => {
    const full = (when: number): readonly number[] =>
      runner.atomically(() => {
        lookups.begin()
        return lookups.write(when, { ...lookupOf('alice', 1, `address of ${when}`), limits: [1] })
      })
    expect(full(at)).toEqual([])
    expect(full(at + 1)).toEqual([0])
    expect(full(at + day)).toEqual([])
    expect(full(at + day + 1)).toEqual([0])
    expect(full(at + 2)).toEqual([0])
  })
})

describe('the ledger', () => {
  const keyOf = (number: number): Uint8Array => {
    const key = new Uint8Array(keyBytes)
    // Spread as keyed hashes are.
    new DataView(key.buffer).setUint32(0, Math.imul(number + 1, 0x9e3779b1) >>> 0)
    new DataView(key.buffer).setUint32(4, Math.imul(number + 1, 0x85ebca77) >>> 0)
    return key
  }

  const ownLimit = (limit: number) => ({ limits: [limit], ownScopeCount: 1 })

  test('knows what it was given among many others, and not what was given back', () => {
    const ledger = new Ledger(1)
    const { payer } = ledger.payerOf(keyOf(1))
    const all = Array.from({ length: 50_000 }, (_, number) => keyOf(number))
    const charges = all.map((key) => ledger.charge(payer, ownLimit(1e6), [key]))
    for (const key of all) expect(ledger.charge(payer, ownLimit(50_000), [key])).toMatchObject({ fresh: 0 })
    charges.forEach((charge, number) => {
      if (number % 3 === 0 && 'fresh' in charge) ledger.giveBack(charge)
    })
    const fresh = all.map((key) => {
      const again = ledger.charge(payer, ownLimit(1e6), [key])
      return 'fresh' in again ? again.fresh : -1
    })
    expect(fresh).toEqual(all.map((_, number) => (number % 3 === 0 ? 1 : 0)))
  })

  test('counts as new what it has no room to remember', () => {
    const ledger = new Ledger(1, 2)
    const { payer } = ledger.payerOf(keyOf(1))
    for (const number of [1, 2, 3, 3]) ledger.charge(payer, ownLimit(100), [keyOf(number)])
    expect(ledger.size).toBe(2)
    expect(ledger.charge(payer, ownLimit(4), [keyOf(3)])).toEqual({ spent: [0] })
    expect(ledger.charge(payer, ownLimit(4), [keyOf(2)])).toMatchObject({ fresh: 0 })
  })
})
