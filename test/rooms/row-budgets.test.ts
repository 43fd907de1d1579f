import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rowBudgets } from '../../src/ports/row-budgets.ts'
import type { Answer } from '../support/api.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey, prove } from '../support/key-holder.ts'
import {
  certify,
  confirmRegistration,
  publish,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'

import { countEverything, countRows, day, expectProblem } from './support.ts'

const pemOf = async (pair: CryptoKeyPair): Promise<string> => {
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`
}

describe.each(engines)('what leaves a row takes from a budget, on %s', (engine) => {
  let harness: RoomHarness
  const connection = { network: '192.0.2.0/24' }
  let registered = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { connection })
  })
  afterAll(() => harness.close())

  const someone = (): Promise<Registered> =>
    register(harness.api, harness.mails, `someone.${(registered += 1)}@example.com`)

  /** All acts of the day but so many are used up, and the next ones are taken or refused. */
  const leave = async ({ subscriberId }: Pick<Registered, 'subscriberId'>, acts: number): Promise<void> => {
    const today = Math.floor(harness.clock.now / day)
    await harness.main.batch([
      {
        text: `INSERT INTO subscriber_budgets (subscriber, day, used) VALUES (?, ?, ?)
               ON CONFLICT (subscriber, day) DO UPDATE SET used = excluded.used`,
        values: [subscriberId, today, rowBudgets.act.perDay - acts],
      },
    ])
  }

  const language = (of: Registered, to: string): Promise<Answer> => of.api.send('PATCH', '/v1/me', { language: to })
  const entries = (action: string, actor: string): Promise<number> =>
    countRows(harness.main, 'audit_entries WHERE action = ? AND actor = ?', action, actor)

  test('a member changes something as often as the day allows, then is told when to come again', async () => {
    const alice = await someone()
    await leave(alice, 2)
    expect([(await language(alice, 'fr')).status, (await language(alice, 'it')).status]).toEqual([200, 200])
    const before = await countEverything(harness)
    const refused = await language(alice, 'de')
    expectProblem(refused, 429, 'too_many_requests')
    expect(refused.headers.get('Retry-After')).toBe(String((day - (harness.clock.now % day)) / 1_000))
    const { publicKey } = await holdKey('P-256 to sign')
    for (const answer of [
      await alice.api.post('/v1/me/credential'),
      await alice.api.post('/v1/public-keys', { publicKey, use: 'sign' }),
    ]) {
      expectProblem(answer, 429, 'too_many_requests')
    }
    expect(await countEverything(harness)).toEqual(before)
    expect((await alice.api.get('/v1/me')).body.language).toBe('it')
    expect((await language(await someone(), 'fr')).status).toBe(200)
    harness.clock.now += day
    expect((await language(alice, 'de')).status).toBe(200)
  })

  test('what changes nothing leaves nothing, and needs no budget', async () => {
    const alice = await someone()
    const { id } = await certify(alice)
    await publish(alice, id)
    await harness.settled()
    await leave(alice, 0)
    const before = await countEverything(harness)
    expect((await language(alice, 'en')).status).toBe(200)
    expect((await publish(alice, id)).published).toBe(true)
    expect(await countEverything(harness)).toEqual(before)
    const other = { consentVersion: '2026-11', audience: 'public' }
    expectProblem(await alice.api.put(`/v1/certificates/${id}/publication`, other), 429, 'too_many_requests')
    expect(await entries('certificate.published', alice.deviceId)).toBe(1)
  })

  test('withdrawal, revocation and a certificate are always possible', async () => {
    const alice = await someone()
    const { id } = await certify(alice)
    await publish(alice, id)
    await leave(alice, 0)
    expect((await alice.api.delete(`/v1/certificates/${id}/publication`)).status).toBe(204)
    expect((await alice.api.post(`/v1/certificates/${id}/revocation`, { reason: 'superseded' })).status).toBe(200)
    await certify(alice)
  })

  test('a credential that nobody used is replaced as often as the day allows', async () => {
    const started = await startRegistration(harness.api, 'replacing@example.com')
    await confirmRegistration(harness.api, harness.mails, started)
    const mint = (): Promise<Answer> =>
      harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`)
    const { subscriberId, deviceId } = (await mint()).body
    await leave({ subscriberId }, 1)
    expect((await mint()).status).toBe(201)
    expectProblem(await mint(), 429, 'too_many_requests')
    expect(await entries('credential.replaced', deviceId)).toBe(1)
  })

  test('the counts are forgotten', async () => {
    harness.clock.now += 4 * day
    await harness.runJob('registrations-prune')
    expect(await countRows(harness.main, 'subscriber_budgets')).toBe(0)
  })

  describe('of compromised keys', () => {
    const report = (privateKey: string): Promise<Answer> => harness.api.post('/v1/key-compromise', { privateKey })
    const inOrder = async (): Promise<number> => countRows(harness.main, 'unknown_keys')

    test('an unknown one is blocked without an entry, and cannot be certified', async () => {
      const alice = await someone()
      const pair = await makeKeys()
      const before = await countRows(harness.main, 'audit_entries')
      expect((await report(await pemOf(pair))).status).toBe(200)
      expect(await countRows(harness.main, 'audit_entries')).toBe(before)
      const asked = await alice.api.post('/v1/certificate-requests', {
        csr: await makeCsr({ keys: pair }),
        use: 'sign',
      })
      expect(asked.body.code).toBe('key_blocked')
      expect((await report(await pemOf(pair))).status).toBe(200)
      expect(await countRows(harness.main, 'blocked_keys')).toBe(0)
    })

    test('one network keeps its newest of the day, and those of others stay', async () => {
      const first = await inOrder()
      connection.network = '198.51.100.0/24'
      for (let sent = 0; sent < rowBudgets.unknown_key.perDay + 10; sent++) {
        expect((await report(await pemOf(await makeKeys()))).status).toBe(200)
      }
      expect(await inOrder()).toBe(first + rowBudgets.unknown_key.perDay)
      const last = await makeKeys()
      const proved = await holdKey('P-256 to sign')
      const made = await harness.api.post('/v1/key-compromise', { publicKey: proved.publicKey })
      const proof = await prove(proved, made.body, new URL(harness.config.publicUrl).origin, 'compromise')
      expect((await harness.api.post(`/v1/key-compromise/${made.body.id}/proof`, { proof })).status).toBe(200)
      expect((await report(await pemOf(last))).status).toBe(200)
      expect(await inOrder()).toBe(first + rowBudgets.unknown_key.perDay)
      connection.network = '192.0.2.0/24'
      harness.clock.now += day
      expect((await report(await pemOf(await makeKeys()))).status).toBe(200)
      expect(await inOrder()).toBe(first + rowBudgets.unknown_key.perDay + 1)
    })

    test('one that is certified or was asked for is blocked for good after any number of others, with its entry', async () => {
      const alice = await someone()
      const pair = await makeKeys()
      const { id } = await certify(alice, { csr: await makeCsr({ keys: pair }) })
      const blocked = await countRows(harness.main, `audit_entries WHERE action = 'key.blocked'`)
      expect((await report(await pemOf(pair))).status).toBe(200)
      expect((await alice.api.get(`/v1/certificates/${id}`)).body.state).toBe('revoked')
      expect(await countRows(harness.main, `audit_entries WHERE action = 'key.blocked'`)).toBe(blocked + 1)
      expect(await countRows(harness.main, 'blocked_keys')).toBe(1)
    })

    test('all networks together have ten thousand, and the oldest go first', async () => {
      const full = { text: `DELETE FROM unknown_keys`, values: [] }
      const fill = {
        text: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
               INSERT INTO unknown_keys (key_index, sender) SELECT 'filler ' || i, CAST('elsewhere' AS BLOB) FROM n`,
        values: [],
      }
      await harness.main.batch([full, fill])
      expect((await report(await pemOf(await makeKeys()))).status).toBe(200)
      expect(await inOrder()).toBe(10_000)
      expect(await countRows(harness.main, `unknown_keys WHERE key_index = 'filler 1'`)).toBe(0)
      expect(await countRows(harness.main, `unknown_keys WHERE key_index = 'filler 2'`)).toBe(1)
    })
  })
})
