import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { EstSettings } from '../../src/api/ca-kinds/est.ts'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import type { CaAdapter, CaOutcome, CertificateOrder } from '../../src/cas/adapters/contract.ts'
import { createEstCa } from '../../src/cas/adapters/est/est.ts'
import { DomainError } from '../../src/errors.ts'
import { equalBytes } from '../../src/pki/encoding.ts'
import { orderChain } from '../../src/pki/order-chain.ts'
import { verifyIssuedCertificate } from '../../src/pki/verify-issued.ts'
import type { OutgoingHttps } from '../../src/ports/outgoing-https.ts'
import { describeCaAdapter, type CaUnderTest, type RunningCa } from '../support/ca-contract.ts'
import { makeOrder, type OrderWanted } from '../support/ca-order.ts'
import { startEstServer, type EstMood, type EstServer } from '../support/est-server.ts'
import { answerBytes, freePort } from '../support/odd-servers.ts'
import { toPem } from '../support/pem.ts'
import { makeTestCa } from '../support/test-ca.ts'
import { outgoingHere } from '../support/this-machine.ts'

const mailbox = 'alice@example.com'
const usual: EstMood = {
  holds: null,
  answersAgain: false,
  writes: 'lines of 64',
  saysEncoding: true,
  refusal: null,
  afterIssuing: 'answer',
}

let server: EstServer
beforeAll(async () => {
  server = await startEstServer()
})
afterAll(() => server.close())
beforeEach(() => {
  Object.assign(server.mood, usual)
  server.asked.length = 0
  server.bodies.length = 0
})

const clock = { now: Date.parse('2026-11-21T12:00:00Z') }

function settings(more: Readonly<Record<string, unknown>> = {}, of: EstServer = server): EstSettings {
  const read = caConnectionRequest.parse({
    kind: 'est',
    name: 'the CA',
    recipient: 'Example CA Ltd',
    anchors: of.tlsAnchors,
    url: of.url,
    tlsAnchors: of.tlsAnchors,
    authentication: 'password',
    password: of.password,
    ...more,
  })
  if (read.kind !== 'est') throw new Error('not EST')
  return read
}

type Credentials = Parameters<typeof createEstCa>[2]

function open(more: Readonly<Record<string, unknown>> = {}, credentials: Partial<Credentials> = {}): CaAdapter {
  const deps = { outgoing: outgoingHere(), clock: () => clock.now, crypto }
  return createEstCa(deps, settings(more), { password: server.password, clientCertificate: null, ...credentials })
}

/** A request that asks for its names itself: the CA of an EST server has them from nowhere else. */
const order = (wanted: OrderWanted = {}): Promise<CertificateOrder> =>
  makeOrder({ csrNames: [{ type: 'email', value: mailbox }], ...wanted })

const poll = (adapter: CaAdapter, wanted: CertificateOrder): Promise<CaOutcome> => {
  if (adapter.poll === undefined) throw new Error('cannot be polled')
  return adapter.poll(wanted, null)
}

const total = (): number => [...server.issued.values()].reduce((sum, count) => sum + count, 0)

/** Has the CA issue, and returns what kept certificates are judged by. */
async function verdict(outcome: CaOutcome, wanted: CertificateOrder): Promise<string> {
  if (outcome.kind !== 'issued') return outcome.kind
  const { trust } = server.ca
  const found = await verifyIssuedCertificate(crypto, {
    certificate: outcome.certificate,
    chain: await orderChain(crypto, outcome.certificate, trust, outcome.chain),
    anchors: trust.anchors,
    spki: wanted.spki,
    mailbox: wanted.mailbox,
    use: wanted.use,
    notBefore: wanted.notBefore,
    notAfter: wanted.notAfter,
    at: new Date(),
  })
  return found.ok ? 'fit' : found.reason
}

/** A server of its own, as the suite of all adapters wants it. */
async function startUnderTest(
  mood: Partial<EstMood>,
  authentication: EstSettings['authentication'],
): Promise<RunningCa> {
  const est = await startEstServer()
  Object.assign(est.mood, mood)
  const foreign = toPem('CERTIFICATE', (await makeTestCa('Foreign')).root)
  return {
    url: est.url,
    trust: est.ca.trust,
    adapter: ({ url, credentials = 'right', tlsAnchors = 'right', timeoutSeconds = 30 }) =>
      createEstCa(
        { outgoing: outgoingHere(), clock: Date.now, crypto },
        settings(
          {
            url,
            authentication,
            timeoutSeconds,
            answersAgain: est.mood.answersAgain,
            ...(tlsAnchors === 'right' ? {} : { tlsAnchors: foreign }),
          },
          est,
        ),
        {
          password: credentials === 'right' ? est.password : { user: 'certbook', password: 'wrong' },
          clientCertificate: credentials === 'right' ? est.client : est.stranger,
        },
      ),
    issued: () => [...est.issued.values()].reduce((sum, count) => sum + count, 0),
    decide: () => est.decide('issue'),
    stop: () => est.close(),
  }
}

