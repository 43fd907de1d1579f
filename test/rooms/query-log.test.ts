import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { command } from '../../src/ports/database.ts'
import type { Answer, Json } from '../support/api.ts'
import { readLog } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'
import { Answered, countRows, day, expectProblem, findLeaks, minute, race } from './support.ts'

const keptDays = 30

describe.each(engines)('the query log on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let answered = new Answered()
  let registered = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, {
      settings: { QUERY_LOG_DAYS: String(keptDays), LOOKUP_BUDGET_NEW_SUBSCRIBER: '500' },
    })
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    await publish(alice, (await certify(alice)).id)
  })
  afterAll(() => harness.close())

  const newcomer = (): Promise<Registered> => {
    registered += 1
    return register(harness.api, harness.mails, `asker.${registered}@example.com`)
  }
  const rowsIn = async (table: 'query_log' | 'query_log_recent', asker: Registered): Promise<number> => {
    const counts = await Promise.all(
      harness.journal.shards().map((shard) => countRows(shard, `${table} WHERE asker = ?`, asker.subscriberId)),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }
  const pages = async (asker: Registered, limit: number): Promise<Json[][]> => {
    const seen: Json[][] = []
    let cursor = ''
    do {
      const { body } = await asker.api.get(`/v1/me/lookups?limit=${limit}${cursor}`)
      seen.push(body.items)
      cursor = body.next === null ? '' : `&cursor=${body.next}`
    } while (cursor !== '' && seen.length < 30)
    return seen
  }
  const addressesOf = (items: readonly Json[]): string[] => items.map((item) => item.address)

  test('a row says when, what, what came back, how and from which device', async () => {
    const bob = await newcomer()
    const at = new Date(harness.clock.now).toISOString()
    await answered.lookUp(bob, ['ALICE@Example.com', 'nobody@example.com', 'no address'])
    const { body } = await bob.api.get('/v1/me/lookups')
    expect(body).toEqual({
      items: [
        { at, address: 'nobody@example.com', status: 'not_found', interface: 'http', deviceId: bob.deviceId },
        { at, address: 'ALICE@example.com', status: 'found', interface: 'http', deviceId: bob.deviceId },
      ],
      next: null,
    })
    expect(await findLeaks(harness, 'ALICE@example.com', 'nobody@example.com')).toEqual([])
  })

  test('newest first, page by page, over rows that were moved and rows that were not', async () => {
    const bob = await newcomer()
    const asked: string[] = []
    const lookUp = async (count: number): Promise<void> => {
      const addresses = Array.from({ length: count }, (_, index) => `n${asked.length + index}@example.com`)
      asked.push(...addresses)
      await answered.lookUp(bob, addresses)
    }
    await lookUp(4)
    harness.clock.now += 5_000
    await lookUp(3)
    harness.clock.now += 9_999
    await harness.runJob('query-log-move')
    expect([await rowsIn('query_log', bob), await rowsIn('query_log_recent', bob)]).toEqual([4, 3])
    harness.clock.now += 1
    await lookUp(2)
    const expected = asked.toReversed()
    for (const limit of [1, 2, 3, 4, 5, 9, 10, 200]) {
      const seen = await pages(bob, limit)
      expect(addressesOf(seen.flat())).toEqual(expected)
      expect(seen.map((page) => page.length)).toEqual(
        Array.from({ length: Math.ceil(9 / limit) }, (_, page) => Math.min(limit, 9 - page * limit)),
      )
    }
    harness.clock.now += minute
    await race(3, () => harness.runJob('query-log-move'))
    expect([await rowsIn('query_log', bob), await rowsIn('query_log_recent', bob)]).toEqual([9, 0])
    expect(addressesOf((await pages(bob, 4)).flat())).toEqual(expected)
  })

  test('a cursor stays good while rows are moved and written', async () => {
    const bob = await newcomer()
    await answered.lookUp(bob, ['1@example.com', '2@example.com', '3@example.com', '4@example.com'])
    const first = (await bob.api.get('/v1/me/lookups?limit=2')).body
    harness.clock.now += minute
    await harness.runJob('query-log-move')
    await answered.lookUp(bob, ['5@example.com'])
    const second = (await bob.api.get(`/v1/me/lookups?limit=2&cursor=${first.next}`)).body
    expect([...addressesOf(first.items), ...addressesOf(second.items)]).toEqual(
      ['4', '3', '2', '1'].map((name) => `${name}@example.com`),
    )
    expect(second.next).toBe(null)
  })

  test('a row is in one page only while a move runs beside the reading', async () => {
    const bob = await newcomer()
    const addresses = Array.from({ length: 20 }, (_, index) => `moving.${index}@example.com`)
    await answered.lookUp(bob, addresses)
    harness.clock.now += minute
    const [lists] = await Promise.all([
      race(10, () => bob.api.get('/v1/me/lookups?limit=20')),
      harness.runJob('query-log-move'),
    ])
    for (const { body } of lists) expect(addressesOf(body.items)).toEqual(addresses.toReversed())
  })

  test.each(['limit=0', 'limit=201', 'cursor=x', 'cursor=-1', 'cursor=1.5', 'asker=everybody'])(
    '?%s is refused',
    async (parameters) => {
      expectProblem(await alice.api.get(`/v1/me/lookups?${parameters}`), 422, 'invalid_request')
    },
  )

  test('a cursor that no page gave is refused, or is behind all rows', async () => {
    const bob = await newcomer()
    await answered.lookUp(bob, ['nobody@example.com'])
    expect((await bob.api.get('/v1/me/lookups?cursor=9999999999999999')).body.items).toHaveLength(1)
    expectProblem(await bob.api.get('/v1/me/lookups?cursor=99999999999999999'), 422, 'invalid_request')
  })

  test('everybody sees their own rows only', async () => {
    const askers = [await newcomer(), await newcomer(), await newcomer(), await newcomer()]
    await Promise.all(askers.map((asker, index) => answered.lookUp(asker, [`of.${index}@example.com`, asker.email])))
    for (const moved of [false, true]) {
      if (moved) {
        harness.clock.now += minute
        await harness.runJob('query-log-move')
      }
      for (const [index, asker] of askers.entries()) {
        const { items } = (await asker.api.get('/v1/me/lookups')).body
        expect(addressesOf(items)).toEqual([asker.email, `of.${index}@example.com`])
      }
    }
    expect((await (await newcomer()).api.get('/v1/me/lookups')).body).toEqual({ items: [], next: null })
  })

  test('fifty lookups at once are all logged', async () => {
    const bob = await newcomer()
    await race(50, (index) => answered.lookUp(bob, [`at.once.${index}@example.com`, 'alice@example.com']))
    expect((await pages(bob, 200)).flat().length).toBe(100)
    expect(await rowsIn('query_log_recent', bob)).toBe(100)
  })

  test('rows over a change of month are readable, until QUERY_LOG_DAYS are over', async () => {
    const bob = await newcomer()
    await answered.lookUp(bob, ['last.month@example.com'])
    harness.clock.now += 20 * day
    await harness.runJob('query-log-move')
    await answered.lookUp(bob, ['this.month@example.com'])
    const both = ['this.month@example.com', 'last.month@example.com']
    expect(addressesOf((await pages(bob, 200)).flat())).toEqual(both)
    harness.clock.now += 10 * day
    await harness.runJob('query-log-move')
    await harness.runJob('query-log-prune')
    expect(addressesOf((await pages(bob, 200)).flat())).toEqual(both)
    harness.clock.now += 1
    await harness.runJob('query-log-prune')
    expect(addressesOf((await pages(bob, 200)).flat())).toEqual(['this.month@example.com'])
    harness.clock.now += keptDays * day
    await harness.runJob('query-log-prune')
    expect((await pages(bob, 200)).flat()).toEqual([])
    expect(await readLog(harness.journal.shards(), harness.keys)).toEqual([])
    // What was answered before is gone by right.
    answered = new Answered()
  })

  describe('when it cannot be written', () => {
    const rename = async (from: string, to: string): Promise<void> => {
      for (const shard of harness.journal.shards()) await shard.batch([command(`ALTER TABLE ${from} RENAME TO ${to}`)])
    }
    const expectNoAnswer = (answer: Answer): void => {
      expectProblem(answer, 503, 'log_unavailable')
      expect(answer.headers.get('Retry-After')).toBe('5')
      expect(JSON.stringify(answer.body)).not.toMatch(/example\.com|certificates|query_log/)
    }

    test('nothing is answered, and the next lookup after it is', async () => {
      const bob = await newcomer()
      expect(await answered.statuses(bob, ['alice@example.com', 'nobody@example.com'])).toHaveLength(2)
      await rename('query_log_recent', 'query_log_away')
      try {
        const question = { addresses: ['alice@example.com', 'nobody@example.com'], use: 'encrypt' }
        for (const answer of await race(5, () => bob.api.post('/v1/lookups', question))) expectNoAnswer(answer)
        const cause = harness.log.findLast((line) => line.includes('request_failed')) ?? ''
        expect(cause).toContain('query_log_recent')
        expect(cause).not.toContain('alice@example.com')
        expect(await answered.statuses(bob, ['no address'])).toEqual(['invalid'])
        const causesWritten = (): number => harness.log.filter((line) => line.includes('"request_failed"')).length
        const before = causesWritten()
        for (const answer of await race(50, () => bob.api.post('/v1/lookups', question))) expectNoAnswer(answer)
        expect(causesWritten()).toBe(before)
        harness.clock.now += minute
        expectNoAnswer(await bob.api.post('/v1/lookups', question))
        expect(causesWritten()).toBe(before + 1)
      } finally {
        await rename('query_log_away', 'query_log_recent')
      }
      expect(await answered.statuses(bob, ['nobody@example.com'])).toEqual(['not_found'])
      expect(addressesOf((await pages(bob, 200)).flat())).toHaveLength(3)
    })

    test('not even for one address of many', async () => {
      const bob = await newcomer()
      for (const shard of harness.journal.shards()) {
        await shard.batch([
          command(
            `CREATE TRIGGER third_refused BEFORE INSERT ON query_log_recent
             WHEN (SELECT COUNT(*) FROM query_log_recent WHERE asker = NEW.asker) >= 2
             BEGIN SELECT RAISE(ABORT, 'refused:disk'); END`,
          ),
        ])
      }
      const addresses = ['1@example.com', '2@example.com', '3@example.com', 'alice@example.com']
      expectNoAnswer(await bob.api.post('/v1/lookups', { addresses, use: 'encrypt' }))
      for (const shard of harness.journal.shards()) await shard.batch([command(`DROP TRIGGER third_refused`)])
      expect(await rowsIn('query_log_recent', bob)).toBe(0)
    })
  })

  test('the service is whole', async () => {
    await harness.runJob('certificates-expire')
    await answered.check(harness)
  })
})

