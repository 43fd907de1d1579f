import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { tokenIn } from '../support/mail.ts'
import { joinDevice, proveMailbox, publish, register, startRegistration, type Registered } from '../support/story.ts'
import { Answered, countEverything, countRows, day, expectProblem, findLeaks, hour, minute, race } from './support.ts'

describe.each(engines)('mailboxes of a subscriber on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  const somebody = (): Promise<Registered> => {
    people += 1
    return register(harness.api, harness.mails, `box.${people}@example.com`)
  }
  const ask = (subscriber: Registered, email: string): Promise<Answer> =>
    subscriber.api.post('/v1/me/mailboxes', { email, accountType: 'exchange' })
  const prove = (subscriber: Registered, id: string, token?: string): Promise<Answer> =>
    subscriber.api.post(`/v1/me/mailboxes/${id}/proof`, token === undefined ? {} : { token })
  const tokenOf = async ({ body }: Answer): Promise<string> => tokenIn(await harness.mails.challengeOf(body.challenge))
  const add = async (subscriber: Registered, email: string): Promise<Json> => {
    const asked = await ask(subscriber, email)
    const proved = await prove(subscriber, asked.body.id, await tokenOf(asked))
    expect(proved.status, JSON.stringify(proved.body)).toBe(200)
    return proved.body
  }
  const mailboxesOf = async (subscriber: Registered): Promise<Json[]> =>
    (await subscriber.api.get('/v1/me')).body.mailboxes

  describe('adding one', () => {
    test('a token is mailed to it, and with the token it is theirs under the id that was answered', async () => {
      const alice = await somebody()
      const asked = await ask(alice, 'Second@BÜCHER.example')
      expect([asked.status, asked.body]).toEqual([
        202,
        {
          id: expect.any(String),
          challenge: expect.any(String),
          state: 'pending',
          expiresAt: new Date(harness.clock.now + day).toISOString(),
        },
      ])
      const message = await harness.mails.challengeOf(asked.body.challenge)
      expect(message).toContain('To: Second@xn--bcher-kva.example\r\n')
      expect(await mailboxesOf(alice)).toHaveLength(1)
      harness.clock.now += hour
      const proved = await prove(alice, asked.body.id, tokenIn(message))
      expect([proved.status, proved.body]).toEqual([
        200,
        {
          id: asked.body.id,
          address: 'Second@xn--bcher-kva.example',
          accountType: 'exchange',
          state: 'active',
          verifiedAt: new Date(harness.clock.now).toISOString(),
          createdAt: new Date(harness.clock.now).toISOString(),
        },
      ])
      expect((await mailboxesOf(alice)).map(({ address }) => address)).toEqual([
        alice.email,
        'Second@xn--bcher-kva.example',
      ])
      await harness.settled()
      expect(await findLeaks(harness, 'Second@xn--bcher-kva.example', tokenIn(message))).toEqual([])
    })

    test('needs a mailbox that was proved within 15 minutes', async () => {
      const alice = await somebody()
      harness.clock.now += 15 * minute
      const before = await countEverything(harness)
      expectProblem(await ask(alice, 'guarded@example.com'), 403, 'mailbox_proof_required')
      expect(await countEverything(harness)).toEqual(before)
      await proveMailbox(alice, harness.mails, { act: 'mailbox_add' })
      expect((await ask(alice, 'guarded@example.com')).status).toBe(202)
    })

    test('the answer does not tell whether the service knows the address', async () => {
      const alice = await somebody()
      const bob = await somebody()
      const known = await ask(alice, bob.email)
      const unknown = await ask(alice, 'unknown.box@example.com')
      const shape = ({ status, headers, body }: Answer) => ({
        status,
        headers: [...headers],
        body: Object.entries(body as Record<string, string>).map(([name, value]) => [name, value.length]),
      })
      expect(shape(known)).toEqual(shape(unknown))
    })

    test.each([
      ['address_malformed', 'nobody'],
      ['address_literal', 'alice@[192.0.2.1]'],
    ])('%s is refused', async (code, email) => {
      const alice = await somebody()
      const answer = await ask(alice, email)
      expectProblem(answer, 422, code)
      expect(answer.body.detail).not.toContain(email)
    })

    test('twenty an hour and no more, for whoever has a credential', async () => {
      const alice = await somebody()
      const answers = await race(24, (index) => ask(alice, `flood.${index}@example.com`))
      expect(answers.filter(({ status }) => status === 202)).toHaveLength(20)
      const refused = answers.filter(({ status }) => status !== 202)
      for (const answer of refused) {
        expectProblem(answer, 429, 'too_many_requests')
        expect(answer.headers.get('Retry-After')).toBe('3600')
      }
      expect(refused).toHaveLength(4)
      const bob = await somebody()
      expect((await ask(bob, 'not.flooded.box@example.com')).status).toBe(202)
      harness.clock.now += hour
      await proveMailbox(alice, harness.mails, { act: 'mailbox_add' })
      expect((await ask(alice, 'flood.later@example.com')).status).toBe(202)
    })
  })

  describe('mail that others have sent to a mailbox', () => {
    test('keeps nobody from proving it: neither registrations, nor another subscriber who asks to add it', async () => {
      const [alice, mallory] = [await somebody(), await somebody()]
      const [own] = await mailboxesOf(alice)
      const shut: string[] = []
      for (const pause of [day, hour]) {
        await harness.settled()
        harness.clock.now += pause
        for (let proof = 0; proof < 3; proof += 1) await proveMailbox(mallory, harness.mails, { act: 'mailbox_add' })
        for (const answer of await race(3, () => ask(mallory, alice.email))) shut.push(answer.body.challenge)
        for (const answer of await race(3, () => startRegistration(harness.api, alice.email))) shut.push(answer.id)
      }
      await harness.settled()
      expect(shut.map((id) => harness.mails.challengesOf(id))).toEqual(Array.from({ length: 12 }, () => 1))
      const asked = await prove(alice, own.id)
      expect((await prove(alice, asked.body.id, await tokenOf(asked))).status).toBe(200)
      const still = await startRegistration(harness.api, alice.email)
      await harness.settled()
      expect(harness.mails.challengesOf(still.id)).toBe(0)
    })

    test('is limited for who proves it, too: three an hour, and the answer stays the same', async () => {
      const alice = await somebody()
      const [own] = await mailboxesOf(alice)
      const answers = await race(5, () => prove(alice, own.id))
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 202))
      await harness.settled()
      const mailed = answers.filter(({ body }) => harness.mails.challengesOf(body.challenge) === 1)
      expect(mailed).toHaveLength(3)
      const said = `"event":"mail_withheld","mailbox":"${own.id}"`
      expect(harness.log.filter((line) => line.includes(said))).toHaveLength(2)
    })
  })

  describe('the proof', () => {
    test('a repeat gets the same answer, and proves nothing anew', async () => {
      const alice = await somebody()
      const asked = await ask(alice, `repeat.${alice.email}`)
      const token = await tokenOf(asked)
      const first = await prove(alice, asked.body.id, token)
      harness.clock.now += minute
      const again = await prove(alice, asked.body.id, token)
      expect([again.status, again.body]).toEqual([200, first.body])
    })

    const endedAudited = `audit_entries WHERE subject = ? AND actor = ? AND action = 'mailbox.challenge_ended'`

    test('a wrong token is refused, the fifth ends the challenge', async () => {
      const alice = await somebody()
      const asked = await ask(alice, `wrong.${alice.email}`)
      const token = await tokenOf(asked)
      for (const wrong of ['1', '2', '3', '4']) {
        expectProblem(await prove(alice, asked.body.id, wrong), 403, 'token_wrong')
      }
      expectProblem(await prove(alice, asked.body.id, 'fifth'), 410, 'challenge_ended')
      expectProblem(await prove(alice, asked.body.id, token), 410, 'challenge_ended')
      expectProblem(await prove(alice, asked.body.id), 410, 'challenge_ended')
      expect(await mailboxesOf(alice)).toHaveLength(1)
      expect(await countRows(harness.main, endedAudited, asked.body.id, alice.deviceId)).toBe(1)
    })

    test('of twenty wrong tokens at once the fifth ends every challenge to the mailbox, with one trace', async () => {
      const alice = await somebody()
      const asked = await ask(alice, `race.of.wrong.${alice.email}`)
      const again = await prove(alice, asked.body.id)
      expect(again.status).toBe(202)
      const answers = await race(20, (index) => prove(alice, asked.body.id, `wrong ${index}`))
      const codes = answers.map(({ body }) => body.code)
      expect(codes.filter((code) => code === 'challenge_ended').length).toBeGreaterThanOrEqual(16)
      expect(codes.filter((code) => code !== 'challenge_ended').every((code) => code === 'token_wrong')).toBe(true)
      expect(await countRows(harness.main, endedAudited, asked.body.id, alice.deviceId)).toBe(1)
      expectProblem(await prove(alice, asked.body.id, await tokenOf(again)), 410, 'challenge_ended')
    })

    test('is good for 24 hours', async () => {
      const alice = await somebody()
      const [inTime, late] = [await ask(alice, `in.time.${alice.email}`), await ask(alice, `late.${alice.email}`)]
      const tokens = [await tokenOf(inTime), await tokenOf(late)]
      harness.clock.now += day - 1
      expect((await prove(alice, inTime.body.id, tokens[0])).status).toBe(200)
      harness.clock.now += 1
      expectProblem(await prove(alice, late.body.id, tokens[1]), 410, 'challenge_ended')
    })

    test('a token that is asked for again is mailed; either is good once', async () => {
      const alice = await somebody()
      const asked = await ask(alice, `again.${alice.email}`)
      const first = await tokenOf(asked)
      const again = await prove(alice, asked.body.id)
      expect(again.body).toMatchObject({ id: asked.body.id, state: 'pending' })
      expect(again.body.challenge).not.toBe(asked.body.challenge)
      const second = await tokenOf(again)
      expect(second).not.toBe(first)
      expect((await prove(alice, asked.body.id, first)).status).toBe(200)
      const proofs = await countRows(harness.main, `audit_entries WHERE subject = ?`, asked.body.id)
      expect((await prove(alice, asked.body.id, second)).status).toBe(200)
      expect(await countRows(harness.main, `audit_entries WHERE subject = ?`, asked.body.id)).toBe(proofs)
    })

    test('another mailbox’s or subscriber’s token is a wrong one, and another’s mailbox is not there', async () => {
      const alice = await somebody()
      const mallory = await somebody()
      const asked = await ask(alice, `target.${alice.email}`)
      const own = await ask(mallory, `own.${mallory.email}`)
      expectProblem(await prove(mallory, asked.body.id, await tokenOf(asked)), 404, 'not_found')
      expectProblem(await prove(mallory, asked.body.id), 404, 'not_found')
      expectProblem(await prove(mallory, own.body.id, await tokenOf(asked)), 403, 'token_wrong')
      expectProblem(await prove(alice, 'AAAAAAAAAAAAAAAAAAAAAA', 'x'), 404, 'not_found')
      const [mailbox] = await mailboxesOf(alice)
      expectProblem(await prove(alice, mailbox.id, 'nothing was asked'), 410, 'challenge_ended')
    })

    test('any device of the subscriber answers; it renews verifiedAt', async () => {
      const alice = await somebody()
      const second = await joinDevice(harness.api, harness.mails, alice)
      harness.clock.now += 40 * day
      const [mailbox] = await mailboxesOf(alice)
      const asked = await prove(alice, mailbox.id)
      expect(asked.status).toBe(202)
      const proved = await prove(second, mailbox.id, await tokenOf(asked))
      expect(proved.body).toEqual({ ...mailbox, verifiedAt: new Date(harness.clock.now).toISOString() })
    })

    test('an address that is theirs already is proved again under its own id', async () => {
      const alice = await somebody()
      const [mailbox] = await mailboxesOf(alice)
      harness.clock.now += hour
      const asked = await ask(alice, alice.email.toUpperCase())
      expect([asked.status, asked.body.id]).toEqual([202, mailbox.id])
      const proved = await prove(alice, mailbox.id, await tokenOf(asked))
      expect(proved.body.verifiedAt).toBe(new Date(harness.clock.now).toISOString())
      expect(await mailboxesOf(alice)).toHaveLength(1)
    })
  })

  describe('removing one', () => {
    test('its certificates leave the directory at once and are revoked soon; the others stay', async () => {
      const alice = await somebody()
      const second = await add(alice, `gone.${alice.email}`)
      const request = async (mailbox: string): Promise<Json> => {
        const answer = await alice.api.post('/v1/certificate-requests', { csr: await makeCsr(), use: 'dual', mailbox })
        expect(answer.status).toBe(201)
        await publish(alice, answer.body.certificate.id)
        return answer.body.certificate
      }
      const going = await request(second.address)
      const staying = await request(alice.email)
      expect((await alice.api.delete(`/v1/me/mailboxes/${second.id}`)).status).toBe(204)
      expect(await answered.statuses(alice, [second.address, alice.email])).toEqual(['not_found', 'found'])
      await harness.settled()
      expect((await alice.api.get(`/v1/certificates/${going.id}`)).body.state).toBe('revoked')
      expect((await alice.api.get(`/v1/certificates/${staying.id}`)).body.state).toBe('valid')
      expect((await mailboxesOf(alice)).map(({ id }) => id)).not.toContain(second.id)
      expect(await countRows(harness.main, 'mailboxes WHERE id = ? AND settled_at IS NOT NULL', second.id)).toBe(1)
      expect((await alice.api.delete(`/v1/me/mailboxes/${second.id}`)).status).toBe(204)
      expectProblem(await prove(alice, second.id), 404, 'not_found')
      const items = (await alice.api.get('/v1/certificate-requests')).body.items
      expect(new Set(items.map(({ mailbox }: Json) => mailbox))).toEqual(new Set([alice.email, second.address]))
    })

    test('the last one is refused', async () => {
      const alice = await somebody()
      const [mailbox] = await mailboxesOf(alice)
      expectProblem(await alice.api.delete(`/v1/me/mailboxes/${mailbox.id}`), 409, 'mailbox_is_last')
      const second = await add(alice, `last.${alice.email}`)
      const answers = await Promise.all([mailbox.id, second.id].map((id) => alice.api.delete(`/v1/me/mailboxes/${id}`)))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204, 409]))
      expect(await mailboxesOf(alice)).toHaveLength(1)
    })

    test('needs a mailbox that was proved within 15 minutes, and one’s own', async () => {
      const alice = await somebody()
      const second = await add(alice, `kept.${alice.email}`)
      const mallory = await somebody()
      expectProblem(await mallory.api.delete(`/v1/me/mailboxes/${second.id}`), 404, 'not_found')
      harness.clock.now += 15 * minute
      expectProblem(await alice.api.delete(`/v1/me/mailboxes/${second.id}`), 403, 'mailbox_proof_required')
      expect(await mailboxesOf(alice)).toHaveLength(2)
    })

    test('a removed address can be registered by anyone, and nobody is told that it moved', async () => {
      const alice = await somebody()
      const second = await add(alice, `free.${alice.email}`)
      await alice.api.delete(`/v1/me/mailboxes/${second.id}`)
      const next = await register(harness.api, harness.mails, second.address)
      expect(next.subscriberId).not.toBe(alice.subscriberId)
      expect(
        await countRows(
          harness.main,
          `outgoing_mail WHERE kind = 'mailbox_moved' AND recipient_index = ?`,
          harness.keys.blindIndex(second.address),
        ),
      ).toBe(0)
    })
  })

  describe('the subscriber', () => {
    test('has a language, which can be changed, and nothing else', async () => {
      const alice = await somebody()
      const changed = await alice.api.send('PATCH', '/v1/me', { language: 'de-AT' })
      expect([changed.status, changed.body.language]).toEqual([200, 'de-AT'])
      expect((await alice.api.get('/v1/me')).body).toEqual(changed.body)
      for (const wish of [{}, { language: 'no language!' }, { language: 'de', restricted: false }]) {
        expectProblem(await alice.api.send('PATCH', '/v1/me', wish), 422, 'invalid_request')
      }
    })
  })

  describe('races', () => {
    test('twenty proofs with one token add one mailbox', async () => {
      const alice = await somebody()
      const asked = await ask(alice, `raced.${alice.email}`)
      const token = await tokenOf(asked)
      const answers = await race(20, () => prove(alice, asked.body.id, token))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1)
      expect(
        await countRows(harness.main, `audit_entries WHERE action = 'mailbox.added' AND subject = ?`, asked.body.id),
      ).toBe(1)
    })

    test('of twenty wrong tokens at once no more than four leave the challenge open', async () => {
      const alice = await somebody()
      const asked = await ask(alice, `guessed.${alice.email}`)
      const answers = await race(20, (index) => prove(alice, asked.body.id, `wrong ${index}`))
      for (const answer of answers) expect(['token_wrong', 'challenge_ended']).toContain(answer.body.code)
      expect(answers.filter(({ status }) => status === 403).length).toBeLessThanOrEqual(4)
      expectProblem(await prove(alice, asked.body.id, await tokenOf(asked)), 410, 'challenge_ended')
    })

    test('two subscribers who prove one address at once: one has it, the other has had it', async () => {
      const alice = await somebody()
      const bob = await somebody()
      const email = `contested.${alice.email}`
      const asked = [await ask(alice, email), await ask(bob, email)]
      const tokens = await Promise.all(asked.map(tokenOf))
      const answers = await Promise.all([
        prove(alice, asked[0]?.body.id, tokens[0]),
        prove(bob, asked[1]?.body.id, tokens[1]),
      ])
      expect(answers.map(({ status }) => status)).toEqual([200, 200])
      const states = [...(await mailboxesOf(alice)), ...(await mailboxesOf(bob))]
        .filter(({ address }) => address === email)
        .map(({ state }) => state)
      expect(new Set(states)).toEqual(new Set(['active', 'moved']))
    })
  })

  test('what was asked for is forgotten two days after it has expired', async () => {
    const alice = await somebody()
    const asked = await ask(alice, `forgotten.${alice.email}`)
    harness.clock.now += 3 * day
    await harness.runJob('registrations-prune')
    expect(await countRows(harness.main, 'mailbox_challenges WHERE mailbox = ?', asked.body.id)).toBe(1)
    harness.clock.now += 1
    await harness.runJob('registrations-prune')
    expect(await countRows(harness.main, 'mailbox_challenges WHERE mailbox = ?', asked.body.id)).toBe(0)
  })

  test('the service is whole', () => answered.check(harness))
})
