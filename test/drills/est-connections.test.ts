import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startEstServer, type EstServer } from '../support/est-server.ts'
import { lookUp, publish, register } from '../support/story.ts'
import { did, expectProblem, hour } from '../rooms/support.ts'

describe.each(engines)('a CA that speaks EST, on %s', (engine) => {
  let harness: RoomHarness
  let operator: Administrator
  let server: EstServer
  let people = 0
  let rules = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    server = await startEstServer(() => harness.clock.now)
    operator = await makeAdministrator(harness, 'operator')
    const connection = await connect('EST', 'est.example')
    await certify(connection)
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    await server.close()
    expect(faults).toEqual([])
  })

  const pathOf = ({ id }: Json): string => `/v1/admin/ca-connections/${id}`
  const look = (connection: Json): Promise<Json> => did(operator.api.post(`${pathOf(connection)}/test`))

  /** A connection that the requests of a domain go to. */
  const connect = async (name: string, domain: string): Promise<Json> => {
    const connection = await did(
      operator.api.post('/v1/admin/ca-connections', {
        kind: 'est',
        name,
        recipient: 'Example AG',
        anchors: server.tlsAnchors,
        url: server.url,
        tlsAnchors: server.tlsAnchors,
        authentication: 'client-certificate',
      }),
    )
    const rule = { position: (rules += 1), domain, connectionId: connection.id }
    await did(operator.api.post('/v1/admin/routing-rules', rule))
    return connection
  }
  /** Has the CA's owner certify the key of a connection. */
  const certify = async (connection: Json): Promise<void> => {
    const certificate = await server.letIn(connection.keyForCa.value)
    await did(operator.api.post(`${pathOf(connection)}/client-certificate`, { certificate }))
  }
  const issued = (): number => [...server.issued.values()].reduce((sum, count) => sum + count, 0)

  /** A new subscriber's request, which asks for its mailbox itself. */
  const ask = async (domain = 'est.example') => {
    const email = `subscriber-${(people += 1)}@${domain}`
    const by = await register(harness.api, harness.mails, email)
    const csr = await makeCsr({ subject: `CN=${email}`, addresses: [email] })
    const asked = await did(by.api.post('/v1/certificate-requests', { csr, use: 'dual' }))
    return { by, csr, asked, read: () => did(by.api.get(`/v1/certificate-requests/${asked.id}`)) }
  }
  const runLater = async (milliseconds: number): Promise<void> => {
    harness.clock.now += milliseconds
    await harness.runJob('requests-resume')
    await harness.settled()
  }

  test('waits until the CA has certified the key of the connection, and is asked for nothing before', async () => {
    const connection = await connect('EST for others', 'waiting.example')
    const [before, askedBefore] = [issued(), server.asked.length]
    expect(connection).toMatchObject({ credentials: 'missing', keyForCa: { form: 'certificate-request' } })
    expect(await look(connection)).toMatchObject({ ready: false, failure: 'credential_refused' })
    const { asked, read } = await ask('waiting.example')
    expect(asked).toMatchObject({ state: 'received', certificate: null })
    expect(server.asked).toHaveLength(askedBefore)

    await certify(connection)
    const facts = { ca1: 'CN=EST Issuing CA,O=Example,C=DE' }
    expect(await look(connection)).toMatchObject({ ready: true, facts })
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'issued', certificate: { state: 'valid' } })
    expect(issued()).toBe(before + 1)
  })

  test('issues at once, and what it issues is found once it is published', async () => {
    const { by, asked } = await ask()
    expect(asked).toMatchObject({ state: 'issued', certificate: { use: 'dual' } })
    await publish(by, asked.certificate.id)
    expect(await lookUp(by, [by.email])).toMatchObject([{ status: 'found' }])
  })

  test('is asked again for what it holds, as it wishes, by the identical request', async () => {
    server.mood.holds = { retryAfter: '3600' }
    const before = issued()
    server.bodies.length = 0
    const { asked, read } = await ask()
    expect(asked).toMatchObject({ state: 'pending' })
    await runLater(hour / 2)
    expect(server.bodies).toHaveLength(1)
    server.decide('issue')
    await runLater(hour / 2)
    expect(await read()).toMatchObject({ state: 'issued' })
    expect(server.bodies).toHaveLength(2)
    expect(new Set(server.bodies).size).toBe(1)
    expect(issued()).toBe(before + 1)
    server.mood.holds = null
  })

  test('rejects what it held, and the device is told', async () => {
    server.mood.holds = { retryAfter: '60' }
    const { read } = await ask()
    server.decide('reject')
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'rejected', certificate: null })
    server.mood.holds = null
  })

  test('leaves a request unknown where its answer was lost, and nobody asks again', async () => {
    server.mood.afterIssuing = 'cut off'
    const before = issued()
    const { asked, read } = await ask()
    server.mood.afterIssuing = 'answer'
    expect(asked).toMatchObject({ state: 'pending' })
    await runLater(hour)
    expect(await read()).toMatchObject({ state: 'pending' })
    expect(issued()).toBe(before + 1)
    const shown = await did(operator.api.get(`/v1/admin/certificate-requests/${asked.id}`))
    expect(shown).toMatchObject({ state: 'outcome_unknown' })
  })

  test('takes names from the request as signed, so that others in it are refused', async () => {
    const before = issued()
    const by = await register(harness.api, harness.mails, 'somebody@est.example')
    const csr = await makeCsr({ subject: 'CN=The Board', addresses: ['somebody@est.example'] })
    expectProblem(await by.api.post('/v1/certificate-requests', { csr, use: 'dual' }), 422, 'csr_content_refused')
    expect(issued()).toBe(before)
  })
})
