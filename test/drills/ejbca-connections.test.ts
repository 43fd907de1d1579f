import 'reflect-metadata'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { startEjbcaStub, type EjbcaMood, type EjbcaStub } from '../support/ejbca-stub.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { toPem } from '../support/pem.ts'
import { lookUp, publish, register } from '../support/story.ts'
import { purpose } from '../support/test-ca.ts'
import { day, did, hour, minute } from '../rooms/support.ts'

const usual: EjbcaMood = {
  offline: null,
  approval: null,
  afterSigning: 'answer',
  search: 'answers',
  portal: false,
  camelCase: false,
  revocation: 'answers',
}

describe.each(engines)('a CA that is EJBCA, on %s', (engine) => {
  let harness: RoomHarness
  let operator: Administrator
  let stub: EjbcaStub
  let connection: Json
  let people = 0
  let rules = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    stub = await startEjbcaStub(() => harness.clock.now)
    operator = await makeAdministrator(harness, 'operator')
    connection = await connect('EJBCA', 'ejbca.example', { authentication: 'token', token: stub.token })
  })
  beforeEach(async () => {
    Object.assign(stub.mood, usual)
    await did(operator.api.post(`${pathOf(connection)}/resumption`))
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

  const pathOf = ({ id }: Json): string => `/v1/admin/ca-connections/${id}`
  const look = (at: Json): Promise<Json> => did(operator.api.post(`${pathOf(at)}/test`))

  const connect = async (name: string, domain: string, authentication: object): Promise<Json> => {
    const made = await did(
      operator.api.post('/v1/admin/ca-connections', {
        kind: 'ejbca',
        name,
        recipient: 'Example AG',
        anchors: toPem('CERTIFICATE', stub.ca.root),
        url: stub.url,
        tlsAnchors: toPem('CERTIFICATE', stub.ca.root),
        certificateProfile: 'SMIME',
        endEntityProfile: stub.names.endEntityProfile,
        certificateAuthority: stub.names.ca,
        ...authentication,
      }),
    )
    await did(operator.api.post('/v1/admin/routing-rules', { position: (rules += 1), domain, connectionId: made.id }))
    return made
  }

  /** A new subscriber's request. */
  const ask = async (domain = 'ejbca.example') => {
    const email = `subscriber-${(people += 1)}@${domain}`
    const by = await register(harness.api, harness.mails, email)
    const csr = await makeCsr({ subject: `CN=${email}`, addresses: [email] })
    const asked = await did(by.api.post('/v1/certificate-requests', { csr, use: 'dual' }))
    return {
      by,
      asked,
      read: () => did(by.api.get(`/v1/certificate-requests/${asked.id}`)),
      operatorsView: () => did(operator.api.get(`/v1/admin/certificate-requests/${asked.id}`)),
      atCa: (): number => stub.issued().get(`certbook-${asked.id}`) ?? 0,
    }
  }
  const runLater = async (milliseconds: number): Promise<void> => {
    harness.clock.now += milliseconds
    await harness.runJob('requests-resume')
    await harness.settled()
  }

  test('is ready, and says what it is set up with; the token is shown to nobody', async () => {
    expect(await look(connection)).toMatchObject({ ready: true, facts: { certificateAuthority: 'MailCA' } })
    expect(JSON.stringify(await did(operator.api.get(pathOf(connection))))).not.toContain(stub.token)
    expect(harness.log.join('\n')).not.toContain(stub.token)
  })

  test('certifies at once; what it issued is found, and revoked there when it is revoked here', async () => {
    const { by, asked, atCa } = await ask()
    expect(asked).toMatchObject({ state: 'issued', certificate: { chain: [expect.any(String), expect.any(String)] } })
    expect(atCa()).toBe(1)
    await publish(by, asked.certificate.id)
    const sender = await register(harness.api, harness.mails, `sender-${people}@example.com`)
    const [found] = await lookUp(sender, [by.email])
    expect(found).toMatchObject({ status: 'found', certificates: [{ id: asked.certificate.id }] })
    await did(by.api.post(`/v1/certificates/${asked.certificate.id}/revocation`, { reason: 'keyCompromise' }))
    await harness.settled()
    await harness.runJob('ca-revocations')
    expect(stub.revoked.get(asked.certificate.serialNumber)).toBe('KEY_COMPROMISE')
  })

  test('lets a service in by a certificate for the key that it made', async () => {
    const made = await connect('EJBCA by certificate', 'mutual.example', { authentication: 'client-certificate' })
    expect(await look(made)).toMatchObject({ ready: false })
    const request = new Pkcs10CertificateRequest(made.keyForCa.value)
    const now = Date.now()
    const certificate = await stub.ca.issue({
      spki: new Uint8Array(request.publicKey.rawData),
      names: [],
      subject: 'CN=certbook',
      use: 'sign',
      purposes: [purpose.client],
      // Held against the machine's time by TLS, and against the harness's by the service.
      notBefore: new Date(Math.min(now, harness.clock.now) - day),
      notAfter: new Date(Math.max(now, harness.clock.now) + 30 * day),
    })
    const pem = toPem('CERTIFICATE', certificate) + toPem('CERTIFICATE', stub.ca.issuing)
    await did(operator.api.post(`${pathOf(made)}/client-certificate`, { certificate: pem }))
    expect(await look(made)).toMatchObject({ ready: true })
    expect((await ask('mutual.example')).asked).toMatchObject({ state: 'issued' })
  })

  test('may want an approval of its own, which is waited for', async () => {
    stub.mood.approval = 'request_id'
    const { asked, read, atCa } = await ask()
    expect(asked).toMatchObject({ state: 'pending' })
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'pending' })
    stub.decide('approved')
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'issued' })
    expect(atCa()).toBe(1)
  })

  test('may reject it, for good, and the operator sees its words', async () => {
    stub.mood.approval = 'requestId'
    const { read, operatorsView, atCa } = await ask()
    stub.decide('rejected')
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'rejected', reason: 'rejected_by_ca' })
    expect((await operatorsView()).caSaid).toContain('has been rejected')
    expect(atCa()).toBe(0)
  })

  test.each(['cut off', 'html', 'gateway timeout'] as const)(
    'issues once where its answer is lost (%s): the certificate is found there',
    async (how) => {
      stub.mood.afterSigning = how
      const { read, operatorsView, atCa } = await ask()
      expect(await operatorsView()).toMatchObject({ state: 'outcome_unknown', openAtCa: true })
      stub.mood.afterSigning = 'answer'
      await runLater(hour)
      expect(await read()).toMatchObject({ state: 'issued' })
      expect(atCa()).toBe(1)
    },
  )

  test('is sent it once more where it never came there, but not before that is certain', async () => {
    stub.mood.portal = true
    const { read, operatorsView, atCa } = await ask()
    expect(await operatorsView()).toMatchObject({ state: 'outcome_unknown' })
    stub.mood.portal = false
    for (let waited = 0; waited < 9; waited += 1) await runLater(minute)
    expect(await operatorsView()).toMatchObject({ state: 'outcome_unknown' })
    expect(atCa()).toBe(0)
    for (let waited = 0; waited < 3; waited += 1) await runLater(30 * minute)
    expect(await read()).toMatchObject({ state: 'issued' })
    expect(atCa()).toBe(1)
  })

  describe('a request that is cancelled while its outcome is unknown', () => {
    const cancelled = async (mood: Partial<EjbcaMood>) => {
      Object.assign(stub.mood, mood)
      const request = await ask()
      expect(await request.operatorsView()).toMatchObject({ state: 'outcome_unknown' })
      expect((await request.by.api.delete(`/v1/certificate-requests/${request.asked.id}`)).status).toBe(204)
      Object.assign(stub.mood, usual)
      for (let waited = 0; waited < 4; waited += 1) await runLater(30 * minute)
      return request
    }

    test('has the certificate revoked that came of it', async () => {
      const revoked = stub.revoked.size
      const { operatorsView, read, atCa } = await cancelled({ afterSigning: 'cut off' })
      await harness.runJob('ca-revocations')
      expect(await operatorsView()).toMatchObject({ state: 'cancelled', openAtCa: false, certificateId: null })
      expect(await read()).toMatchObject({ state: 'cancelled', certificate: null })
      expect(atCa()).toBe(1)
      expect(stub.revoked.size).toBe(revoked + 1)
    })

    test('is not sent again where nothing came of it', async () => {
      const { operatorsView, atCa } = await cancelled({ portal: true })
      expect(await operatorsView()).toMatchObject({ state: 'cancelled', openAtCa: false, dueAt: null })
      expect(atCa()).toBe(0)
    })
  })

  test.each([503, 400] as const)('is waited for while its token is offline, said with %i', async (status) => {
    stub.mood.offline = status
    const { asked, operatorsView, read, atCa } = await ask()
    expect(asked).toMatchObject({ state: 'received' })
    expect(await operatorsView()).toMatchObject({ state: 'received', lastFailure: 'ca_offline' })
    stub.mood.offline = null
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'issued' })
    expect(atCa()).toBe(1)
  })
})