describe.each(engines)('the jobs of the query log on %s', (engine) => {
  let harness: RoomHarness

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings: { QUERY_LOG_DAYS: String(keptDays) } })
  })
  afterAll(() => harness.close())

  const bobAt = (domain: string): Promise<Registered> => register(harness.api, harness.mails, `bob@${domain}`)
  /** How many rows of an asker were moved, and how many were not. */
  const rowsOf = ({ subscriberId }: Registered): Promise<number[]> =>
    Promise.all(
      ['query_log', 'query_log_recent'].map((table) =>
        countRows(harness.journal.shard(subscriberId), `${table} WHERE asker = ?`, subscriberId),
      ),
    )

  test('move on where the number of a row is taken; that row waits to be pruned', async () => {
    const bob = await bobAt('example.com')
    await lookUp(bob, ['first@example.com', 'second@example.com', 'third@example.com'])
    await harness.journal.shard(bob.subscriberId).batch([
      command(
        `INSERT INTO query_log (id, at, asker, interface, status, address_key, address_sealed, salt)
         SELECT min(id), at, 'somebody', 'http', 'found', x'00', x'00', x'00' FROM query_log_recent WHERE asker = ?`,
        bob.subscriberId,
      ),
    ])
    harness.clock.now += minute
    await harness.runJob('query-log-move')
    expect(await rowsOf(bob)).toEqual([2, 1])
    expect((await bob.api.get('/v1/me/lookups')).body.items).toHaveLength(3)
    harness.clock.now += (keptDays + 1) * day
    await harness.runJob('query-log-prune')
    expect(await rowsOf(bob)).toEqual([0, 0])
  })

  test('move what was written after the clock went back', async () => {
    const bob = await bobAt('company.example')
    harness.clock.now += day
    await lookUp(bob, ['tomorrow@example.com'])
    harness.clock.now -= day
    await lookUp(bob, ['today@example.com'])
    harness.clock.now += minute
    await harness.runJob('query-log-move')
    expect(await rowsOf(bob)).toEqual([1, 1])
  })

  test.each(['query-log-move', 'query-log-prune', 'check-ins-prune'])(
    '%s: a shard that fails holds up no other',
    async (job) => {
      const [failing, ...others] = harness.journal.shards().map((shard) => vi.spyOn(shard, 'batch'))
      try {
        failing?.mockRejectedValue(new Error('out of order'))
        await expect(harness.runJob(job)).rejects.toThrow()
        for (const other of others) expect(other).toHaveBeenCalled()
      } finally {
        for (const spy of [failing, ...others]) spy?.mockRestore()
      }
    },
  )
})

