import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey } from '../support/key-holder.ts'
import { deviceFacts, policyVersion } from '../support/story.ts'
import { countEverything, countRows, day, expectProblem, findLeaks, hour, minute, race } from './support.ts'

describe.each(engines)('what a network may begin without a credential, on %s', (engine) => {
  let harness: RoomHarness
  const connection = { network: '192.0.2.0/24', local: false }
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

  test('sixty registrations an hour, however many come at once; then 429 until the hour is over, for this network', async () => {
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
    expect(await countRows(harness.main, `network_budgets WHERE purpose = 'registration' AND used = 60`)).toBe(1)
    expect(await findLeaks(harness, '192.0.2.0')).toEqual([])
    connection.network = '2001:db8:1::/48'
    expect((await start()).status).toBe(202)
    connection.network = '192.0.2.0/24'
    harness.clock.now += 40 * minute - 1
    expect((await start()).headers.get('Retry-After')).toBe('1')
    harness.clock.now += 1
    expect((await start()).status).toBe(202)
  })

  test('what is refused costs nothing', async () => {
    harness.clock.now += hour
    expectProblem(await start({ email: 'nobody' }), 422, 'address_malformed')
    expectProblem(await start({ policyVersion: '2020-01' }), 409, 'policy_version_not_in_force')
    expect(await countRows(harness.main, `network_budgets WHERE hour = ?`, Math.floor(harness.clock.now / hour))).toBe(
      0,
    )
  })

  test('sixty reports of keys an hour, beside the registrations', async () => {
    harness.clock.now += hour
    const { publicKey } = await holdKey('P-256 to sign')
    const answers = await race(64, () => harness.api.post('/v1/key-compromise', { publicKey }))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(60)
    for (const answer of answers) if (answer.status !== 201) expectProblem(answer, 429, 'too_many_requests')
    expect(await countRows(harness.main, 'key_challenges')).toBe(60)
    expect((await start()).status).toBe(202)
  })

  test('is forgotten two days later', async () => {
    harness.clock.now += 3 * day
    await harness.runJob('registrations-prune')
    expect(await countRows(harness.main, 'network_budgets')).toBe(0)
  })
})

test('this machine itself has no budget', async () => {
  const connection = { network: '192.0.2.0/24', local: true }
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
