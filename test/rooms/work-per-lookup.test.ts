import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database, Query, Reader } from '../../src/ports/database.ts'
import type { Sealer } from '../../src/ports/keys.ts'
import { openRoomHarness, type RoomHarness, type WatchedParts } from '../support/engines.ts'
import { certify, deviceFacts, lookUp, publish, register, type Registered } from '../support/story.ts'

/** What was done on the main thread since the last look, beside what the journal's thread does. */
class Work {
  statements = 0
  batches = 0
  stamps = 0
  seals = 0
  opens = 0
  blindIndexes = 0
  hashes = 0

  take(): Record<string, number> {
    const { statements, batches, stamps, seals, opens, blindIndexes, hashes } = this
    Object.assign(this, new Work())
    return { statements, batches, stamps, seals, opens, blindIndexes, hashes }
  }
}

const watched = (work: Work, { main, keys, sha256 }: WatchedParts): WatchedParts => {
  const reader = (of: Reader): Reader => ({
    first: <T>(query: Query<T>) => {
      work.statements += 1
      return of.first(query)
    },
    all: <T>(query: Query<T>) => {
      work.statements += 1
      return of.all(query)
    },
  })
  const database: Database = {
    ...reader(main),
    batch: (commands) => {
      work.batches += 1
      work.statements += commands.length
      return main.batch(commands)
    },
    batchUnlessLocked: (commands) => main.batchUnlessLocked(commands),
    reading: (where) => reader(main.reading(where)),
    changeStamp: () => {
      work.stamps += 1
      return main.changeStamp()
    },
  }
  const sealer = (of: Sealer): Sealer => ({
    seal: (place, plaintext) => {
      work.seals += 1
      return of.seal(place, plaintext)
    },
    open: (place, envelope) => {
      work.opens += 1
      return of.open(place, envelope)
    },
  })
  const { journal } = keys
  return {
    main: database,
    keys: {
      main: sealer(keys.main),
      journal: {
        ...sealer(journal),
        prepare: (at) => journal.prepare(at),
        index: (column, value) => {
          work.blindIndexes += 1
          return journal.index(column, value)
        },
      },
      blindIndex: (matchingKey) => {
        work.blindIndexes += 1
        return keys.blindIndex(matchingKey)
      },
      mac: (purpose, bytes) => {
        work.hashes += 1
        return keys.mac(purpose, bytes)
      },
      macFits: (purpose, bytes, mac) => {
        work.hashes += 1
        return keys.macFits(purpose, bytes, mac)
      },
      verifiers: (purpose, bytes) => {
        work.hashes += 1
        return keys.verifiers(purpose, bytes)
      },
    },
    sha256: (bytes) => {
      work.hashes += 1
      return sha256(bytes)
    },
  }
}

/** Of a caller who is known: their credential is hashed, and the database asked whether anything was written. */
const recognised = { statements: 0, batches: 0, stamps: 1, seals: 0, opens: 0, blindIndexes: 0, hashes: 1 }

describe('the work on the main thread, exactly', () => {
  const work = new Work()
  let harness: RoomHarness
  let alice: Registered
  let bob: Registered

  beforeAll(async () => {
    harness = await openRoomHarness('sqlite', { around: (parts) => watched(work, parts) })
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    bob = await register(harness.api, harness.mails, 'bob@example.org')
    await publish(bob, (await certify(bob)).id)
    await harness.settled()
    // What a first use writes.
    for (const somebody of [alice, bob]) await checkIn(somebody)
  })
  // What is read of a caller once, and what is made anew of an answer.
  beforeEach(async () => {
    for (const somebody of [alice, bob]) {
      await checkIn(somebody)
      await ask(somebody, [bob.email])
    }
    await harness.settled()
    await checkIn(alice)
    work.take()
  })
  afterAll(() => harness.close())

  const ask = (somebody: Registered, addresses: string[]) => lookUp(somebody, addresses)
  const checkIn = async (somebody: Registered): Promise<void> => {
    expect((await somebody.api.post('/v1/check-ins', deviceFacts)).status).toBe(200)
  }

  test('of a lookup that finds: one read and one opening', async () => {
    expect((await ask(alice, [bob.email]))[0].status).toBe('found')
    expect(work.take()).toEqual({ ...recognised, statements: 1, opens: 1, blindIndexes: 1 })
  })

  test('of one that finds nothing: the same read', async () => {
    expect((await ask(alice, ['nobody@example.com']))[0].status).toBe('not_found')
    expect(work.take()).toEqual({ ...recognised, statements: 1, blindIndexes: 1 })
  })

  test('of one with forty addresses: one read', async () => {
    await ask(alice, [bob.email, ...Array.from({ length: 39 }, (_, number) => `nobody.${number}@example.com`)])
    expect(work.take()).toEqual({ ...recognised, statements: 1, opens: 1, blindIndexes: 40 })
  })

  test("of one after a write that is nobody's: one read more, whoever asks", async () => {
    await harness.main.batch([{ text: 'UPDATE subscribers SET language = language', values: [] }])
    work.take()
    await ask(alice, [bob.email])
    expect(work.take()).toEqual({ ...recognised, stamps: 2, statements: 2, opens: 1, blindIndexes: 1 })
  })

  test('of one after something of the asker changed: the caller is read in one, and their mailbox opened', async () => {
    await harness.main.batch([
      { text: 'UPDATE devices SET credential_used_at = credential_used_at WHERE id = ?', values: [alice.deviceId] },
    ])
    work.take()
    await ask(alice, [bob.email])
    expect(work.take()).toEqual({ ...recognised, stamps: 2, statements: 3, opens: 2, blindIndexes: 1, hashes: 5 })
  })

  test('of one after what it finds changed: the tables, once', async () => {
    await harness.main.batch([{ text: 'UPDATE publications SET published_at = published_at', values: [] }])
    work.take()
    expect((await ask(alice, [bob.email]))[0].status).toBe('found')
    await harness.settled()
    // A look at the changes, the answer that is out of date and the tables; then two reads and four writes to renew it.
    expect(work.take()).toMatchObject({ statements: 9, batches: 1, seals: 1, opens: 4 })
    await ask(alice, [bob.email])
    work.take()
    await ask(alice, [bob.email])
    expect(work.take()).toEqual({ ...recognised, statements: 1, opens: 1, blindIndexes: 1 })
  })

  test('of a check-in: nothing is read', async () => {
    await checkIn(bob)
    expect(work.take()).toEqual(recognised)
  })

  test('of a check-in after a certificate of the device changed: the caller, and what is due', async () => {
    await certify(bob, { use: 'sign' })
    await harness.settled()
    work.take()
    await checkIn(bob)
    // The term of each valid certificate is sealed.
    expect(work.take()).toEqual({ ...recognised, stamps: 2, statements: 3, opens: 2, hashes: 5 })
    await checkIn(bob)
    expect(work.take()).toEqual(recognised)
  })
})
