import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { integer, query, type Query, type Reader } from '../../src/ports/database.ts'
import { readOwn } from '../../src/query-log/store.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey, prove } from '../support/key-holder.ts'
import { certify, lookUp, publish, register, startRegistration } from '../support/story.ts'
import { day, passUntil } from './support.ts'

describe.each(engines)('what could go wrong between rooms, on %s', (engine) => {
  let harness: RoomHarness
  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  const count = async (table: string): Promise<number> => {
    const row = await harness.main.first(query({ rows: integer }, `SELECT COUNT(*) AS rows FROM ${table}`))
    return row?.rows ?? 0
  }

  test('a withdrawal by the id of the certificate before the renewal withdraws what was published for it', async () => {
    const { api, mails } = harness
    const alice = await register(api, mails, 'alice@example.com')
    const bob = await register(api, mails, 'bob@example.com')
    const first = await certify(alice)
    await publish(alice, first.id)
    await certify(alice)
    expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('found')
    expect((await alice.api.delete(`/v1/certificates/${first.id}/publication`)).status).toBe(204)
    expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('not_found')
  })

  test('a key that is reported again leaves no second trace', async () => {
    const key = await holdKey('P-256 to sign')
    const report = async (): Promise<number> => {
      const made = await harness.api.post('/v1/key-compromise', { publicKey: key.publicKey })
      const proof = await prove(key, made.body, new URL(harness.config.publicUrl).origin, 'compromise')
      return (await harness.api.post(`/v1/key-compromise/${made.body.id}/proof`, { proof })).status
    }
    expect(await report()).toBe(200)
    const before = [await count('audit_entries'), await count('blocked_keys')]
    expect(await report()).toBe(200)
    expect([await count('audit_entries'), await count('blocked_keys')]).toEqual(before)
  })

  test('of many disclosed keys at once two are read, and the others are told to come again', async () => {
    const reports = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
        const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
        return { privateKey: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n` }
      }),
    )
    const send = (report: object) => harness.api.post('/v1/key-compromise', report)
    const answers = await Promise.all(reports.map(send))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 503]))
    const busy = answers.findIndex(({ status }) => status === 503)
    expect([answers[busy]?.body.code, answers[busy]?.headers.get('Retry-After')]).toEqual(['overloaded', '5'])
    expect(harness.log.filter((line) => line.includes('"request_failed"'))).toEqual([])
    expect((await send(reports[busy] ?? {})).status).toBe(200)
  })

  test('of somebody who never confirms nothing stays that names them', async () => {
    const before = await count('audit_private')
    await startRegistration(harness.api, 'never@example.com')
    await harness.settled()
    harness.clock.now += 10 * day
    for (const job of ['registrations-prune', 'mail-prune']) await harness.runJob(job)
    expect(await count('audit_private')).toBe(before)
  })

  test('a certificate that has run out is not revoked any more, and makes no list', async () => {
    const { api, mails } = harness
    const carol = await register(api, mails, 'carol@example.com')
    const first = await certify(carol)
    await certify(carol)
    await passUntil(harness, harness.clock.now + 410 * day, [carol])
    await harness.runJob('revocation-lists')
    const numbers = async (): Promise<number> =>
      count(`certificate_revocation_lists WHERE number > ${Math.floor(harness.clock.now / 1_000)}`)
    const revoked = await carol.api.post(`/v1/certificates/${first.id}/revocation`, { reason: 'superseded' })
    expect([revoked.status, revoked.body.state]).toEqual([200, 'superseded'])
    await harness.runJob('revocation-lists')
    expect(await numbers()).toBe(0)
  })

  test('what cannot be decoded in an OCSP address is an OCSP error', async () => {
    for (const path of ['/ocsp/x/%25', '/ocsp/x/%', '/ocsp/x/%ff', '/ocsp/x/AAAA']) {
      const answer = await harness.ask(path)
      expect([path, answer.status, answer.headers.get('Content-Type')]).toEqual([
        path,
        200,
        'application/ocsp-response',
      ])
    }
    const typed = await harness.ask('/ocsp/x', { method: 'POST', headers: { 'Content-Length': '3' }, body: 'abc' })
    expect(typed.headers.get('Content-Type')).toBe('application/ocsp-response')
  })

  test('a row that is moved while its asker reads is not lost', async () => {
    const { api, mails } = harness
    const dave = await register(api, mails, 'dave@example.com')
    await lookUp(dave, ['moved@example.com'])
    harness.clock.now += 60_000
    const shard = harness.journal.shard(dave.subscriberId)
    let reads = 0
    const movingBetween: Reader = {
      first: (question) => shard.first(question),
      all: async <T>(question: Query<T>): Promise<T[]> => {
        reads += 1
        if (reads === 2) await harness.runJob('query-log-move')
        return shard.all(question)
      },
    }
    expect(await readOwn(movingBetween, dave.subscriberId, Number.MAX_SAFE_INTEGER, 10)).toHaveLength(1)
  })
})

test('over plain HTTP from elsewhere only lists, OCSP and CA certificates are answered, under the host of PKI_URL', async () => {
  const harness = await openRoomHarness('sqlite', {
    settings: { PKI_URL: 'http://pki.example.com', PUBLIC_URL: 'https://keys.example.com' },
    connection: { secure: false, mayForward: true },
  })
  try {
    const ask = async (url: string): Promise<number> => (await harness.service.fetch(new Request(url))).status
    expect(await ask('http://pki.example.com/ca/nothing.crl')).toBe(404)
    expect(await ask('http://pki.example.com/ocsp/nothing/AAAA')).toBe(200)
    expect(await ask('http://pki.example.com/v1/policy')).toBe(403)
    expect(await ask('http://keys.example.com/ca/nothing.crl')).toBe(403)
  } finally {
    await harness.close()
  }
})

test.each([
  ['https://keys.example.com', 'max-age=31536000'],
  ['http://127.0.0.1:8080', null],
])('clients of %s are told to stay with HTTPS: %s', async (url, expected) => {
  const harness = await openRoomHarness('sqlite', { settings: { PUBLIC_URL: url } })
  try {
    const { headers } = await harness.ask('/v1/policy')
    expect(headers.get('Strict-Transport-Security')).toBe(expected)
  } finally {
    await harness.close()
  }
})
