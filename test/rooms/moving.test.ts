import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { query, text } from '../../src/ports/database.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { tokenIn } from '../support/mail.ts'
import {
  certify,
  confirmRegistration,
  joinDevice,
  policyVersion,
  proveMailbox,
  publish,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'
import { Answered, countRows, day, expectProblem, hour, minute, race } from './support.ts'

describe.each(engines)('a mailbox that moves, on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  const somebody = (): Promise<Registered> => {
    people += 1
    return register(harness.api, harness.mails, `mover.${people}@example.com`)
  }
  const mint = (started: Json): Promise<Answer> =>
    harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`)
  const stateOf = async (subscriber: Registered, certificate: Json): Promise<string> =>
    (await subscriber.api.get(`/v1/certificates/${certificate.id}`)).body.state
  const mailboxesOf = async (subscriber: Registered): Promise<Json[]> =>
    (await subscriber.api.get('/v1/me')).body.mailboxes
  const mailed = (kind: string, address: string): Promise<number> =>
    countRows(
      harness.main,
      'outgoing_mail WHERE kind = ? AND recipient_index = ?',
      kind,
      harness.keys.blindIndex(address),
    )
  const publishAgain = (subscriber: Registered, certificate: Json): Promise<Answer> =>
    subscriber.api.put(`/v1/certificates/${certificate.id}/publication`, {
      consentVersion: policyVersion,
      audience: 'members',
    })
  /** Adds a mailbox to a subscriber, who has proved one just now. */
  const add = async (subscriber: Registered, email: string): Promise<Json> => {
    const asked = await subscriber.api.post('/v1/me/mailboxes', { email, accountType: 'imap' })
    expect(asked.status, JSON.stringify(asked.body)).toBe(202)
    const message = await harness.mails.challengeOf(asked.body.challenge)
    const token = /^Certbook-Token: (.*)$/m.exec(message)?.[1]?.trim()
    const proved = await subscriber.api.post(`/v1/me/mailboxes/${asked.body.id}/proof`, { token })
    expect(proved.status, JSON.stringify(proved.body)).toBe(200)
    return proved.body
  }
  const consequences = async (): Promise<void> => {
    await harness.runJob('consequences')
    await harness.runJob('consequences')
  }

  test('who registers it without being let in is a new subscriber, and sees nothing of the old one', async () => {
    const old = await somebody()
    const certificate = await certify(old)
    await publish(old, certificate.id)
    harness.clock.now += minute
    const fresh = await register(harness.api, harness.mails, old.email.toUpperCase().replace('.COM', '.com'))
    expect(fresh.subscriberId).not.toBe(old.subscriberId)
    expect((await fresh.api.get('/v1/certificates')).body.items).toEqual([])
    expect((await fresh.api.get('/v1/certificate-requests')).body.items).toEqual([])
    expect((await fresh.api.get('/v1/me/lookups')).body.items).toEqual([])
    expect((await fresh.api.get('/v1/me/devices')).body.items.map(({ id }: Json) => id)).toEqual([fresh.deviceId])
    expectProblem(await fresh.api.get(`/v1/certificates/${certificate.id}`), 404, 'not_found')
    expectProblem(await fresh.api.delete(`/v1/me/devices/${old.deviceId}`), 404, 'not_found')
    const [own] = await mailboxesOf(fresh)
    const [lost] = await mailboxesOf(old)
    expect([own.state, lost.state]).toEqual(['active', 'moved'])
    expectProblem(await fresh.api.post(`/v1/me/mailboxes/${lost.id}/proof`, {}), 404, 'not_found')
    expectProblem(await old.api.post(`/v1/me/mailboxes/${own.id}/proof`, {}), 404, 'not_found')
    expectProblem(await old.api.delete(`/v1/me/mailboxes/${own.id}`), 404, 'not_found')
  })

  test('its certificates leave the directory at once; the old subscriber is told at every mailbox', async () => {
    const old = await somebody()
    const certificate = await certify(old)
    await publish(old, certificate.id)
    await add(old, `second.${old.email}`)
    const asker = await somebody()
    expect(await answered.statuses(asker, [old.email])).toEqual(['found'])
    await register(harness.api, harness.mails, old.email)
    expect(await answered.statuses(asker, [old.email])).toEqual(['not_found'])
    expect(await mailed('mailbox_moved', old.email)).toBe(1)
    expect(await mailed('mailbox_moved', `second.${old.email}`)).toBe(1)
    expect(await stateOf(old, certificate)).toBe('valid')
    expectProblem(await publishAgain(old, certificate), 403, 'mailbox_moved')
  })

  test('the old devices read and withdraw, revoke, and prove it again; nothing is asked, certified or published', async () => {
    const old = await somebody()
    const certificate = await certify(old)
    await register(harness.api, harness.mails, old.email)
    expect((await old.api.get('/v1/certificates')).body.items).toHaveLength(1)
    expect((await old.api.get('/v1/me/lookups')).status).toBe(200)
    expect((await old.api.get('/v1/me/devices')).status).toBe(200)
    expect((await old.api.delete(`/v1/certificates/${certificate.id}/publication`)).status).toBe(204)
    const csr = await makeCsr()
    expectProblem(await old.api.post('/v1/certificate-requests', { csr, use: 'dual' }), 403, 'mailbox_moved')
    const named = { csr, use: 'dual', mailbox: old.email }
    expectProblem(await old.api.post('/v1/certificate-requests', named), 403, 'mailbox_moved')
    expectProblem(
      await old.api.post('/v1/lookups', { addresses: ['a@example.com'], use: 'encrypt' }),
      403,
      'mailbox_moved',
    )
    expectProblem(
      await old.api.post('/v1/me/mailboxes', { email: 'elsewhere@example.com', accountType: 'imap' }),
      403,
      'mailbox_proof_required',
    )
    const [lost] = await mailboxesOf(old)
    expectProblem(await old.api.delete(`/v1/me/mailboxes/${lost.id}`), 403, 'mailbox_moved')
    const revoked = await old.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'superseded' })
    expect([revoked.status, revoked.body.state]).toEqual([200, 'revoked'])
  })

  test('an old device that proves it again has it back, with its certificates; the newer subscriber loses it', async () => {
    const old = await somebody()
    const certificate = await certify(old)
    await publish(old, certificate.id)
    const fresh = await register(harness.api, harness.mails, old.email)
    harness.clock.now += 6 * day
    const others = await certify(fresh)
    const back = await proveMailbox(old, harness.mails)
    expect(back).toMatchObject({ state: 'active', verifiedAt: new Date(harness.clock.now).toISOString() })
    expect((await mailboxesOf(fresh)).map(({ state }) => state)).toEqual(['moved'])
    expect(await mailed('mailbox_moved', old.email)).toBe(2)
    harness.clock.now += 5 * day
    await consequences()
    expect(await stateOf(old, certificate)).toBe('valid')
    expect(await stateOf(fresh, others)).toBe('valid')
    expect((await publishAgain(old, certificate)).status).toBe(200)
    harness.clock.now += 2 * day
    await consequences()
    expect(await stateOf(old, certificate)).toBe('valid')
    expectProblem(await fresh.api.get('/v1/me'), 401, 'credential_invalid')
    expect(await countRows(harness.main, `certificates WHERE id = ? AND state = 'revoked'`, others.id)).toBe(1)
  })

  test('after seven days its certificates are revoked and devices without any mailbox end', async () => {
    const old = await somebody()
    const certificate = await certify(old)
    const superseded = certificate
    const renewed = await certify(old)
    const fresh = await register(harness.api, harness.mails, old.email)
    harness.clock.now += 7 * day - 1
    await consequences()
    expect([await stateOf(old, superseded), await stateOf(old, renewed)]).toEqual(['superseded', 'valid'])
    const [lost] = await mailboxesOf(old)
    harness.clock.now += 1
    await consequences()
    expectProblem(await old.api.get('/v1/me'), 401, 'credential_invalid')
    for (const { id, serialNumber } of [superseded, renewed]) {
      expect(await countRows(harness.main, `certificates WHERE id = ? AND state = 'revoked'`, id)).toBe(1)
      expect(
        await countRows(
          harness.main,
          `certificate_statuses WHERE serial_number = ? AND reason = 'cessationOfOperation'`,
          serialNumber,
        ),
      ).toBe(1)
    }
    expect(await countRows(harness.main, 'mailboxes WHERE id = ? AND settled_at IS NOT NULL', lost.id)).toBe(1)
    expect(await countRows(harness.main, 'devices WHERE id = ? AND settled_at IS NOT NULL', old.deviceId)).toBe(1)
    expect((await mailboxesOf(fresh)).map(({ state }) => state)).toEqual(['active'])
    const entries = await countRows(harness.main, 'audit_entries')
    await consequences()
    expect(await countRows(harness.main, 'audit_entries')).toBe(entries)
  })

  test('all devices end with the last mailbox, also where one batch does not take them', async () => {
    const whole = await openRoomHarness(engine)
    try {
      const old = await register(whole.api, whole.mails, 'many.devices@example.com')
      for (let joined = 0; joined < 51; joined += 1) {
        await joinDevice(whole.api, whole.mails, old)
        whole.clock.now += day / 2
      }
      await register(whole.api, whole.mails, old.email)
      whole.clock.now += 7 * day
      await whole.runJob('consequences')
      await whole.runJob('consequences')
      const devices = 'devices WHERE subscriber = ? AND ended_at'
      expect(await countRows(whole.main, `${devices} IS NULL`, old.subscriberId)).toBe(0)
      expect(await countRows(whole.main, `${devices} IS NOT NULL AND settled_at IS NOT NULL`, old.subscriberId)).toBe(
        52,
      )
    } finally {
      await whole.close()
    }
  })

  test('a subscriber with another mailbox stays one, and gets the moved mailbox as a new one after seven days', async () => {
    const old = await somebody()
    await add(old, `other.${old.email}`)
    await register(harness.api, harness.mails, old.email)
    const lost = (await mailboxesOf(old)).find(({ state }) => state === 'moved')
    harness.clock.now += 7 * day
    await consequences()
    expect((await mailboxesOf(old)).map(({ address }) => address)).toEqual([`other.${old.email}`])
    expectProblem(await old.api.post(`/v1/me/mailboxes/${lost.id}/proof`, {}), 404, 'not_found')
    await proveMailbox(old, harness.mails, { address: `other.${old.email}`, act: 'mailbox_add' })
    const gained = await add(old, old.email)
    expect(gained.id).not.toBe(lost.id)
  })

  test('a token that was mailed before the move does not bring it back', async () => {
    const old = await somebody()
    const [mailbox] = await mailboxesOf(old)
    const asked = await old.api.post(`/v1/me/mailboxes/${mailbox.id}/proof`, {})
    const token = tokenIn(await harness.mails.challengeOf(asked.body.challenge))
    const fresh = await register(harness.api, harness.mails, old.email)
    expectProblem(await old.api.post(`/v1/me/mailboxes/${mailbox.id}/proof`, { token }), 410, 'challenge_ended')
    expect((await mailboxesOf(fresh)).map(({ state }) => state)).toEqual(['active'])
    harness.clock.now += hour
    await proveMailbox(old, harness.mails)
    expect((await mailboxesOf(fresh)).map(({ state }) => state)).toEqual(['moved'])
  })

  test('who adds the address that moved away from them proves the old mailbox', async () => {
    const old = await somebody()
    const [mailbox] = await mailboxesOf(old)
    await register(harness.api, harness.mails, old.email)
    const back = await add(old, old.email)
    expect([back.id, back.state]).toEqual([mailbox.id, 'active'])
  })

  test('adding an address that another subscriber has moves it', async () => {
    const old = await somebody()
    const certificate = await certify(old)
    await publish(old, certificate.id)
    const taker = await somebody()
    await add(taker, old.email)
    expect((await mailboxesOf(old)).map(({ state }) => state)).toEqual(['moved'])
    expect(await mailed('mailbox_moved', old.email)).toBe(1)
    expect(await mailed('mailbox_moved', taker.email)).toBe(0)
    expect(await answered.statuses(taker, [old.email])).toEqual(['not_found'])
  })

  test('policy 9: the key of a mailbox that moved may be certified for its new subscriber, and for nobody else', async () => {
    const old = await somebody()
    const keys = await makeKeys()
    const csr = await makeCsr({ keys })
    await certify(old, { csr })
    const stranger = await somebody()
    expectProblem(
      await stranger.api.post('/v1/certificate-requests', { csr, use: 'dual' }),
      409,
      'key_belongs_to_another',
    )
    const fresh = await register(harness.api, harness.mails, old.email)
    expect((await certify(fresh, { csr })).state).toBe('valid')
    expectProblem(
      await stranger.api.post('/v1/certificate-requests', { csr, use: 'dual' }),
      409,
      'key_belongs_to_another',
    )
    await add(fresh, `another.${old.email}`)
    const other = { csr, use: 'dual', mailbox: `another.${old.email}` }
    expect((await fresh.api.post('/v1/certificate-requests', other)).status).toBe(201)
  })

  test('one row that cannot be settled holds up no other', async () => {
    const broken = await somebody()
    const spoiled = await certify(broken)
    const whole = await somebody()
    const certificate = await certify(whole)
    await register(harness.api, harness.mails, broken.email)
    harness.clock.now += hour
    await register(harness.api, harness.mails, whole.email)
    harness.clock.now += 7 * day
    // As if its CA had lost it: what the revocation writes cannot be written.
    await harness.main.batch([
      {
        text: 'UPDATE certificate_statuses SET revoked_at = 1 WHERE serial_number = ?',
        values: [spoiled.serialNumber],
      },
    ])
    await consequences()
    expect(await countRows(harness.main, `certificates WHERE id = ? AND state = 'revoked'`, certificate.id)).toBe(1)
    expect(await countRows(harness.main, `certificates WHERE id = ? AND state = 'valid'`, spoiled.id)).toBe(1)
    expect(
      await countRows(harness.main, 'mailboxes WHERE subscriber = ? AND settled_at IS NULL', broken.subscriberId),
    ).toBe(1)
    await harness.main.batch([
      {
        text: 'UPDATE certificate_statuses SET revoked_at = NULL WHERE serial_number = ?',
        values: [spoiled.serialNumber],
      },
    ])
    await consequences()
    expect(await countRows(harness.main, `certificates WHERE id = ? AND state = 'revoked'`, spoiled.id)).toBe(1)
  })

  test('a confirmation that was kept takes it from nobody who has proved it since', async () => {
    const old = await somebody()
    const kept = await startRegistration(harness.api, old.email)
    await confirmRegistration(harness.api, harness.mails, kept)
    harness.clock.now += hour
    const owner = await register(harness.api, harness.mails, old.email)
    expectProblem(await mint(kept), 410, 'registration_ended')
    expect((await mailboxesOf(owner))[0].state).toBe('active')
    // With a proof of now it moves.
    harness.clock.now += hour
    const fresh = await register(harness.api, harness.mails, old.email)
    expect((await mailboxesOf(fresh))[0].state).toBe('active')
  })

  describe('races', () => {
    test('newcomers who want the mailbox at once get it one after the other: one has it in the end', async () => {
      const email = 'wanted@example.com'
      const registrations: Json[] = []
      for (let index = 0; index < 6; index += 1) {
        if (index % 3 === 0) harness.clock.now += hour
        const started = await startRegistration(harness.api, email)
        await confirmRegistration(harness.api, harness.mails, started)
        registrations.push(started)
      }
      const answers = await Promise.all(registrations.map(mint))
      // Those of an hour ago may come too late; of those just now each gets it in turn.
      expect(answers.slice(3).map(({ status }) => status)).toEqual([201, 201, 201])
      for (const { status, body } of answers.slice(0, 3)) {
        expect(status === 201 || (status === 410 && body.code === 'registration_ended')).toBe(true)
      }
      const minted = answers.filter(({ status }) => status === 201)
      expect(new Set(minted.map(({ body }) => body.subscriberId)).size).toBe(minted.length)
      const owners = await harness.main.all(
        query(
          { subscriber: text },
          'SELECT subscriber FROM mailboxes WHERE address_index = ? AND ended_at IS NULL',
          harness.keys.blindIndex(email),
        ),
      )
      expect(owners).toHaveLength(1)
      expect(answers.slice(3).map(({ body }) => body.subscriberId)).toContain(owners[0]?.subscriber)
      const states: string[] = []
      for (const { body } of minted) {
        const me = await harness.api.with(body.credential).get('/v1/me')
        states.push(...me.body.mailboxes.map(({ state }: Json) => state))
      }
      expect(states.filter((state) => state === 'active')).toHaveLength(1)
      expect(states).toHaveLength(minted.length)
    })

    test('twenty calls that move it move it once', async () => {
      const old = await somebody()
      const started = await startRegistration(harness.api, old.email)
      await confirmRegistration(harness.api, harness.mails, started)
      const minted = await race(20, () => mint(started))
      expect(new Set(minted.map(({ status }) => status))).toEqual(new Set([201]))
      expect(new Set(minted.map(({ body }) => `${body.subscriberId} ${body.deviceId}`)).size).toBe(1)
      expect(await mailed('mailbox_moved', old.email)).toBe(1)
      expect(
        await countRows(harness.main, 'mailboxes WHERE address_index = ?', harness.keys.blindIndex(old.email)),
      ).toBe(2)
    })

    test('a proof that races the consequences leaves it back or settled, never both', async () => {
      for (let turn = 0; turn < 3; turn += 1) {
        const old = await somebody()
        const certificate = await certify(old)
        const [lost] = await mailboxesOf(old)
        await register(harness.api, harness.mails, old.email)
        harness.clock.now += 7 * day - hour
        const asked = await old.api.post(`/v1/me/mailboxes/${lost.id}/proof`, {})
        const token = tokenIn(await harness.mails.challengeOf(asked.body.challenge))
        harness.clock.now += hour
        const [proved] = await Promise.all([
          old.api.post(`/v1/me/mailboxes/${lost.id}/proof`, { token }),
          harness.runJob('consequences'),
        ])
        const isBack = proved.status === 200
        const active = 'mailboxes WHERE id = ? AND ended_at IS NULL AND settled_at IS NULL'
        expect(await countRows(harness.main, active, lost.id)).toBe(isBack ? 1 : 0)
        if (!isBack) expect([401, 410]).toContain(proved.status)
        const state = isBack ? await stateOf(old, certificate) : 'revoked'
        expect(await countRows(harness.main, 'certificates WHERE id = ? AND state = ?', certificate.id, state)).toBe(1)
      }
    })

    test('a request and a publication that race the move leave nothing valid in the directory', async () => {
      for (let turn = 0; turn < 3; turn += 1) {
        const old = await somebody()
        const certificate = await certify(old)
        const started = await startRegistration(harness.api, old.email)
        await confirmRegistration(harness.api, harness.mails, started)
        const csr = await makeCsr()
        const [requested, published, minted] = await Promise.all([
          old.api.post('/v1/certificate-requests', { csr, use: 'sign' }),
          publishAgain(old, certificate),
          mint(started),
        ])
        expect(minted.status).toBe(201)
        expect([201, 403]).toContain(requested.status)
        expect([200, 403]).toContain(published.status)
        for (const { status, body } of [requested, published])
          if (status === 403) expect(body.code).toBe('mailbox_moved')
        expect(await countRows(harness.main, 'publications WHERE certificate = ?', certificate.id)).toBe(0)
      }
    })
  })

  test('the service is whole', () => answered.check(harness))
})
