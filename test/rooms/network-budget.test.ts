import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey } from '../support/key-holder.ts'
import { deviceFacts, policyVersion } from '../support/story.ts'
import { countEverything, countRows, day, expectProblem, findLeaks, hour, minute, race } from './support.ts'

describe.each(engines)('what an address and its networks may begin without a credential, on %s', (engine) => {
  let harness: RoomHarness
  const connection = { address: '192.0.2.7', local: false }
  let begun = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { connection })
    harness.clock.now += 20 * minute
  })
  afterAll(() => harness.close())

  const start = (changes: Record<string, unknown> = {}): Promise<Answer> => {
    begun += 1
    return harness.api.post('/v1/registrations', {
      email: `budget.${begun}@example.com`,
      accountType: 'imap',
      policyVersion,
      device: deviceFacts,
      ...changes,
    })
  }

  const startFrom = (address: string): Promise<Answer> => {
    connection.address = address
    return start()
  }
  /** How many of so many registrations are taken from an address. */
  const takenFrom = async (address: string, count: number): Promise<number> => {
    let taken = 0
    for (let sent = 0; sent < count; sent += 1) {
      const answer = await startFrom(address)
      if (answer.status === 202) taken += 1
      else expectProblem(answer, 429, 'too_many_requests')
    }
    return taken
  }

  test('sixty registrations an hour, however many come at once; then 429 until the hour is over, for this address', async () => {
    const answers = await race(70, () => start())
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(60)
    const refused = answers.filter(({ status }) => status !== 202)
    for (const answer of refused) {
      expectProblem(answer, 429, 'too_many_requests')
      expect(answer.headers.get('Retry-After')).toBe(String(40 * 60))
    }
    expect(await countRows(harness.main, 'registrations')).toBe(60)
    const before = await countEverything(harness)
    expectProblem(await start(), 429, 'too_many_requests')
    expect(await countEverything(harness)).toEqual(before)
    expect(await countRows(harness.main, `network_budgets WHERE purpose = 'registration' AND used = 60`)).toBe(3)
    expect(await findLeaks(harness, '192.0.2.')).toEqual([])
    expect((await startFrom('2001:db8:1::1')).status).toBe(202)
    connection.address = '192.0.2.7'
    harness.clock.now += 40 * minute - 1
    expect((await start()).headers.get('Retry-After')).toBe('1')
    harness.clock.now += 1
    expect((await start()).status).toBe(202)
  })

  test.each([
    ['IPv4', ['198.51.100.1', '198.51.100.2', '198.51.100.3', '198.51.100.4'], '198.51.100.5', '198.51.101.1'],
    [
      'IPv6',
      ['2001:db8:9::1', '2001:db8:9:1::1', '2001:db8:9:100::1', '2001:db8:9:200::1'],
      '2001:db8:9:300::1',
      '2001:db8:a::1',
    ],
  ])(
    'of %s: sixty from one address leave its neighbours theirs, up to what their network has in a day',
    async (...row) => {
      const [, neighbours, last, beside] = row
      harness.clock.now += hour
      const taken: number[] = []
      for (const neighbour of neighbours) taken.push(await takenFrom(neighbour, 61))
      expect(taken).toEqual([60, 60, 60, 20])
      expectProblem(await startFrom(last), 429, 'too_many_requests')
      expect((await startFrom(beside)).status).toBe(202)
      connection.address = '192.0.2.7'
    },
  )

  test('a /56 of IPv6 has what two lines in it may begin', async () => {
    harness.clock.now += hour
    for (const line of ['2001:db8:b::1', '2001:db8:b:1::1']) expect(await takenFrom(line, 60)).toBe(60)
    expectProblem(await startFrom('2001:db8:b:ff::1'), 429, 'too_many_requests')
    expect((await startFrom('2001:db8:b:100::1')).status).toBe(202)
    connection.address = '192.0.2.7'
  })

  test('what is refused costs nothing', async () => {
    harness.clock.now += hour
    expectProblem(await start({ email: 'nobody' }), 422, 'address_malformed')
    expectProblem(await start({ policyVersion: '2020-01' }), 409, 'policy_version_not_in_force')
    expect(await countRows(harness.main, `network_budgets WHERE hour = ?`, Math.floor(harness.clock.now / hour))).toBe(
      0,
    )
  })

  test('one address has 125 registrations within 24 hours, and its neighbours the rest of 200', async () => {
    const [line, neighbour, network] = ['203.0.113.1', '203.0.113.2', '203.0.113.0/24']
    /** So many were begun in an hour of the past. */
    const begunBefore = (name: string, hoursAgo: number, used: number): Promise<unknown> =>
      harness.main.batch([
        {
          text: `INSERT INTO network_budgets (network_index, purpose, hour, used) VALUES (?, 'registration', ?, ?)`,
          values: [harness.keys.blindIndex(`network/${name}`), Math.floor(harness.clock.now / hour) - hoursAgo, used],
        },
      ])
    harness.clock.now += hour
    for (const [hoursAgo, used] of [
      [23, 60],
      [2, 60],
      [1, 4],
    ] as const)
      await begunBefore(line, hoursAgo, used)
    await begunBefore(network, 2, 198)
    expect((await startFrom(line)).status).toBe(202)
    expectProblem(await startFrom(line), 429, 'too_many_requests')
    expect((await startFrom(neighbour)).status).toBe(202)
    expectProblem(await startFrom(neighbour), 429, 'too_many_requests')
    // What was begun 24 hours ago counts no more.
    harness.clock.now += hour
    await harness.main.batch([{ text: `DELETE FROM network_budgets WHERE used = 198`, values: [] }])
    expect((await startFrom(line)).status).toBe(202)
    connection.address = '192.0.2.7'
  })

  test('37 reports of keys, beside the registrations', async () => {
    harness.clock.now += hour
    const { publicKey } = await holdKey('P-256 to sign')
    const answers = await race(64, () => harness.api.post('/v1/key-compromise', { publicKey }))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(37)
    for (const answer of answers) if (answer.status !== 201) expectProblem(answer, 429, 'too_many_requests')
    expect(await countRows(harness.main, 'key_challenges')).toBe(37)
    expect((await start()).status).toBe(202)
  })

  test('is forgotten two days later', async () => {
    harness.clock.now += 3 * day
    await harness.runJob('registrations-prune')
    expect(await countRows(harness.main, 'network_budgets')).toBe(0)
  })
})

test('this machine itself has no budget', async () => {
  const connection = { address: '192.0.2.7', local: true }
  const harness = await openRoomHarness('sqlite', { connection })
  const start = (index: number): Promise<Answer> =>
    harness.api.post('/v1/registrations', {
      email: `local.${index}@example.com`,
      accountType: 'imap',
      policyVersion,
      device: deviceFacts,
    })
  try {
    const answers = await race(65, start)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
    expect(await countRows(harness.main, 'network_budgets')).toBe(0)
  } finally {
    await harness.close()
  }
})
