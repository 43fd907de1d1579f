import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blob, command, integer, query, text } from '../../src/ports/database.ts'
import { openText } from '../../src/ports/keys.ts'
import type { Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, deviceFacts, register, type Registered } from '../support/story.ts'
import {
  Answered,
  countRows,
  day,
  endDeviceElsewhere,
  expectProblem,
  findLeaks,
  hour,
  minute,
  race,
} from './support.ts'

describe.each(engines)('check-ins on %s', (engine) => {
  let harness: RoomHarness
  let registered = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(async () => {
    await new Answered().check(harness)
    await harness.close()
  })

  const newcomer = (): Promise<Registered> => {
    registered += 1
    return register(harness.api, harness.mails, `device.${registered}@example.com`)
  }
  const checkIn = (device: Registered, facts: object = {}) =>
    device.api.post('/v1/check-ins', { ...deviceFacts, ...facts })

  const kept = async (device: Registered) => {
    const columns = { seenAt: integer, subscriber: text, factsSealed: blob }
    const statement = `SELECT seen_at AS seenAt, subscriber, facts_sealed AS factsSealed FROM check_ins WHERE device = ?`
    const found = await Promise.all(
      harness.journal.shards().map((shard) => shard.all(query(columns, statement, device.deviceId))),
    )
    return found.flat()
  }
  const factsOf = (device: Registered, factsSealed: Uint8Array): unknown => {
    const place = { table: 'check_ins', column: 'facts_sealed', row: device.deviceId }
    return JSON.parse(openText(harness.keys.journal, place, factsSealed))
  }

  test('the latest report is kept, sealed, to the hour, in the shard of the subscriber', async () => {
    const phone = await newcomer()
    const answer = await checkIn(phone, { appVersion: 'version-of-a-phone' })
    expect([answer.status, answer.body]).toEqual([200, { nextInSeconds: 300, renew: [], renewNow: [] }])
    const [row, ...more] = await kept(phone)
    expect(more).toEqual([])
    expect(row?.subscriber).toBe(phone.subscriberId)
    expect(row?.seenAt).toBe(Math.floor(harness.clock.now / hour) * hour)
    expect(factsOf(phone, row?.factsSealed ?? new Uint8Array())).toEqual({
      ...deviceFacts,
      appVersion: 'version-of-a-phone',
    })
    const shard = harness.journal.shard(phone.subscriberId)
    expect(await countRows(shard, 'check_ins WHERE device = ?', phone.deviceId)).toBe(1)
    expect(await findLeaks(harness, 'version-of-a-phone')).toEqual([])
  })

  test('there is no history: a changed report takes the place of the one before', async () => {
    const phone = await newcomer()
    for (const osVersion of ['26.1', '26.2', '26.3']) expect((await checkIn(phone, { osVersion })).status).toBe(200)
    const rows = await kept(phone)
    expect(rows.map((row) => factsOf(phone, row.factsSealed))).toEqual([{ ...deviceFacts, osVersion: '26.3' }])
  })

  test('a report that says nothing new writes nothing until the next hour', async () => {
    const phone = await newcomer()
    harness.clock.now = Math.ceil(harness.clock.now / hour) * hour
    await checkIn(phone)
    const first = await kept(phone)
    for (let after = 5; after < 60; after += 5) {
      harness.clock.now += 5 * minute
      await checkIn(phone)
    }
    expect(await kept(phone)).toEqual(first)
    // Each device is written at a moment of its own of the next hour, which can be its last one.
    const begun = first[0]?.seenAt ?? 0
    const seen = new Set<number>()
    for (const at of [
      ...Array.from({ length: 12 }, (_, step) => begun + hour + step * 5 * minute),
      begun + 2 * hour - 1,
    ]) {
      harness.clock.now = at
      await checkIn(phone)
      seen.add((await kept(phone))[0]?.seenAt ?? 0)
    }
    expect([...seen].filter((at) => at !== begun)).toEqual([begun + hour])
    expect((await kept(phone))[0]?.factsSealed).not.toEqual(first[0]?.factsSealed)
  })

  test('reports of many devices that say nothing new are written all over the hour', async () => {
    const devices = await Promise.all(Array.from({ length: 40 }, newcomer))
    harness.clock.now = Math.ceil(harness.clock.now / hour) * hour
    for (const device of devices) await checkIn(device)
    const [begun = 0] = (await kept(devices[0] ?? (await newcomer()))).map(({ seenAt }) => seenAt)
    const written = async (): Promise<number> => {
      for (const device of devices) await checkIn(device)
      const rows = await Promise.all(devices.map(kept))
      return rows.flat().filter(({ seenAt }) => seenAt > begun).length
    }
    const after: number[] = []
    for (const minutes of [60, 5, 25, 29]) {
      harness.clock.now += minutes * minute
      after.push(await written())
    }
    const [atOnce = 0, soon = 0, half = 0, most = 0] = after
    expect(atOnce).toBeLessThan(4)
    expect(soon).toBeLessThan(12)
    expect(half).toBeGreaterThan(8)
    expect(half).toBeLessThan(32)
    expect(most).toBeGreaterThan(35)
  })

  test('many reports at once leave one row', async () => {
    const phone = await newcomer()
    const answers = await race(20, (index) => checkIn(phone, { appVersion: `8.1.${index}` }))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect(await kept(phone)).toHaveLength(1)
  })

  test('a report sealed under another month is replaced, not stumbled over', async () => {
    const phone = await newcomer()
    await checkIn(phone)
    harness.clock.now += 40 * day
    expect((await checkIn(phone)).status).toBe(200)
    const unreadable = new Uint8Array(60).fill(7)
    await harness.journal
      .shard(phone.subscriberId)
      .batch([command(`UPDATE check_ins SET facts_sealed = ? WHERE device = ?`, unreadable, phone.deviceId)])
    harness.clock.now += 2 * hour
    expect((await checkIn(phone)).status).toBe(200)
    expect((await kept(phone)).map((row) => factsOf(phone, row.factsSealed))).toEqual([deviceFacts])
  })

  test('a serial number is taken from Android only', async () => {
    const phone = await newcomer()
    expectProblem(await checkIn(phone, { serialNumber: 'R58M12345' }), 422, 'serial_number_not_android')
    expect(await kept(phone)).toEqual([])
    expect((await checkIn(phone, { deviceType: 'Android phone', serialNumber: 'R58M12345' })).status).toBe(200)
    expect(await findLeaks(harness, 'R58M12345')).toEqual([])
  })

  test.each([
    ['an unknown field', { location: 'Berlin' }],
    ['a missing field', { osVersion: undefined }],
    ['a field of the wrong shape', { language: 'Deutsch bitte' }],
    ['more text than a fact has', { deviceType: 'x'.repeat(101) }],
  ])('%s is refused, and nothing is kept', async (_reason, facts) => {
    const phone = await newcomer()
    expectProblem(await checkIn(phone, facts), 422, 'invalid_request')
    expect(await kept(phone)).toEqual([])
  })

  test('without a credential, and with a wrong one, nothing is kept', async () => {
    const before = await Promise.all(harness.journal.shards().map((shard) => countRows(shard, 'check_ins')))
    expectProblem(await harness.api.post('/v1/check-ins', deviceFacts), 401, 'credential_required')
    const wrong = harness.api.with(`cb_dev_${'A'.repeat(43)}`)
    expectProblem(await wrong.post('/v1/check-ins', deviceFacts), 401, 'credential_invalid')
    expect(await Promise.all(harness.journal.shards().map((shard) => countRows(shard, 'check_ins')))).toEqual(before)
  })

  /** Lets time pass until `at` in steps within the 180 days after which an unseen credential ends. */
  const passUntil = async (at: number, ...devices: Registered[]): Promise<void> => {
    while (harness.clock.now < at) {
      harness.clock.now = Math.min(at, harness.clock.now + 100 * day)
      for (const device of devices) expect((await checkIn(device)).status).toBe(200)
    }
  }
  const renewals = async (device: Registered): Promise<string[]> => (await checkIn(device)).body.renew

  test('a renewal is asked for from 30 days before the expiry on, and not after it', async () => {
    const phone = await newcomer()
    const certificate = await certify(phone)
    const expiry = Date.parse(certificate.notAfter)
    expect(expiry - Date.parse(certificate.notBefore)).toBeGreaterThan(90 * day)
    await passUntil(expiry - 30 * day - minute, phone)
    expect(await renewals(phone)).toEqual([])
    for (const before of [30 * day - minute, minute]) {
      await passUntil(expiry - before, phone)
      expect(await renewals(phone)).toEqual([certificate.id])
    }
    await passUntil(expiry + minute, phone)
    expect(await renewals(phone)).toEqual([])
  })

  test('a renewal is urgent from seven days before the expiry on, and not after it', async () => {
    const phone = await newcomer()
    const certificate = await certify(phone)
    const expiry = Date.parse(certificate.notAfter)
    const urgent = async (): Promise<Json> => {
      const { renew, renewNow } = (await checkIn(phone)).body
      return { renew, renewNow }
    }
    await passUntil(expiry - 7 * day - minute, phone)
    expect(await urgent()).toEqual({ renew: [certificate.id], renewNow: [] })
    for (const before of [7 * day - minute, minute]) {
      await passUntil(expiry - before, phone)
      expect(await urgent()).toEqual({ renew: [certificate.id], renewNow: [certificate.id] })
    }
    await passUntil(expiry + minute, phone)
    expect(await urgent()).toEqual({ renew: [], renewNow: [] })
  })

  test('a renewal is asked for of the device that has the certificate, unless it was revoked', async () => {
    const [phone, revoking, other] = [await newcomer(), await newcomer(), await newcomer()]
    const [certificate, revoked] = [await certify(phone), await certify(revoking)]
    await passUntil(Date.parse(certificate.notAfter) - day, phone, revoking, other)
    expect([await renewals(phone), await renewals(revoking), await renewals(other)]).toEqual([
      [certificate.id],
      [revoked.id],
      [],
    ])
    const answer = await revoking.api.post(`/v1/certificates/${revoked.id}/revocation`, { reason: 'superseded' })
    expect(answer.status).toBe(200)
    expect(await renewals(revoking)).toEqual([])
  })

  test('a report goes the night after its device has ended, and 180 days unseen', async () => {
    const [ended, unseen, alive] = [await newcomer(), await newcomer(), await newcomer()]
    await race(3, (index) => checkIn([ended, unseen, alive][index] ?? alive))
    await endDeviceElsewhere(harness, ended.deviceId)
    await harness.runJob('check-ins-prune')
    expect([await kept(ended), (await kept(unseen)).length, (await kept(alive)).length]).toEqual([[], 1, 1])
    harness.clock.now += 179 * day
    await checkIn(alive)
    harness.clock.now += day + hour
    await harness.runJob('check-ins-prune')
    expect([await kept(unseen), (await kept(alive)).length]).toEqual([[], 1])
  })

  test('a journal that cannot be written is said, with when to try again', async () => {
    const phone = await newcomer()
    const rename = async (from: string, to: string): Promise<void> => {
      for (const shard of harness.journal.shards()) await shard.batch([command(`ALTER TABLE ${from} RENAME TO ${to}`)])
    }
    await rename('check_ins', 'check_ins_away')
    try {
      const refused = await checkIn(phone)
      expectProblem(refused, 503, 'log_unavailable')
      expect(refused.headers.get('Retry-After')).toBe('60')
      expect(JSON.stringify(refused.body)).not.toContain('check_ins')
    } finally {
      await rename('check_ins_away', 'check_ins')
    }
    expect((await checkIn(phone)).status).toBe(200)
  })
})
