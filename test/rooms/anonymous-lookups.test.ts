import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nullable, query, text } from '../../src/ports/database.ts'
import { truncatedNetwork } from '../../src/ports/network.ts'
import type { Api } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, publish, register, type Registered } from '../support/story.ts'
import { Answered, countEverything, day, expectProblem, race } from './support.ts'

const budget = 6

let strangers = 0
const fresh = (count: number): string[] =>
  Array.from({ length: count }, () => `stranger.${(strangers += 1)}@elsewhere.example`)

describe.each(engines)('anonymous lookups on %s', (engine) => {
  const answered = new Answered()
  const connection = { network: '', address: '', local: false }
  let harness: RoomHarness
  let bob: Registered
  let forMembers: Registered
  let forAll: Registered

  const publishedBy = async (name: string, audience: string): Promise<Registered> => {
    const subscriber = await register(harness.api, harness.mails, `${name}@example.com`)
    await publish(subscriber, (await certify(subscriber)).id, audience)
    return subscriber
  }
  let networks = 0
  const moveTo = (address: string): void => {
    Object.assign(connection, { network: truncatedNetwork(address), address })
  }
  /** Asks from an address whose network has asked for nothing yet. */
  const moveAway = (): void => moveTo(`198.51.${(networks += 1)}.7`)
  const ask = (api: Api, addresses: readonly string[]) => api.post('/v1/lookups', { addresses, use: 'encrypt' })
  const statusesOf = async (api: Api, addresses: readonly string[]): Promise<string[]> => {
    const answer = await ask(api, addresses)
    expect(answer.status).toBe(200)
    return answer.body.results.map((result: { status: string }) => result.status)
  }

  beforeAll(async () => {
    harness = await openRoomHarness(engine, {
      connection,
      settings: { DIRECTORY_ACCESS: 'public', LOOKUP_BUDGET_NETWORK: String(budget) },
    })
    moveAway()
    bob = await register(harness.api, harness.mails, 'bob@example.com')
    forMembers = await publishedBy('for.members', 'members')
    forAll = await publishedBy('for.all', 'public')
  })
  afterAll(() => harness.close())

  test('find what was published to all, and members find both, whoever asks first', async () => {
    moveAway()
    const addresses = [forMembers.email, forAll.email]
    for (let round = 0; round < 2; round += 1) {
      expect(await statusesOf(harness.api, addresses)).toEqual(['not_found', 'found'])
      expect(await answered.statuses(bob, addresses)).toEqual(['found', 'found'])
    }
    harness.clock.now += 1
    await publish(forMembers, (await certify(forMembers)).id, 'members')
    expect(await answered.statuses(bob, addresses)).toEqual(['found', 'found'])
    expect(await statusesOf(harness.api, addresses)).toEqual(['not_found', 'found'])
  })

  test('follow the audience when it changes', async () => {
    moveAway()
    const carol = await publishedBy('carol', 'members')
    const [certificate] = (await answered.lookUp(bob, [carol.email]))[0].certificates
    for (const [audience, status] of [
      ['public', 'found'],
      ['members', 'not_found'],
    ] as const) {
      await publish(carol, certificate.id, audience)
      expect(await statusesOf(harness.api, [carol.email])).toEqual([status])
    }
  })

  test('what is published to members only is as what is not there', async () => {
    moveAway()
    const answers = [await ask(harness.api, [forMembers.email]), await ask(harness.api, ['nobody@example.com'])]
    expect(answers.map(({ body }) => ({ ...body.results[0], address: null }))).toEqual([
      { address: null, status: 'not_found', certificates: [] },
      { address: null, status: 'not_found', certificates: [] },
    ])
  })

  test('a wrong credential does not make one anonymous', async () => {
    const before = await countEverything(harness)
    for (const [authorization, status, code] of [
      ['Bearer cb_dev_unknown', 401, 'credential_invalid'],
      ['Bearer cb_adm_unknown', 403, 'credential_of_another_kind'],
      ['Basic Ym9iOmJvYg==', 401, 'credential_required'],
      ['', 401, 'credential_required'],
    ] as const) {
      const response = await harness.ask('/v1/lookups', {
        method: 'POST',
        headers: { Authorization: authorization, 'Content-Type': 'application/json' },
        body: JSON.stringify({ addresses: [forAll.email], use: 'encrypt' }),
      })
      expect([response.status, JSON.parse(await response.text()).code]).toEqual([status, code])
    }
    expect(await countEverything(harness)).toEqual(before)
  })

  test('are logged under the truncated network, which no member can read', async () => {
    moveTo('203.0.113.77')
    const bobsBefore = (await bob.api.get('/v1/me/lookups?limit=200')).body.items.length
    await statusesOf(harness.api, ['nobody@example.com', 'no address'])
    const asker = 'network:203.0.113.0/24'
    const rows = await harness.journal
      .shard(asker)
      .all(
        query(
          { asker: text, device: nullable(text), status: text },
          `SELECT asker, device, status FROM query_log_recent WHERE asker = ?`,
          asker,
        ),
      )
    expect(rows).toEqual([{ asker, device: null, status: 'not_found' }])
    expect((await bob.api.get('/v1/me/lookups?limit=200')).body.items).toHaveLength(bobsBefore)
    expectProblem(await harness.api.get('/v1/me/lookups'), 401, 'credential_required')
  })

  test.each([
    ['an IPv4 address', '192.0.2.1', '192.0.2.1', '192.0.2.254'],
    ['an IPv6 /64', '2001:db8:1:2::7', '2001:db8:1:2:ffff::1', '2001:db8:1:3::7'],
  ])('of %s share a budget, and leave the next one alone', async (_kind, first, second, other) => {
    moveTo(first)
    await statusesOf(harness.api, fresh(budget - 1))
    moveTo(second)
    const [known = ''] = fresh(1)
    await statusesOf(harness.api, [known])
    const before = await countEverything(harness)
    const refused = await ask(harness.api, fresh(1))
    expectProblem(refused, 429, 'lookup_budget_spent')
    expect(Number(refused.headers.get('Retry-After'))).toBe(Math.ceil((day - (harness.clock.now % day)) / 1_000))
    expect(await countEverything(harness)).toEqual(before)
    await statusesOf(harness.api, [known])
    moveTo(other)
    await statusesOf(harness.api, fresh(1))
    moveTo(first)
    // A member there has a budget of their own.
    await answered.lookUp(bob, fresh(1))
    expectProblem(await ask(harness.api, fresh(1)), 429, 'lookup_budget_spent')
  })

  test.each([
    ['an IPv4 /24', ['1', '2', '3', '4', '5'].map((last) => `192.0.4.${last}`), '192.0.5.1'],
    ['an IPv6 /48', ['1', '2', '100', '200', '300'].map((group) => `2001:db8:4:${group}::7`), '2001:db8:5::7'],
  ])('of the addresses of %s have four budgets together', async (_kind, addresses, beside) => {
    const [shared = ''] = fresh(1)
    for (const address of addresses.slice(0, 4)) {
      moveTo(address)
      await statusesOf(harness.api, [shared, ...fresh(budget - 1)])
    }
    moveTo(addresses[4] ?? '')
    // What a neighbour has asked for counts anew, so a refusal tells nothing about it.
    for (const addresses of [[shared, ...fresh(1)], fresh(2)]) {
      expectProblem(await ask(harness.api, addresses), 429, 'lookup_budget_spent')
    }
    // Neighbours cannot spend the share of those who have asked for little.
    await statusesOf(harness.api, [shared])
    expectProblem(await ask(harness.api, fresh(1)), 429, 'lookup_budget_spent')
    moveTo(beside)
    await statusesOf(harness.api, fresh(1))
  })

  test('let no call of twenty at once past the edge', async () => {
    moveAway()
    await statusesOf(harness.api, fresh(budget - 3))
    const answers = await race(20, () => ask(harness.api, fresh(1)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(17)
  })

  test('the service is whole', () => answered.check(harness))
})

test('where the directory is for members, who is nobody is told to say who they are', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    const before = await countEverything(harness)
    const question = { addresses: ['alice@example.com'], use: 'encrypt' }
    expectProblem(await harness.api.post('/v1/lookups', question), 401, 'credential_required')
    expect(await countEverything(harness)).toEqual(before)
  } finally {
    await harness.close()
  }
})