const csrNames = [{ type: 'email', value: mailbox }] as const
const served: Omit<CaUnderTest, 'start'> = {
  orders: [
    { csrNames, key: 'P-256', use: 'dual' },
    { csrNames, key: 'P-384', use: 'sign', profile: 'sign' },
    { csrNames, key: 'RSA-2048', use: 'encrypt', profile: 'encrypt' },
    { csrNames, key: 'Ed25519', use: 'sign', profile: 'sign' },
  ],
  refused: [{ order: { csrNames, profile: '../other' }, failure: 'profile_refused' }],
  network: { tls: true, credentials: true },
  submits: 'issued',
  revokes: null,
  finds: false,
}

describeCaAdapter('EST with a password', { ...served, start: () => startUnderTest({}, 'password') })
describeCaAdapter('EST with a client certificate, at a server that answers again', {
  ...served,
  network: { tls: true, credentials: true, clientCertificate: true },
  start: () => startUnderTest({ answersAgain: true }, 'client-certificate'),
})
describeCaAdapter('EST at a CA that holds its orders', {
  ...served,
  submits: 'pending',
  start: () => startUnderTest({ holds: { retryAfter: '1' }, answersAgain: true }, 'password'),
})

describe('enrolment', () => {
  test.each([
    [{ key: 'P-256', use: 'dual' }],
    [{ key: 'P-384', use: 'sign', profile: 'sign' }],
    [{ key: 'RSA-2048', use: 'encrypt', profile: 'encrypt' }],
    [{ key: 'Ed25519', use: 'sign', profile: 'sign' }],
  ] as const)('brings a certificate that passes verification: %o', async (wanted) => {
    const asked = await order(wanted)
    const before = total()
    expect(await verdict(await open().submit(asked), asked)).toBe('fit')
    expect(total()).toBe(before + 1)
    const label = 'profile' in wanted ? `/${wanted.profile}` : ''
    expect(server.asked).toEqual([`POST /.well-known/est${label}/simpleenroll`])
  })

  test('sends the request as the device signed it, as base64 of short lines, and says so', async () => {
    const asked = await order()
    await open().submit(asked)
    const [body = ''] = server.bodies
    expect(equalBytes(new Uint8Array(Buffer.from(body, 'base64')), asked.content)).toBe(true)
    expect(body.split('\r\n').every((line) => line.length <= 64)).toBe(true)
    expect(server.headers()).toMatchObject({
      'content-type': 'application/pkcs10',
      'content-transfer-encoding': 'base64',
      'content-length': String(body.length),
    })
  })

  test("the connection's label is in the path, unless a rule names another", async () => {
    const adapter = open({ label: 'mail' })
    await adapter.submit(await order())
    await adapter.submit(await order({ use: 'sign', profile: 'sign' }))
    expect(server.asked).toEqual(['POST /.well-known/est/mail/simpleenroll', 'POST /.well-known/est/sign/simpleenroll'])
  })

  test.each(['..', 'a/b', 'a b', ''])('a profile that is no label is not sent: %j', async (profile) => {
    expect(await open().submit(await order({ profile }))).toMatchObject({
      kind: 'permanent',
      failure: 'profile_refused',
    })
    expect(server.asked).toEqual([])
  })

  test('a bare public key is not sent', async () => {
    const asked: CertificateOrder = { ...(await order()), provedBy: 'public_key' }
    expect(await open().submit(asked)).toMatchObject({ kind: 'permanent', failure: 'request_refused' })
    expect(server.asked).toEqual([])
  })

  test.each(['lines of 64', 'lines of 76 with CRLF', 'one line', 'PEM', 'DER', 'BER'] as const)(
    'an answer is read however it is written: %s',
    async (writes) => {
      for (const saysEncoding of [true, false]) {
        Object.assign(server.mood, { writes, saysEncoding })
        const asked = await order()
        expect(await verdict(await open().submit(asked), asked)).toBe('fit')
      }
    },
  )

  test('says what it can and cannot do', () => {
    expect(open().describe()).toEqual({
      acceptsPublicKey: false,
      takesContentFromCsr: true,
      algorithms: ['RSA', 'EC', 'Ed25519'],
      keepsNothing: false,
      answersAgain: false,
      byHand: false,
    })
    expect(open({ answersAgain: true }).describe().answersAgain).toBe(true)
    expect(open()).not.toHaveProperty('revoke')
    expect(open()).not.toHaveProperty('find')
  })
})

