import { createEraseAuditValues } from '../../src/audit/entries.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, query, text } from '../../src/ports/database.ts'
import { DeliveryFailed, type Mailer } from '../../src/ports/mailer.ts'
import { localOperator, makeAdministrator, type Administrator } from '../support/administrators.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, publish, register, startRegistration, type Registered } from '../support/story.ts'
import { auditDepsOf, countRows, day, expectProblem, findLeaks, minute, race } from './support.ts'

const reason = 'a letter of 20 November'

describe.each(engines)('what administrators see on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let certificate: { id: string; serialNumber: string; fingerprintSha256: string; issuer: string }
  let operator: Administrator
  let approver: Administrator
  let privacy: Administrator
  let auditor: Administrator
  let owner: Administrator

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    operator = await makeAdministrator(harness, 'operator')
    approver = await makeAdministrator(harness, 'approver')
    privacy = await makeAdministrator(harness, 'privacy')
    auditor = await makeAdministrator(harness, 'auditor')
    owner = await makeAdministrator(harness, 'owner')
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    certificate = await certify(alice)
    await publish(alice, certificate.id)
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  const lastEntry = async () => {
    const entry = await harness.main.first(
      query(
        { id: text, action: text, actorKind: text, actor: text, subject: text, facts: text },
        `SELECT id, action, actor_kind AS actorKind, actor, subject, facts FROM audit_entries
         ORDER BY position DESC LIMIT 1`,
      ),
    )
    if (entry === null) throw new Error('the audit log is empty')
    return entry
  }
  const valuesOf = async (entry: string) =>
    (await auditor.api.post(`/v1/admin/audit-log/${entry}/reading`, { reason: 'what was written down' })).body.values
  const entries = (): Promise<number> => countRows(harness.main, 'audit_entries')
  const search = (address: string, by = privacy) => by.api.post('/v1/admin/subscribers/search', { address, reason })

  describe('of a subscriber', () => {
    const expected = () => ({
      id: alice.subscriberId,
      language: 'en',
      createdAt: '2026-11-21T12:00:00.000Z',
      restricted: false,
      mailboxes: [
        {
          id: expect.any(String),
          address: 'alice@example.com',
          accountType: 'imap',
          state: 'active',
          verifiedAt: '2026-11-21T12:00:00.000Z',
          createdAt: '2026-11-21T12:00:00.000Z',
          endedAt: null,
        },
      ],
      devices: [
        {
          id: alice.deviceId,
          state: 'active',
          appVersion: '8.1.0',
          deviceType: 'iPhone',
          osVersion: '26.1',
          language: 'en',
          createdAt: '2026-11-21T12:00:00.000Z',
          lastSeenAt: expect.stringMatching(/^2026-11-21T/),
          endedAt: null,
        },
      ],
      certificates: [
        {
          id: certificate.id,
          mailboxId: expect.any(String),
          deviceId: alice.deviceId,
          use: 'dual',
          state: 'valid',
          published: true,
          notBefore: expect.any(String),
          notAfter: expect.any(String),
        },
      ],
    })

    test('by address, however it is written: everything but keys, and the look is written down', async () => {
      const found = await search('  Alice@EXAMPLE.com '.trim())
      expect([found.status, found.body]).toEqual([200, { items: [expected()], next: null }])
      const entry = await lastEntry()
      expect(entry).toMatchObject({
        action: 'subscriber.searched',
        actorKind: 'administrator',
        actor: privacy.id,
        subject: alice.subscriberId,
      })
      expect(await valuesOf(entry.id)).toEqual({ address: 'Alice@EXAMPLE.com', reason })
      expect(await findLeaks(harness, reason, 'alice@example.com')).toEqual([])
    })

    test('by id, and the look is written down', async () => {
      const found = await operator.api.post(`/v1/admin/subscribers/${alice.subscriberId}/reading`, { reason })
      expect([found.status, found.body]).toEqual([200, expected()])
      const entry = await lastEntry()
      expect(entry).toMatchObject({ action: 'subscriber.read', actor: operator.id, subject: alice.subscriberId })
      expect(await valuesOf(entry.id)).toEqual({ reason })
    })

    test('nothing where there is none, but a search is written down all the same', async () => {
      expect((await search('nobody@example.com')).body).toEqual({ items: [], next: null })
      const entry = await lastEntry()
      expect(entry).toMatchObject({ action: 'subscriber.searched', subject: 'none' })
      expect(await valuesOf(entry.id)).toEqual({ address: 'nobody@example.com', reason })
      const before = await entries()
      const path = '/v1/admin/subscribers/nobody/reading'
      expectProblem(await privacy.api.post(path, { reason }), 404, 'not_found')
      expect(await entries()).toBe(before)
    })

    test.each([[undefined], ['too short'], ['         x         '], ['x'.repeat(501)]])(
      'not for the reason %j, and then nothing is looked for',
      async (given) => {
        const before = await entries()
        const body = { address: 'alice@example.com', reason: given }
        expectProblem(await privacy.api.post('/v1/admin/subscribers/search', body), 422, 'invalid_request')
        const path = `/v1/admin/subscribers/${alice.subscriberId}/reading`
        expectProblem(await privacy.api.post(path, { reason: given }), 422, 'invalid_request')
        expect(await entries()).toBe(before)
      },
    )

    test('not for what is no address', async () => {
      expectProblem(await search('alice'), 422, 'address_malformed')
    })
  })

  describe('of requests', () => {
    test('by ids in lists, filtered by state, in pages', async () => {
      const bob = await register(harness.api, harness.mails, 'bob@example.com')
      for (let count = 0; count < 3; count++) {
        harness.clock.now += minute
        await certify(bob, { csr: await makeCsr() })
      }
      const seen: { state: string; subscriberId: string }[] = []
      let cursor = ''
      do {
        const page = await auditor.api.get(`/v1/admin/certificate-requests?limit=2${cursor}`)
        expect(page.status).toBe(200)
        seen.push(...page.body.items)
        cursor = page.body.next === null ? '' : `&cursor=${page.body.next}`
      } while (cursor !== '')
      expect(seen.map(({ state }) => state)).toEqual(['issued', 'ended', 'ended', 'issued'])
      expect(JSON.stringify(seen)).not.toContain('@')
      const ended = await operator.api.get('/v1/admin/certificate-requests?state=ended&limit=1')
      expect(ended.body.items).toHaveLength(1)
      const rest = await operator.api.get(`/v1/admin/certificate-requests?state=ended&cursor=${ended.body.next}`)
      expect(rest.body).toMatchObject({ items: [{ state: 'ended', subscriberId: bob.subscriberId }], next: null })
      expectProblem(await operator.api.get('/v1/admin/certificate-requests?state=unknown'), 422, 'invalid_request')
    })

    test('with the mailbox for who works with them, which is written down, and without it for auditors', async () => {
      const list = await operator.api.get('/v1/admin/certificate-requests')
      const { id } = list.body.items.find((item: { subscriberId: string }) => item.subscriberId === alice.subscriberId)
      const path = `/v1/admin/certificate-requests/${id}`
      for (const { id: actor, api } of [operator, approver]) {
        expect((await api.get('/v1/admin/me')).status).toBe(200)
        const before = await entries()
        expect((await api.get(path)).body).toMatchObject({
          id,
          state: 'issued',
          mailbox: 'alice@example.com',
          certificateId: certificate.id,
        })
        expect(await entries()).toBe(before + 1)
        expect(await lastEntry()).toMatchObject({ action: 'certificate_request.read', actor, subject: id })
      }
      const before = await entries()
      expect((await auditor.api.get(path)).body).toMatchObject({ id, mailbox: null })
      expect(await entries()).toBe(before)
      expectProblem(await operator.api.get('/v1/admin/certificate-requests/none'), 404, 'not_found')
    })
  })

  describe('of certificates', () => {
    test('by id: with the mailbox for who works with them, without it for auditors, never the bytes', async () => {
      const path = `/v1/admin/certificates/${certificate.id}`
      const seen = await privacy.api.get(path)
      expect(seen.body).toEqual({
        id: certificate.id,
        subscriberId: alice.subscriberId,
        deviceId: alice.deviceId,
        requestId: expect.any(String),
        mailbox: 'alice@example.com',
        use: 'dual',
        state: 'valid',
        published: true,
        serialNumber: certificate.serialNumber,
        fingerprintSha256: certificate.fingerprintSha256,
        issuer: certificate.issuer,
        notBefore: expect.any(String),
        notAfter: expect.any(String),
        createdAt: '2026-11-21T12:00:00.000Z',
        revokedAt: null,
        revocationReason: null,
        connectionId: 'embedded',
        caRevocation: null,
      })
      expect(await lastEntry()).toMatchObject({
        action: 'certificate.read',
        actor: privacy.id,
        subject: certificate.id,
      })
      const before = await entries()
      expect((await auditor.api.get(path)).body).toEqual({ ...seen.body, mailbox: null })
      expect(await entries()).toBe(before)
      expectProblem(await auditor.api.get('/v1/admin/certificates/none'), 404, 'not_found')
    })

    test.each([
      ['as it is', (value: string) => value],
      ['in capitals', (value: string) => value.toUpperCase()],
      ['with colons', (value: string) => value.replaceAll(/(..)(?=.)/g, '$1:')],
    ])('by serial number or fingerprint, written %s', async (_, written) => {
      for (const field of ['serialNumber', 'fingerprintSha256'] as const) {
        const found = await operator.api.post('/v1/admin/certificates/search', { [field]: written(certificate[field]) })
        expect(found.body, field).toMatchObject({ items: [{ id: certificate.id }], next: null })
      }
    })

    test('a serial number may have lost or gained zeros in front', async () => {
      const serialNumber = `00${certificate.serialNumber}`
      const found = await operator.api.post('/v1/admin/certificates/search', { serialNumber })
      expect(found.body.items).toHaveLength(1)
    })

    test.each([
      [{}],
      [{ serialNumber: 'xyz' }],
      [{ serialNumber: '0'.repeat(100) }],
      [{ fingerprintSha256: 'ab' }],
      [{ serialNumber: '01', fingerprintSha256: '0'.repeat(64) }],
    ])('not by %j', async (body) => {
      expectProblem(await operator.api.post('/v1/admin/certificates/search', body), 422, 'invalid_request')
    })

    test('nothing where there is none', async () => {
      const { body } = await auditor.api.post('/v1/admin/certificates/search', { fingerprintSha256: '0'.repeat(64) })
      expect(body).toEqual({ items: [], next: null })
    })

    test('one that another has superseded is found as well', async () => {
      const carol = await register(harness.api, harness.mails, 'carol@example.com')
      for (const { id, fingerprintSha256 } of [await certify(carol), await certify(carol)]) {
        const found = await auditor.api.post('/v1/admin/certificates/search', { fingerprintSha256 })
        expect(found.body.items).toMatchObject([{ id }])
      }
    })

    test('one whose facts cannot be opened holds up no search for another', async () => {
      const erin = await register(harness.api, harness.mails, 'erin@example.com')
      const [broken, whole] = [await certify(erin), await certify(erin)]
      await harness.main.batch([
        command(
          `UPDATE certificates SET facts_sealed = (SELECT facts_sealed FROM certificates WHERE id = ?) WHERE id = ?`,
          whole.id,
          broken.id,
        ),
      ])
      const find = ({ fingerprintSha256 }: { fingerprintSha256: string }) =>
        auditor.api.post('/v1/admin/certificates/search', { fingerprintSha256 })
      expectProblem(await find(broken), 500, 'internal_error')
      expect((await find(whole)).body.items).toMatchObject([{ id: whole.id }])
    })

    test('a revocation says who, once, however often it is asked for', async () => {
      const dora = await register(harness.api, harness.mails, 'dora@example.com')
      const { id } = await certify(dora)
      const path = `/v1/admin/certificates/${id}/revocation`
      expectProblem(await operator.api.post(path, { reason: 'certificateHold' }), 422, 'invalid_request')
      const answers = await race(5, () => operator.api.post(path, { reason: 'privilegeWithdrawn' }))
      for (const { status, body } of answers) expect([status, body.state]).toEqual([200, 'revoked'])
      expect((await dora.api.get(`/v1/certificates/${id}`)).body.state).toBe('revoked')
      const revoked = await auditor.api.get(`/v1/admin/audit-log?subject=${id}&action=certificate.revoked`)
      expect(revoked.body.items).toMatchObject([
        { actorKind: 'administrator', actor: operator.id, facts: { reason: 'privilegeWithdrawn' } },
      ])
      expectProblem(
        await operator.api.post('/v1/admin/certificates/none/revocation', { reason: 'superseded' }),
        404,
        'not_found',
      )
    })

    test('an import of blocked keys takes all or none, and says who', async () => {
      const spki = 'ab'.repeat(32)
      const modulus = 'cd'.repeat(10)
      const path = '/v1/admin/blocklist/imports'
      for (const fingerprints of [
        [],
        [spki, 'no fingerprint'],
        [spki.toUpperCase()],
        Array.from({ length: 2_001 }, () => spki),
      ]) {
        expectProblem(await operator.api.post(path, { fingerprints }), 422, 'invalid_request')
      }
      expect(await countRows(harness.main, 'blocked_keys')).toBe(0)
      expect((await operator.api.post(path, { fingerprints: [spki, modulus] })).body).toEqual({ blocked: 2 })
      const again = await operator.api.post(path, { fingerprints: [spki, 'ef'.repeat(32)] })
      expect([again.status, again.body]).toEqual([200, { blocked: 1 }])
      expect(await lastEntry()).toMatchObject({ action: 'blocklist.imported', actor: operator.id, facts: '{"keys":2}' })
      const most = Array.from({ length: 2_000 }, (_, index) => 'a'.repeat(50) + index.toString(16).padStart(14, '0'))
      expect((await operator.api.post(path, { fingerprints: most })).body).toEqual({ blocked: 2_000 })
    })
  })

  describe('of the audit log', () => {
    const list = (parameters: string, by = auditor) => by.api.get(`/v1/admin/audit-log${parameters}`)

    test('ids and facts, newest first, by subject, actor, action and time; nothing that names somebody', async () => {
      const ofAlice = await list(`?subject=${certificate.id}`)
      expect(ofAlice.body.items.map((entry: { action: string }) => entry.action)).toEqual(
        expect.arrayContaining(['certificate.published', 'certificate.issued']),
      )
      const issued = await list(`?subject=${certificate.id}&action=certificate.issued`, owner)
      expect(issued.body.items).toMatchObject([
        { actorKind: 'service', facts: { use: 'dual' }, personal: ['mailbox', 'serialNumber'] },
      ])
      const byOperator = await list(`?actor=${operator.id}&limit=200`, privacy)
      expect(new Set(byOperator.body.items.map((entry: { actor: string }) => entry.actor))).toEqual(
        new Set([operator.id]),
      )
      expect(JSON.stringify([ofAlice.body, issued.body, byOperator.body])).not.toContain('alice@')
      const early = await list('?to=2026-11-21T12:00:30.000Z&limit=200')
      const late = await list('?from=2026-11-21T12:00:30.000Z&limit=200')
      expect(early.body.items.length).toBeGreaterThan(5)
      expect(late.body.items.length).toBeGreaterThan(5)
      expect(early.body.items.every((entry: { at: string }) => entry.at < '2026-11-21T12:00:30')).toBe(true)
      expect(late.body.items.every((entry: { at: string }) => entry.at >= '2026-11-21T12:00:30')).toBe(true)
    })

    test('in pages that lose and repeat nothing', async () => {
      const seen: number[] = []
      let cursor = ''
      do {
        const page = await list(`?limit=7${cursor}`)
        expect(page.status).toBe(200)
        seen.push(...page.body.items.map((entry: { position: number }) => entry.position))
        cursor = page.body.next === null ? '' : `&cursor=${page.body.next}`
      } while (cursor !== '')
      const total = await entries()
      expect(seen).toEqual(Array.from({ length: total }, (_, index) => total - index))
      for (const wrong of ['?cursor=x', '?cursor=1', '?limit=0', '?from=yesterday', '?unknown=1']) {
        expectProblem(await list(wrong), 422, 'invalid_request')
      }
    })

    test('a value that names somebody by a look with a reason, which is written down; an erased one is gone', async () => {
      const [issued] = (await list(`?subject=${certificate.id}&action=certificate.issued`)).body.items
      const path = `/v1/admin/audit-log/${issued.id}/reading`
      const seen = await privacy.api.post(path, { reason })
      expect(seen.body).toEqual({
        ...issued,
        values: { mailbox: 'alice@example.com', serialNumber: certificate.serialNumber },
      })
      const entry = await lastEntry()
      expect(entry).toMatchObject({ action: 'audit_entry.read', actor: privacy.id, subject: issued.id })
      expect(await valuesOf(entry.id)).toEqual({ reason })
      const erase = createEraseAuditValues(auditDepsOf(harness))
      await harness.main.batch(erase([{ entry: issued.id, field: 'mailbox' }], 'a test'))
      expect((await auditor.api.post(path, { reason })).body.values).toMatchObject({ mailbox: null })
      expectProblem(await auditor.api.post(path, { reason: 'short' }), 422, 'invalid_request')
      expectProblem(await auditor.api.post('/v1/admin/audit-log/none/reading', { reason }), 404, 'not_found')
    })

    test('whether it is whole, with a head that was noted down', async () => {
      await harness.settled()
      await harness.runJob('audit-seal')
      const whole = await owner.api.get('/v1/admin/audit-log/verification')
      expect(whole.body).toMatchObject({ unsealed: 0, faults: [], head: expect.stringMatching(/^[0-9a-f]{64}$/) })
      const verify = (head: string) => auditor.api.get(`/v1/admin/audit-log/verification?head=${head}`)
      expect((await verify(whole.body.head)).body.faults).toEqual([])
      expect((await verify('0'.repeat(63) + '1')).body.faults).toEqual([
        'the expected head is not part of the chain: the log was rewritten or cut',
      ])
      expectProblem(await verify('x'), 422, 'invalid_request')
    })
  })

  test('a look that cannot be written down shows nothing', async () => {
    await harness.main.batch([
      command(`CREATE TRIGGER no_entries BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'disk full'); END;`),
    ])
    try {
      const { status, body } = await search('alice@example.com')
      expect([status, body.code]).toEqual([500, 'internal_error'])
      const asked = { asker: alice.subscriberId, from: '2026-11-21T00:00:00Z', to: '2026-11-22T00:00:00Z', reason }
      expect((await auditor.api.post('/v1/admin/query-log/search', asked)).status).toBe(500)
      expect((await operator.api.get(`/v1/admin/certificates/${certificate.id}`)).status).toBe(500)
    } finally {
      await harness.main.batch([command(`DROP TRIGGER no_entries`)])
    }
    expect((await search('alice@example.com')).status).toBe(200)
  })
})

