import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Answer, Api, Json } from '../support/api.ts'
import { localOperator } from '../support/administrators.ts'
import {
  askForMany,
  askForOne,
  bringIn,
  cfsslAt,
  connectCa,
  ejbcaAt,
  estAt,
  newCsr,
  notExactlyOne,
  operatorsView,
  ownView,
  passMinutes,
  statesOf,
} from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { startEjbcaStub } from '../support/ejbca-stub.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startLossyProxy } from '../support/lossy-proxy.ts'
import { joinDevice, register, type Registered } from '../support/story.ts'

const day = 86_400_000

describe.each(engines)('what happens while a CA has a request, on %s', (engine) => {
  let harness: RoomHarness
  let ca: CountingCa
  let operator: Api
  let alice: Registered
  /** By how much the CA's clock is ahead. */
  let ahead = 0

  beforeEach(async () => {
    ahead = 0
    harness = await openRoomHarness(engine)
    ca = await startCountingCa(() => harness.clock.now + ahead)
    operator = localOperator(harness)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
  })
  afterEach(async () => {
    await harness.close()
    await ca.close()
  })

  const expectSound = async (): Promise<void> => expect(await harness.service.check()).toEqual([])
  const revocations = async (): Promise<Json[]> => {
    await harness.runJob('ca-revocations')
    await harness.settled()
    return (await operator.get('/v1/admin/ca-revocations')).body.items
  }
  const serialOf = (certificate: Uint8Array | undefined): string =>
    BigInt(`0x${new X509Certificate(certificate ?? new Uint8Array()).serialNumber}`).toString()
  /** Has the CA take a request and keep its answer back. */
  const whileHeld = async (act: () => Promise<void>): Promise<Answer> => {
    const answers = Promise.withResolvers<void>()
    ca.mood.held = answers.promise
    const { csr } = await newCsr(alice.email)
    const asking = alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    await ca.arrived(1)
    await act()
    answers.resolve()
    const answer = await asking
    await harness.settled()
    return answer
  }

  describe('the clocks are a day apart', () => {
    test.each([
      ['ahead', day, 'not_yet_valid'],
      ['behind', -day, 'validity_too_long'],
    ] as const)(
      "the CA's is %s: each request ends by name, and the same key is certified once they agree",
      async (_, by, reason) => {
        await connectCa(operator, cfsslAt(ca, ca.url))
        ahead = by
        const asked = await askForOne(alice)
        expect(await ownView(asked)).toMatchObject({ state: 'failed', reason, certificate: null })
        const shown = await operatorsView(operator, asked.id)
        expect(shown).toMatchObject({ state: 'failed', reason, openAtCa: false })
        expect(serialOf(new X509Certificate(shown.returnedCertificate).raw)).toBe(serialOf(ca.issuedFor(asked.key)[0]))
        expect(ca.count()).toBe(1)
        await passMinutes(harness, 10)
        expect(ca.count()).toBe(1)

        ahead = 0
        const again = await alice.api.post('/v1/certificate-requests', { csr: asked.csr, use: 'dual' })
        expect([again.status, again.body.state]).toEqual([201, 'issued'])
        expect(again.body.id).not.toBe(asked.id)
        expect(ca.issuedFor(asked.key)).toHaveLength(2)
        await expectSound()
      },
    )

    test("this service's was a day ahead: what waits goes on as soon as the operator says so", async () => {
      const connection = await connectCa(operator, cfsslAt(ca, ca.url))
      await ca.goDown()
      harness.clock.now += day
      const asked = await askForMany([alice], 5)
      await passMinutes(harness, 3)
      harness.clock.now -= day
      await ca.comeBack()
      await passMinutes(harness, 10)
      expect(await statesOf(operator, asked)).toEqual({ received: 5 })
      expect((await harness.api.get('/readyz')).body.warnings).toEqual([expect.stringContaining('Mail CA has failed')])
      expect((await operator.post(`/v1/admin/ca-connections/${connection.id}/resumption`)).status).toBe(200)
      await harness.settled()
      expect(await statesOf(operator, asked)).toEqual({ issued: 1, ended: 4 })
      expect(notExactlyOne(ca, asked)).toEqual({})
      await expectSound()
    })
  })

  describe('the same CSR comes from elsewhere', () => {
    const refusals = async (csr: string, other: Registered, mallory: Registered): Promise<unknown[]> => {
      const answers = await Promise.all(
        [other, mallory].map(({ api }) => api.post('/v1/certificate-requests', { csr, use: 'dual' })),
      )
      return answers.map(({ status, body }) => [status, body.code])
    }
    const refused = [
      [409, 'key_already_used'],
      [409, 'key_belongs_to_another'],
    ]

    test('it is refused while the first waits, while nobody knows of it, and when it is issued', async () => {
      const proxy = await startLossyProxy(ca.port)
      try {
        await connectCa(operator, cfsslAt(ca, `http://127.0.0.1:${proxy.port}`))
        const other = await joinDevice(harness.api, harness.mails, alice)
        const mallory = await register(harness.api, harness.mails, 'mallory@example.com')
        const { key, csr } = await newCsr(null)
        const ask = () => alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })

        await proxy.behave('refuse')
        const { id } = (await ask()).body
        expect((await operatorsView(operator, id)).state).toBe('received')
        expect(await refusals(csr, other, mallory)).toEqual(refused)

        await proxy.behave('drop-answer')
        await passMinutes(harness, 6)
        expect((await operatorsView(operator, id)).state).toBe('outcome_unknown')
        expect(await refusals(csr, other, mallory)).toEqual(refused)
        const repeated = await ask()
        expect([repeated.status, repeated.body.id, repeated.body.state]).toEqual([200, id, 'pending'])

        await proxy.behave('pass')
        await bringIn(operator, id, ca.issuedFor(key)[0] ?? new Uint8Array())
        expect((await ask()).body).toMatchObject({ id, state: 'issued' })
        expect(await refusals(csr, other, mallory)).toEqual(refused)
        expect(ca.issuedFor(key)).toHaveLength(1)
        expect(ca.count()).toBe(1)
        await expectSound()
      } finally {
        await proxy.close()
      }
    })

    test('it is refused while the CA makes the first wait', async () => {
      ca.mood.makesWait = true
      await connectCa(operator, estAt(ca, ca.url))
      const other = await joinDevice(harness.api, harness.mails, alice)
      const mallory = await register(harness.api, harness.mails, 'mallory@example.com')
      const { csr } = await newCsr(null)
      const first = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
      expect((await operatorsView(operator, first.body.id)).state).toBe('pending')
      expect(await refusals(csr, other, mallory)).toEqual(refused)
    })
  })

  describe('it is cancelled', () => {
    test('while nobody knows of it: what the operator finds at the CA is revoked there', async () => {
      const proxy = await startLossyProxy(ca.port)
      try {
        await connectCa(operator, cfsslAt(ca, `http://127.0.0.1:${proxy.port}`))
        await proxy.behave('drop-answer')
        const asked = await askForOne(alice)
        await harness.settled()
        await proxy.behave('pass')
        expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
        expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: true })
        await passMinutes(harness, 10)
        const [made] = ca.issuedFor(asked.key)
        await bringIn(operator, asked.id, made ?? new Uint8Array())
        expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: false })
        expect(await revocations()).toMatchObject([{ requestId: asked.id, state: 'confirmed', certificateId: null }])
        expect([...ca.revoked]).toEqual([serialOf(made)])
        expect((await alice.api.get('/v1/certificates')).body.items).toEqual([])
        expect(notExactlyOne(ca, [asked])).toEqual({})
        await expectSound()
      } finally {
        await proxy.close()
      }
    })

    test('while it waits at a CA that cannot be told: what is issued all the same is to be revoked by hand', async () => {
      ca.mood.makesWait = true
      await connectCa(operator, estAt(ca, ca.url))
      const asked = await askForOne(alice)
      expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
      ca.mood.makesWait = false
      await passMinutes(harness, 5)
      expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: false })
      expect(await revocations()).toMatchObject([{ requestId: asked.id, state: 'by_hand' }])
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })

    test('while it waits for an approval at an EJBCA: what is issued all the same is revoked there', async () => {
      const ejbca = await startEjbcaStub(() => harness.clock.now)
      try {
        ejbca.mood.approval = 'request_id'
        await connectCa(operator, ejbcaAt(ejbca, ejbca.url))
        const asked = await askForOne(alice)
        expect((await operatorsView(operator, asked.id)).state).toBe('pending')
        expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
        ejbca.decide('approved')
        await passMinutes(harness, 5)
        expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: false })
        expect(await revocations()).toMatchObject([{ requestId: asked.id, state: 'confirmed' }])
        expect(ejbca.revoked.size).toBe(1)
        expect([...ejbca.issued().values()]).toEqual([1])
        await expectSound()
      } finally {
        await ejbca.close()
      }
    })
  })

  test('its mailbox moves away: the certificate is kept for nobody, and revoked where it was issued', async () => {
    await connectCa(operator, cfsslAt(ca, ca.url))
    const answer = await whileHeld(async () => {
      await register(harness.api, harness.mails, alice.email)
    })
    expect(answer.body).toMatchObject({ state: 'failed', reason: 'mailbox_ended', certificate: null })
    expect(await revocations()).toMatchObject([{ requestId: answer.body.id, state: 'confirmed' }])
    expect(ca.revoked.size).toBe(1)
    expect(ca.count()).toBe(1)
    await expectSound()
  })

  test('its device ends: the certificate is kept for nobody, and revoked where it was issued', async () => {
    await connectCa(operator, cfsslAt(ca, ca.url))
    const other = await joinDevice(harness.api, harness.mails, alice)
    await whileHeld(async () => {
      const ended = await other.api.delete(`/v1/me/devices/${alice.deviceId}`)
      expect(ended.status, JSON.stringify(ended.body)).toBe(204)
    })
    const [request] = (await operator.get('/v1/admin/certificate-requests')).body.items
    expect(request).toMatchObject({ state: 'failed', reason: 'device_ended' })
    expect(await revocations()).toMatchObject([{ requestId: request.id, state: 'confirmed' }])
    expect(ca.count()).toBe(1)
    await expectSound()
  })

  describe('the data goes back to an older copy', () => {
    /** Does at the CA what the service did after the copy was made, of which the copy knows nothing. */
    const sentSince = async (path: string, body: string, headers: Record<string, string> = {}): Promise<void> => {
      const answer = await fetch(ca.url + path, { method: 'POST', body, headers })
      expect(answer.status).toBe(200)
    }

    test('what waited to be sent may have been: the operator brings in what the CA has made', async () => {
      const connection = await connectCa(operator, cfsslAt(ca, ca.url))
      await operator.post(`/v1/admin/ca-connections/${connection.id}/pause`)
      const asked = await askForMany([alice], 3)
      const [sent] = asked
      await sentSince('/api/v1/cfssl/sign', JSON.stringify({ certificate_request: sent?.csr, hosts: [alice.email] }))
      await harness.service.afterRestore('the copy of the test', null)
      await operator.post(`/v1/admin/ca-connections/${connection.id}/resumption`)
      await passMinutes(harness, 10)
      expect(await statesOf(operator, asked)).toEqual({ outcome_unknown: 3 })
      expect(ca.arrivals).toHaveLength(1)
      for (const { id, key } of asked) {
        const [made] = ca.issuedFor(key)
        if (made !== undefined) expect((await bringIn(operator, id, made)).status).toBe(200)
        else await operator.post(`/v1/admin/certificate-requests/${id}/settlement`, { outcome: 'submit_again' })
      }
      await harness.settled()
      expect(await statesOf(operator, asked)).toEqual({ issued: 1, ended: 2 })
      expect(notExactlyOne(ca, asked)).toEqual({})
      await expectSound()
    })

    test('what was cancelled while it waited at the CA may have been issued: it is not asked for a second time', async () => {
      ca.mood.makesWait = true
      await connectCa(operator, estAt(ca, ca.url))
      const asked = await askForOne(alice)
      expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
      ca.mood.makesWait = false
      await sentSince('/.well-known/est/simpleenroll', asked.csr.replaceAll(/-----[^-]+-----|\s/g, ''))
      await harness.service.afterRestore('the copy of the test', null)
      await passMinutes(harness, 10)
      expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'cancelled', openAtCa: true, dueAt: null })
      const [made = new Uint8Array()] = ca.issuedFor(asked.key)
      await bringIn(operator, asked.id, made)
      expect(await revocations()).toMatchObject([{ requestId: asked.id, state: 'by_hand' }])
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })

    test.each([
      ['one that answers again is asked', true, 'issued'],
      ['of any other the operator has to say', false, 'outcome_unknown'],
    ] as const)('what waited at the CA may have been issued: %s', async (_, answersAgain, state) => {
      ca.mood.makesWait = true
      ca.mood.answersAgain = answersAgain
      await connectCa(operator, estAt(ca, ca.url, { answersAgain }))
      const asked = await askForOne(alice)
      ca.mood.makesWait = false
      await sentSince('/.well-known/est/simpleenroll', asked.csr.replaceAll(/-----[^-]+-----|\s/g, ''))
      await harness.service.afterRestore('the copy of the test', null)
      await passMinutes(harness, 10)
      expect((await operatorsView(operator, asked.id)).state).toBe(state)
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })
  })
})