describe.each(engines)('many rows of the query log on %s', (engine) => {
  const rows = 12_001

  test('are moved and pruned some thousand at a time, and all of them', async () => {
    const harness = await openRoomHarness(engine, { settings: { QUERY_LOG_DAYS: String(keptDays) } })
    try {
      const [shard] = harness.journal.shards()
      if (shard === undefined) throw new Error('there is no shard')
      await shard.batch([
        command(
          `INSERT INTO query_log_recent (id, at, asker, interface, status, address_key, address_sealed)
           WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
           SELECT number, 0, 'nobody', 'http', 'found', x'00', x'00' FROM numbers`,
          rows,
        ),
      ])
      const batch = vi.spyOn(shard, 'batch')
      const largest = async (job: string): Promise<number> => {
        batch.mockClear()
        await harness.runJob(job)
        const outcomes = await Promise.all(batch.mock.results.map(({ value }) => value))
        return Math.max(...outcomes.flat().map(({ changes }) => changes))
      }
      expect(await largest('query-log-move')).toBe(5_000)
      expect(batch).toHaveBeenCalledTimes(3)
      expect(await countRows(shard, 'query_log_recent')).toBe(0)
      expect(await countRows(shard, 'query_log')).toBe(rows)
      harness.clock.now += (keptDays + 1) * day
      expect(await largest('query-log-prune')).toBe(5_000)
      expect(await countRows(shard, 'query_log')).toBe(0)
    } finally {
      await harness.close()
    }
  })
})

test('a lookup after the end of the journal thread is not answered', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    await publish(alice, (await certify(alice)).id)
    const { journal } = harness
    if (!('close' in journal) || typeof journal.close !== 'function') throw new Error('this journal has no thread')
    await journal.close()
    const answer = await alice.api.post('/v1/lookups', { addresses: ['alice@example.com'], use: 'encrypt' })
    expectProblem(answer, 503, 'log_unavailable')
    expect(JSON.stringify(answer.body)).not.toContain('alice')
  } finally {
    await harness.close()
  }
})
