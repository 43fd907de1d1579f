import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey, prove as proveKey } from '../support/key-holder.ts'
import { tokenIn } from '../support/mail.ts'
import { certify, joinDevice, proveMailbox, register, type Registered } from '../support/story.ts'
import { renewProof } from '../../src/registration/mailbox/store.ts'
import {
  changeMailboxesElsewhere,
  Answered,
  countEverything,
  countRows,
  day,
  expectProblem,
  hour,
  race,
} from './support.ts'

const thirtyDays = 30 * day

describe.each(engines)('requests for a mailbox whose proof is old, on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  /** Somebody whose mailbox was proved 30 days ago. */
  const somebodyOld = async (): Promise<Registered> => {
    people += 1
    const subscriber = await register(harness.api, harness.mails, `aged.${people}@example.com`)
    harness.clock.now += thirtyDays
    return subscriber
  }
  const request = async (by: Registered, csr?: string): Promise<Answer> =>
    by.api.post('/v1/certificate-requests', { csr: csr ?? (await makeCsr()), use: 'dual' })
  const read = async (by: Registered, id: string): Promise<Json> =>
    (await by.api.get(`/v1/certificate-requests/${id}`)).body
  const mailboxOf = async (by: Registered): Promise<string> => (await by.api.get('/v1/me')).body.mailboxes[0].id
  /** The challenge that the device's newest waiting request shows. */
  const challengeOf = async (by: Registered): Promise<Json> => {
    const { items } = (await by.api.get('/v1/certificate-requests')).body
    return items.find((item: Json) => item.mailboxChallenge !== null).mailboxChallenge
  }
  const prove = async (by: Registered, asked?: Json): Promise<Answer> => {
    const { id, challenge } = asked ?? (await challengeOf(by))
    const token = tokenIn(await harness.mails.challengeOf(challenge))
    return by.api.post(`/v1/me/mailboxes/${id}/proof`, { token })
  }

  test('a proof that is younger than 30 days is good', async () => {
    const alice = await somebodyOld()
    harness.clock.now -= 1
    expect((await certify(alice)).state).toBe('valid')
  })

  test('the request waits, a token is mailed, and the proof takes it on to the CA', async () => {
    const alice = await somebodyOld()
    const asked = await request(alice)
    expect([asked.status, asked.body]).toEqual([
      202,
      {
        id: expect.any(String),
        state: 'awaiting_mailbox_proof',
        mailbox: alice.email,
        use: 'dual',
        reason: null,
        explanation: null,
        forwarded: null,
        waitingFor: null,
        mailboxChallenge: {
          id: await mailboxOf(alice),
          challenge: expect.any(String),
          state: 'pending',
          expiresAt: new Date(harness.clock.now + day).toISOString(),
        },
        certificate: null,
      },
    ])
    expect(asked.headers.get('Location')).toBe(`/v1/certificate-requests/${asked.body.id}`)
    expect(asked.headers.get('Retry-After')).toBe('30')
    expect((await prove(alice)).status).toBe(200)
    await harness.settled()
    expect(await read(alice, asked.body.id)).toMatchObject({ state: 'issued', certificate: { state: 'valid' } })
    expect((await certify(alice, { use: 'sign' })).state).toBe('valid')
  })

  test('a key that was proved by a challenge waits as well', async () => {
    const alice = await somebodyOld()
    const key = await holdKey('P-256 to encrypt')
    const made = await alice.api.post('/v1/public-keys', { publicKey: key.publicKey, use: key.use })
    const proof = await proveKey(key, made.body, new URL(harness.config.publicUrl).origin)
    const asked = await alice.api.post(`/v1/public-keys/${made.body.id}/proof`, { proof })
    expect([asked.status, asked.body.state]).toEqual([202, 'awaiting_mailbox_proof'])
    expect((await prove(alice)).status).toBe(200)
    await harness.settled()
    expect((await read(alice, asked.body.id)).state).toBe('issued')
  })

  test('the job takes it on too, where the process died after the proof', async () => {
    const alice = await somebodyOld()
    const asked = await request(alice)
    await changeMailboxesElsewhere(harness, alice.subscriberId, renewProof)
    expect((await read(alice, asked.body.id)).state).toBe('awaiting_mailbox_proof')
    await harness.runJob('requests-proved')
    expect((await read(alice, asked.body.id)).state).toBe('issued')
  })

  test('a device that joins proves the mailbox for what waits', async () => {
    const alice = await somebodyOld()
    const asked = await request(alice)
    await joinDevice(harness.api, harness.mails, alice)
    await harness.settled()
    expect((await read(alice, asked.body.id)).state).toBe('issued')
  })

  test('several requests and their repeats cause one mail an hour', async () => {
    const alice = await somebodyOld()
    const csr = await makeCsr()
    const first = await request(alice, csr)
    const again = await request(alice, csr)
    expect([again.status, again.body.id]).toEqual([200, first.body.id])
    await request(alice)
    const mailbox = await mailboxOf(alice)
    expect(await countRows(harness.main, 'mailbox_challenges WHERE mailbox = ?', mailbox)).toBe(1)
    harness.clock.now += hour
    await request(alice, csr)
    expect(await countRows(harness.main, 'mailbox_challenges WHERE mailbox = ?', mailbox)).toBe(2)
    expect((await prove(alice)).status).toBe(200)
    await harness.settled()
    const { items } = (await alice.api.get('/v1/certificate-requests')).body
    expect(items.map(({ state }: Json) => state)).toEqual(['issued', 'issued'])
  })

  test('what nobody proves within seven days fails, and its key may be sent again', async () => {
    const alice = await somebodyOld()
    const csr = await makeCsr()
    const asked = await request(alice, csr)
    harness.clock.now += 7 * day - 1
    await harness.runJob('requests-unproved')
    expect((await read(alice, asked.body.id)).state).toBe('awaiting_mailbox_proof')
    harness.clock.now += 1
    await harness.runJob('requests-unproved')
    expect(await read(alice, asked.body.id)).toMatchObject({ state: 'failed', reason: 'mailbox_proof_missing' })
    expect((await request(alice, csr)).body.id).not.toBe(asked.body.id)
  })

  test('a key that is blocked meanwhile is not certified', async () => {
    const alice = await somebodyOld()
    const asked = await request(alice)
    await harness.main.batch([
      {
        text: `INSERT INTO blocked_keys (kind, key_index, source, added_at)
               SELECT 'spki-sha256', key_index, 'reported', 1 FROM certificate_requests WHERE id = ?`,
        values: [asked.body.id],
      },
    ])
    expect((await prove(alice)).status).toBe(200)
    await harness.settled()
    expect(await read(alice, asked.body.id)).toMatchObject({ state: 'failed', reason: 'key_blocked' })
  })

  test('twenty proofs at once have it issued once', async () => {
    const alice = await somebodyOld()
    const asked = await request(alice)
    const id = await mailboxOf(alice)
    const token = tokenIn(await harness.mails.challengeOf(asked.body.mailboxChallenge.challenge))
    const proofs = await race(20, () => alice.api.post(`/v1/me/mailboxes/${id}/proof`, { token }))
    expect(new Set(proofs.map(({ status }) => status))).toEqual(new Set([200]))
    await Promise.all([harness.runJob('requests-proved'), harness.runJob('requests-proved'), harness.settled()])
    expect(await countRows(harness.main, 'certificates WHERE request = ?', asked.body.id)).toBe(1)
  })

  describe('cancelling', () => {
    test('ends a request that waits, and can be repeated', async () => {
      const alice = await somebodyOld()
      const csr = await makeCsr()
      const asked = await request(alice, csr)
      const path = `/v1/certificate-requests/${asked.body.id}`
      expect((await alice.api.delete(path)).status).toBe(204)
      expect((await alice.api.delete(path)).status).toBe(204)
      expect((await read(alice, asked.body.id)).state).toBe('cancelled')
      expect(
        await countRows(
          harness.main,
          `audit_entries WHERE action = 'certificate.request_cancelled' AND subject = ?`,
          asked.body.id,
        ),
      ).toBe(1)
      await prove(alice, asked.body.mailboxChallenge)
      await harness.settled()
      expect((await read(alice, asked.body.id)).state).toBe('cancelled')
      expect((await certify(alice, { csr })).state).toBe('valid')
    })

    test('is refused for what has an outcome, and for strangers', async () => {
      const alice = await somebodyOld()
      const asked = await request(alice)
      const path = `/v1/certificate-requests/${asked.body.id}`
      const mallory = await register(harness.api, harness.mails, `mallory.${people}@example.com`)
      expectProblem(await mallory.api.delete(path), 404, 'not_found')
      await prove(alice)
      await harness.settled()
      const before = await countEverything(harness)
      expectProblem(await alice.api.delete(path), 409, 'request_not_cancellable')
      expect(await countEverything(harness)).toEqual(before)
      expect((await read(alice, asked.body.id)).state).toBe('issued')
    })

    test('a proof and a cancellation at once: it is issued or cancelled, never both', async () => {
      const alice = await somebodyOld()
      const asked = await request(alice)
      const [cancelled] = await Promise.all([
        alice.api.delete(`/v1/certificate-requests/${asked.body.id}`),
        prove(alice, asked.body.mailboxChallenge),
      ])
      await harness.settled()
      const { state } = await read(alice, asked.body.id)
      expect(state).toBe(cancelled.status === 204 ? 'cancelled' : 'issued')
      expect(await countRows(harness.main, 'certificates WHERE request = ?', asked.body.id)).toBe(
        state === 'issued' ? 1 : 0,
      )
    })

    test('comes with the end of the mailbox', async () => {
      const alice = await somebodyOld()
      const asked = await request(alice)
      harness.clock.now += hour
      await register(harness.api, harness.mails, alice.email)
      expect(await read(alice, asked.body.id)).toMatchObject({ state: 'cancelled', reason: 'mailbox_ended' })
    })

    test('comes with the end of the device', async () => {
      people += 1
      const bob = await register(harness.api, harness.mails, `aged.${people}@example.com`)
      const second = await joinDevice(harness.api, harness.mails, bob)
      const other = `other.${bob.email}`
      const added = await bob.api.post('/v1/me/mailboxes', { email: other, accountType: 'imap' })
      const token = tokenIn(await harness.mails.challengeOf(added.body.challenge))
      await bob.api.post(`/v1/me/mailboxes/${added.body.id}/proof`, { token })
      harness.clock.now += thirtyDays
      const body = { csr: await makeCsr(), use: 'dual', mailbox: bob.email }
      const asked = await second.api.post('/v1/certificate-requests', body)
      expect(asked.body.state).toBe('awaiting_mailbox_proof')
      await proveMailbox(bob, harness.mails, { address: other, act: 'device_end' })
      expect((await bob.api.delete(`/v1/me/devices/${second.deviceId}`)).status).toBe(204)
      expect(await read(bob, asked.body.id)).toMatchObject({ state: 'cancelled', reason: 'device_ended' })
    })
  })

  test('the service is whole', async () => {
    await harness.runJob('certificates-expire')
    await answered.check(harness)
  })
})
