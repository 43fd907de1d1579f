import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, query, text } from '../../src/ports/database.ts'
import type { OutgoingHttps } from '../../src/ports/outgoing-https.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Json } from '../support/api.ts'
import { askForOne, estAt, newCsr, ownView, passMinutes } from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { serveHttp } from '../support/odd-servers.ts'
import { toPem } from '../support/pem.ts'
import { joinDevice, register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countRows, day, expectProblem, findLeaks, hour, minute, race } from '../rooms/support.ts'
import { outgoingHere } from '../support/this-machine.ts'

const connections = '/v1/admin/ca-connections'
const certificatePem = (der: Uint8Array): string => toPem('CERTIFICATE', der)

/** Requests of a device as if they had been made before, in one statement. */
const insertRequests = (
  harness: RoomHarness,
  { subscriberId, deviceId }: Registered,
  of: { readonly count: number; readonly state: string; readonly createdAt: number },
) =>
  harness.main.batch([
    command(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
       INSERT INTO certificate_requests
         (id, subscriber, device, mailbox, usage, key_index, proved_by, csr_sealed, state, created_at, updated_at,
          connection, approvals_needed, open_at_ca, authority_mac)
       SELECT 'made-' || ? || '-' || n, m.subscriber, ?, m.id, 'sign', 'key-' || ? || '-' || n, 'csr', x'00', ?, ? + n,
              ? + n, 'embedded', 0, 0, x''
       FROM numbers CROSS JOIN mailboxes m WHERE m.subscriber = ?`,
      of.count,
      deviceId,
      deviceId,
      deviceId,
      of.state,
      of.createdAt,
      of.createdAt,
      subscriberId,
    ),
  ])
const forgetMade = (harness: RoomHarness) =>
  harness.main.batch([command(`DELETE FROM certificate_requests WHERE id LIKE 'made-%'`)])

const ask = async (by: Registered): Promise<Answer> => {
  const { csr } = await newCsr(by.email)
  return by.api.post('/v1/certificate-requests', { csr, use: 'dual' })
}

describe.each(engines)('what subscribers may ask of CAs on %s', (engine) => {
  let harness: RoomHarness
  let ca: TestCa
  let people = 0
  const somebody = (): Promise<Registered> =>
    register(harness.api, harness.mails, `subscriber.${(people += 1)}@manual.example`)

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    ca = await makeTestCa('Paid', () => harness.clock.now)
    const operator = await makeAdministrator(harness, 'operator')
    const made = await operator.api.post(connections, {
      kind: 'manual',
      name: 'Paid CA',
      recipient: 'Example Trust GmbH',
      anchors: certificatePem(ca.root),
    })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    const rule = { position: 1, domain: 'manual.example', connectionId: made.body.id }
    expect((await operator.api.post('/v1/admin/routing-rules', rule)).status).toBe(201)
  })
  afterAll(async () => {
    await forgetMade(harness)
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  test('a device has 50 requests without an outcome at most, however many ask at once; one that ends makes room', async () => {
    const alice = await somebody()
    await insertRequests(harness, alice, { count: 49, state: 'pending', createdAt: harness.clock.now - 30 * day })
    const raced = await race(4, () => ask(alice))
    expect(raced.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([202, 429, 429, 429])
    const refused = await ask(alice)
    expectProblem(refused, 429, 'too_many_requests')
    expect(refused.headers.get('Retry-After')).toBe('3600')
    const [taken] = raced.filter(({ status }) => status === 202)
    expect((await alice.api.delete(`/v1/certificate-requests/${taken?.body.id}`)).status).toBe(204)
    expect((await ask(alice)).status).toBe(202)
  })

  test('a repeat of what a device has asked for is no request more', async () => {
    const alice = await somebody()
    const { csr } = await newCsr(alice.email)
    const send = (): Promise<Answer> => alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    expect((await send()).status).toBe(202)
    await insertRequests(harness, alice, { count: 120, state: 'pending', createdAt: harness.clock.now - hour })
    expect((await send()).status).toBe(200)
    expectProblem(await ask(alice), 429, 'too_many_requests')
  })

  test("what a device has open is no other device's affair; what a subscriber asked for within a day is", async () => {
    const alice = await somebody()
    const tablet = await joinDevice(harness.api, harness.mails, alice)
    const bob = await somebody()
    await insertRequests(harness, alice, {
      count: 50,
      state: 'awaiting_approval',
      createdAt: harness.clock.now - 2 * day,
    })
    expectProblem(await ask(alice), 429, 'too_many_requests')
    expect((await ask(tablet)).status).toBe(202)
    await insertRequests(harness, bob, { count: 100, state: 'issued', createdAt: harness.clock.now - hour })
    expectProblem(await ask(bob), 429, 'too_many_requests')
    expect((await ask(tablet)).status).toBe(202)
  })

  test('a subscriber makes 100 requests within 24 hours at most, those too that came to nothing', async () => {
    const alice = await somebody()
    const begin = harness.clock.now - 23 * hour
    await insertRequests(harness, alice, { count: 99, state: 'cancelled', createdAt: begin })
    expect((await ask(alice)).status).toBe(202)
    const refused = await ask(alice)
    expectProblem(refused, 429, 'too_many_requests')
    expect(refused.headers.get('Retry-After')).toBe(String(hour / 1_000 + 1))
    harness.clock.now += hour + 1
    expect((await ask(alice)).status).toBe(202)
    expectProblem(await ask(alice), 429, 'too_many_requests')
    harness.clock.now += minute
    expect((await ask(alice)).status).toBe(202)
  })

  test('asking and cancelling again and again is counted too', async () => {
    const alice = await somebody()
    await insertRequests(harness, alice, { count: 98, state: 'rejected', createdAt: harness.clock.now - hour })
    for (let times = 0; times < 2; times += 1) {
      const { status, body } = await ask(alice)
      expect(status).toBe(202)
      expect((await alice.api.delete(`/v1/certificate-requests/${body.id}`)).status).toBe(204)
    }
    expectProblem(await ask(alice), 429, 'too_many_requests')
  })
})

/** Passes requests on, but for those that hold one key, which it answers as a server at fault would. */
function failingFor(poison: { key: string | null }): OutgoingHttps {
  const outgoing = outgoingHere()
  const holds = (body: Uint8Array | null): boolean => {
    if (body === null || poison.key === null) return false
    const csr = Buffer.from(Buffer.from(body).toString('latin1').replaceAll(/\s/g, ''), 'base64')
    return csr.includes(Buffer.from(poison.key, 'base64'))
  }
  return {
    can: outgoing.can,
    exchange: async (request) =>
      holds(request.body)
        ? { status: 429, headers: { 'retry-after': '0' }, body: new TextEncoder().encode('try again') }
        : outgoing.exchange(request),
  }
}

describe.each(engines)('where operators may send the service, on %s', (engine) => {
  /** The settings of a service that others reach. */
  const reachable = { PUBLIC_URL: 'https://keys.example.com' }
  const inside = 'inside-and-secret'

  const kindsAt = (ca: TestCa, url: string): Json[] => {
    const common = { name: 'Inside', recipient: 'Example Trust GmbH', anchors: certificatePem(ca.root), url }
    const names = { certificateProfile: 'p', endEntityProfile: 'e', certificateAuthority: 'c' }
    return [
      { ...common, kind: 'cfssl' },
      { ...common, kind: 'step-ca', provisioner: 'certbook' },
      { ...common, kind: 'ejbca', ...names, authentication: 'token', token: 'a-token' },
      { ...common, kind: 'est', authentication: 'password', password: { user: 'certbook', password: 'as agreed' } },
    ]
  }

  /** What tests of connections of all kinds to one URL answer. */
  async function looked(harness: RoomHarness, url: string): Promise<Json[]> {
    const operator = await makeAdministrator(harness, 'operator')
    const ca = await makeTestCa('Inside', () => harness.clock.now)
    const answers: Json[] = []
    for (const settings of kindsAt(ca, url)) {
      const made = await operator.api.post(connections, settings)
      expect(made.status, JSON.stringify(made.body)).toBe(201)
      answers.push((await operator.api.post(`${connections}/${made.body.id}/test`)).body)
      expect((await operator.api.delete(`${connections}/${made.body.id}`)).status).toBe(204)
    }
    return answers
  }

  test('not to servers inside, unless the deployer names them', async () => {
    const server = await serveHttp((_incoming, answer) => answer.end(inside))
    const closed = await openRoomHarness(engine, { settings: reachable })
    const open = await openRoomHarness(engine, { settings: { ...reachable, EGRESS_ALLOW: '127.0.0.0/8' } })
    try {
      for (const { ready, failure } of await looked(closed, server.url)) {
        expect([ready, failure]).toEqual([false, 'unreachable'])
      }
      expect(server.asked()).toBe(0)
      await looked(open, server.url)
      expect(server.asked()).toBeGreaterThanOrEqual(4)
    } finally {
      await closed.close()
      await open.close()
      await server.close()
    }
  })

  test('and what a server says that is no CA is told by its kind, in none of its words', async () => {
    let kind = { status: 200, type: 'text/plain' }
    const server = await serveHttp((_incoming, answer) => {
      const body = kind.type === 'application/json' ? JSON.stringify({ status: inside, message: inside }) : inside
      answer.writeHead(kind.status, { 'content-type': kind.type }).end(body)
    })
    const harness = await openRoomHarness(engine)
    try {
      for (const status of [200, 302, 401, 403, 404, 500]) {
        for (const type of ['text/plain', 'text/html', 'application/json', 'application/pkcs7-mime']) {
          kind = { status, type }
          const answers = await looked(harness, server.url)
          expect(answers.map(({ ready }) => ready)).toEqual([false, false, false, false])
          expect(JSON.stringify(answers)).not.toContain(inside)
          expect(answers[0]?.caSaid).toBe(`not an answer of this kind of CA: HTTP status ${status}, ${type}`)
        }
      }
    } finally {
      await harness.close()
      await server.close()
    }
  })
})

describe.each(engines)('a request that its CA fails at, on %s', (engine) => {
  test('holds up nobody else', async () => {
    const poison: { key: string | null } = { key: null }
    const harness = await openRoomHarness(engine, { outgoing: failingFor(poison) })
    const ca: CountingCa = await startCountingCa(() => harness.clock.now)
    try {
      const operator = await makeAdministrator(harness, 'operator')
      const made = await operator.api.post(connections, estAt(ca, ca.url))
      expect(made.status, JSON.stringify(made.body)).toBe(201)
      const rule = await operator.api.post('/v1/admin/routing-rules', { position: 1, connectionId: made.body.id })
      expect(rule.status).toBe(201)
      const mallory = await register(harness.api, harness.mails, 'mallory@example.com')
      const { key, csr } = await newCsr(mallory.email)
      poison.key = key
      const asked = await mallory.api.post('/v1/certificate-requests', { csr, use: 'dual' })
      expect(asked.status).toBe(202)
      await passMinutes(harness, 10)
      const others = await race(3, (index) => register(harness.api, harness.mails, `other.${index}@example.com`))
      const waiting = await Promise.all(others.map((other) => askForOne(other)))
      await passMinutes(harness, 30)
      expect(await Promise.all(waiting.map(async (one) => (await ownView(one)).state))).toEqual(
        waiting.map(() => 'issued'),
      )
      expect((await mallory.api.get(`/v1/certificate-requests/${asked.body.id}`)).body.state).toBe('received')
      // Once the CA takes it, it is issued like any other.
      poison.key = null
      await passMinutes(harness, 30)
      expect((await mallory.api.get(`/v1/certificate-requests/${asked.body.id}`)).body.state).toBe('issued')
    } finally {
      await harness.close()
      await ca.close()
    }
  })
})

describe.each(engines)('a CA that asks for patience without end, on %s', (engine) => {
  test.each([
    ['in seconds', '999999999'],
    ['by the last date that there is', '+275760-09-13T00:00:00.000Z'],
    ['by a date in the usual form', 'Fri, 31 Dec 9999 23:59:59 GMT'],
  ])('%s puts nothing off for more than a day, and its lists can be read', async (_how, retryAfter) => {
    const busy = { status: 429, headers: { 'retry-after': retryAfter }, body: new Uint8Array() }
    const outgoing = outgoingHere()
    let isBusy = true
    const exchange: OutgoingHttps['exchange'] = async (request) =>
      isBusy && request.url.endsWith('/simpleenroll') ? busy : outgoing.exchange(request)
    const harness = await openRoomHarness(engine, { outgoing: { can: outgoing.can, exchange } })
    const ca = await startCountingCa(() => harness.clock.now)
    try {
      const operator = await makeAdministrator(harness, 'operator')
      const made = await operator.api.post(connections, estAt(ca, ca.url))
      const rule = await operator.api.post('/v1/admin/routing-rules', { position: 1, connectionId: made.body.id })
      expect(rule.status).toBe(201)
      const alice = await register(harness.api, harness.mails, 'alice@example.com')
      const asked = await ask(alice)
      expect(asked.body.state).toBe('received')
      const list = await operator.api.get('/v1/admin/certificate-requests')
      expect(list.status, JSON.stringify(list.body)).toBe(200)
      expect(Date.parse(list.body.items[0].dueAt) - harness.clock.now).toBeLessThanOrEqual(day)
      isBusy = false
      harness.clock.now += day
      await passMinutes(harness, 1)
      expect((await alice.api.get(`/v1/certificate-requests/${asked.body.id}`)).body.state).toBe('issued')
    } finally {
      await harness.close()
      await ca.close()
    }
  })
})

describe.each(engines)('what strangers and logs are told of CAs on %s', (engine) => {
  const token = 'a-token-for-monitoring'

  test('of warnings nothing but that there are some: no name, no failure, no number', async () => {
    const harness = await openRoomHarness(engine, {
      connection: { local: false },
      ...(engine === 'sqlite' ? { settings: { METRICS_TOKEN: token } } : {}),
    })
    try {
      const ca = await makeTestCa('Quiet', () => harness.clock.now)
      const operator = await makeAdministrator(harness, 'operator')
      const owner = await makeAdministrator(harness, 'owner')
      expect((await harness.api.get('/readyz')).body).toEqual({ status: 'ready', unusable: [], warnings: [] })
      const made = await operator.api.post(connections, {
        kind: 'est',
        name: 'Merger with Example AG',
        recipient: 'Example Trust GmbH',
        anchors: certificatePem(ca.root),
        url: 'https://est.internal.example',
        authentication: 'client-certificate',
      })
      expect(made.status, JSON.stringify(made.body)).toBe(201)
      const alice = await register(harness.api, harness.mails, 'alice@example.com')
      for (const api of [harness.api, harness.api.with('a-wrong-token-for-monitoring'), alice.api, operator.api]) {
        const { status, body } = await api.get('/readyz')
        expect(status).toBe(200)
        expect(body.warnings).toEqual([expect.stringContaining('Something is not as it should be')])
        expect(JSON.stringify(body)).not.toMatch(/Merger|est\.internal|client certificate/)
      }
      const inWords = [
        expect.stringContaining('The CA connection Merger with Example AG has no client certificate yet'),
      ]
      expect((await owner.api.get('/v1/admin/overview')).body.warnings).toEqual(inWords)
      if (engine === 'sqlite') expect((await harness.api.with(token).get('/readyz')).body.warnings).toEqual(inWords)
    } finally {
      await harness.close()
    }
  })

  test('no words of a CA: they are sealed, shown to operators in one plain line, and to nobody else', async () => {
    const said = 'MARKED \u001B[31mred\u001B]0;title\u0007 for bob@example.com\r\nsecond -----BEGIN X----- \u202Eback'
    const harness = await openRoomHarness(engine, {
      outgoing: {
        can: { ownTrustAnchors: true, clientCertificates: true },
        exchange: async () => ({
          status: 400,
          headers: { 'content-type': 'text/plain' },
          body: new TextEncoder().encode(said),
        }),
      },
    })
    try {
      const ca = await makeTestCa('Talkative', () => harness.clock.now)
      const operator = await makeAdministrator(harness, 'operator')
      const auditor = await makeAdministrator(harness, 'auditor')
      const made = await operator.api.post(connections, estAt({ ca }, 'https://est.example.com'))
      const rule = await operator.api.post('/v1/admin/routing-rules', { position: 1, connectionId: made.body.id })
      expect(rule.status).toBe(201)
      const alice = await register(harness.api, harness.mails, 'alice@example.com')
      const refused = await ask(alice)
      expect(refused.body).toMatchObject({ state: 'failed', reason: 'request_refused' })
      await harness.settled()
      const path = `/v1/admin/certificate-requests/${refused.body.id}`
      const { caSaid } = (await operator.api.get(path)).body
      expect(caSaid).toMatch(/^MARKED .*second/)
      expect(caSaid).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      expect((await auditor.api.get(path)).body.caSaid).toBeNull()
      const elsewhere = [
        refused.body,
        (await alice.api.get('/v1/certificate-requests')).body,
        (await auditor.api.get('/v1/admin/certificate-requests')).body,
        (await auditor.api.get('/v1/admin/audit-log')).body,
        (await harness.api.get('/readyz')).body,
        await (await harness.ask('/metrics')).text(),
        await (await harness.ask('/privacy')).text(),
      ]
      expect(JSON.stringify(elsewhere)).not.toMatch(/MARKED|bob@example/)
      expect(await findLeaks(harness, 'MARKED', 'bob@example.com')).toEqual([])
    } finally {
      await harness.close()
    }
  })
})

describe.each(engines)('what operators with bad intent try on %s', (engine) => {
  let harness: RoomHarness
  let operator: Administrator
  let auditor: Administrator
  let ca: TestCa
  let named = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    ca = await makeTestCa('Connected', () => harness.clock.now)
    operator = await makeAdministrator(harness, 'operator')
    auditor = await makeAdministrator(harness, 'auditor')
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    expect(faults).toEqual([])
  })

  const cfssl = (more: object = {}) => ({
    kind: 'cfssl',
    name: `CA ${(named += 1)}`,
    recipient: 'Example Trust GmbH',
    anchors: certificatePem(ca.root),
    url: 'https://ca.example.com',
    ...more,
  })
  const ejbca = (more: object = {}) => ({
    ...cfssl(),
    kind: 'ejbca',
    certificateProfile: 'SMIME',
    endEntityProfile: 'Mail',
    certificateAuthority: 'Mail CA',
    authentication: 'token',
    token: 'a-token-of-ejbca',
    ...more,
  })
  const make = (body: object): Promise<Answer> => operator.api.post(connections, body)

  test.each([
    ['has an empty query, so that the paths of the CA become a part of it', 'http://127.0.0.1:9000/metrics?'],
    ['has an empty fragment, behind which they are not sent at all', 'http://127.0.0.1:9000/metrics#'],
    ['has a query', 'https://ca.example.com/?target=other'],
    ['has a password', 'https://user:password@ca.example.com'],
    ['has a user', 'https://user@ca.example.com'],
    ['is of another scheme', 'gopher://ca.example.com'],
    ['is of a file', 'file:///etc/passwd'],
  ])('a url that %s is refused', async (_what, url) => {
    expectProblem(await make(cfssl({ url })), 422, 'invalid_request')
  })

  test('a url is kept as it is sent to, whatever stood there to hide that', async () => {
    const { body } = await make(cfssl({ url: 'https://CA.example.com/a/..\\b\t/%2e%2e/c//' }))
    expect(body.settings.url).toBe('https://ca.example.com/c')
  })

  test.each(['http://user:password@crl.example.com/a.crl', 'gopher://crl.example.com/a.crl', 'file:///etc/passwd'])(
    'a revocation list at %s is refused',
    async (url) => {
      expectProblem(await make(cfssl({ revocationLists: [url] })), 422, 'invalid_request')
    },
  )

  test('what terminals and pages would obey does not come into names', async () => {
    const escape = '\u001B]0;owned\u0007'
    for (const more of [
      { name: `CA${escape}` },
      { recipient: `Example${escape}` },
      { profile: `mail${escape}` },
      { name: 'CA \u202Egnp.exe' },
    ]) {
      expectProblem(await make(cfssl(more)), 422, 'invalid_request')
    }
    const manual = { kind: 'manual', name: 'By hand', recipient: 'Example', anchors: certificatePem(ca.root) }
    const challenged = { ...manual, mailboxChallenge: { sender: `ca@example.com${escape}` } }
    expectProblem(await make(challenged), 422, 'invalid_request')
  })

  test('names are text on the privacy page, and nowhere in the reference', async () => {
    const name = '<img src=x onerror=alert(1)>'
    const recipient = `"><script>alert(2)</script><a href='javascript:alert(3)'>`
    expect((await make(cfssl({ name, recipient }))).status).toBe(201)
    const page = await (await harness.ask('/privacy')).text()
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;')
    expect(page).not.toMatch(/<img|<script|<a href='javascript/)
    expect(await (await harness.ask('/docs')).text()).not.toContain('alert(')
  })

  test('the audit log says where requests were sent to meanwhile, also once that was changed back', async () => {
    const first = await make(cfssl())
    const settings = { ...first.body.settings, url: 'https://elsewhere.example' }
    const changed = await operator.api.put(`${connections}/${first.body.id}`, settings, { 'If-Match': '"1"' })
    expect(changed.status, JSON.stringify(changed.body)).toBe(200)
    const back = { ...settings, url: 'https://ca.example.com' }
    expect((await operator.api.put(`${connections}/${first.body.id}`, back, { 'If-Match': '"2"' })).status).toBe(200)
    const rows = await harness.main.all(
      query({ facts: text }, `SELECT facts FROM audit_entries WHERE subject = ? ORDER BY position`, first.body.id),
    )
    expect(rows.map(({ facts }) => JSON.parse(facts).url)).toEqual([
      'https://ca.example.com',
      'https://elsewhere.example',
      'https://ca.example.com',
    ])
  })

  test('a person with a new credential, by rotation or from an owner, is no second person', async () => {
    const rule = { position: 1, domain: 'four-eyes.example', connectionId: 'embedded', approvals: 2 }
    expect((await operator.api.post('/v1/admin/routing-rules', rule)).status).toBe(201)
    const approver = await makeAdministrator(harness, 'approver')
    const owner = await makeAdministrator(harness, 'owner')
    const alice = await register(harness.api, harness.mails, 'alice@four-eyes.example')
    const asked = await ask(alice)
    expect(asked.body.state).toBe('awaiting_approval')
    const path = `/v1/admin/certificate-requests/${asked.body.id}/approval`
    expect((await approver.api.post(path)).body.approvals).toEqual({ needed: 2, given: 1 })
    const rotated = await approver.api.post('/v1/admin/credential')
    const again = await harness.api.with(rotated.body.credential).post(path)
    expect(again.body).toMatchObject({ state: 'awaiting_approval', approvals: { needed: 2, given: 1 } })
    const replaced = await owner.api.post(`/v1/admin/administrators/${approver.id}/credential`)
    const oncemore = await harness.api.with(replaced.body.credential).post(path)
    expect(oncemore.body).toMatchObject({ state: 'awaiting_approval', approvals: { needed: 2, given: 1 } })
    const second = await makeAdministrator(harness, 'approver')
    expect((await second.api.post(path)).body.approvals).toEqual({ needed: 2, given: 2 })
  })

  describe('private keys', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pkcs8Pem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const pkcs8 = pair.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
    const jwk = pair.privateKey.export({ format: 'jwk' })

    test.each([
      ['among the anchors', () => cfssl({ anchors: certificatePem(ca.root) + pkcs8Pem })],
      ['among the TLS anchors', () => cfssl({ tlsAnchors: pkcs8Pem })],
      ['in a name, encoded', () => cfssl({ name: pkcs8 })],
      ['as a token', () => ejbca({ token: pkcs8 })],
      ['as the key of CFSSL, in hexadecimal', () => cfssl({ authKey: Buffer.from(pkcs8, 'base64').toString('hex') })],
      ['as a password', () => cfssl({ password: { user: 'certbook', password: pkcs8Pem } })],
      ['as a JWK in a field that there is not', () => cfssl({ provisionerKey: jwk })],
      ['as the text of a JWK', () => cfssl({ profile: JSON.stringify(jwk) })],
    ])('are refused %s, and nothing is kept', async (_where, body) => {
      const before = await countRows(harness.main, 'ca_connections')
      expectProblem(await make(body()), 422, 'private_key_refused')
      expect(await countRows(harness.main, 'ca_connections')).toBe(before)
    })

    test('are refused beside a certificate that is brought, or put in, whether there is such a thing or not', async () => {
      const { body } = await make({ ...ejbca(), authentication: 'client-certificate', token: null })
      for (const path of [
        `${connections}/${body.id}/client-certificate`,
        '/v1/admin/certificate-requests/none/certificate',
      ]) {
        const certificate = certificatePem(ca.root) + pkcs8Pem
        expectProblem(await operator.api.post(path, { certificate }), 422, 'private_key_refused')
      }
    })

    test('what is as random, and no private key, is not taken for one', async () => {
      for (const bytes of [16, 32, 48, 64, 32, 64]) {
        const made = await make(cfssl({ authKey: randomBytes(bytes).toString('hex') }))
        expect(made.status, JSON.stringify(made.body)).toBe(201)
      }
      for (const token of [
        randomBytes(32).toString('base64'),
        randomBytes(121).toString('base64url'),
        `eyJhbGciOiJIUzI1NiJ9.${randomBytes(200).toString('base64url')}.${randomBytes(32).toString('base64url')}`,
      ]) {
        const made = await make(
          ejbca({ token, tlsAnchors: certificatePem(ca.root), intermediates: certificatePem(ca.issuing) }),
        )
        expect(made.status, JSON.stringify(made.body)).toBe(201)
      }
    })

    test('those that are made here are in no answer, no log, and no row that is not sealed', async () => {
      const step = await make({ ...cfssl(), kind: 'step-ca', provisioner: 'certbook' })
      const client = await make({ ...ejbca(), authentication: 'client-certificate', token: null })
      expect(JSON.parse(step.body.keyForCa.value)).not.toHaveProperty('d')
      const shown: Json[] = [step.body, client.body]
      for (const api of [operator.api, auditor.api]) {
        shown.push((await api.get(`${connections}?limit=200`)).body)
        for (const { body } of [step, client]) shown.push((await api.get(`${connections}/${body.id}`)).body)
      }
      shown.push((await auditor.api.get('/v1/admin/audit-log?limit=200')).body)
      const all = JSON.stringify(shown)
      for (const { body } of [step, client]) {
        const row = await harness.main.first(
          query({ sealed: text }, `SELECT hex(credentials_sealed) AS sealed FROM ca_connections WHERE id = ?`, body.id),
        )
        const place = { table: 'ca_connections', column: 'credentials_sealed', row: body.id }
        const opened = harness.keys.main.open(place, new Uint8Array(Buffer.from(row?.sealed ?? '', 'hex')))
        const kept = JSON.parse(new TextDecoder().decode(opened))
        const secrets = Object.values<string>(kept).flatMap((secret) => {
          const der = Buffer.from(secret, 'base64')
          // Of a P-256 key in PKCS#8 the scalar is 32 bytes from the 36th on.
          return [secret, ...(der.length > 100 ? [der.subarray(36, 68).toString('base64url')] : [])]
        })
        expect(secrets.length).toBeGreaterThanOrEqual(2)
        for (const secret of secrets) expect(all).not.toContain(secret)
        expect(await findLeaks(harness, ...secrets)).toEqual([])
      }
    })
  })
})
