import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Api } from '../support/api.ts'
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
  ownView,
  passMinutes,
} from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { startEjbcaStub } from '../support/ejbca-stub.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts'
import { register, type Registered } from '../support/story.ts'

const leaseMinutes = 6

describe.each(engines)('an answer of a CA that is lost, on %s', (engine) => {
  let harness: RoomHarness
  let ca: CountingCa
  let proxy: LossyProxy
  let operator: Api
  let alice: Registered

  beforeEach(async () => {
    harness = await openRoomHarness(engine)
    ca = await startCountingCa(() => harness.clock.now)
    proxy = await startLossyProxy(ca.port)
    operator = localOperator(harness)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
  })
  afterEach(async () => {
    await harness.close()
    await proxy.close()
    await ca.close()
  })

  const throughProxy = (): string => `http://127.0.0.1:${proxy.port}`
  const expectSound = async (): Promise<void> => expect(await harness.service.check()).toEqual([])

  test.each(['drop-answer', 'half-answer', 'hang'] as const)(
    '%s of CFSSL: nothing is sent again, and the operator brings in what CFSSL has made',
    async (fate) => {
      await connectCa(operator, { ...cfsslAt(ca, throughProxy()), timeoutSeconds: 1 })
      await proxy.behave(fate)
      const asked = await askForOne(alice)
      await harness.settled()
      expect(await ownView(asked)).toMatchObject({ state: 'pending', certificate: null })
      expect(await operatorsView(operator, asked.id)).toMatchObject({
        state: 'outcome_unknown',
        lastFailure: fate === 'hang' ? 'timed_out' : 'connection_lost',
        dueAt: null,
        openAtCa: true,
      })
      expect((await harness.api.get('/readyz')).body.warnings).toEqual([expect.stringContaining('nobody knows')])
      await proxy.behave('pass')
      await passMinutes(harness, 30)
      expect(ca.arrivals).toHaveLength(1)

      const [made] = ca.issuedFor(asked.key)
      expect(made).toBeDefined()
      expect((await bringIn(operator, asked.id, made ?? new Uint8Array())).status).toBe(200)
      expect(await ownView(asked)).toMatchObject({ state: 'issued', certificate: { state: 'valid' } })
      expect(notExactlyOne(ca, [asked])).toEqual({})
      expect((await harness.api.get('/readyz')).body.warnings).toEqual([])
      await expectSound()
    },
  )

  test('a request that CFSSL never got looks the same from here: the operator, who finds none there, has it sent again', async () => {
    await connectCa(operator, cfsslAt(ca, throughProxy()))
    await proxy.behave('drop-request')
    const asked = await askForOne(alice)
    await harness.settled()
    expect((await operatorsView(operator, asked.id)).state).toBe('outcome_unknown')
    expect(ca.count()).toBe(0)
    await proxy.behave('pass')
    const path = `/v1/admin/certificate-requests/${asked.id}/settlement`
    expect((await operator.post(path, { outcome: 'submit_again' })).status).toBe(200)
    await harness.settled()
    expect((await ownView(asked)).state).toBe('issued')
    expect(notExactlyOne(ca, [asked])).toEqual({})
    await expectSound()
  })

  test('of an EST server that answers again: the identical request brings the same certificate', async () => {
    ca.mood.answersAgain = true
    await connectCa(operator, estAt(ca, throughProxy(), { answersAgain: true }))
    await proxy.behave('drop-answer')
    const asked = await askForOne(alice)
    await harness.settled()
    expect((await operatorsView(operator, asked.id)).state).toBe('outcome_unknown')
    await proxy.behave('pass')
    await passMinutes(harness, 2)
    expect((await ownView(asked)).state).toBe('issued')
    expect(ca.arrivals).toHaveLength(2)
    expect(notExactlyOne(ca, [asked])).toEqual({})
    await expectSound()
  })

  test('of an EJBCA: what it has made is found there', async () => {
    const ejbca = await startEjbcaStub(() => harness.clock.now)
    const lossy = await startLossyProxy(Number(new URL(ejbca.url).port))
    try {
      await connectCa(operator, ejbcaAt(ejbca, `https://127.0.0.1:${lossy.port}`))
      await lossy.behave('drop-answer')
      const asked = await askForOne(alice)
      await harness.settled()
      expect((await operatorsView(operator, asked.id)).state).toBe('outcome_unknown')
      await lossy.behave('pass')
      await passMinutes(harness, 2)
      expect((await ownView(asked)).state).toBe('issued')
      expect([...ejbca.issued().values()]).toEqual([1])
      expect(ejbca.enrolments).toHaveLength(1)
      await expectSound()
    } finally {
      await lossy.close()
      await ejbca.close()
    }
  })

  describe('while an order waits at the CA', () => {
    const waiting = async (answersAgain: boolean) => {
      ca.mood.makesWait = true
      ca.mood.answersAgain = answersAgain
      await connectCa(operator, estAt(ca, throughProxy(), { answersAgain }))
      const asked = await askForOne(alice)
      expect(asked.answer.status).toBe(202)
      expect((await operatorsView(operator, asked.id)).state).toBe('pending')
      await passMinutes(harness, 3)
      expect((await operatorsView(operator, asked.id)).state).toBe('pending')
      ca.mood.makesWait = false
      return asked
    }

    test('the answer to a question about it: the CA may have issued, so nobody asks the same way again', async () => {
      const asked = await waiting(false)
      await proxy.behave('drop-answer')
      await passMinutes(harness, 2)
      expect(await operatorsView(operator, asked.id)).toMatchObject({ state: 'outcome_unknown', dueAt: null })
      await proxy.behave('pass')
      await passMinutes(harness, 20)
      expect(notExactlyOne(ca, [asked])).toEqual({})
      const [made = new Uint8Array()] = ca.issuedFor(asked.key)
      expect((await bringIn(operator, asked.id, made)).status).toBe(200)
      expect((await ownView(asked)).state).toBe('issued')
      await expectSound()
    })

    test('the same of a CA that answers again: it is asked again', async () => {
      const asked = await waiting(true)
      await proxy.behave('drop-answer')
      await passMinutes(harness, 2)
      await proxy.behave('pass')
      await passMinutes(harness, 5)
      expect((await ownView(asked)).state).toBe('issued')
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })

    test('a CA that cannot be reached for a while is no lost answer', async () => {
      const asked = await waiting(false)
      await proxy.behave('refuse')
      await passMinutes(harness, 20)
      expect((await operatorsView(operator, asked.id)).state).toBe('pending')
      await proxy.behave('pass')
      await passMinutes(harness, 10)
      expect((await ownView(asked)).state).toBe('issued')
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })

    test('the worker that asks about it is given up, and its answer counts all the same when it comes', async () => {
      const asked = await waiting(false)
      const answers = Promise.withResolvers<void>()
      ca.mood.held = answers.promise
      const before = ca.arrivals.length
      harness.clock.now += 60_000
      const worker = harness.runJob('requests-resume')
      await ca.arrived(before + 1)
      harness.clock.now += leaseMinutes * 60_000
      await harness.runJob('requests-resume')
      expect(await operatorsView(operator, asked.id)).toMatchObject({
        state: 'outcome_unknown',
        lastFailure: 'worker_lost',
        dueAt: null,
      })
      answers.resolve()
      await worker
      expect((await ownView(asked)).state).toBe('issued')
      expect(notExactlyOne(ca, [asked])).toEqual({})
      await expectSound()
    })
  })

  test('and the worker too: another one finds the request, and does not send it a second time', async () => {
    await connectCa(operator, cfsslAt(ca, ca.url))
    const answers = Promise.withResolvers<void>()
    ca.mood.held = answers.promise
    const asking = askForOne(alice)
    await ca.arrived(1)
    harness.clock.now += leaseMinutes * 60_000
    await harness.runJob('requests-resume')
    const [listed] = (await operator.get('/v1/admin/certificate-requests')).body.items
    expect(listed).toMatchObject({ state: 'outcome_unknown', lastFailure: 'worker_lost' })
    for (let minute = 0; minute < 10; minute += 1) {
      harness.clock.now += 60_000
      await harness.runJob('requests-resume')
    }
    expect(ca.arrivals).toHaveLength(1)
    answers.resolve()
    const asked = await asking
    expect((await ownView(asked)).state).toBe('issued')
    expect(notExactlyOne(ca, [asked])).toEqual({})
    await expectSound()
  })
})
