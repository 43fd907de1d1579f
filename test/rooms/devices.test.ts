import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command } from '../../src/ports/database.ts'
import type { Answer, Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import {
  certify,
  confirmRegistration,
  deviceFacts,
  joinDevice,
  policyVersion,
  proveMailbox,
  publish,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'
import {
  Answered,
  countEverything,
  countRows,
  day,
  endDeviceElsewhere,
  expectProblem,
  findLeaks,
  hour,
  minute,
  race,
} from './support.ts'

describe.each(engines)('devices on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  const somebody = (): Promise<Registered> => {
    people += 1
    return register(harness.api, harness.mails, `device.owner.${people}@example.com`)
  }
  /** A device that has proved the mailbox and has not asked for its credential yet. */
  const newcomer = async (email: string): Promise<Json> => {
    const started = await startRegistration(harness.api, email)
    await confirmRegistration(harness.api, harness.mails, started)
    return started
  }
  const mint = (started: Json, wish?: Json): Promise<Answer> =>
    harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`, wish)
  const devicesOf = async (subscriber: Registered): Promise<Json[]> => {
    const answer = await subscriber.api.get('/v1/me/devices')
    expect(answer.status).toBe(200)
    return answer.body.items
  }
  const approve = (by: Registered, started: Json): Promise<Answer> =>
    by.api.post(`/v1/me/devices/${started.id}/approval`)

  describe('the list', () => {
    test('shows this device, and what waits to be let in, without serial numbers', async () => {
      const alice = await somebody()
      const android = { ...deviceFacts, deviceType: 'Pixel', osVersion: 'Android 16', serialNumber: 'SN-0123-4567' }
      const asked = await harness.api.post('/v1/registrations', {
        email: alice.email,
        accountType: 'imap',
        policyVersion,
        device: android,
      })
      await confirmRegistration(harness.api, harness.mails, asked.body)
      const items = await devicesOf(alice)
      expect(items).toEqual([
        {
          id: asked.body.id,
          state: 'awaiting_approval',
          current: false,
          appVersion: '8.1.0',
          deviceType: 'Pixel',
          osVersion: 'Android 16',
          language: 'en',
          createdAt: new Date(harness.clock.now).toISOString(),
          lastSeenAt: null,
        },
        {
          id: alice.deviceId,
          state: 'active',
          current: true,
          appVersion: '8.1.0',
          deviceType: 'iPhone',
          osVersion: '26.1',
          language: 'en',
          createdAt: new Date(harness.clock.now).toISOString(),
          lastSeenAt: new Date(Math.floor(harness.clock.now / day) * day).toISOString(),
        },
      ])
      expect(JSON.stringify(items)).not.toContain('SN-0123')
    })

    test('shows no newcomer that has not proved the mailbox, is too late, or is at a stranger’s mailbox', async () => {
      const alice = await somebody()
      const bob = await somebody()
      await startRegistration(harness.api, alice.email)
      await newcomer(bob.email)
      expect((await devicesOf(alice)).map(({ state }) => state)).toEqual(['active'])
      await newcomer(alice.email)
      expect((await devicesOf(alice)).map(({ state }) => state)).toEqual(['awaiting_approval', 'active'])
      harness.clock.now += day
      expect((await devicesOf(alice)).map(({ state }) => state)).toEqual(['active'])
    })

    test('comes in pages', async () => {
      const alice = await somebody()
      const second = await joinDevice(harness.api, harness.mails, alice)
      const first = await alice.api.get('/v1/me/devices?limit=1')
      const rest = await alice.api.get(`/v1/me/devices?limit=1&cursor=${first.body.next}`)
      expect(rest.body.next).toBe(null)
      expect(new Set([...first.body.items, ...rest.body.items].map(({ id }: Json) => id))).toEqual(
        new Set([alice.deviceId, second.deviceId]),
      )
    })
  })

  describe('letting a device in', () => {
    test('it joins the subscriber; the mailbox is proved anew, and told', async () => {
      const alice = await somebody()
      const certificate = await certify(alice)
      harness.clock.now += 20 * minute
      const second = await joinDevice(harness.api, harness.mails, alice)
      expect(second.subscriberId).toBe(alice.subscriberId)
      expect(second.deviceId).not.toBe(alice.deviceId)
      expect((await devicesOf(second)).map(({ id, current }) => [id, current])).toEqual([
        [second.deviceId, true],
        [alice.deviceId, false],
      ])
      const me = await second.api.get('/v1/me')
      expect(me.body.mailboxes).toHaveLength(1)
      expect(me.body.mailboxes[0].verifiedAt).toBe(new Date(harness.clock.now).toISOString())
      expect((await second.api.get(`/v1/certificates/${certificate.id}`)).status).toBe(200)
      const recipient = harness.keys.blindIndex(alice.email)
      expect(
        await countRows(harness.main, `outgoing_mail WHERE kind = 'new_device' AND recipient_index = ?`, recipient),
      ).toBe(2)
      expect(
        await countRows(
          harness.main,
          'consent_records WHERE subscriber = ? AND device = ?',
          alice.subscriberId,
          second.deviceId,
        ),
      ).toBe(1)
    })

    test('who waits gets approval_pending with Retry-After until it is let in, and loses nothing', async () => {
      const alice = await somebody()
      const started = await newcomer(alice.email)
      const before = await countEverything(harness)
      const waiting = await mint(started, { waitForApproval: true })
      expectProblem(waiting, 409, 'approval_pending')
      expect(waiting.headers.get('Retry-After')).toBe('5')
      expect(await countEverything(harness)).toEqual(before)
      expect((await approve(alice, started)).status).toBe(200)
      const joined = await mint(started, { waitForApproval: true })
      expect([joined.status, joined.body.subscriberId]).toEqual([201, alice.subscriberId])
    })

    test.each([
      [{ waitForApproval: 'yes' }, 422, 'invalid_request'],
      [{ wait: true }, 422, 'invalid_request'],
      [[], 422, 'invalid_request'],
    ])('a wish that cannot be read is refused, and nothing moves: %j', async (wish, status, code) => {
      const alice = await somebody()
      const started = await newcomer(alice.email)
      expectProblem(await mint(started, wish), status, code)
      const asCsr = await harness.api
        .with(started.deviceSecret)
        .raw('POST', `/v1/registrations/${started.id}/credential`, '{"waitForApproval":true}', 'application/pkcs10')
      expectProblem(asCsr, 415, 'unsupported_media_type')
      expect((await alice.api.get('/v1/me')).body.mailboxes[0].state).toBe('active')
    })

    test('needs a mailbox that was proved within 15 minutes', async () => {
      const alice = await somebody()
      harness.clock.now += 15 * minute
      const started = await newcomer(alice.email)
      expectProblem(await approve(alice, started), 403, 'mailbox_proof_required')
      await proveMailbox(alice, harness.mails, { act: 'device_approve' })
      harness.clock.now += 15 * minute - 1
      expect((await approve(alice, started)).body.state).toBe('awaiting_approval')
    })

    test('can be repeated, before and after the device has come', async () => {
      const alice = await somebody()
      const started = await newcomer(alice.email)
      const first = await approve(alice, started)
      const entries = await countRows(harness.main, `audit_entries WHERE action = 'device.approved'`)
      expect(await approve(alice, started)).toMatchObject({ status: 200, body: first.body })
      expect(await countRows(harness.main, `audit_entries WHERE action = 'device.approved'`)).toBe(entries)
      const { body } = await mint(started)
      const after = await approve(alice, started)
      expect([after.status, after.body.id, after.body.state]).toEqual([200, body.deviceId, 'active'])
    })

    test('is refused for strangers, for what has not proved the mailbox, is too late or turned away', async () => {
      const alice = await somebody()
      const mallory = await somebody()
      const atAlices = await newcomer(alice.email)
      const unproved = await startRegistration(harness.api, alice.email)
      expectProblem(await approve(mallory, atAlices), 404, 'not_found')
      expectProblem(await approve(alice, unproved), 404, 'not_found')
      expectProblem(await approve(alice, { id: 'AAAAAAAAAAAAAAAAAAAAAA' }), 404, 'not_found')
      expectProblem(await mint(atAlices, { waitForApproval: true }), 409, 'approval_pending')
      expect((await alice.api.delete(`/v1/me/devices/${atAlices.id}`)).status).toBe(204)
      expectProblem(await approve(alice, atAlices), 404, 'not_found')
      expectProblem(await mint(atAlices), 410, 'registration_ended')
      harness.clock.now += hour
      const late = await newcomer(alice.email)
      harness.clock.now += day
      await proveMailbox(alice, harness.mails, { act: 'device_approve' })
      expectProblem(await approve(alice, late), 404, 'not_found')
    })

    test('is worth nothing once the subscriber has lost the mailbox', async () => {
      const alice = await somebody()
      const friend = await newcomer(alice.email)
      expect((await approve(alice, friend)).status).toBe(200)
      const taker = await newcomer(alice.email)
      const taken = await mint(taker)
      expectProblem(await mint(friend, { waitForApproval: true }), 409, 'approval_pending')
      const moved = await mint(friend)
      expect(moved.status).toBe(201)
      expect([alice.subscriberId, taken.body.subscriberId]).not.toContain(moved.body.subscriberId)
    })
  })

  describe('ending a device', () => {
    test('its credential is dead at once, its certificates leave the directory and are revoked soon', async () => {
      const alice = await somebody()
      const second = await joinDevice(harness.api, harness.mails, alice)
      const certificate = await certify(second)
      const kept = await certify(alice)
      await publish(second, certificate.id)
      await publish(alice, kept.id)
      expect(await countRows(harness.main, 'publications WHERE certificate = ?', certificate.id)).toBe(1)
      expect((await alice.api.delete(`/v1/me/devices/${second.deviceId}`)).status).toBe(204)
      expect(await countRows(harness.main, 'publications WHERE certificate = ?', certificate.id)).toBe(0)
      expectProblem(await second.api.get('/v1/me'), 401, 'credential_invalid')
      await harness.settled()
      expect((await alice.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('revoked')
      expect((await alice.api.get(`/v1/certificates/${kept.id}`)).body).toMatchObject({
        state: 'valid',
        published: true,
      })
      expect(
        await countRows(
          harness.main,
          `certificate_statuses WHERE serial_number = ? AND reason = 'cessationOfOperation'`,
          certificate.serialNumber,
        ),
      ).toBe(1)
      expect(await countRows(harness.main, 'devices WHERE id = ? AND settled_at IS NOT NULL', second.deviceId)).toBe(1)
      expect((await devicesOf(alice)).map(({ id }) => id)).toEqual([alice.deviceId])
      expect((await alice.api.delete(`/v1/me/devices/${second.deviceId}`)).status).toBe(204)
      expectProblem(
        await alice.api.put(`/v1/certificates/${certificate.id}/publication`, {
          consentVersion: policyVersion,
          audience: 'members',
        }),
        409,
        'certificate_not_valid',
      )
    })

    test('needs a mailbox that was proved within 15 minutes, also to turn a newcomer away', async () => {
      const alice = await somebody()
      const second = await joinDevice(harness.api, harness.mails, alice)
      harness.clock.now += hour
      const started = await newcomer(alice.email)
      expectProblem(await alice.api.delete(`/v1/me/devices/${second.deviceId}`), 403, 'mailbox_proof_required')
      expectProblem(await alice.api.delete(`/v1/me/devices/${started.id}`), 403, 'mailbox_proof_required')
      expect((await second.api.get('/v1/me')).status).toBe(200)
    })

    test('is refused for a stranger’s device, and a stranger’s newcomer', async () => {
      const alice = await somebody()
      const mallory = await somebody()
      const started = await newcomer(alice.email)
      for (const id of [alice.deviceId, started.id, 'AAAAAAAAAAAAAAAAAAAAAA']) {
        expectProblem(await mallory.api.delete(`/v1/me/devices/${id}`), 404, 'not_found')
      }
      expect((await alice.api.get('/v1/me')).status).toBe(200)
    })

    test('takes back what the device has let in, unless it left by itself', async () => {
      const alice = await somebody()
      const stolen = await joinDevice(harness.api, harness.mails, alice)
      harness.clock.now += hour
      const thief = await newcomer(alice.email)
      await proveMailbox(stolen, harness.mails, { act: 'device_approve' })
      expect((await approve(stolen, thief)).status).toBe(200)
      await proveMailbox(alice, harness.mails, { act: 'device_end' })
      expect((await alice.api.delete(`/v1/me/devices/${stolen.deviceId}`)).status).toBe(204)
      expectProblem(await mint(thief, { waitForApproval: true }), 409, 'approval_pending')
      harness.clock.now += day
      const successor = await newcomer(alice.email)
      await proveMailbox(alice, harness.mails, { act: 'device_approve' })
      expect((await approve(alice, successor)).status).toBe(200)
      await proveMailbox(alice, harness.mails, { act: 'device_end' })
      expect((await alice.api.delete(`/v1/me/devices/${alice.deviceId}`)).status).toBe(204)
      expect((await mint(successor)).body.subscriberId).toBe(alice.subscriberId)
    })

    test('a device that ends before it asks for its credential again gets none', async () => {
      const alice = await somebody()
      const started = await newcomer(alice.email)
      await approve(alice, started)
      const minted = await mint(started)
      expect((await alice.api.delete(`/v1/me/devices/${minted.body.deviceId}`)).status).toBe(204)
      expectProblem(await mint(started), 410, 'registration_ended')
    })
  })

  describe('the credential', () => {
    const rotate = async (device: Registered): Promise<string> => {
      const answer = await device.api.post('/v1/me/credential')
      expect([answer.status, Object.keys(answer.body)]).toEqual([201, ['credential']])
      return answer.body.credential
    }
    const works = async (credential: string): Promise<boolean> => {
      const answer = await harness.api.with(credential).get('/v1/me')
      if (answer.status !== 200) expectProblem(answer, 401, 'credential_invalid')
      return answer.status === 200
    }

    test('the old one works until the new one is used', async () => {
      const alice = await somebody()
      const next = await rotate(alice)
      expect(next).toMatch(/^cb_dev_[\w-]{43}$/)
      expect(await works(alice.credential)).toBe(true)
      expect(await works(next)).toBe(true)
      expect(await works(alice.credential)).toBe(false)
      expect(await works(next)).toBe(true)
      expect(await findLeaks(harness, next)).toEqual([])
    })

    test('a repeat before the first use replaces the new one', async () => {
      const alice = await somebody()
      const lost = await rotate(alice)
      const kept = await rotate(alice)
      expect(await works(lost)).toBe(false)
      expect(await works(alice.credential)).toBe(true)
      expect(await works(kept)).toBe(true)
      expect(await works(alice.credential)).toBe(false)
    })

    test('twenty rotations at once leave the old one and one new one; twenty first uses all succeed', async () => {
      const alice = await somebody()
      const made = await race(20, () => rotate(alice))
      const good: string[] = []
      const rows = await countRows(harness.main, `audit_entries WHERE action = 'credential.rotated'`)
      for (const credential of made) if (await works(credential)) good.push(credential)
      expect(good).toHaveLength(1)
      expect(await countRows(harness.main, `audit_entries WHERE action = 'credential.rotated'`)).toBe(rows + 1)
      const next = await rotate({ ...alice, api: harness.api.with(good[0] ?? '') })
      expect(new Set(await race(20, () => works(next)))).toEqual(new Set([true]))
      expect(await countRows(harness.main, `audit_entries WHERE action = 'credential.rotated'`)).toBe(rows + 2)
    })

    test('a waiting one ends with the device', async () => {
      const alice = await somebody()
      const second = await joinDevice(harness.api, harness.mails, alice)
      const next = await rotate(second)
      expect((await alice.api.delete(`/v1/me/devices/${second.deviceId}`)).status).toBe(204)
      expect(await works(next)).toBe(false)
      expect(await works(second.credential)).toBe(false)
    })

    test('is known no longer as soon as its device has ended, whoever wrote that', async () => {
      const [alice, bob] = [await somebody(), await somebody()]
      for (const { credential } of [alice, bob, alice, bob]) expect(await works(credential)).toBe(true)
      await endDeviceElsewhere(harness, alice.deviceId)
      expect([await works(alice.credential), await works(bob.credential)]).toEqual([false, true])
      await endDeviceElsewhere(harness, bob.deviceId)
      await harness.main.batch([command(`DELETE FROM caller_changes`)])
      expect(await works(bob.credential)).toBe(false)
    })

    test('is known no longer also where the change was deleted before anybody read it', async () => {
      const [alice, bob] = [await somebody(), await somebody()]
      for (const { credential } of [alice, bob, alice, bob]) expect(await works(credential)).toBe(true)
      await endDeviceElsewhere(harness, alice.deviceId)
      await harness.main.batch([command(`UPDATE devices SET subscriber = subscriber WHERE id = ?`, bob.deviceId)])
      await harness.runJob('registrations-prune')
      expect(await countRows(harness.main, 'caller_changes')).toBe(1)
      expect([await works(alice.credential), await works(bob.credential)]).toEqual([false, true])
    })

    test('is seen once a day, and expires 180 days after it was seen', async () => {
      const alice = await somebody()
      const bob = await somebody()
      const next = await rotate(bob)
      harness.clock.now += 170 * day
      const entries = (): Promise<number> =>
        countRows(
          harness.main,
          'devices WHERE id = ? AND seen_at >= ? AND seen_at % 86400000 = 0',
          alice.deviceId,
          // A device's days begin at a time of their own.
          (Math.floor(harness.clock.now / day) - 1) * day,
        )
      expect(await works(alice.credential)).toBe(true)
      expect(await entries()).toBe(1)
      expect((await devicesOf(alice))[0].lastSeenAt).toBe(
        new Date(Math.floor(harness.clock.now / day) * day).toISOString(),
      )
      harness.clock.now += 11 * day
      expect(await works(alice.credential)).toBe(true)
      expect(await works(bob.credential)).toBe(false)
      expect(await works(next)).toBe(false)
      harness.clock.now += 180 * day
      expect(await works(alice.credential)).toBe(true)
      harness.clock.now += 181 * day
      expect(await works(alice.credential)).toBe(false)
    })
  })

  describe('races', () => {
    test('twenty approvals and twenty calls for the credential make one device', async () => {
      const alice = await somebody()
      const started = await newcomer(alice.email)
      for (const answer of await race(20, () => approve(alice, started))) expect(answer.status).toBe(200)
      const minted = await race(20, () => mint(started, { waitForApproval: true }))
      expect(new Set(minted.map(({ status }) => status))).toEqual(new Set([201]))
      expect(new Set(minted.map(({ body }) => `${body.subscriberId} ${body.deviceId}`)).size).toBe(1)
      expect(minted[0]?.body.subscriberId).toBe(alice.subscriberId)
      expect(await countRows(harness.main, 'devices WHERE subscriber = ?', alice.subscriberId)).toBe(2)
      expect(
        await countRows(
          harness.main,
          `audit_entries WHERE action = 'device.joined' AND subject = ?`,
          alice.subscriberId,
        ),
      ).toBe(1)
    })

    test('an approval that races a device which does not wait: it joins or takes the mailbox, never both', async () => {
      for (let turn = 0; turn < 5; turn += 1) {
        const alice = await somebody()
        const started = await newcomer(alice.email)
        const [approved, minted] = await Promise.all([approve(alice, started), mint(started)])
        expect(minted.status).toBe(201)
        const joined = minted.body.subscriberId === alice.subscriberId
        const { mailboxes } = (await alice.api.get('/v1/me')).body
        expect(mailboxes.map(({ state }: Json) => state)).toEqual([joined ? 'active' : 'moved'])
        if (joined) expect(approved.status).toBe(200)
        expect(
          await countRows(
            harness.main,
            'mailboxes WHERE address_index = ? AND ended_at IS NULL',
            harness.keys.blindIndex(alice.email),
          ),
        ).toBe(1)
      }
    })

    test('twenty removals of one device end it once', async () => {
      const alice = await somebody()
      const second = await joinDevice(harness.api, harness.mails, alice)
      const answers = await race(20, () => alice.api.delete(`/v1/me/devices/${second.deviceId}`))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]))
      expect(
        await countRows(harness.main, `audit_entries WHERE action = 'device.removed' AND subject = ?`, second.deviceId),
      ).toBe(1)
    })
  })

  test('the service is whole', async () => {
    await harness.runJob('certificates-expire')
    await answered.check(harness)
  })
})