describe('authentication', () => {
  test('a wrong password is refused before anything is issued', async () => {
    const before = total()
    const wrong = open({}, { password: { user: 'certbook', password: 'wrong' } })
    expect(await wrong.submit(await order())).toMatchObject({ kind: 'transient', failure: 'credential_refused' })
    expect(await wrong.check()).toMatchObject({ kind: 'not_ready', failure: 'credential_refused' })
    expect(total()).toBe(before)
  })

  test('a client certificate lets in, without any password', async () => {
    const adapter = open({ authentication: 'client-certificate' }, { clientCertificate: server.client })
    const asked = await order()
    expect(await verdict(await adapter.submit(asked), asked)).toBe('fit')
    expect(server.headers()).not.toHaveProperty('authorization')
  })

  test('the client certificate of somebody else does not', async () => {
    const before = total()
    const adapter = open({ authentication: 'client-certificate' }, { clientCertificate: server.stranger })
    expect(await adapter.submit(await order())).toMatchObject({ kind: 'transient', failure: 'credential_refused' })
    expect(total()).toBe(before)
  })

  test('a server with another certificate gets neither the password nor the request', async () => {
    const other = await startEstServer()
    try {
      const adapter = open({ url: other.url })
      expect(await adapter.submit(await order())).toMatchObject({ kind: 'transient', failure: 'tls_refused' })
      expect(await adapter.check()).toMatchObject({ kind: 'not_ready', failure: 'tls_refused' })
      expect(other.asked).toEqual([])
    } finally {
      await other.close()
    }
  })

  test('the password does not go in clear to another machine', async () => {
    const adapter = open({ url: 'http://192.0.2.1', tlsAnchors: null })
    expect(await adapter.submit(await order())).toMatchObject({ kind: 'transient', failure: 'unreachable' })
    expect(await adapter.check()).toMatchObject({ kind: 'not_ready', failure: 'unreachable' })
  })

  test('a user name with a colon cannot be sent and is refused', () => {
    expect(() => open({}, { password: { user: 'a:b', password: 'c' } })).toThrow(DomainError)
  })
})

describe('an order that the CA holds', () => {
  test.each([
    ['seconds', '120', 120],
    ['a date', 'Sat, 21 Nov 2026 12:10:00 GMT', 600],
    ['nothing, which it must not', null, null],
    ['nonsense', 'soon', null],
  ])('is pending for as long as it says: %s', async (_name, retryAfter, retryAfterSeconds) => {
    server.mood.holds = { retryAfter }
    const pending = { kind: 'pending', state: null, retryAfterSeconds, waitsFor: null }
    expect(await open().submit(await order())).toEqual(pending)
  })

  test('is asked for by the identical request, and issued once', async () => {
    server.mood.holds = { retryAfter: '1' }
    const [adapter, asked, before] = [open(), await order(), total()]
    expect(await adapter.submit(asked)).toMatchObject({ kind: 'pending' })
    expect(await poll(adapter, asked)).toMatchObject({ kind: 'pending' })
    expect(total()).toBe(before)
    server.decide('issue')
    expect(await verdict(await poll(adapter, asked), asked)).toBe('fit')
    expect(total()).toBe(before + 1)
    expect(new Set(server.bodies).size).toBe(1)
    expect(new Set(server.asked)).toEqual(new Set(['POST /.well-known/est/simpleenroll']))
  })

  test("waits for the CA's own challenge where the connection says so", async () => {
    server.mood.holds = { retryAfter: '60' }
    const adapter = open({ mailboxChallenge: { sender: 'noreply@ca.example' } })
    expect(await adapter.submit(await order())).toMatchObject({ kind: 'pending', waitsFor: 'ca_mailbox_challenge' })
  })

  test('is rejected by its refusal', async () => {
    server.mood.holds = { retryAfter: '1' }
    const [adapter, asked] = [open(), await order()]
    await adapter.submit(asked)
    server.decide('reject')
    expect(await poll(adapter, asked)).toEqual({ kind: 'permanent', failure: 'rejected_by_ca', caSaid: 'rejected' })
  })

  test('is unknown once the answer to a poll is lost', async () => {
    server.mood.holds = { retryAfter: '1' }
    const [adapter, asked, before] = [open(), await order(), total()]
    await adapter.submit(asked)
    server.decide('issue')
    server.mood.afterIssuing = 'cut off'
    expect(await poll(adapter, asked)).toMatchObject({ kind: 'unknown', failure: 'connection_lost' })
    expect(total()).toBe(before + 1)
  })

  test('stands as it did where a poll cannot be sent, or the credential is refused', async () => {
    const asked = await order()
    const nobody = open({ url: `https://127.0.0.1:${await freePort()}` })
    expect(await poll(nobody, asked)).toMatchObject({ kind: 'transient', failure: 'unreachable' })
    const wrong = open({}, { password: { user: 'certbook', password: 'wrong' } })
    expect(await poll(wrong, asked)).toMatchObject({ kind: 'transient', failure: 'credential_refused' })
  })
})

