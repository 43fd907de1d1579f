import assert from 'node:assert/strict'
import { markActive, readConnection, updateConnection, type ConnectionRow } from '../../src/cas/store.ts'
import { readingElsewhere } from '../rooms/support.ts'
import 'reflect-metadata'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Api, Json } from '../support/api.ts'
import { localOperator } from '../support/administrators.ts'
import {
  askForOne,
  bringIn,
  cfsslAt,
  connectCa,
  ejbcaAt,
  estAt,
  notExactlyOne,
  operatorsView,
  passMinutes,
  statesOf,
} from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { startEjbcaStub } from '../support/ejbca-stub.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { command } from '../../src/ports/database.ts'
import { startLossyProxy } from '../support/lossy-proxy.ts'
import { register, type Registered } from '../support/story.ts'

const hour = 3_600_000

describe.each(engines)('the request engine, on %s', (engine) => {
  let harness: RoomHarness
  let ca: CountingCa
  let operator: Api
  let alice: Registered
  let bob: Registered

  beforeEach(async () => {
    harness = await openRoomHarness(engine)
    ca = await startCountingCa(() => harness.clock.now)
    operator = localOperator(harness)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    bob = await register(harness.api, harness.mails, 'bob@example.com')
  })
  afterEach(async () => {
    await harness.close()
    await ca.close()
  })

  const expectSound = async (): Promise<void> => expect(await harness.service.check()).toEqual([])
  const enrolledSince = async (csr: string): Promise<void> => {
    const body = csr.replaceAll(/-----[^-]+-----|\s/g, '')
    expect((await fetch(`${ca.url}/.well-known/est/simpleenroll`, { method: 'POST', body })).status).toBe(200)
  }
  /** Connects a CA by these rules. */
  const connectBy = async (settings: unknown, ...rules: readonly object[]): Promise<void> => {
    const made = await operator.post('/v1/admin/ca-connections', settings)
    for (const [at, rule] of rules.entries()) {
      const body = { position: at + 1, connectionId: made.body.id, ...rule }
      const added = await operator.post('/v1/admin/routing-rules', body)
      expect(added.status, JSON.stringify(added.body)).toBe(201)
    }
  }
  const settle = (id: string, outcome: 'submit_again' | 'failed') =>
    operator.post(`/v1/admin/certificate-requests/${id}/settlement`, { outcome })
  const pause = (connection: Json) => operator.post(`/v1/admin/ca-connections/${connection.id}/pause`)
  const resume = (connection: Json) => operator.post(`/v1/admin/ca-connections/${connection.id}/resumption`)

  test('a request that comes back into the queue after its mailbox moved ends, and holds up nobody', async () => {
    const proxy = await startLossyProxy(ca.port)
    try {
      await connectCa(operator, cfsslAt(ca, `http://127.0.0.1:${proxy.port}`))
      await proxy.behave('drop-answer')
      const lost = await askForOne(alice)
      await harness.settled()
      await proxy.behave('pass')
      await register(harness.api, harness.mails, alice.email)
      expect((await settle(lost.id, 'submit_again')).status).toBe(200)
      await harness.settled()
      expect(await operatorsView(operator, lost.id)).toMatchObject({ state: 'cancelled', reason: 'mailbox_ended' })
      const next = await askForOne(bob)
      await passMinutes(harness, 3)
      expect(await statesOf(operator, [next])).toEqual({ issued: 1 })
      expect(ca.issuedFor(lost.key)).toHaveLength(1)
      await expectSound()
    } finally {
      await proxy.close()
    }
  })

  test('an order that its CA never takes does not keep those behind it waiting', async () => {
    await connectBy(estAt(ca, ca.url), { domain: 'example.org', profile: 'no-such-label' }, {})
    const carol = await register(harness.api, harness.mails, 'carol@example.org')
    const poisoned = await askForOne(carol)
    await passMinutes(harness, 5)
    expect((await operatorsView(operator, poisoned.id)).state).toBe('received')
    const others = [await askForOne(bob), await askForOne(alice)]
    await passMinutes(harness, 30)
    expect(await statesOf(operator, others)).toEqual({ issued: 2 })
    expect((await operatorsView(operator, poisoned.id)).state).toBe('received')
  })

  describe('the data goes back to an older copy', () => {
    test.each([
      ['one that answers again', true],
      ['any other', false],
    ] as const)('what waited for an approval is sent to no CA without it: %s', async (_, answersAgain) => {
      await connectBy(estAt(ca, ca.url, { answersAgain }), { approvals: 1 })
      const asked = await askForOne(alice)
      expect((await operatorsView(operator, asked.id)).state).toBe('awaiting_approval')
      await harness.service.afterRestore('the copy of the test', null)
      await passMinutes(harness, 5)
      expect(ca.arrivals).toHaveLength(0)
      expect((await operatorsView(operator, asked.id)).state).toBe('outcome_unknown')
      expect((await settle(asked.id, 'submit_again')).status).toBe(200)
      await passMinutes(harness, 5)
      expect(ca.arrivals).toHaveLength(0)
      expect((await operatorsView(operator, asked.id)).state).toBe('awaiting_approval')
      const approved = await operator.post(`/v1/admin/certificate-requests/${asked.id}/approval`)
      expect(approved.status, JSON.stringify(approved.body)).toBe(200)
      await passMinutes(harness, 1)
      expect((await operatorsView(operator, asked.id)).state).toBe('issued')
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })

    test('what the CA has made since the copy is taken, however long ago that was', async () => {
      const connection = await connectCa(operator, cfsslAt(ca, ca.url))
      await pause(connection)
      const asked = await askForOne(alice)
      const body = JSON.stringify({ certificate_request: asked.csr, hosts: [alice.email] })
      await fetch(`${ca.url}/api/v1/cfssl/sign`, { method: 'POST', body })
      harness.clock.now += 5 * hour
      await harness.service.afterRestore('the copy of the test', null)
      const [issued] = ca.issuedFor(asked.key)
      const brought = await bringIn(operator, asked.id, issued ?? new Uint8Array())
      expect(brought.status, JSON.stringify(brought.body)).toBe(200)
      expect(brought.body.state).toBe('issued')
      await expectSound()
    })

    test('what is cancelled before its CA was asked is not ordered there once more', async () => {
      ca.mood.makesWait = true
      const connection = await connectCa(operator, estAt(ca, ca.url))
      const asked = await askForOne(alice)
      await pause(connection)
      ca.mood.makesWait = false
      await enrolledSince(asked.csr)
      await harness.service.afterRestore('the copy of the test', null)
      expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
      await resume(connection)
      await passMinutes(harness, 20)
      expect(notExactlyOne(ca, [asked])).toEqual({})
      expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: true })
      const warnings = async () => (await harness.api.get('/readyz')).body.warnings
      expect(await warnings()).toEqual([expect.stringContaining('Of 1 request at the CA connection Mail CA that came')])
      expect((await settle(asked.id, 'failed')).status).toBe(200)
      expect(await warnings()).toEqual([])
      await expectSound()
    })
  })

  test('what is cancelled while its CA is asked, and whose answer is lost, is not ordered there once more', async () => {
    ca.mood.makesWait = true
    await connectCa(operator, estAt(ca, ca.url))
    const asked = await askForOne(alice)
    ca.mood.makesWait = false
    const answers = Promise.withResolvers<void>()
    ca.mood.held = answers.promise
    harness.clock.now += 120_000
    const asking = harness.runJob('requests-resume')
    await expect.poll(() => ca.count()).toBe(1)
    expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
    await ca.goDown()
    answers.resolve()
    ca.mood.held = null
    await asking
    await harness.settled()
    await ca.comeBack()
    await passMinutes(harness, 20)
    expect(notExactlyOne(ca, [asked])).toEqual({})
    expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: true })
    await expectSound()
  })
  test('a connection that cannot be opened any more keeps no other from its work', async () => {
    const broken = await connectCa(operator, cfsslAt(ca, ca.url))
    await pause(broken)
    const stuck = await askForOne(alice)
    const body = { ...estAt(ca, ca.url), name: 'Another CA' }
    const other = (await operator.post('/v1/admin/ca-connections', body)).body
    await pause(other)
    const rules = (await operator.get('/v1/admin/routing-rules')).body
    await operator.put(`/v1/admin/routing-rules/${rules.items[0].id}`, { position: 1, connectionId: other.id })
    const next = await askForOne(bob)
    expect(next.answer.body.state).toBe('received')
    const rowOf = async (id: string): Promise<ConnectionRow> => {
      const row = await readConnection(readingElsewhere(harness), id)
      assert.ok(row !== null)
      return row
    }
    const { keys, clock, main } = harness
    for (const { id } of [broken, other]) await main.batch(markActive(keys, await rowOf(id), clock.now))
    const unreadable = { ...(await rowOf(broken.id)), settings: '{}' }
    await main.batch(updateConnection(keys, await rowOf(broken.id), unreadable, clock.now))
    await harness.main.batch([
      command(`UPDATE ca_connections SET open_until = 1 WHERE id = ?`, broken.id),
      command(
        `UPDATE certificate_requests SET state = 'submitting', claim = 'gone', due_at = 1, open_at_ca = 1 WHERE id = ?`,
        stuck.id,
      ),
    ])
    harness.clock.now += 60_000
    await expect(harness.runJob('requests-resume')).rejects.toThrow()
    await harness.settled()
    expect((await operatorsView(operator, next.id)).state).toBe('issued')
  })
  test('a certificate that its CA is to revoke is kept for no later request with the same CSR', async () => {
    ca.mood.makesWait = true
    ca.mood.answersAgain = true
    await connectCa(operator, estAt(ca, ca.url, { answersAgain: true }))
    const asked = await askForOne(alice)
    expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
    ca.mood.makesWait = false
    await passMinutes(harness, 5)
    const [revocation] = (await operator.get('/v1/admin/ca-revocations')).body.items
    expect(revocation).toMatchObject({ requestId: asked.id, state: 'by_hand' })
    const again = await alice.api.post('/v1/certificate-requests', { csr: asked.csr, use: 'dual' })
    expect(again.body).toMatchObject({ state: 'failed', reason: 'revoked_at_ca', certificate: null })
    expect((await alice.api.get('/v1/certificates')).body.items).toEqual([])
    await expectSound()
  })
  test('a certificate that comes late does not take the place of one that was asked for after it', async () => {
    const proxy = await startLossyProxy(ca.port)
    try {
      await connectCa(operator, cfsslAt(ca, `http://127.0.0.1:${proxy.port}`))
      await proxy.behave('drop-answer')
      const late = await askForOne(alice)
      await harness.settled()
      await proxy.behave('pass')
      harness.clock.now += 60_000
      const next = await askForOne(alice)
      expect(next.answer.body.state).toBe('issued')
      const [made] = ca.issuedFor(late.key)
      expect((await bringIn(operator, late.id, made ?? new Uint8Array())).status).toBe(200)
      expect(await statesOf(operator, [next])).toEqual({ issued: 1 })
      expect(await statesOf(operator, [late])).toEqual({ ended: 1 })
      const { items } = (await alice.api.get('/v1/certificates')).body
      expect(items.map(({ id, state }: Json) => [id === next.answer.body.certificate.id, state]).toSorted()).toEqual([
        [false, 'superseded'],
        [true, 'valid'],
      ])
      await expectSound()
    } finally {
      await proxy.close()
    }
  })
  test('a connection leads to no other CA while the one that it leads to may have a request', async () => {
    const ejbca = await startEjbcaStub(() => harness.clock.now)
    const other = await startEjbcaStub(() => harness.clock.now)
    try {
      const { id } = await connectCa(operator, ejbcaAt(ejbca, ejbca.url))
      const path = `/v1/admin/ca-connections/${id}`
      const moveAway = async () => {
        const { version } = (await operator.get(path)).body
        return operator.put(path, ejbcaAt(other, other.url), { 'If-Match': `"${version}"` })
      }
      Object.assign(ejbca.mood, { afterSigning: 'cut off', search: 'missing' })
      const asked = await askForOne(alice)
      await harness.settled()
      const refused = await moveAway()
      expect([refused.status, refused.body.code]).toEqual([409, 'connection_in_use'])
      await passMinutes(harness, 30)
      expect([...other.issued().values()]).toEqual([])
      Object.assign(ejbca.mood, { afterSigning: 'answer', search: 'answers' })
      await passMinutes(harness, 30)
      expect(await statesOf(operator, [asked])).toEqual({ issued: 1 })
      expect([...ejbca.issued().values()]).toEqual([1])
      expect((await moveAway()).status).toBe(200)
      await expectSound()
    } finally {
      await ejbca.close()
      await other.close()
    }
  })
})