describe.each(engines)('the overview on %s', (engine) => {
  test('counts, names nobody, and shows that mail fails', async () => {
    const failing: Mailer = { deliver: () => Promise.reject(new DeliveryFailed('busy', false)) }
    const harness = await openRoomHarness(engine, { mailer: failing })
    try {
      const overview = async () => (await localOperator(harness).get('/v1/admin/overview')).body
      expect(await overview()).toEqual({
        subscribers: 0,
        devices: 0,
        certificates: { valid: 0 },
        certificateRequests: {},
        mail: { queued: 0, oldestQueuedAt: null, givenUp: 0 },
        warnings: [],
      })
      await startRegistration(harness.api, 'waiting@example.com')
      await harness.settled()
      expect((await overview()).mail).toEqual({ queued: 1, oldestQueuedAt: '2026-11-21T12:00:00.000Z', givenUp: 0 })
      harness.clock.now += 25 * 60 * minute
      await harness.runJob('mail-send')
      expect((await overview()).mail).toEqual({ queued: 0, oldestQueuedAt: null, givenUp: 1 })
      harness.clock.now += 3 * day
      expect((await overview()).mail.givenUp).toBe(0)
    } finally {
      await harness.close()
    }
  })

  test('counts what there is', async () => {
    const harness = await openRoomHarness(engine)
    try {
      const alice = await register(harness.api, harness.mails, 'alice@example.com')
      await certify(alice)
      await certify(alice)
      await harness.settled()
      const { body } = await localOperator(harness).get('/v1/admin/overview')
      expect(body).toMatchObject({
        subscribers: 1,
        devices: 1,
        certificates: { valid: 1 },
        certificateRequests: { issued: 1, ended: 1 },
        mail: { queued: 0 },
      })
    } finally {
      await harness.close()
    }
  })
})