describe('an answer that is lost after the CA has issued', () => {
  test('is unknown, and the identical request gets the certificate again where the server does that', async () => {
    server.mood.answersAgain = true
    server.mood.afterIssuing = 'cut off'
    const [adapter, asked, before] = [open({ answersAgain: true }), await order(), total()]
    expect(await adapter.submit(asked)).toMatchObject({ kind: 'unknown', failure: 'connection_lost' })
    server.mood.afterIssuing = 'answer'
    expect(await verdict(await adapter.submit(asked), asked)).toBe('fit')
    expect(total()).toBe(before + 1)
  })

  test.each([
    ['an error of the server', { status: 500, body: 'database gone' }, 'ca_error'],
    ['a gateway that lost it', { status: 502, body: '<h1>Bad Gateway</h1>' }, 'ca_error'],
    ['a gateway that lost it, with 503', { status: 503, body: 'upstream reset' }, 'ca_error'],
    [
      'a gateway that lost it, with 503 and when to ask again',
      { status: 503, headers: { 'retry-after': '5' } },
      'busy',
    ],
    ['a gateway that waited too long', { status: 504 }, 'ca_error'],
    ['a redirect', { status: 303, headers: { location: '/done' } }, 'answer_malformed'],
    [
      'a page with 200',
      { status: 200, headers: { 'content-type': 'text/html' }, body: '<p>Sign in</p>' },
      'answer_malformed',
    ],
    ['nothing at all with 200', { status: 200 }, 'answer_malformed'],
    ['nothing at all with 204', { status: 204 }, 'answer_malformed'],
    ['base64 of something else', { status: 200, body: 'aGVsbG8gd29ybGQ=' }, 'answer_malformed'],
    ['the chain alone', 'chain alone', 'answer_malformed'],
    ['certificates of two others', 'two strangers', 'answer_malformed'],
  ] as const)('is unknown: %s', async (_name, afterIssuing, failure) => {
    server.mood.afterIssuing = afterIssuing
    const before = total()
    expect(await open().submit(await order())).toMatchObject({ kind: 'unknown', failure })
    expect(total()).toBe(before + 1)
  })

  test('what was cut or changed on the way is never more than an answer that cannot be used', async () => {
    const asked = await order()
    const right = await open().submit(asked)
    if (right.kind !== 'issued') throw new Error('not issued')
    server.mood.writes = 'DER'
    let body: Uint8Array = new Uint8Array()
    const listening: OutgoingHttps = {
      can: { ownTrustAnchors: true, clientCertificates: true },
      exchange: async (request) => {
        const answer = await outgoingHere().exchange(request)
        ;({ body } = answer)
        return answer
      },
    }
    const credentials = { password: server.password, clientCertificate: null }
    const deps = { clock: () => clock.now, crypto }
    await createEstCa({ ...deps, outgoing: listening }, settings(), credentials).submit(asked)

    const answering = (bytes: Uint8Array): CaAdapter => {
      const exchange = async () => ({ status: 200, headers: {}, body: bytes })
      return createEstCa({ ...deps, outgoing: { ...listening, exchange } }, settings(), credentials)
    }
    for (let at = 0; at < body.length; at += 1) {
      expect((await answering(body.subarray(0, at)).submit(asked)).kind).toBe('unknown')
      const changed = Uint8Array.from(body)
      changed[at] = (changed[at] ?? 0) ^ 0xff
      expect(['unknown', 'issued']).toContain((await answering(changed).submit(asked)).kind)
      expect(['ready', 'not_ready']).toContain((await answering(changed).check()).kind)
    }
    const nested = Buffer.from('3080'.repeat(100_000), 'hex')
    expect((await answering(nested).submit(asked)).kind).toBe('unknown')
  })

  test('an answer of 64 MiB is not taken', async () => {
    server.mood.afterIssuing = { status: 200, body: new Uint8Array(64 * 1_048_576) }
    expect(await open().submit(await order())).toMatchObject({ kind: 'unknown', failure: 'answer_too_large' })
  })

  test('half an answer', async () => {
    const half = await answerBytes('HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nMIIF')
    try {
      const adapter = open({ url: half.url, tlsAnchors: null })
      expect(await adapter.submit(await order())).toMatchObject({ kind: 'unknown', failure: 'connection_lost' })
    } finally {
      await half.close()
    }
  })
})

