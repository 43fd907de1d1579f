import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findChallenge } from '../../src/client/challenge-mail.ts'
import { guardedAct, type GuardedAct } from '../../src/api/shapes.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { tokenIn } from '../support/mail.ts'
import {
  confirmRegistration,
  joinDevice,
  proveMailbox,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'
import { Answered, day, expectProblem, hour, minute, race } from './support.ts'

describe.each(engines)('what needs a mailbox proved just now, on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  /** A subscriber with two devices that registered long ago. Somebody has stolen the credential of one. */
  const robbed = async (): Promise<{ phone: Registered; stolen: Registered }> => {
    people += 1
    const phone = await register(harness.api, harness.mails, `robbed.${people}@example.com`)
    const stolen = await joinDevice(harness.api, harness.mails, phone)
    harness.clock.now += hour
    return { phone, stolen }
  }
  const mailboxOf = async (by: Registered): Promise<string> => (await by.api.get('/v1/me')).body.mailboxes[0].id
  const ask = async (by: Registered, body: Json = {}): Promise<Answer> =>
    by.api.post(`/v1/me/mailboxes/${await mailboxOf(by)}/proof`, body)
  const answer = async (by: Registered, asked: Answer): Promise<Answer> =>
    ask(by, { token: tokenIn(await harness.mails.challengeOf(asked.body.challenge)) })
  const end = (by: Registered, device: Registered): Promise<Answer> =>
    by.api.delete(`/v1/me/devices/${device.deviceId}`)

  /** Prepares something for a subscriber that a device can do once. */
  const acts: Readonly<Record<GuardedAct, (owner: Registered) => Promise<(by: Registered) => Promise<Answer>>>> = {
    mailbox_add: async () => {
      people += 1
      const wish = { email: `added.${people}@example.com`, accountType: 'imap' }
      return (by) => by.api.post('/v1/me/mailboxes', wish)
    },
    mailbox_end: async (owner) => {
      const mailbox = await addMailbox(owner)
      return (by) => by.api.delete(`/v1/me/mailboxes/${mailbox}`)
    },
    device_approve: async (owner) => {
      const started = await startRegistration(harness.api, owner.email)
      await confirmRegistration(harness.api, harness.mails, started)
      return (by) => by.api.post(`/v1/me/devices/${started.id}/approval`)
    },
    device_end: async (owner) => {
      const device = await joinDevice(harness.api, harness.mails, owner)
      harness.clock.now += hour
      return (by) => end(by, device)
    },
  }
  async function addMailbox(by: Registered): Promise<string> {
    people += 1
    await proveMailbox(by, harness.mails, { act: 'mailbox_add' })
    const asked = await by.api.post('/v1/me/mailboxes', { email: `other.${people}@example.com`, accountType: 'imap' })
    const token = tokenIn(await harness.mails.challengeOf(asked.body.challenge))
    expect((await by.api.post(`/v1/me/mailboxes/${asked.body.id}/proof`, { token })).status).toBe(200)
    return asked.body.id
  }

  describe('a stolen credential', () => {
    test('that waits for another device’s proof removes no device', async () => {
      const { phone, stolen } = await robbed()
      await proveMailbox(phone, harness.mails)
      await proveMailbox(phone, harness.mails, { act: 'device_end' })
      expectProblem(await end(stolen, phone), 403, 'mailbox_proof_required')
      expect((await end(phone, stolen)).status).toBe(204)
    })

    test('gets no answer of another device’s mail client to its challenge', async () => {
      const { phone, stolen } = await robbed()
      const asked = await ask(stolen, { act: 'device_end' })
      const own = await ask(phone, { act: 'device_end' })
      const mail = await harness.mails.challengeOf(asked.body.challenge)
      const { origin } = new URL(harness.config.publicUrl)
      expect(findChallenge(mail, [{ id: own.body.challenge }], origin)).toBe(null)
      expect(findChallenge(mail, [{ id: asked.body.challenge }], origin)?.token).toBe(tokenIn(mail))
    })

    test('gains nothing where another device answers its challenge all the same', async () => {
      const { phone, stolen } = await robbed()
      const asked = await ask(stolen, { act: 'device_end' })
      expectProblem(await answer(phone, asked), 410, 'challenge_ended')
      expectProblem(await end(stolen, phone), 403, 'mailbox_proof_required')
      expectProblem(await end(phone, stolen), 403, 'mailbox_proof_required')
    })

    test('keeps no other device from proving: neither by what it asks for, nor by wrong tokens', async () => {
      const { phone, stolen } = await robbed()
      const own = await ask(phone, { act: 'device_end' })
      for (const { status } of await race(20, () => ask(stolen))) expect(status).toBe(202)
      expectProblem(await ask(stolen), 429, 'too_many_requests')
      await race(6, (index) => ask(stolen, { token: `wrong ${index}` }))
      expect((await answer(phone, own)).status).toBe(200)
      const again = await ask(phone, { act: 'device_end' })
      expect((await answer(phone, again)).status).toBe(200)
      expect((await end(phone, stolen)).status).toBe(204)
    })

    test('learns no challenge of another device from its requests', async () => {
      const { phone, stolen } = await robbed()
      harness.clock.now += 30 * day
      const asked = await phone.api.post('/v1/certificate-requests', { csr: await makeCsr(), use: 'dual' })
      expect(asked.body.mailboxChallenge.challenge).toMatch(/^[\w-]{22}$/)
      const seen = await stolen.api.get(`/v1/certificate-requests/${asked.body.id}`)
      expect([seen.status, seen.body.mailboxChallenge]).toEqual([200, null])
    })
  })

  describe.each(guardedAct.options)('%s', (act) => {
    const other: GuardedAct = act === 'device_end' ? 'device_approve' : 'device_end'

    test('needs a proof by this device for this act, of the last 15 minutes', async () => {
      const { phone, stolen: sibling } = await robbed()
      const call = await acts[act](phone)
      harness.clock.now += hour
      expectProblem(await call(phone), 403, 'mailbox_proof_required')
      await proveMailbox(phone, harness.mails)
      await proveMailbox(phone, harness.mails, { act: other })
      await proveMailbox(sibling, harness.mails, { act })
      const refused = await call(phone)
      expectProblem(refused, 403, 'mailbox_proof_required')
      expect(refused.body.detail).toContain(`{"act":"${act}"}`)
      harness.clock.now += hour
      await proveMailbox(phone, harness.mails, { act })
      harness.clock.now += 15 * minute
      expectProblem(await call(phone), 403, 'mailbox_proof_required')
      await proveMailbox(phone, harness.mails, { act })
      harness.clock.now += 15 * minute - 1
      expect((await call(phone)).status).toBeLessThan(300)
    })

    test('is done once with one proof', async () => {
      const { phone } = await robbed()
      const calls = [await acts[act](phone), await acts[act](phone)]
      harness.clock.now += hour
      const asked = [await ask(phone, { act }), await ask(phone, { act })]
      for (const one of asked) expect((await answer(phone, one)).status).toBe(200)
      const answers = await Promise.all(calls.map((call) => call(phone)))
      expect(answers.filter(({ status }) => status < 300)).toHaveLength(1)
      const [refused] = answers.filter(({ status }) => status >= 300)
      expectProblem(refused!, 403, 'mailbox_proof_required')
    })

    test('needs no proof by a device that registered within 15 minutes, as often as it likes', async () => {
      const { phone } = await robbed()
      const calls = [await acts[act](phone), await acts[act](phone), await acts[act](phone)]
      harness.clock.now += hour
      const fresh = await joinDevice(harness.api, harness.mails, phone)
      await proveMailbox(fresh, harness.mails, { act })
      harness.clock.now += 15 * minute - 1
      for (const call of calls.slice(1)) expect((await call(fresh)).status).toBeLessThan(300)
      harness.clock.now += 1
      expectProblem(await calls[0]!(fresh), 403, 'mailbox_proof_required')
    })
  })

  test('a proof is worth nothing after its mailbox has moved away', async () => {
    const { phone, stolen } = await robbed()
    await addMailbox(phone)
    await proveMailbox(phone, harness.mails, { act: 'device_end' })
    await register(harness.api, harness.mails, phone.email)
    expectProblem(await end(phone, stolen), 403, 'mailbox_proof_required')
  })

  test('a mailbox that is being added proves nothing else, and a token is not sent with an act', async () => {
    const { phone } = await robbed()
    await proveMailbox(phone, harness.mails, { act: 'mailbox_add' })
    const asked = await (await acts.mailbox_add(phone))(phone)
    const path = `/v1/me/mailboxes/${asked.body.id}/proof`
    expectProblem(await phone.api.post(path, { act: 'device_end' }), 404, 'not_found')
    expectProblem(await phone.api.post(path, { act: 'device_end', token: 'x' }), 422, 'invalid_request')
    expectProblem(await ask(phone, { act: 'everything' }), 422, 'invalid_request')
  })

  test('of twenty calls at once with one proof one passes', async () => {
    const { phone } = await robbed()
    await proveMailbox(phone, harness.mails, { act: 'mailbox_add' })
    const calls = await race(20, async () => (await acts.mailbox_add(phone))(phone))
    expect(calls.filter(({ status }) => status === 202)).toHaveLength(1)
    for (const { status } of calls) expect([202, 403]).toContain(status)
  })

  test('the service is whole', () => answered.check(harness))
})
