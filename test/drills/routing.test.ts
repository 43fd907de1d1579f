import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { query, text } from '../../src/ports/database.ts'
import type { OutgoingHttps } from '../../src/ports/outgoing-https.ts'
import { localOperator, makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey } from '../support/key-holder.ts'
import { toPem } from '../support/pem.ts'
import { register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countEverything, expectProblem, race } from '../rooms/support.ts'

const start = Date.parse('2026-11-21T12:00:00Z')
const rules = '/v1/admin/routing-rules'
const connections = '/v1/admin/ca-connections'

const manual = (ca: TestCa, name: string) => ({
  kind: 'manual',
  name,
  recipient: `${name} GmbH`,
  anchors: toPem('CERTIFICATE', ca.root),
})

/** The statuses of calls that were made at once, the least first. */
const statusesOf = (answers: readonly Answer[]): number[] =>
  answers.map(({ status }) => status).toSorted((one, other) => one - other)

describe.each(engines)('routing rules on %s', (engine) => {
  let harness: RoomHarness
  let operator: Administrator
  let other: Administrator
  let alice: Registered
  let ca: TestCa
  let connection: Json

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    ca = await makeTestCa('Routed', () => start)
    operator = await makeAdministrator(harness, 'operator')
    other = await makeAdministrator(harness, 'operator')
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    const made = await operator.api.post(connections, manual(ca, 'by hand'))
    connection = made.body
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })
  afterEach(async () => {
    for (const { id } of (await operator.api.get(`${rules}?limit=200`)).body.items) {
      expect((await operator.api.delete(`${rules}/${id}`)).status).toBe(204)
    }
  })

  const send = (body: object, by = operator): Promise<Answer> =>
    by.api.post(rules, { connectionId: connection.id, ...body })
  const make = async (body: object): Promise<Json> => {
    const made = await send(body)
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    return made.body
  }
  const attempt = async (address: string, more: object = {}): Promise<Json> => {
    const answer = await operator.api.post(`${rules}/trial`, { address, use: 'sign', algorithm: 'ec', ...more })
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    return answer.body
  }
  const lastEntry = async () =>
    harness.main.first(
      query(
        { action: text, actor: text, subject: text, facts: text },
        `SELECT action, actor, subject, facts FROM audit_entries ORDER BY position DESC LIMIT 1`,
      ),
    )

  describe('kept', () => {
    test('as they were written, with their author, in the order of their positions', async () => {
      const second = await make({
        position: 20,
        domain: 'Beispiel.Example',
        accountType: 'imap',
        use: 'sign',
        algorithm: 'rsa',
      })
      expect(second).toEqual({
        id: expect.stringMatching(/^[\w-]{22}$/),
        position: 20,
        domain: 'beispiel.example',
        accountType: 'imap',
        use: 'sign',
        algorithm: 'rsa',
        connectionId: connection.id,
        profile: null,
        approvals: 0,
        author: operator.id,
        createdAt: '2026-11-21T12:00:00.000Z',
        changedAt: '2026-11-21T12:00:00.000Z',
      })
      expect(await lastEntry()).toMatchObject({
        action: 'routing_rule.created',
        actor: operator.id,
        subject: second.id,
      })
      const first = await make({ position: 10 })
      expect((await operator.api.get(rules)).body).toEqual({ items: [first, second], next: null })
      const page = (await operator.api.get(`${rules}?limit=1`)).body
      expect(page.items).toEqual([first])
      expect((await operator.api.get(`${rules}?limit=1&cursor=${page.next}`)).body).toEqual({
        items: [second],
        next: null,
      })
      expectProblem(await operator.api.get(`${rules}?cursor=other`), 422, 'invalid_request')
    })

    test.each([
      ['EXAMPLE.com', 'example.com'],
      [' example.com ', 'example.com'],
      ['*.Example.COM', '*.example.com'],
      ['müller.example', 'xn--mller-kva.example'],
      ['*.MÜLLER.example', '*.xn--mller-kva.example'],
    ])('for the domain %s as %s', async (written, kept) => {
      expect((await make({ position: 1, domain: written })).domain).toBe(kept)
    })

    test.each([
      '*',
      '*.',
      '*example.com',
      '**.example.com',
      'a.*.com',
      'alice@example.com',
      'example',
      '10.0.0.1',
      '.com',
    ])('not for %s', async (domain) => {
      expectProblem(await send({ position: 1, domain }), 422, 'address_domain_invalid')
    })

    test('one at each position, however many ask at once', async () => {
      const raced = await race(4, () => send({ position: 7 }))
      expect(statusesOf(raced)).toEqual([201, 409, 409, 409])
      expectProblem(await send({ position: 7 }), 409, 'rule_position_taken')
      const next = await make({ position: 8 })
      const moved = await operator.api.put(`${rules}/${next.id}`, { position: 7, connectionId: null })
      expectProblem(moved, 409, 'rule_position_taken')
      expect(moved.body.detail).toContain('the next free one is 9.')
    })

    test('only of words that there are, and a fault is said in words', async () => {
      const wrong = await send({ position: 'first', use: 'horse', connectionId: undefined })
      expect(wrong.body.detail).toBe(
        'position: must be a number; use: must be sign or encrypt or dual, or must be null; connectionId: missing',
      )
    })

    test('only with a connection that is there', async () => {
      const gone = (await operator.api.post(connections, manual(ca, 'soon gone'))).body
      const rule = await make({ position: 2 })
      expect((await operator.api.delete(`${connections}/${gone.id}`)).status).toBe(204)
      for (const connectionId of [gone.id, 'nobody']) {
        expectProblem(await send({ position: 1, connectionId }), 422, 'connection_unfit')
        const changed = await operator.api.put(`${rules}/${rule.id}`, { position: 2, connectionId })
        expectProblem(changed, 422, 'connection_unfit')
      }
    })

    test('and a connection goes only without rules, whoever is first', async () => {
      for (let round = 0; round < 3; round += 1) {
        const made = (await operator.api.post(connections, manual(ca, `contested ${round}`))).body
        const [rule, removed] = await Promise.all([
          send({ position: 3, connectionId: made.id }),
          other.api.delete(`${connections}/${made.id}`),
        ])
        const standing = (await operator.api.get(`${connections}/${made.id}`)).body.state
        expect([rule.status, removed.status, standing]).toEqual(
          rule.status === 201 ? [201, 409, 'active'] : [422, 204, 'removed'],
        )
        if (rule.status === 201) await operator.api.delete(`${rules}/${rule.body.id}`)
      }
    })

    test('with a profile only where there are profiles, and with approvals only where something is certified', async () => {
      expect((await make({ position: 1, profile: 'Mail 2026' })).profile).toBe('Mail 2026')
      expectProblem(await send({ position: 2, connectionId: 'embedded', profile: 'mail' }), 422, 'connection_unfit')
      expectProblem(await send({ position: 2, connectionId: null, profile: 'mail' }), 422, 'invalid_request')
      expectProblem(await send({ position: 2, connectionId: null, approvals: 1 }), 422, 'invalid_request')
      const est = await operator.api.post(connections, {
        ...manual(ca, 'est'),
        kind: 'est',
        url: 'https://est.example.com',
        authentication: 'client-certificate',
      })
      expectProblem(await send({ position: 2, connectionId: est.body.id, profile: 'a/b' }), 422, 'connection_unfit')
      await make({ position: 2, connectionId: est.body.id, profile: 'mail' })
    })

    test.each([
      ['no connection, not even null', { connectionId: undefined }],
      ['position 0', { position: 0 }],
      ['three approvals', { approvals: 3 }],
      ['an unknown use', { use: 'wrap' }],
      ['an unknown field', { colour: 'red' }],
    ])('not with %s', async (_, wrong) => {
      expectProblem(await send({ position: 1, ...wrong }), 422, 'invalid_request')
    })

    test('and changed by another, who is the author from then on', async () => {
      const made = await make({ position: 5, approvals: 2 })
      harness.clock.now += 1_000
      const body = { position: 6, connectionId: 'embedded', domain: 'example.com' }
      const changed = await other.api.put(`${rules}/${made.id}`, body)
      expect(changed.body).toEqual({
        ...made,
        position: 6,
        domain: 'example.com',
        connectionId: 'embedded',
        approvals: 0,
        author: other.id,
        changedAt: new Date(harness.clock.now).toISOString(),
      })
      expect(await lastEntry()).toMatchObject({ action: 'routing_rule.changed', actor: other.id, subject: made.id })
      expectProblem(await other.api.put(`${rules}/nobody`, body), 404, 'not_found')
      expect((await other.api.delete(`${rules}/${made.id}`)).status).toBe(204)
      expect(await lastEntry()).toMatchObject({ action: 'routing_rule.removed', actor: other.id, subject: made.id })
      expectProblem(await other.api.delete(`${rules}/${made.id}`), 404, 'not_found')
      expectProblem(await other.api.put(`${rules}/${made.id}`, body), 404, 'not_found')
    })
  })

  describe('tried', () => {
    test('without a rule lead to the CA inside', async () => {
      expect(await attempt('alice@example.com')).toEqual({
        rule: null,
        outcome: 'accepted',
        code: null,
        connectionId: 'embedded',
        connectionName: 'embedded',
        connectionState: 'active',
        profile: null,
        approvals: 0,
      })
    })

    test.each([
      ['example.com', 'alice@example.com', true],
      ['example.com', 'alice@EXAMPLE.COM', true],
      ['example.com', 'alice@mail.example.com', false],
      ['example.com', 'alice@notexample.com', false],
      ['*.example.com', 'alice@mail.example.com', true],
      ['*.example.com', 'alice@a.b.example.com', true],
      ['*.example.com', 'alice@example.com', false],
      ['*.example.com', 'alice@notexample.com', false],
      ['müller.example', 'alice@xn--mller-kva.example', true],
      ['xn--mller-kva.example', 'alice@Müller.example', true],
    ])('%s and %s: %s', async (domain, address, fits) => {
      const rule = await make({ position: 1, domain })
      expect((await attempt(address)).rule?.id ?? null).toBe(fits ? rule.id : null)
    })

    test.each([
      [{ accountType: 'exchange' }, { accountType: 'imap' }],
      [{ use: 'encrypt' }, { use: 'dual' }],
      [{ algorithm: 'rsa' }, { algorithm: 'ec' }],
    ])('%o fits, %o does not', async (fitting, unfitting) => {
      const rule = await make({ position: 1, ...fitting })
      expect((await attempt('alice@example.com', fitting)).rule).toEqual(rule)
      expect((await attempt('alice@example.com', unfitting)).rule).toBeNull()
    })

    test('the first by position decides, not the one that was made first', async () => {
      await make({ position: 2, domain: 'example.com' })
      const first = await make({ position: 1, approvals: 2, profile: 'strict' })
      expect(await attempt('alice@example.com')).toMatchObject({
        rule: { id: first.id },
        approvals: 2,
        profile: 'strict',
      })
    })

    test('say what would be refused, and why', async () => {
      const rule = await make({ position: 1, domain: 'example.com', connectionId: null })
      expect(await attempt('alice@example.com')).toEqual({
        rule,
        outcome: 'refused',
        code: 'not_certified_here',
        connectionId: null,
        connectionName: null,
        connectionState: null,
        profile: null,
        approvals: 0,
      })
      await make({ position: 2 })
      expect(await attempt('a@other.example', { publicKey: true })).toMatchObject({
        outcome: 'refused',
        code: 'ca_needs_csr',
      })
      expect(await attempt('a@other.example', { algorithm: 'x25519', use: 'encrypt' })).toMatchObject({
        outcome: 'refused',
        code: 'ca_key_unsupported',
        connectionName: 'by hand',
      })
      expect(await attempt('a@other.example')).toMatchObject({ outcome: 'accepted', code: null })
    })

    test.each([
      ['a key that only signs, to encrypt', { algorithm: 'ed25519', use: 'dual' }, 'key_use_unfit'],
      ['a key that only signs, to sign', { algorithm: 'ed25519', use: 'sign' }, null],
      ['a key that only decrypts, which the policy lacks', { algorithm: 'x25519', use: 'encrypt' }, 'not there'],
    ])('say what the key policy says: %s', async (_, asked, code) => {
      await make({ position: 1, connectionId: code === 'not there' ? 'embedded' : connection.id })
      const expected = code === 'not there' ? 'key_not_in_profile' : code
      expect((await attempt('a@example.com', asked)).code).toBe(expected)
    })

    test('tell nothing of who is registered, keep nothing, and refuse what is no address', async () => {
      const before = await countEverything(harness)
      expect(await attempt(alice.email)).toEqual(await attempt('nobody@example.com'))
      expect(await countEverything(harness)).toEqual(before)
      const wrong = await operator.api.post(`${rules}/trial`, { address: 'nobody', use: 'sign', algorithm: 'ec' })
      expectProblem(wrong, 422, 'address_malformed')
    })
  })

  describe('followed', () => {
    const request = async (csr?: string): Promise<Answer> =>
      alice.api.post('/v1/certificate-requests', { csr: csr ?? (await makeCsr({ subject: '' })), use: 'sign' })
    const cancel = (id: string) => alice.api.delete(`/v1/certificate-requests/${id}`)

    test('a request goes where the rule says, to whom the register names', async () => {
      const rule = await make({ position: 1, domain: 'example.com', profile: 'Mail' })
      const asked = await request()
      expect(asked.status, JSON.stringify(asked.body)).toBe(202)
      await harness.settled()
      const seen = (await operator.api.get(`/v1/admin/certificate-requests/${asked.body.id}`)).body
      expect(seen).toMatchObject({ state: 'pending', connectionId: connection.id, ruleId: rule.id, profile: 'Mail' })
      const own = (await alice.api.get(`/v1/certificate-requests/${asked.body.id}`)).body
      expect(own.forwarded.to).toBe('by hand GmbH')
      const page = await (await harness.ask('/privacy')).text()
      expect(page).toContain(`<strong>${own.forwarded.to}</strong>`)
      await cancel(asked.body.id)
    })

    test('a paused connection still takes requests, which wait', async () => {
      await make({ position: 1 })
      await operator.api.post(`${connections}/${connection.id}/pause`)
      expect(await attempt('alice@example.com')).toMatchObject({ outcome: 'accepted', connectionState: 'paused' })
      const asked = await request()
      await harness.settled()
      const path = `/v1/admin/certificate-requests/${asked.body.id}`
      expect((await operator.api.get(path)).body.state).toBe('received')
      await operator.api.post(`${connections}/${connection.id}/resumption`)
      await harness.settled()
      expect((await operator.api.get(path)).body.state).toBe('pending')
      await cancel(asked.body.id)
    })

    test('the CA inside can be paused too', async () => {
      await operator.api.post(`${connections}/embedded/pause`)
      const asked = await request()
      expect([asked.status, asked.body.certificate]).toEqual([202, null])
      await operator.api.post(`${connections}/embedded/resumption`)
      await harness.settled()
      expect((await alice.api.get(`/v1/certificate-requests/${asked.body.id}`)).body.state).toBe('issued')
    })

    test('no request is on its way to a connection that is removed, whoever is first', async () => {
      for (let round = 0; round < 4; round += 1) {
        const { id } = (await operator.api.post(connections, manual(ca, `vanishing ${round}`))).body
        const rule = await make({ position: 1, connectionId: id })
        const csr = await makeCsr({ subject: '' })
        const removal = async (): Promise<Answer> => {
          await operator.api.delete(`${rules}/${rule.id}`)
          return operator.api.delete(`${connections}/${id}`)
        }
        const [asked, removed] = await Promise.all([request(csr), removal()])
        await harness.settled()
        const seen =
          asked.status < 300 && (await operator.api.get(`/v1/admin/certificate-requests/${asked.body.id}`)).body
        if (removed.status === 204) expect(seen?.connectionId).not.toBe(id)
        else expect([removed.status, seen.connectionId]).toEqual([409, id])
        if (asked.status === 202) await cancel(asked.body.id)
      }
    })

    test('what nobody certifies, or cannot, is refused at intake', async () => {
      await make({ position: 2 })
      expectProblem(await request(await makeCsr({ subject: 'CN=a phone' })), 422, 'csr_content_refused')
      const key = await holdKey('P-256 to sign')
      const bare = await alice.api.post('/v1/public-keys', { publicKey: key.publicKey, use: 'sign' })
      expectProblem(bare, 422, 'ca_needs_csr')
      await make({ position: 1, domain: 'example.com', connectionId: null })
      expectProblem(await request(), 422, 'not_certified_here')
    })
  })
})

describe('on a runtime that cannot do everything', () => {
  let harness: RoomHarness
  const limited: OutgoingHttps = {
    can: { ownTrustAnchors: false, clientCertificates: false },
    exchange: () => Promise.reject(new Error('nothing is sent in this test')),
  }
  beforeEach(async () => {
    harness = await openRoomHarness('sqlite', { outgoing: limited })
  })
  afterEach(() => harness.close())

  test('a connection that needs that is refused, and others are not', async () => {
    const ca = await makeTestCa('Limited', () => start)
    const api = localOperator(harness)
    const est = { ...manual(ca, 'est'), kind: 'est', url: 'https://est.example.com' }
    const password = { authentication: 'password', password: { user: 'a', password: 'b' } }
    const anchored = { ...est, ...password, tlsAnchors: toPem('CERTIFICATE', ca.root) }
    expectProblem(await api.post(connections, anchored), 501, 'not_on_this_runtime')
    const certified = { ...est, authentication: 'client-certificate' }
    expectProblem(await api.post(connections, certified), 501, 'not_on_this_runtime')
    expect((await api.post(connections, { ...est, ...password })).status).toBe(201)
  })
})
