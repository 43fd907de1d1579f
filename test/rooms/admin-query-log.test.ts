import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { query, text } from '../../src/ports/database.ts'
import type { Answer } from '../support/api.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { lookUp, register, type Registered } from '../support/story.ts'
import { countRows, day, expectProblem, findLeaks, minute } from './support.ts'

const reason = 'complaint 4711 about lookups'
interface Found {
  readonly at: string
  readonly asker: string
  readonly address: string
}

const generous = {
  LOOKUP_BUDGET_SUBSCRIBER: '100000',
  LOOKUP_BUDGET_NEW_SUBSCRIBER: '100000',
  LOOKUP_BUDGET_DOMAIN: '100000',
}

describe.each(engines)('the query log for administrators on %s', (engine) => {
  let harness: RoomHarness
  let auditor: Administrator
  let askers: readonly Registered[]
  let start = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings: generous })
    auditor = await makeAdministrator(harness, 'auditor')
    const names = ['alice', 'bob', 'carol', 'dora', 'erin', 'frank']
    const registered: Registered[] = []
    for (const name of names) registered.push(await register(harness.api, harness.mails, `${name}@example.com`))
    askers = registered
    start = harness.clock.now
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  const asker = (index: number): Registered => {
    const found = askers[index]
    if (found === undefined) throw new Error(`there is no asker ${index}`)
    return found
  }
  const iso = (at: number): string => new Date(at).toISOString()
  const range = (): object => ({ from: iso(start - day), to: iso(harness.clock.now + 1), reason })
  const search = (question: object): Promise<Answer> =>
    auditor.api.post('/v1/admin/query-log/search', { ...range(), ...question })
  /** Every page of an answer, and how many there were. */
  const searchAll = async (question: object): Promise<{ items: Found[]; pages: number }> => {
    const items: Found[] = []
    let pages = 0
    let cursor: string | undefined
    do {
      const { status, body } = await search({ ...question, ...(cursor === undefined ? {} : { cursor }) })
      expect(status, JSON.stringify(body)).toBe(200)
      items.push(...body.items)
      cursor = body.next ?? undefined
      pages += 1
    } while (cursor !== undefined)
    return { items, pages }
  }

  test('by who asked: both tables, newest first, in pages, and nobody else', async () => {
    const alice = asker(0)
    await lookUp(alice, ['first@example.com', 'bob@example.com'])
    harness.clock.now += 5 * minute
    await harness.runJob('query-log-move')
    await lookUp(alice, ['second@example.com'])
    await lookUp(asker(1), ['other@example.com'])
    const { items, pages } = await searchAll({ asker: alice.subscriberId, limit: 1 })
    expect(pages).toBe(3)
    expect(items.map(({ address }) => address)).toEqual([
      'second@example.com',
      ...['bob@example.com', 'first@example.com'].toSorted(
        (a, b) => items.findIndex((item) => item.address === a) - items.findIndex((item) => item.address === b),
      ),
    ])
    expect(items[0]).toEqual({
      at: iso(harness.clock.now),
      asker: alice.subscriberId,
      deviceId: alice.deviceId,
      address: 'second@example.com',
      status: 'not_found',
      interface: 'http',
    })
    const early = await searchAll({ asker: alice.subscriberId, to: iso(harness.clock.now) })
    expect(early.items.map(({ address }) => address).toSorted()).toEqual(['bob@example.com', 'first@example.com'])
  })

  test('by address: every asker of every shard, in both tables, however it was written', async () => {
    for (const one of askers.slice(0, 3)) await lookUp(one, ['Victim@Example.COM', 'bystander@example.com'])
    harness.clock.now += 5 * minute
    await harness.runJob('query-log-move')
    for (const one of askers.slice(3)) await lookUp(one, ['victim@example.com'])
    expect(await countRows(harness.journal.shard(asker(5).subscriberId), 'query_log_recent')).toBeGreaterThan(0)
    const { items } = await searchAll({ address: 'victim@EXAMPLE.com' })
    expect(items.map((item) => item.asker).toSorted()).toEqual(askers.map((one) => one.subscriberId).toSorted())
    expect(items.map(({ at }) => at)).toEqual(
      items
        .map(({ at }) => at)
        .toSorted()
        .toReversed(),
    )
    const paged = await searchAll({ address: 'victim@example.com', limit: 1 })
    expect(paged.items).toEqual(items)
    const both = await searchAll({ address: 'victim@example.com', asker: asker(4).subscriberId })
    expect(both.items.map((item) => item.asker)).toEqual([asker(4).subscriberId])
  })

  test('by address, a bounded number of rows a call: an empty page goes on', async () => {
    await lookUp(asker(0), ['needle@example.com'])
    harness.clock.now += minute
    for (let call = 0; call < 22; call++) {
      const hay = Array.from({ length: 100 }, (_, index) => `hay.${call}.${index}@example.com`)
      await lookUp(asker(call % 6), hay)
      if (call === 11) await harness.runJob('query-log-move')
      harness.clock.now += 11_000
    }
    const first = await search({ address: 'needle@example.com' })
    expect(first.body.items).toEqual([])
    expect(first.body.next).not.toBeNull()
    const { items, pages } = await searchAll({ address: 'needle@example.com' })
    expect([items.map((item) => item.asker), pages]).toEqual([[asker(0).subscriberId], 2])
    expect((await searchAll({ address: 'hay.0.0@example.com' })).items).toHaveLength(1)
  })

  test('each page is written down before a row is read: who looked, when, for whom, and sealed why', async () => {
    await lookUp(asker(0), ['watched@example.com'])
    const before = await countRows(harness.main, `audit_entries WHERE action = 'query_log.searched'`)
    const from = iso(start)
    const to = iso(harness.clock.now + 1)
    await search({ address: 'watched@example.com', from, to })
    await search({ asker: asker(0).subscriberId, from, to })
    const entries = await harness.main.all(
      query(
        { id: text, actor: text, subject: text, facts: text },
        `SELECT id, actor, subject, facts FROM audit_entries WHERE action = 'query_log.searched' ORDER BY position`,
      ),
    )
    const fresh = entries.slice(before)
    expect(fresh).toMatchObject([
      { actor: auditor.id, subject: 'everybody', facts: JSON.stringify({ from, to }) },
      { actor: auditor.id, subject: asker(0).subscriberId, facts: JSON.stringify({ from, to }) },
    ])
    const values = async (entry: string) =>
      (await auditor.api.post(`/v1/admin/audit-log/${entry}/reading`, { reason })).body.values
    expect(await values(fresh[0]?.id ?? '')).toEqual({ address: 'watched@example.com', reason })
    expect(await values(fresh[1]?.id ?? '')).toEqual({ reason })
    expect(await findLeaks(harness, 'watched@example.com', reason)).toEqual([])
  })

  test('is not shown where the look could not be written down', async () => {
    const before = await countRows(harness.main, 'audit_entries')
    for (const [question, code] of [
      [{ address: 'victim@example.com', reason: 'too short' }, 'invalid_request'],
      [{ address: 'victim@example.com', reason: undefined }, 'invalid_request'],
      [{ address: 'no address' }, 'address_malformed'],
    ] as const) {
      expectProblem(await search(question), 422, code)
    }
    expect(await countRows(harness.main, 'audit_entries')).toBe(before)
  })

  test.each([
    ['what cannot be an asker', () => ({ asker: 'alice@example.com' })],
    ['neither asker nor address', () => ({})],
    ['an end before its start', () => ({ asker: 'x', from: iso(start), to: iso(start - 1) })],
    ['an empty time', () => ({ asker: 'x', from: iso(start), to: iso(start) })],
    ['32 days for an address', () => ({ address: 'x@example.com', from: iso(start - 32 * day), to: iso(start) })],
    ['367 days for an asker', () => ({ asker: 'x', from: iso(start - 367 * day), to: iso(start) })],
    ['a time that is none', () => ({ asker: 'x', from: 'yesterday' })],
    ['a cursor that was not given', () => ({ asker: 'x', cursor: 'made up' })],
    ['a limit beyond 200', () => ({ asker: 'x', limit: 201 })],
    ['an unknown field', () => ({ asker: 'x', everything: true })],
  ])('is not searched for %s', async (_, question) => {
    expectProblem(await search(question()), 422, 'invalid_request')
  })

  test.each([
    [
      'the longest time for an address',
      () => ({ address: 'x@example.com', from: iso(start - 31 * day), to: iso(start) }),
    ],
    [
      'a time before the first row there can be',
      () => ({ asker: 'x', from: '1970-01-01T00:00:00Z', to: '1970-01-02T00:00:00Z' }),
    ],
    ['a time beyond any row', () => ({ asker: 'x', from: '9999-01-01T00:00:00Z', to: '9999-01-02T00:00:00Z' })],
    ['a cursor beyond any row', () => ({ asker: 'x', cursor: '9999999999999999.999' })],
  ])('is empty for %s', async (_, question) => {
    expect((await search(question())).body).toEqual({ items: [], next: null })
  })
})
