import 'reflect-metadata'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { query, text } from '../../src/ports/database.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { startEjbcaStub, type EjbcaStub } from '../support/ejbca-stub.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { toPem } from '../support/pem.ts'
import { lookUp, publish, register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countRows, expectProblem, findLeaks, minute, race } from '../rooms/support.ts'

const start = Date.parse('2026-11-21T12:00:00Z')
const certificatePem = (...certificates: readonly Uint8Array[]): string =>
  certificates.map((der) => toPem('CERTIFICATE', der)).join('')

/** A request that waits for somebody. */
interface Asked {
  readonly id: string
  readonly csr: string
  readonly spki: Uint8Array
  readonly by: Registered
}

describe.each(engines)('what operators do to requests by hand, on %s', (engine) => {
  let harness: RoomHarness
  let operator: Administrator
  let auditor: Administrator
  let approver: Administrator
  let ca: TestCa
  let stub: EjbcaStub
  let ejbca: string
  let people = 0

  beforeAll(async () => {
    ca = await makeTestCa('Offline', () => start)
    harness = await openRoomHarness(engine)
    stub = await startEjbcaStub(() => harness.clock.now)
    operator = await makeAdministrator(harness, 'operator')
    auditor = await makeAdministrator(harness, 'auditor')
    approver = await makeAdministrator(harness, 'approver')
    const manual = await connect({ kind: 'manual', name: 'Offline CA', anchors: certificatePem(ca.root) })
    ejbca = await connect({
      kind: 'ejbca',
      name: 'EJBCA',
      anchors: certificatePem(stub.ca.root),
      url: stub.url,
      tlsAnchors: certificatePem(stub.ca.root),
      certificateProfile: 'SMIME',
      endEntityProfile: stub.names.endEntityProfile,
      certificateAuthority: stub.names.ca,
      authentication: 'token',
      token: stub.token,
    })
    await route(1, 'offline.example', manual)
    await route(2, 'ejbca.example', ejbca)
  })
  beforeEach(async () => {
    Object.assign(stub.mood, { afterSigning: 'answer', search: 'answers', portal: false, offline: null })
    // What went wrong in the test before must not have this one wait.
    expect((await operator.api.post(`/v1/admin/ca-connections/${ejbca}/resumption`)).status).toBe(200)
    await harness.settled()
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    await stub.close()
    expect(faults).toEqual([])
  })

  const connect = async (settings: object): Promise<string> => {
    const made = await operator.api.post('/v1/admin/ca-connections', { recipient: 'Example AG', ...settings })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    return made.body.id
  }
  const route = async (position: number, domain: string, connectionId: string): Promise<void> => {
    const made = await operator.api.post('/v1/admin/routing-rules', { position, domain, connectionId })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
  }

  const path = (id: string, action = ''): string => `/v1/admin/certificate-requests/${id}${action && `/${action}`}`
  const act = (id: string, action: string, body?: object, by = operator): Promise<Answer> =>
    by.api.post(path(id, action), body)
  const bring = (id: string, ...certificates: readonly Uint8Array[]): Promise<Answer> =>
    act(id, 'certificate', { certificate: certificatePem(...certificates) })
  const reading = async (id: string, by = operator): Promise<Json> => (await by.api.get(path(id))).body
  const shown = async ({ id, by }: Asked): Promise<Json> => (await by.api.get(`/v1/certificate-requests/${id}`)).body

  /** Somebody new asks for a certificate, which then waits. */
  const ask = async (domain: 'offline.example' | 'ejbca.example'): Promise<Asked> => {
    people += 1
    const by = await register(harness.api, harness.mails, `person-${people}@${domain}`)
    const csr = await makeCsr({ subject: '', addresses: [by.email] })
    const asked = await by.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    expect(asked.status, JSON.stringify(asked.body)).toBe(202)
    await harness.settled()
    const spki = new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData)
    return { id: asked.body.id, csr, spki, by }
  }
  const issue = ({ spki, by }: Asked, names: string = by.email): Promise<Uint8Array> => ca.issue({ spki, names })

  /** EJBCA signs, and its answer is lost; nobody can search there. */
  const askUnknown = async (): Promise<Asked> => {
    Object.assign(stub.mood, { afterSigning: 'cut off', search: 'missing' })
    const asked = await ask('ejbca.example')
    expect((await reading(asked.id)).state).toBe('outcome_unknown')
    return asked
  }

  const entriesOf = (subject: string) =>
    harness.main.all(
      query(
        { action: text, actor: text },
        `SELECT action, COALESCE(actor, '') AS actor FROM audit_entries WHERE subject = ? ORDER BY position`,
        subject,
      ),
    )
  const revocationsOf = (id: string): Promise<number> => countRows(harness.main, 'ca_revocations WHERE request = ?', id)

  describe('a CA that is asked by hand', () => {
    test('gets the CSR, and its certificate is kept, published and found', async () => {
      const asked = await ask('offline.example')
      expect(await shown(asked)).toMatchObject({ state: 'pending', certificate: null })
      expect(await reading(asked.id)).toMatchObject({ state: 'pending', openAtCa: true, dueAt: null })

      const taken = await act(asked.id, 'csr')
      expect(taken.status).toBe(200)
      expect(taken.body).toMatchObject({ mailbox: asked.by.email, use: 'dual', profile: null })
      expect(taken.body.csr.trim()).toBe(asked.csr.trim())
      expect((await entriesOf(asked.id)).at(-1)).toEqual({
        action: 'certificate_request.csr_taken',
        actor: operator.id,
      })

      const certificate = await issue(asked)
      const brought = await bring(asked.id, certificate, ca.issuing)
      expect(brought.body).toEqual({
        id: asked.id,
        state: 'issued',
        reason: null,
        certificateId: expect.any(String),
        approvals: { needed: 0, given: 0 },
      })
      const issued = await shown(asked)
      expect(issued).toMatchObject({ state: 'issued', certificate: { mailbox: asked.by.email } })
      expect(issued.certificate.chain).toEqual(ca.chain.map((der) => Buffer.from(der).toString('base64')))
      expect(await entriesOf(issued.certificate.id)).toEqual([{ action: 'certificate.issued', actor: operator.id }])

      await publish(asked.by, issued.certificate.id)
      const sender = await register(harness.api, harness.mails, `sender-${people}@example.com`)
      const [found] = await lookUp(sender, [asked.by.email])
      expect(found).toMatchObject({ status: 'found', certificates: [{ id: issued.certificate.id }] })
    })

    test('a repeat is no news, and another certificate is not taken', async () => {
      const asked = await ask('offline.example')
      const certificate = await issue(asked)
      const first = await bring(asked.id, certificate, ca.issuing)
      expect(await bring(asked.id, certificate, ca.issuing)).toMatchObject({ status: 200, body: first.body })
      expectProblem(await bring(asked.id, await issue(asked), ca.issuing), 409, 'request_not_in_that_state')
      expect(await revocationsOf(asked.id)).toBe(0)
    })

    test('two operators at once keep one', async () => {
      const asked = await ask('offline.example')
      const certificate = await issue(asked)
      const answers = await race(5, () => bring(asked.id, certificate, ca.issuing))
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      expect(new Set(answers.map(({ body }) => body.certificateId)).size).toBe(1)
      expect(await countRows(harness.main, 'certificates WHERE request = ?', asked.id)).toBe(1)
      expect(await revocationsOf(asked.id)).toBe(0)
    })

    test('the certificate is found wherever it stands in the file', async () => {
      const asked = await ask('offline.example')
      expect((await bring(asked.id, ca.root, ca.issuing, await issue(asked))).body.state).toBe('issued')
    })

    const wrong: readonly (readonly [string, (asked: Asked) => Promise<readonly Uint8Array[]>, string])[] = [
      [
        'of another key',
        async ({ by }) => [await issue({ ...(await strangersKey()), by }), ca.issuing],
        "another key than the request's",
      ],
      ['that is the CA itself', async () => [ca.issuing], "a CA's own certificate"],
      [
        'for another mailbox',
        async (asked) => [await issue(asked, 'mallory@offline.example'), ca.issuing],
        'another mailbox than the request. The request waits on, unchanged (mailbox_differs).',
      ],
      [
        'of a foreign CA',
        async ({ spki, by }) => {
          const foreign = await makeTestCa('Foreign', () => start)
          return [await foreign.issue({ spki, names: by.email }), ...foreign.chain]
        },
        "does not lead to the connection's anchors",
      ],
      [
        'that has expired',
        async ({ spki, by }) => [
          await ca.issue({
            spki,
            names: by.email,
            notBefore: new Date(start - 40 * minute),
            notAfter: new Date(start - minute),
          }),
          ca.issuing,
        ],
        'It has run out.',
      ],
    ]
    const strangersKey = async (): Promise<Asked> => {
      const csr = await makeCsr()
      const spki = new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData)
      return { id: '', csr, spki, by: await register(harness.api, harness.mails, `key-${(people += 1)}@example.com`) }
    }
    test.each(wrong)('a certificate %s is refused, and the request waits on', async (_what, make, reason) => {
      const asked = await ask('offline.example')
      const before = await reading(asked.id)
      const answer = await bring(asked.id, ...(await make(asked)))
      expectProblem(answer, 422, 'certificate_not_accepted')
      expect(answer.body.detail).toContain(reason)
      expect(await reading(asked.id)).toEqual(before)
      expect((await bring(asked.id, await issue(asked), ca.issuing)).body.state).toBe('issued')
    })

    test.each([
      ['nothing', 'none'],
      ['half a block', '-----BEGIN CERTIFICATE-----\nMIIB'],
      ['something else', toPem('CERTIFICATE', Uint8Array.of(0x30, 0))],
    ])('a file that holds %s is refused', async (_what, certificate) => {
      const asked = await ask('offline.example')
      expectProblem(await act(asked.id, 'certificate', { certificate }), 422, 'certificate_not_accepted')
      expect((await reading(asked.id)).state).toBe('pending')
    })

    test('a private key beside the certificate is refused as one', async () => {
      const asked = await ask('offline.example')
      const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
      const key = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
      const certificate = certificatePem(await issue(asked)) + toPem('PRIVATE KEY', key)
      expectProblem(await act(asked.id, 'certificate', { certificate }), 422, 'private_key_refused')
    })

    test('a certificate that came too late is revoked where it was issued', async () => {
      const asked = await ask('offline.example')
      expect((await act(asked.id, 'cancellation')).body).toMatchObject({ state: 'cancelled' })
      expect((await act(asked.id, 'cancellation')).body).toMatchObject({ state: 'cancelled' })
      expect(await reading(asked.id)).toMatchObject({ openAtCa: true })
      const certificate = await issue(asked)
      expect((await bring(asked.id, certificate, ca.issuing)).body).toMatchObject({
        state: 'cancelled',
        certificateId: null,
      })
      expect(await revocationsOf(asked.id)).toBe(1)
      expect(await reading(asked.id)).toMatchObject({ openAtCa: false })
      expect(await countRows(harness.main, 'certificates WHERE request = ?', asked.id)).toBe(0)
    })

    test('a certificate for a device that has ended is revoked where it was issued', async () => {
      const asked = await ask('offline.example')
      expect((await asked.by.api.delete(`/v1/me/devices/${asked.by.deviceId}`)).status).toBe(204)
      const brought = await bring(asked.id, await issue(asked), ca.issuing)
      expect(brought.body).toMatchObject({ state: 'failed', reason: 'device_ended', certificateId: null })
      expect(await revocationsOf(asked.id)).toBe(1)
    })

    test('a cancelled request of which nothing comes is closed there', async () => {
      const asked = await ask('offline.example')
      await act(asked.id, 'cancellation')
      expectProblem(await act(asked.id, 'settlement', { outcome: 'submit_again' }), 409, 'request_not_in_that_state')
      expect((await act(asked.id, 'settlement', { outcome: 'failed' })).body).toMatchObject({ state: 'cancelled' })
      expect(await reading(asked.id)).toMatchObject({ openAtCa: false })
      expectProblem(await bring(asked.id, await issue(asked), ca.issuing), 409, 'request_not_in_that_state')
    })
  })

  describe('a request whose outcome is unknown', () => {
    test('is kept by bringing what the CA issued', async () => {
      const asked = await askUnknown()
      expect((await act(asked.id, 'csr')).body.csr.trim()).toBe(asked.csr.trim())
      const certificate = stub.certificatesOf(`certbook-${asked.id}`)[0] ?? new Uint8Array()
      expect((await bring(asked.id, certificate, stub.ca.issuing)).body).toMatchObject({ state: 'issued' })
      expect(await shown(asked)).toMatchObject({ state: 'issued' })
      expect(stub.issued().get(`certbook-${asked.id}`)).toBe(1)
    })

    test('is sent again where the operator says that nothing was issued', async () => {
      Object.assign(stub.mood, { portal: true })
      const asked = await ask('ejbca.example')
      expect(await reading(asked.id)).toMatchObject({ state: 'outcome_unknown', lastFailure: 'answer_malformed' })
      Object.assign(stub.mood, { portal: false })
      expect((await act(asked.id, 'settlement', { outcome: 'submit_again' })).status).toBe(200)
      await harness.settled()
      // The circuit may have opened meanwhile.
      harness.clock.now += 10 * minute
      await harness.runJob('requests-resume')
      await harness.settled()
      expect(await shown(asked)).toMatchObject({ state: 'issued' })
      expect(stub.issued().get(`certbook-${asked.id}`)).toBe(1)
      expect((await entriesOf(asked.id)).map(({ action }) => action)).toContain('certificate.request_settled')
    })

    test('fails where the operator says so, and the same key may be asked for again', async () => {
      const asked = await askUnknown()
      expect((await act(asked.id, 'settlement', { outcome: 'failed' })).body).toMatchObject({
        state: 'failed',
        reason: 'not_issued',
      })
      expect(await shown(asked)).toMatchObject({ state: 'failed', reason: 'not_issued' })
      expectProblem(await act(asked.id, 'settlement', { outcome: 'failed' }), 409, 'request_not_in_that_state')
      const again = await asked.by.api.post('/v1/certificate-requests', { csr: asked.csr, use: 'dual' })
      expect(again.status).toBe(202)
      expect(again.body.id).not.toBe(asked.id)
    })

    test('of two settlements at once one counts', async () => {
      const asked = await askUnknown()
      const answers = await race(4, () => act(asked.id, 'settlement', { outcome: 'failed' }))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
      expect(answers.filter(({ status }) => status === 409)).toHaveLength(3)
    })
  })

  test('a request in another state has nothing to settle, to take away or to bring', async () => {
    const asked = await ask('offline.example')
    expectProblem(await act(asked.id, 'settlement', { outcome: 'failed' }), 409, 'request_not_in_that_state')
    await bring(asked.id, await issue(asked), ca.issuing)
    expectProblem(await act(asked.id, 'csr'), 409, 'request_not_in_that_state')
    expectProblem(await act(asked.id, 'cancellation'), 409, 'request_not_cancellable')
    expectProblem(await act(asked.id, 'settlement', { outcome: 'submit_again' }), 409, 'request_not_in_that_state')
  })

  test('there is nothing to be done to a request that is not there', async () => {
    for (const [action, body] of [
      ['csr', undefined],
      ['certificate', { certificate: certificatePem(ca.root) }],
      ['settlement', { outcome: 'failed' }],
      ['cancellation', undefined],
    ] as const) {
      expectProblem(await act('nothing', action, body), 404, 'not_found')
    }
  })

  test('what the CA said stands with a request that waits, for who handles it, until the CA is back', async () => {
    stub.mood.offline = 400
    const asked = await ask('ejbca.example')
    const waiting = { state: 'received', lastFailure: 'ca_offline', openAtCa: false }
    expect(await reading(asked.id)).toMatchObject({ ...waiting, caSaid: "CA 'MailCA' is offline" })
    expect(await reading(asked.id, auditor)).toMatchObject({ ...waiting, caSaid: null })
    expectProblem(await act(asked.id, 'csr'), 409, 'request_not_in_that_state')
    expectProblem(
      await act(asked.id, 'certificate', { certificate: certificatePem(ca.root) }),
      409,
      'request_not_in_that_state',
    )
    stub.mood.offline = null
    harness.clock.now += 10 * minute
    await harness.runJob('requests-resume')
    await harness.settled()
    expect(await shown(asked)).toMatchObject({ state: 'issued' })
  })

  test('only who handles requests sees what names a person', async () => {
    const asked = await ask('offline.example')
    expect(await reading(asked.id, approver)).toMatchObject({ mailbox: asked.by.email })
    expect(await reading(asked.id, auditor)).toMatchObject({
      state: 'pending',
      mailbox: null,
      explanation: null,
      caSaid: null,
      returnedCertificate: null,
    })
    expect(await findLeaks(harness, asked.by.email)).toEqual([])
  })
})
