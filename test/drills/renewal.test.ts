import 'reflect-metadata'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dayOf } from '../../src/ports/time.ts'
import { command, integer, nullable, query, text } from '../../src/ports/database.ts'
import { localOperator } from '../support/administrators.ts'
import type { Api, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { readMail } from '../support/mail.ts'
import { toPem } from '../support/pem.ts'
import { deviceFacts, joinDevice, proveMailbox, register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countRows, day, endElsewhere, hour, minute, passUntil, race } from '../rooms/support.ts'

const start = Date.parse('2026-11-21T12:00:00Z')

describe.each(engines)('renewal on %s', (engine) => {
  let harness: RoomHarness
  let operator: Api
  let ca: TestCa
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    ca = await makeTestCa('Offline', () => start)
    operator = localOperator(harness)
    const connection = await operator.post('/v1/admin/ca-connections', {
      kind: 'manual',
      name: 'Offline CA',
      recipient: 'Example AG',
      anchors: toPem('CERTIFICATE', ca.root),
    })
    expect(connection.status, JSON.stringify(connection.body)).toBe(201)
    const rule = { position: 1, domain: 'offline.example', connectionId: connection.body.id }
    expect((await operator.post('/v1/admin/routing-rules', rule)).status).toBe(201)
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  const newcomer = (): Promise<Registered> => {
    people += 1
    return register(harness.api, harness.mails, `person.${people}@offline.example`)
  }
  const remind = async (): Promise<void> => {
    await harness.runJob('renewal-reminders')
    await harness.settled()
  }
  /** The mails to somebody that a certificate runs out: `soon`, and `very soon`. */
  const told = async ({ email }: Registered): Promise<string[]> => {
    await harness.settled()
    const mails = await Promise.all(harness.mails.messages.map(readMail))
    return mails
      .filter(({ parsed }) => parsed.to?.text === email)
      .flatMap(({ subject }) => /runs out (soon|very soon)$/.exec(subject)?.[1] ?? [])
  }
  const remindAt = async (certificate: string): Promise<number | null> => {
    const row = await harness.main.first(
      query({ at: nullable(integer) }, `SELECT remind_day AS at FROM certificates WHERE id = ?`, certificate),
    )
    return row?.at ?? null
  }
  const due = async ({ api }: Registered): Promise<Json> => {
    const { renew, renewNow } = (await api.post('/v1/check-ins', deviceFacts)).body
    return { renew, renewNow }
  }
  const until = (at: number, ...devices: Registered[]): Promise<void> => passUntil(harness, at, devices)

  /** Has a key certified by the CA that is asked by hand, for as long as it likes. */
  const certify = async (by: Registered, milliseconds: number = 90 * day): Promise<Json> => {
    const csr = await makeCsr({ subject: '', addresses: [by.email] })
    const asked = await by.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    expect(asked.status, JSON.stringify(asked.body)).toBe(202)
    await harness.settled()
    const certificate = await ca.issue({
      spki: new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData),
      names: by.email,
      notBefore: new Date(harness.clock.now),
      notAfter: new Date(harness.clock.now + milliseconds),
    })
    const pem = [certificate, ca.issuing].map((der) => toPem('CERTIFICATE', der)).join('')
    const path = `/v1/admin/certificate-requests/${asked.body.id}/certificate`
    const brought = await operator.post(path, { certificate: pem })
    expect(brought.status, JSON.stringify(brought.body)).toBe(200)
    return (await by.api.get(`/v1/certificates/${brought.body.certificateId}`)).body
  }

  describe('the holder of a certificate', () => {
    test('is told 30 and 7 days before it runs out, once each', async () => {
      const alice = await newcomer()
      const certificate = await certify(alice)
      const expiry = Date.parse(certificate.notAfter)
      await until(expiry - 30 * day - 1, alice)
      await remind()
      expect(await told(alice)).toEqual([])
      await until(expiry - 30 * day, alice)
      for (let repeats = 0; repeats < 3; repeats += 1) await remind()
      expect(await told(alice)).toEqual(['soon'])
      await until(expiry - 7 * day - 1, alice)
      await remind()
      expect(await told(alice)).toEqual(['soon'])
      await until(expiry - 7 * day, alice)
      for (let repeats = 0; repeats < 3; repeats += 1) await remind()
      expect(await told(alice)).toEqual(['soon', 'very soon'])
      expect(await remindAt(certificate.id)).toBeNull()
      await until(expiry - minute, alice)
      await remind()
      expect((await told(alice)).length).toBe(2)
      const entries = await harness.main.all(
        query(
          { facts: text },
          `SELECT facts FROM audit_entries WHERE subject = ? AND action = 'certificate.running_out' ORDER BY position`,
          certificate.id,
        ),
      )
      expect(entries.map(({ facts }) => JSON.parse(facts))).toEqual([{ left: 'third' }, { left: 'twelfth' }])
    })

    test('is told once by many workers at once', async () => {
      const alice = await newcomer()
      const { id, notAfter } = await certify(alice)
      await until(Date.parse(notAfter) - 20 * day, alice)
      await race(10, remind)
      expect(await told(alice)).toEqual(['soon'])
      const entries = `audit_entries WHERE subject = ? AND action = 'certificate.running_out'`
      expect(await countRows(harness.main, entries, id)).toBe(1)
    })

    test('is told once where both times have passed while nobody looked', async () => {
      const alice = await newcomer()
      const { id, notAfter } = await certify(alice)
      await until(Date.parse(notAfter) - 2 * day, alice)
      await remind()
      await remind()
      expect(await told(alice)).toEqual(['very soon'])
      expect(await remindAt(id)).toBeNull()
    })

    test('is told nothing once it has run out', async () => {
      const alice = await newcomer()
      const { id, notAfter } = await certify(alice)
      await until(Date.parse(notAfter) + minute, alice)
      await remind()
      await harness.runJob('certificates-expire')
      await remind()
      expect([await told(alice), await remindAt(id)]).toEqual([[], null])
    })

    test('is told nothing of one that was renewed, or revoked', async () => {
      const [renewing, revoking] = [await newcomer(), await newcomer()]
      const [older, revoked] = [await certify(renewing), await certify(revoking)]
      await until(Date.parse(older.notAfter) - 29 * day, renewing, revoking)
      await proveMailbox(renewing, harness.mails)
      const newer = await certify(renewing)
      await revoking.api.post(`/v1/certificates/${revoked.id}/revocation`, { reason: 'superseded' })
      await remind()
      expect([await told(renewing), await told(revoking)]).toEqual([[], []])
      expect([await remindAt(older.id), await remindAt(revoked.id)]).toEqual([null, null])
      expect(await remindAt(newer.id)).toBe(dayOf(Date.parse(newer.notAfter) - 30 * day))
    })

    test('is told although a renewal is asked for, as long as it has not come', async () => {
      const alice = await newcomer()
      const older = await certify(alice)
      await until(Date.parse(older.notAfter) - 30 * day, alice)
      await proveMailbox(alice, harness.mails)
      const csr = await makeCsr({ subject: '', addresses: [alice.email] })
      const asked = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
      expect([asked.status, asked.body.state]).toEqual([202, 'pending'])
      await remind()
      expect(await told(alice)).toEqual(['soon'])
    })

    test.each([
      ['whose mailbox has moved away', endElsewhere.mailbox],
      ['whose device has ended', endElsewhere.device],
    ])('is told nothing of one %s, which is about to be revoked', async (_what, end) => {
      const alice = await newcomer()
      const { notAfter } = await certify(alice)
      await until(Date.parse(notAfter) - 20 * day, alice)
      await end(harness, alice)
      await remind()
      expect(await told(alice)).toEqual([])
    })
  })

  test('one that cannot be told holds up no other', async () => {
    const [broken, other] = [await newcomer(), await newcomer()]
    const [unreadable, certificate] = [await certify(broken), await certify(other)]
    await until(Date.parse(certificate.notAfter) - 30 * day, broken, other)
    await harness.main.batch([
      command(`UPDATE mailboxes SET address_sealed = x'00' WHERE subscriber = ?`, broken.subscriberId),
    ])
    await expect(harness.runJob('renewal-reminders')).rejects.toThrow()
    expect(await told(other)).toEqual(['soon'])
    expect(await remindAt(unreadable.id)).toBe(dayOf(Date.parse(unreadable.notAfter) - 30 * day))
    await harness.main.batch([command(`UPDATE certificates SET remind_day = NULL WHERE id = ?`, unreadable.id)])
  })

  describe.each([
    ['a day', 1 * day, 8 * hour, 2 * hour],
    ['three months', 90 * day, 30 * day, 7 * day],
    ['thirty days', 30 * day, 10 * day, 2.5 * day],
    ['a quarter of an hour', 15 * minute, 5 * minute, 75_000],
  ])('a certificate of %s', (_title, term, third, twelfth) => {
    test('is renewed, and its holder told, at a third and at a twelfth, and not more often', async () => {
      const alice = await newcomer()
      const { id, notAfter } = await certify(alice, term)
      const expiry = Date.parse(notAfter)
      const steps: readonly (readonly [before: number, renew: boolean, now: boolean, told: readonly string[]])[] = [
        [third + 1, false, false, []],
        [third, true, false, ['soon']],
        [twelfth + 1, true, false, ['soon']],
        [twelfth, true, true, ['soon', 'very soon']],
        [1, true, true, ['soon', 'very soon']],
        [-1, false, false, ['soon', 'very soon']],
      ]
      for (const [before, renew, now, mails] of steps) {
        await until(expiry - before, alice)
        for (let repeats = 0; repeats < 2; repeats += 1) await remind()
        expect([before, await due(alice), await told(alice)]).toEqual([
          before,
          { renew: renew ? [id] : [], renewNow: now ? [id] : [] },
          mails,
        ])
      }
    })
  })

  test('a device is asked for its own certificates only, the first to run out first', async () => {
    const phone = await newcomer()
    const tablet = await joinDevice(harness.api, harness.mails, phone)
    const first = await certify(phone, 30 * day)
    const second = await certify(tablet, 20 * day)
    harness.clock.now = Date.parse(second.notAfter) - day
    expect(await due(tablet)).toEqual({ renew: [second.id], renewNow: [second.id] })
    expect(await due(phone)).toEqual({ renew: [], renewNow: [] })
    harness.clock.now = Date.parse(first.notAfter) - 9 * day
    expect(await due(phone)).toEqual({ renew: [first.id], renewNow: [] })
    await harness.runJob('certificates-expire')
  })

  test('a superseded certificate stays readable to its owner, with the chain of the CA that issued it', async () => {
    const alice = await newcomer()
    const older = await certify(alice)
    harness.clock.now += 61 * day
    await proveMailbox(alice, harness.mails)
    const newer = await certify(alice)
    const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')
    for (const [id, state] of [
      [older.id, 'superseded'],
      [newer.id, 'valid'],
    ]) {
      const { status, body } = await alice.api.get(`/v1/certificates/${id}`)
      expect([status, body.state, body.published]).toEqual([200, state, false])
      expect(body.chain).toEqual([base64(ca.issuing), base64(ca.root)])
    }
    const { body } = await alice.api.get('/v1/certificates')
    expect(body.items.map(({ id, state, certificate }: Json) => [id, state, certificate])).toEqual([
      [newer.id, 'valid', newer.certificate],
      [older.id, 'superseded', older.certificate],
    ])
    const bob = await newcomer()
    expect((await bob.api.get(`/v1/certificates/${older.id}`)).status).toBe(404)
    expect(await countRows(harness.main, 'certificates WHERE remind_day IS NOT NULL AND id = ?', older.id)).toBe(0)
  })
})