describe('a refusal', () => {
  test.each([
    [{ status: 400, body: 'CSR attributes are incomplete' }, 'permanent', 'request_refused', null],
    [{ status: 403, body: 'not for you' }, 'permanent', 'request_refused', null],
    [{ status: 409 }, 'permanent', 'request_refused', null],
    [{ status: 404, body: 'no such label' }, 'transient', 'ca_error', null],
    [{ status: 405 }, 'transient', 'ca_error', null],
    [{ status: 401, body: 'who?' }, 'transient', 'credential_refused', null],
    [{ status: 429, headers: { 'retry-after': '7' } }, 'transient', 'busy', 7],
  ] as const)('before the CA has acted: %o', async (refusal, kind, failure, retryAfterSeconds) => {
    server.mood.refusal = refusal
    const before = total()
    const outcome = await open().submit(await order())
    expect(outcome).toMatchObject({ kind, failure })
    if (outcome.kind === 'transient') expect(outcome.retryAfterSeconds).toBe(retryAfterSeconds)
    expect(total()).toBe(before)
  })

  test("the server's words are for operators: one line, cut, without its markup", async () => {
    server.mood.refusal = { status: 400, body: `<h1>No</h1>\n\u0007${'x'.repeat(5_000)}` }
    const outcome = await open().submit(await order())
    expect('caSaid' in outcome ? outcome.caSaid : '').toMatch(/^No x{490,499}$/)
  })

  test('words that are none are not shown', async () => {
    server.mood.refusal = { status: 400, headers: { 'content-type': 'application/pkcs7-mime' }, body: 'MIIF' }
    expect(await open().submit(await order())).toMatchObject({ caSaid: 'HTTP status 400' })
  })

  test('a certificate of another key is left to verification, which says so', async () => {
    server.mood.afterIssuing = 'another key'
    const asked = await order()
    expect(await verdict(await open().submit(asked), asked)).toBe('spki_differs')
  })
})

describe('a look at the server', () => {
  test('names its CAs, and leaves nothing behind', async () => {
    const before = total()
    const found = await open().check()
    expect(found).toEqual({
      kind: 'ready',
      facts: {
        ca1: 'CN=EST Issuing CA,O=Example,C=DE',
        ca1Sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        ca2: 'CN=EST Root,O=Example,C=DE',
        ca2Sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      issuers: [expect.any(Uint8Array), expect.any(Uint8Array)],
    })
    expect(total()).toBe(before)
    expect(server.asked).toEqual(['GET /.well-known/est/cacerts', 'POST /.well-known/est/simpleenroll'])
  })

  test.each([
    ['nothing listens', async () => `http://127.0.0.1:${await freePort()}`, 'unreachable'],
    ['no EST server', async () => `${server.url}/elsewhere`, 'ca_error'],
  ])('is not ready: %s', async (_name, url, failure) => {
    const adapter = open({ url: await url() })
    expect(await adapter.check()).toMatchObject({ kind: 'not_ready', failure })
  })

  test('is not ready where what it shows is no certificates', async () => {
    const page = await answerBytes('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<p>Hi</p>')
    try {
      const found = await open({ url: page.url, tlsAnchors: null }).check()
      expect(found).toEqual({
        kind: 'not_ready',
        failure: 'answer_malformed',
        caSaid: 'not an answer of this kind of CA: HTTP status 200, text/html',
      })
    } finally {
      await page.close()
    }
  })
})
