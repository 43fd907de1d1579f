import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, query, text } from '../../src/ports/database.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { toPem } from '../support/pem.ts'
import { register } from '../support/story.ts'
import { startSmallCa, type SmallCa } from '../support/small-ca.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countRows, day, expectProblem, findLeaks, race } from './support.ts'

const start = Date.parse('2026-11-21T12:00:00Z')
const path = '/v1/admin/ca-connections'
const certificatePem = (der: Uint8Array): string => toPem('CERTIFICATE', der)

/** The statuses of calls that were made at once, the least first. */
const statusesOf = (answers: readonly Answer[]): number[] =>
  answers.map(({ status }) => status).toSorted((one, other) => one - other)

describe.each(engines)('CA connections on %s', (engine) => {
  let harness: RoomHarness
  let operator: Administrator
  let auditor: Administrator
  let ca: TestCa
  let server: SmallCa
  let named = 0

  beforeAll(async () => {
    ca = await makeTestCa('Connected', () => start)
    server = await startSmallCa(ca.issuing)
    harness = await openRoomHarness(engine)
    operator = await makeAdministrator(harness, 'operator')
    auditor = await makeAdministrator(harness, 'auditor')
    await register(harness.api, harness.mails, 'alice@example.com')
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    await server.stop()
    expect(faults).toEqual([])
  })

  const common = () => ({
    name: `CA ${(named += 1)}`,
    recipient: 'Example Trust GmbH',
    country: 'DE',
    anchors: certificatePem(ca.root),
  })
  const cfssl = (more: object = {}) => ({ ...common(), kind: 'cfssl', url: server.url, ...more })
  const manual = (more: object = {}) => ({ ...common(), kind: 'manual', ...more })
  const est = (more: object = {}) => ({
    ...common(),
    kind: 'est',
    url: 'https://est.example.com',
    authentication: 'password',
    password: { user: 'certbook', password: 'horse battery staple' },
    ...more,
  })
  const ejbca = (more: object = {}) => ({
    ...common(),
    kind: 'ejbca',
    url: 'https://ejbca.example.com',
    certificateProfile: 'SMIME',
    endEntityProfile: 'Mail',
    certificateAuthority: 'Mail CA',
    authentication: 'token',
    token: 'a-token-of-ejbca',
    ...more,
  })
  const stepCa = (more: object = {}) => ({
    ...common(),
    kind: 'step-ca',
    url: 'https://step.example.com',
    provisioner: 'certbook',
    ...more,
  })

  const send = (body: object, by = operator): Promise<Answer> => by.api.post(path, body)
  const make = async (body: object): Promise<Json> => {
    const made = await send(body)
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    return made.body
  }
  const change = (id: string, version: number | string, body: object): Promise<Answer> =>
    operator.api.put(`${path}/${id}`, body, { 'If-Match': `"${version}"` })
  const read = async (id: string): Promise<Json> => (await operator.api.get(`${path}/${id}`)).body
  const ask = (id: string, what: string, body?: object): Promise<Answer> =>
    operator.api.post(`${path}/${id}/${what}`, body)
  const lastEntry = async () =>
    harness.main.first(
      query(
        { action: text, actor: text, subject: text, facts: text },
        `SELECT action, actor, subject, facts FROM audit_entries ORDER BY position DESC LIMIT 1`,
      ),
    )

  /** A request in some state that goes through a connection, as if it had come in long ago. */
  const insertRequest = async (connection: string, state: string, openAtCa: 0 | 1): Promise<string> => {
    const id = crypto.randomUUID()
    await harness.main.batch([
      command(
        `INSERT INTO certificate_requests
           (id, subscriber, device, mailbox, usage, key_index, proved_by, csr_sealed, state, created_at, updated_at,
            connection, approvals_needed, open_at_ca, submitted_at, authority_mac)
         SELECT ?, d.subscriber, d.id, m.id, 'sign', ?, 'csr', x'00', ?, 0, 0, ?, 0, ?, ?, x''
         FROM devices d JOIN mailboxes m ON m.subscriber = d.subscriber LIMIT 1`,
        id,
        id,
        state,
        connection,
        openAtCa,
        openAtCa === 1 || state === 'ended' ? 0 : null,
      ),
    ])
    return id
  }
  const deleteRequest = (id: string) =>
    harness.main.batch([command(`DELETE FROM certificate_requests WHERE id = ?`, id)])

  const insertRevocation = (connection: string, request: string, state: string) =>
    harness.main.batch([
      command(
        `INSERT INTO ca_revocations
           (id, connection, request, fingerprint_index, certificate_sealed, state, due_at, requested_at)
         VALUES ('revocation', ?, ?, 'hash', x'00', ?, ?, 0)`,
        connection,
        request,
        state,
        Number.MAX_SAFE_INTEGER,
      ),
    ])
  const deleteRevocations = () => harness.main.batch([command(`DELETE FROM ca_revocations`)])

  describe('made', () => {
    test('show what they are, what they can, and nothing that is secret', async () => {
      const settings = cfssl({ profile: 'mail', revocationLists: ['http://crl.example.com/a.crl'] })
      const made = await make({ ...settings, authKey: 'ab'.repeat(16) })
      expect(made).toEqual({
        id: expect.stringMatching(/^[\w-]{22}$/),
        kind: 'cfssl',
        name: settings.name,
        recipient: 'Example Trust GmbH',
        country: 'DE',
        state: 'active',
        version: 1,
        settings: expect.objectContaining(settings),
        credentials: 'kept',
        keyForCa: null,
        can: {
          acceptPublicKeys: false,
          algorithms: ['rsa', 'ec'],
          revoke: true,
          findLostOutcomes: false,
          refusesOtherContents: true,
          byHand: false,
        },
        circuit: {
          state: 'closed',
          failures: 0,
          openUntil: null,
          lastFailure: null,
          lastFailureAt: null,
          lastSuccessAt: null,
        },
        requests: { waiting: 0, pending: 0, unknown: 0 },
        revocationLists: [
          {
            url: 'http://crl.example.com/a.crl',
            thisUpdate: null,
            nextUpdate: null,
            appliedAt: null,
            lastFailure: null,
          },
        ],
        createdAt: '2026-11-21T12:00:00.000Z',
        createdBy: operator.id,
        changedAt: '2026-11-21T12:00:00.000Z',
      })
      expect(Object.keys(made.settings)).not.toContain('authKey')
      expect(await read(made.id)).toEqual(made)
      expect(await lastEntry()).toEqual({
        action: 'ca_connection.created',
        actor: operator.id,
        subject: made.id,
        facts: JSON.stringify({ kind: 'cfssl', recipient: 'Example Trust GmbH', url: server.url }),
      })
    })

    test('are listed newest first, in pages; the CA inside is the last', async () => {
      harness.clock.now += 1
      const older = await make(manual())
      harness.clock.now += 1
      const newer = await make(manual())
      const first = (await operator.api.get(`${path}?limit=1`)).body
      expect(first.items.map(({ id }: Json) => id)).toEqual([newer.id])
      const second = (await operator.api.get(`${path}?limit=1&cursor=${first.next}`)).body
      expect(second.items.map(({ id }: Json) => id)).toEqual([older.id])
      const all = (await auditor.api.get(`${path}?limit=200`)).body
      expect(all.next).toBeNull()
      expect(all.items.at(-1)).toMatchObject({
        id: 'embedded',
        kind: 'embedded',
        recipient: expect.stringContaining('CN=certbook issuing CA'),
        can: { acceptPublicKeys: true, findLostOutcomes: true },
      })
    })

    test('need a name of their own', async () => {
      const body = manual()
      await make(body)
      expectProblem(await send(body), 409, 'connection_name_taken')
      expectProblem(await send(manual({ name: 'embedded' })), 409, 'connection_name_taken')
      const raced = await race(5, () => send(manual({ name: 'raced' })))
      expect(statusesOf(raced)).toEqual([201, 409, 409, 409, 409])
    })

    test.each([
      ['a text that is no certificate', () => ({ anchors: 'not a certificate' })],
      ['a private key instead of a certificate', () => ({ anchors: certificatePem(new Uint8Array(40)) })],
      ['an end entity as an anchor', async () => ({ anchors: certificatePem(await leaf()) })],
      ['an expired anchor', async () => ({ anchors: certificatePem((await expiredCa()).root) })],
      [
        'an intermediate that leads to no anchor',
        async () => ({ intermediates: certificatePem((await otherCa()).issuing) }),
      ],
      ['an end entity as an intermediate', async () => ({ intermediates: certificatePem(await leaf()) })],
      ['http: to another machine', () => ({ url: 'http://ca.example.com' })],
      ['TLS anchors that are none', () => ({ tlsAnchors: 'nothing' })],
    ])('are refused with %s', async (_, wrong) => {
      expectProblem(await send(cfssl(await wrong())), 422, 'connection_unfit')
    })
    const leaf = () => ca.issue({ spki: publicKey, names: 'a@example.com' })
    const otherCa = () => makeTestCa('Other', () => start)
    const expiredCa = () => makeTestCa('Old', () => start - 5_000 * day)
    let publicKey: Uint8Array
    beforeAll(async () => {
      const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
      publicKey = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
    })

    test('take an intermediate that leads to an anchor', async () => {
      await make(cfssl({ intermediates: certificatePem(ca.issuing) }))
    })

    test.each([
      ['another kind', { kind: 'acme' }],
      ['the kind of the CA inside', { kind: 'embedded' }],
      ['an unknown field', { shoeSize: 43 }],
      ['credentials in the url', { url: 'https://user:secret@ca.example.com' }],
      ['a country that is none', { country: 'Germany' }],
      ['a key that is too short', { authKey: 'abcd' }],
    ])('are refused with %s', async (_, wrong) => {
      expectProblem(await send(cfssl(wrong)), 422, 'invalid_request')
    })

    test.each([
      ['a field that there is not', { revocationList: 'horse' }, 'revocationList: not a field of this request'],
      ['what cannot be the name of a field', { 'horse battery': 1 }, 'an unknown field: not a field of this request'],
      ['a field that is missing', { anchors: undefined }, 'anchors: missing'],
      ['a text for a list', { revocationLists: 'horse' }, 'revocationLists: must be a list'],
      ['a number for a text', { label: 43 }, 'label: must be text'],
      ['a part for a whole', { timeoutSeconds: 1.5 }, 'timeoutSeconds: must be a whole number'],
      ['a word of a closed set', { keyPolicy: 'horse' }, 'keyPolicy: must be sbr-strict or private'],
      ['a kind of CA', { kind: 'horse' }, 'kind: must be cfssl or step-ca or est or ejbca or manual'],
      ['a url', { url: 'ftp://horse.example.com' }, 'url: must be an https: URL, or http: on this machine'],
    ])('name the fault in plain words, and never the value: %s', async (_, wrong, detail) => {
      expect((await send(cfssl(wrong))).body.detail).toBe(detail)
    })

    test('need what their authentication asks for, and nothing else', async () => {
      expectProblem(await send(est({ password: null })), 422, 'connection_unfit')
      expectProblem(await send(est({ authentication: 'client-certificate' })), 422, 'connection_unfit')
      expectProblem(await send(est({ password: { user: 'a:b', password: 'c' } })), 422, 'connection_unfit')
      expectProblem(await send(ejbca({ token: null })), 422, 'connection_unfit')
      expectProblem(await send(ejbca({ authentication: 'client-certificate' })), 422, 'connection_unfit')
    })
  })

  describe('secrets', () => {
    test('stand in no answer, no table, no log and no audit entry', async () => {
      const secrets = {
        authKey: 'c0ffee'.repeat(6),
        password: 'correct horse battery',
        token: 'ey.a-token-that-opens-ejbca',
      }
      const made = [
        await make(cfssl({ authKey: secrets.authKey })),
        await make(est({ password: { user: 'a-user-of-est', password: secrets.password } })),
        await make(ejbca({ token: secrets.token })),
        await make(stepCa()),
      ]
      const changed = await change(made[0].id, 1, { ...cfssl(), name: made[0].name })
      const tested = await ask(made[0].id, 'test')
      expect([changed.status, tested.status]).toEqual([200, 200])
      const refused = await send(est({ name: made[1].name, password: { user: 'u', password: secrets.password } }))
      const list = (await operator.api.get(`${path}?limit=200`)).body
      const told = JSON.stringify([made, changed.body, tested.body, refused.body, list])
      for (const secret of [...Object.values(secrets), 'a-user-of-est']) expect(told).not.toContain(secret)
      expect(told).not.toContain('"d":')
      expect(told).not.toContain('PRIVATE KEY')
      expect(await findLeaks(harness, ...Object.values(secrets), 'a-user-of-est')).toEqual([])
    })

    test('stay where a change sends none, and go with the connection', async () => {
      const made = await make(cfssl({ authKey: 'ab'.repeat(32) }))
      const kept = async (): Promise<number> =>
        countRows(harness.main, 'ca_connections WHERE id = ? AND credentials_sealed IS NOT NULL', made.id)
      const changed = await change(made.id, 1, { ...cfssl(), name: made.name })
      expect([changed.body.version, changed.body.credentials, await kept()]).toEqual([2, 'kept', 1])
      expect((await operator.api.delete(`${path}/${made.id}`)).status).toBe(204)
      expect(await kept()).toBe(0)
      expect(await read(made.id)).toMatchObject({ state: 'removed', credentials: 'none' })
    })

    test('that go over the wire are not sent to another server than they were given for', async () => {
      const made = await make(est())
      const elsewhere = { ...est({ password: null }), name: made.name, url: 'https://elsewhere.example' }
      expectProblem(await change(made.id, 1, elsewhere), 422, 'connection_unfit')
      const otherAnchors = { ...est({ password: null }), name: made.name, tlsAnchors: certificatePem(ca.root) }
      expectProblem(await change(made.id, 1, otherAnchors), 422, 'connection_unfit')
      const same = await change(made.id, 1, { ...est({ password: null }), name: made.name, label: 'mail' })
      expect([same.status, same.body.credentials]).toEqual([200, 'kept'])
      const withAnother = { ...elsewhere, password: { user: 'certbook', password: 'another' } }
      expect((await change(made.id, 2, withAnother)).status).toBe(200)
      const token = await make(ejbca())
      const tokenElsewhere = { ...ejbca({ token: null }), name: token.name, url: 'https://elsewhere.example' }
      expectProblem(await change(token.id, 1, tokenElsewhere), 422, 'connection_unfit')
    })
  })

  describe('keys that are made here', () => {
    test('a step-ca gets the public key of its provisioner, which stays through changes', async () => {
      const made = await make(stepCa())
      expect(made.keyForCa).toMatchObject({ form: 'jwk', certificateUntil: null })
      const jwk = JSON.parse(made.keyForCa.value)
      expect(Object.keys(jwk).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
      const changed = await change(made.id, 1, { ...stepCa(), name: made.name, url: 'https://other.example.com' })
      expect(changed.body.keyForCa).toEqual(made.keyForCa)
      expect((await make(stepCa())).keyForCa.value).not.toBe(made.keyForCa.value)
    })

    /** What the CA's owner makes of the request that the connection shows. */
    const certifyKeyOf = async (connection: Json, more: object = {}): Promise<string> => {
      const { Pkcs10CertificateRequest } = await import('@peculiar/x509')
      const request = new Pkcs10CertificateRequest(connection.keyForCa.value)
      expect(await request.verify()).toBe(true)
      expect(request.subject).toBe(`CN=${connection.name}`)
      const certificate = await ca.issue({
        spki: new Uint8Array(request.publicKey.rawData),
        names: [],
        subject: 'CN=client',
        purposes: ['1.3.6.1.5.5.7.3.2'],
        notAfter: new Date(start + 90 * day),
        ...more,
      })
      return certificatePem(certificate) + certificatePem(ca.issuing)
    }

    test.each([
      ['est', () => est({ authentication: 'client-certificate', password: null })],
      ['ejbca', () => ejbca({ authentication: 'client-certificate', token: null })],
    ])('%s gets a certificate request, and takes the certificate for it', async (_, body) => {
      const made = await make(body())
      expect([made.credentials, made.keyForCa.form, made.keyForCa.certificateUntil]).toEqual([
        'missing',
        'certificate-request',
        null,
      ])
      expect((await ask(made.id, 'test')).body).toMatchObject({ ready: false, failure: 'credential_refused' })
      const certified = await ask(made.id, 'client-certificate', { certificate: await certifyKeyOf(made) })
      expect([certified.status, certified.body.credentials, certified.body.version]).toEqual([200, 'kept', 2])
      expect(certified.body.keyForCa.certificateUntil).toBe('2027-02-19T12:00:00.000Z')
      expect(await lastEntry()).toMatchObject({ action: 'ca_connection.certified', subject: made.id })
    })

    test('a certificate for another key, an expired one and what is none are refused', async () => {
      const made = await make(est({ authentication: 'client-certificate', password: null }))
      const other = await make(est({ authentication: 'client-certificate', password: null }))
      for (const certificate of [
        await certifyKeyOf(other),
        await certifyKeyOf(made, { notBefore: new Date(start - 9 * day), notAfter: new Date(start - day) }),
        'nothing',
      ]) {
        expectProblem(await ask(made.id, 'client-certificate', { certificate }), 422, 'connection_unfit')
      }
      const withoutKey = await make(est())
      const certificate = await certifyKeyOf(made)
      expectProblem(await ask(withoutKey.id, 'client-certificate', { certificate }), 422, 'connection_unfit')
      expectProblem(await ask('nobody', 'client-certificate', { certificate }), 404, 'not_found')
      expect((await read(made.id)).credentials).toBe('missing')
    })
  })

  describe('changed', () => {
    test('by who has read them as they are', async () => {
      const made = await make(cfssl())
      const body = { ...cfssl(), name: made.name, recipient: 'Another Trust AG', country: 'CH', profile: 'other' }
      expectProblem(await operator.api.put(`${path}/${made.id}`, body), 422, 'invalid_request')
      expectProblem(await change(made.id, 'x', body), 422, 'invalid_request')
      expectProblem(await change(made.id, 2, body), 409, 'connection_changed')
      harness.clock.now += 1_000
      const changed = await change(made.id, 1, body)
      expect(changed.body).toMatchObject({ version: 2, recipient: 'Another Trust AG', country: 'CH' })
      expect(changed.body.settings).toMatchObject({ profile: 'other' })
      expect(changed.body.changedAt).not.toBe(made.changedAt)
      expect(JSON.parse((await lastEntry())?.facts ?? '')).toEqual({
        fields: 'recipient country profile',
        recipient: 'Another Trust AG',
        url: server.url,
      })
      const raced = await race(4, () => change(made.id, 2, body))
      expect(statusesOf(raced)).toEqual([200, 409, 409, 409])
    })

    test('never in their kind, nor the one inside, nor what is not there', async () => {
      const made = await make(cfssl())
      expectProblem(await change(made.id, 1, { ...manual(), name: made.name }), 422, 'connection_unfit')
      expectProblem(await change('embedded', 1, manual()), 422, 'connection_unfit')
      expectProblem(await change('nobody', 1, manual()), 404, 'not_found')
      const other = await make(cfssl())
      expectProblem(await change(other.id, 1, { ...cfssl(), name: made.name }), 409, 'connection_name_taken')
    })

    test('keep the standing of the lists that stay, and forget those that go', async () => {
      const lists = ['http://crl.example.com/1.crl', 'http://crl.example.com/2.crl']
      const made = await make(manual({ revocationLists: lists }))
      await harness.main.batch([
        command(`UPDATE fetched_revocation_lists SET this_update = ? WHERE connection = ?`, start, made.id),
      ])
      const next = [lists[1], 'http://crl.example.com/3.crl', 'http://crl.example.com/3.crl']
      const changed = await change(made.id, 1, manual({ name: made.name, revocationLists: next }))
      expect(changed.body.revocationLists.map(({ url, thisUpdate }: Json) => [url, thisUpdate])).toEqual([
        [lists[1], '2026-11-21T12:00:00.000Z'],
        ['http://crl.example.com/3.crl', null],
      ])
    })
  })

  describe('looked at', () => {
    test('tell whether the CA is there, and only that is written down', async () => {
      const made = await make(cfssl())
      const tested = await ask(made.id, 'test')
      expect(tested.body).toEqual({
        ready: true,
        failure: null,
        caSaid: null,
        facts: expect.objectContaining({ term: '2160h' }),
      })
      expect(await lastEntry()).toEqual({
        action: 'ca_connection.tested',
        actor: operator.id,
        subject: made.id,
        facts: '{"failure":null}',
      })
      expect(await read(made.id)).toEqual(made)
    })

    test('find a CA that does not lead to the anchors, and an anchor that issues by itself', async () => {
      const other = await makeTestCa('Elsewhere', () => start)
      const elsewhere = await make(cfssl({ anchors: certificatePem(other.root) }))
      expect((await ask(elsewhere.id, 'test')).body).toMatchObject({
        ready: false,
        failure: 'anchors_differ',
        facts: { issuer: expect.any(String) },
      })
      expect((await lastEntry())?.facts).toBe('{"failure":"anchors_differ"}')
      const itself = await make(cfssl({ anchors: certificatePem(ca.issuing) }))
      expect((await ask(itself.id, 'test')).body).toMatchObject({ ready: true, failure: null })
    })

    test('find a profile that is not for e-mail, unless rules name other ones', async () => {
      const web = await startSmallCa(ca.issuing, ['server auth'])
      const made = await make(cfssl({ url: web.url }))
      const unfit = { ready: false, failure: 'profile_refused', caSaid: 'usages: server auth' }
      expect((await ask(made.id, 'test')).body).toMatchObject(unfit)
      const rules = '/v1/admin/routing-rules'
      const named = await operator.api.post(rules, { position: 901, connectionId: made.id, profile: 'mail' })
      expect((await ask(made.id, 'test')).body).toMatchObject({ ready: true })
      const usual = await operator.api.post(rules, { position: 902, connectionId: made.id })
      expect((await ask(made.id, 'test')).body).toMatchObject(unfit)
      for (const { body } of [named, usual]) expect((await operator.api.delete(`${rules}/${body.id}`)).status).toBe(204)
      await web.stop()
    })

    test('also while they are paused, and where nobody is there', async () => {
      const nobody = await startSmallCa(ca.issuing)
      await nobody.stop()
      const made = await make(cfssl({ url: nobody.url }))
      await ask(made.id, 'pause')
      expect((await ask(made.id, 'test')).body).toMatchObject({ ready: false, failure: 'unreachable', facts: {} })
      expect((await lastEntry())?.facts).toBe('{"failure":"unreachable"}')
      expectProblem(await ask('nobody', 'test'), 404, 'not_found')
      expect((await ask('embedded', 'test')).body.ready).toBe(true)
    })
  })

  describe('paused and resumed', () => {
    test('once, however often that is asked; the one inside too', async () => {
      for (const id of [(await make(cfssl())).id, 'embedded']) {
        const paused = (await ask(id, 'pause')).body
        expect([paused.state, (await ask(id, 'pause')).body.version]).toEqual(['paused', paused.version])
        expect(await lastEntry()).toMatchObject({ action: 'ca_connection.paused', subject: id })
        const resumed = (await ask(id, 'resumption')).body
        expect([resumed.state, resumed.version]).toEqual(['active', paused.version + 1])
        expect(await lastEntry()).toMatchObject({ action: 'ca_connection.resumed', subject: id })
      }
      expectProblem(await ask('nobody', 'pause'), 404, 'not_found')
      expectProblem(await ask('nobody', 'resumption'), 404, 'not_found')
    })

    test('resuming closes the circuit', async () => {
      const made = await make(cfssl())
      await harness.main.batch([
        command(
          `UPDATE ca_connections SET failures = 4, open_until = ?, last_failure = 'timed_out', last_failure_at = ?
           WHERE id = ?`,
          start + day,
          start,
          made.id,
        ),
      ])
      expect((await read(made.id)).circuit).toMatchObject({ state: 'open', failures: 4, lastFailure: 'timed_out' })
      const resumed = (await ask(made.id, 'resumption')).body
      expect(resumed.circuit).toMatchObject({ state: 'closed', failures: 0, openUntil: null, lastFailure: 'timed_out' })
    })
  })

  describe('removed', () => {
    const remove = (id: string): Promise<Answer> => operator.api.delete(`${path}/${id}`)

    test('are gone from the list, give their name back, and cannot be used', async () => {
      const body = manual({ revocationLists: ['http://crl.example.com/gone.crl'] })
      const made = await make(body)
      expect((await remove(made.id)).status).toBe(204)
      expect(await lastEntry()).toMatchObject({ action: 'ca_connection.removed', subject: made.id })
      expect(await read(made.id)).toMatchObject({ state: 'removed', revocationLists: [] })
      const list = (await operator.api.get(`${path}?limit=200`)).body
      expect(list.items.map(({ id }: Json) => id)).not.toContain(made.id)
      await make(body)
      expectProblem(await remove(made.id), 404, 'not_found')
      expectProblem(await change(made.id, 2, body), 404, 'not_found')
      for (const what of ['pause', 'resumption', 'test']) expectProblem(await ask(made.id, what), 404, 'not_found')
    })

    test('not the one inside, nor one that is not there', async () => {
      expectProblem(await remove('embedded'), 409, 'connection_in_use')
      expectProblem(await remove('nobody'), 404, 'not_found')
    })

    test('not while a rule leads there', async () => {
      const made = await make(manual())
      const rule = await operator.api.post('/v1/admin/routing-rules', { position: 900, connectionId: made.id })
      expectProblem(await remove(made.id), 409, 'connection_in_use')
      expect((await operator.api.delete(`/v1/admin/routing-rules/${rule.body.id}`)).status).toBe(204)
      expect((await remove(made.id)).status).toBe(204)
    })

    test.each([
      ['received', 0],
      ['awaiting_mailbox_proof', 0],
      ['awaiting_approval', 0],
      ['submitting', 1],
      ['pending', 1],
      ['outcome_unknown', 1],
      ['cancelled', 1],
    ] as const)('not while a request is %s', async (state, openAtCa) => {
      const made = await make(manual())
      const request = await insertRequest(made.id, state, openAtCa)
      expectProblem(await remove(made.id), 409, 'connection_in_use')
      expect(await read(made.id)).toMatchObject({ state: 'active', version: 1 })
      await deleteRequest(request)
      expect((await remove(made.id)).status).toBe(204)
    })

    test('not while the CA has not confirmed a revocation', async () => {
      const made = await make(manual())
      const request = await insertRequest(made.id, 'ended', 0)
      await insertRevocation(made.id, request, 'waiting')
      expectProblem(await remove(made.id), 409, 'connection_in_use')
      await harness.main.batch([command(`UPDATE ca_revocations SET state = 'confirmed', confirmed_at = 1`)])
      expect((await remove(made.id)).status).toBe(204)
      await deleteRevocations()
      await deleteRequest(request)
    })
  })

  describe('the register', () => {
    const page = async (language = 'en'): Promise<string> =>
      (await harness.ask('/privacy', { headers: { 'Accept-Language': language } })).text()

    test('shows a connection as soon as it is made, as it is used, and as it is changed', async () => {
      const body = manual({ recipient: 'Signers & Daughters', country: 'CH' })
      expect(await page()).not.toContain('Signers &amp; Daughters')
      const made = await make(body)
      expect(await page()).toContain(
        `<strong>Signers &amp; Daughters</strong> (Switzerland), connected as “${made.name}”`,
      )
      expect(await page('de')).toContain('<strong>Signers &amp; Daughters</strong> (Schweiz), angebunden als')
      await change(made.id, 1, { ...body, recipient: 'Heirs of Signers', country: null })
      const after = await page()
      expect(after).toContain(`<strong>Heirs of Signers</strong>, connected as “${made.name}”`)
      expect(after).not.toContain('Signers &amp; Daughters')
    })

    test('shows a removed one for as long as requests are kept that went there', async () => {
      const made = await make(manual({ recipient: 'Once Trusted Ltd' }))
      const request = await insertRequest(made.id, 'ended', 0)
      expect((await operator.api.delete(`${path}/${made.id}`)).status).toBe(204)
      await harness.runJob('ca-connections-prune')
      expect(await page()).toMatch(/<strong>Once Trusted Ltd<\/strong>[^<]*until it was disconnected/)
      await deleteRequest(request)
      await harness.runJob('ca-connections-prune')
      expect(await page()).not.toContain('Once Trusted Ltd')
      expectProblem(await operator.api.get(`${path}/${made.id}`), 404, 'not_found')
    })
  })

  test('the register does not show a removed one that was never sent anything', async () => {
    const made = await make(manual({ recipient: 'Never Asked Ltd' }))
    const request = await insertRequest(made.id, 'cancelled', 0)
    expect((await operator.api.delete(`${path}/${made.id}`)).status).toBe(204)
    expect(await (await harness.ask('/privacy')).text()).not.toContain('Never Asked Ltd')
    expect(await read(made.id)).toMatchObject({ state: 'removed' })
    await deleteRequest(request)
  })

  describe('told to who runs the service', () => {
    const warnings = async (): Promise<string[]> => (await harness.api.get('/readyz')).body.warnings
    const about = async (name: string): Promise<string[]> =>
      (await warnings()).filter(
        (warning) => warning.includes(`connection ${name} `) || warning.includes(`connection ${name}:`),
      )

    test('nothing where all is well', async () => {
      expect(await about((await make(manual())).name)).toEqual([])
    })

    test('a circuit that is open, since when and why', async () => {
      const { id, name } = await make(manual({ name: 'circuit' }))
      await harness.main.batch([
        command(
          `UPDATE ca_connections SET failures = 3, open_until = ?, last_failure = 'timed_out', last_failure_at = ?
           WHERE id = ?`,
          start,
          start,
          id,
        ),
      ])
      expect(await about(name)).toEqual([
        'The CA connection circuit has failed 3 times in a row (timed_out, last at 2026-11-21T12:00:00.000Z): requests ' +
          'wait, and it is tried again by itself. See certbook connection test.',
      ])
      await ask(id, 'resumption')
      expect(await about(name)).toEqual([])
    })

    test('a client certificate that is missing, and certificates that end soon', async () => {
      const { name } = await make(est({ name: 'lacks', authentication: 'client-certificate', password: null }))
      expect(await about(name)).toEqual([expect.stringContaining('has no client certificate yet')])
      const short = await makeTestCa('Short', () => start - 3_621 * day)
      const ending = await make(manual({ name: 'ending', anchors: certificatePem(short.root) }))
      expect(await about(ending.name)).toEqual([expect.stringMatching(/an anchor expires at 2026-12-20T/)])
      const before = harness.clock.now
      harness.clock.now += 40 * day
      expect((await about(ending.name))[0]).toMatch(/an anchor has expired, at 2026-12-20T/)
      harness.clock.now = before
    })

    test('requests that wait at a paused one, or of which nobody knows, and revocations by hand', async () => {
      const { id, name } = await make(manual({ name: 'crowded' }))
      const requests = [
        await insertRequest(id, 'received', 0),
        await insertRequest(id, 'outcome_unknown', 1),
        await insertRequest(id, 'pending', 1),
      ]
      expect(await about(name)).toEqual([expect.stringContaining('Of 1 request at the CA connection crowded')])
      await ask(id, 'pause')
      expect(await about(name)).toContainEqual(expect.stringContaining('crowded is paused, and 1 request waits'))
      expect((await read(id)).requests).toEqual({ waiting: 1, pending: 1, unknown: 1 })
      if (engine === 'sqlite') {
        const metrics = await (await harness.ask('/metrics')).text()
        for (const what of ['waiting', 'pending', 'unknown']) {
          expect(metrics).toContain(`certbook_ca_requests_${what}{connection="${id}"} 1`)
        }
        expect(metrics).toContain(`certbook_ca_circuit_open{connection="${id}"} 0`)
        expect(metrics).toContain('certbook_ca_requests_waiting{connection="embedded"} 0')
      }
      const certified = await insertRequest(id, 'ended', 0)
      await insertRevocation(id, certified, 'by_hand')
      expect(await about(name)).toContainEqual(expect.stringContaining('1 revocation waits to be made by hand'))
      await deleteRevocations()
      for (const request of [...requests, certified]) await deleteRequest(request)
      expect(await about(name)).toEqual([])
    })
  })
})
