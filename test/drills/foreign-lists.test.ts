import 'reflect-metadata'
import { randomBytes } from 'node:crypto'
import { Extension, X509CrlReason } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, integer, nullable, query, text } from '../../src/ports/database.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Json } from '../support/api.ts'
import { cfsslAt, connectCa, passMinutes } from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { makeList, startListServer, type ListServer, type TestList } from '../support/foreign-list.ts'
import { toPem } from '../support/pem.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'
import { makeTestCa } from '../support/test-ca.ts'
import { day, hour, minute, race } from '../rooms/support.ts'

const path = '/mail.crl'
/** How long after a list any next one is fetched. */
const nextFetch = hour + minute

describe.each(engines)('revocation lists of connected CAs on %s', (engine) => {
  let harness: RoomHarness
  let ca: CountingCa
  let server: ListServer
  let operator: Administrator
  let connection: Json
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    ca = await startCountingCa(() => harness.clock.now)
    server = await startListServer()
    operator = await makeAdministrator(harness, 'operator')
    connection = await connectCa(operator.api, {
      ...cfsslAt(ca, ca.url),
      takesContentFromCsr: false,
      revocationLists: [server.urlOf(path)],
    })
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    await ca.close()
    await server.close()
    expect(faults).toEqual([])
  })

  const someone = (): Promise<Registered> => register(harness.api, harness.mails, `person-${(people += 1)}@example.com`)
  /** A list of the CA, made now. */
  const listOf = (more: Partial<TestList> = {}): Promise<Uint8Array> =>
    makeList({ ca: ca.ca, thisUpdate: new Date(harness.clock.now), ...more })
  /** Puts a list where it is fetched, and has it fetched. */
  const show = async (list: Uint8Array | string): Promise<void> => {
    server.lists.set(path, list)
    harness.clock.now += nextFetch
    await harness.runJob('ca-lists')
    await harness.settled()
  }
  const stateOf = async (by: Registered, { id }: Json): Promise<string> =>
    (await by.api.get(`/v1/certificates/${id}`)).body.state
  const standing = () =>
    harness.main.first(
      query(
        { thisUpdate: nullable(integer), failures: integer, lastFailure: nullable(text), dueAt: integer },
        `SELECT this_update AS thisUpdate, failures, last_failure AS lastFailure, due_at AS dueAt
         FROM fetched_revocation_lists WHERE url = ?`,
        server.urlOf(path),
      ),
    )
  const warnings = async (): Promise<string> => (await harness.service.warnings()).join('\n')

  test('a list that is not there is asked for again, and after some failures is warned of', async () => {
    await harness.runJob('ca-lists')
    expect(await standing()).toMatchObject({ thisUpdate: null, failures: 1, lastFailure: 'list_not_there' })
    expect(await warnings()).not.toContain('revocation list')
    await passMinutes(harness, 20, ['ca-lists'])
    expect(server.asked.length).toBeGreaterThan(3)
    expect(server.asked.length).toBeLessThan(12)
    expect(await warnings()).toContain('of the CA connection Mail CA could never be had (list_not_there)')
    await show(await listOf())
    expect(await standing()).toMatchObject({ failures: 0, lastFailure: null })
    expect(await warnings()).not.toContain('revocation list')
  })

  test('what its CA has revoked leaves the directory, and the subscriber is told', async () => {
    const [alice, bob] = [await someone(), await someone()]
    const certificate = await certify(alice)
    const other = await certify(bob)
    await publish(alice, certificate.id)
    expect((await lookUp(bob, [alice.email]))[0].status).toBe('found')
    const told = ca.asked.length
    await show(await listOf({ serialNumbers: [certificate.serialNumber], reason: X509CrlReason.superseded }))
    expect((await lookUp(bob, [alice.email]))[0].status).toBe('not_found')
    expect([await stateOf(alice, certificate), await stateOf(bob, other)]).toEqual(['revoked', 'valid'])
    const read = await operator.api.get(`/v1/admin/certificates/${certificate.id}`)
    expect(read.body).toMatchObject({
      revocationReason: 'superseded',
      revokedAt: new Date(harness.clock.now).toISOString(),
    })
    expect(await harness.mails.arrivalOf(alice.email, 'A certificate of this address is revoked')).not.toBe('')
    // The CA knows: it is told nothing.
    expect(ca.asked.slice(told)).toEqual([])
    expect((await operator.api.get('/v1/admin/ca-revocations')).body.items).toEqual([])
    const entry = await harness.main.first(
      query(
        { actor: text },
        `SELECT actor FROM audit_entries WHERE subject = ? AND action = 'certificate.revoked'`,
        certificate.id,
      ),
    )
    expect(entry?.actor).toBe(`revocation list of ${connection.id}`)
    expect(harness.log.filter((line) => line.includes('"ca_list_applied"')).at(-1)).toContain('"revoked":1')
  })

  test('each reason becomes what is said here; a hold is for good, and removeFromCRL says nothing', async () => {
    const { keyCompromise, certificateHold, cACompromise, removeFromCRL, privilegeWithdrawn, unspecified } =
      X509CrlReason
    const codes = [keyCompromise, certificateHold, cACompromise, removeFromCRL, privilegeWithdrawn, unspecified]
    const carol = await someone()
    const certificates: Json[] = []
    for (const code of codes) certificates.push({ ...(await certify(carol)), code })
    const entries = certificates.map(({ serialNumber, code }) => ({
      serialNumber,
      revocationDate: new Date(harness.clock.now),
      invalidity: new Date(harness.clock.now - day),
      extensions: [new Extension('2.5.29.21', false, new Uint8Array([0x0a, 0x01, code]))],
    }))
    await show(await listOf({ entries }))
    const said = certificates.map(async ({ id }) => {
      const { state, revocationReason } = (await operator.api.get(`/v1/admin/certificates/${id}`)).body
      return [state, revocationReason]
    })
    expect(await Promise.all(said)).toEqual([
      ['revoked', 'keyCompromise'],
      ['revoked', null],
      ['revoked', null],
      ['superseded', null],
      ['revoked', 'privilegeWithdrawn'],
      ['revoked', null],
    ])
  })

  test('a certificate that somebody gave the serial number of another is not revoked for it', async () => {
    const [own, theirs] = [await certify(await someone()), await certify(await someone())]
    const indexOf = async ({ id }: Json): Promise<string> => {
      const row = await harness.main.first(
        query({ index: text }, `SELECT serial_index AS "index" FROM certificates WHERE id = ?`, id),
      )
      return row?.index ?? ''
    }
    const [index, other] = [await indexOf(own), await indexOf(theirs)]
    const setIndex = ({ id }: Json, to: string) =>
      command(`UPDATE certificates SET serial_index = ? WHERE id = ?`, to, id)
    await harness.main.batch([setIndex(theirs, 'none'), setIndex(own, other)])
    const list = () => listOf({ serialNumbers: [theirs.serialNumber], reason: X509CrlReason.keyCompromise })
    const states = async (): Promise<string[]> => {
      const read = [own, theirs].map(({ id }) => operator.api.get(`/v1/admin/certificates/${id}`))
      return (await Promise.all(read)).map(({ body }) => body.state)
    }
    await show(await list())
    expect(await states()).toEqual(['valid', 'valid'])
    expect((await harness.service.check()).join()).toContain(`certificates ${own.id}: its MAC does not fit`)
    await harness.main.batch([setIndex(own, index), setIndex(theirs, other)])
    await show(await list())
    expect(await states()).toEqual(['valid', 'revoked'])
  })

  test('a key that its CA calls compromised is blocked, and revoked with every certificate on it', async () => {
    const dave = await someone()
    const keys = await makeKeys()
    const certificate = await certify(dave, { csr: await makeCsr({ keys }) })
    await show(await listOf({ serialNumbers: [certificate.serialNumber], reason: X509CrlReason.keyCompromise }))
    expect(await stateOf(dave, certificate)).toBe('revoked')
    const again = await (
      await someone()
    ).api.post('/v1/certificate-requests', {
      csr: await makeCsr({ keys }),
      use: 'dual',
    })
    expect(again.body.code).toBe('key_blocked')
  })

  test('a revocation that its CA was to be told of counts as confirmed once it stands on the list', async () => {
    const erin = await someone()
    const certificate = await certify(erin)
    ca.mood.revokes = 'not_known'
    await erin.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'superseded' })
    await harness.settled()
    const revocation = async () => (await operator.api.get('/v1/admin/ca-revocations')).body.items[0]
    expect((await revocation()).state).toBe('by_hand')
    await show(await listOf({ serialNumbers: ['0badc0de'] }))
    expect((await revocation()).state).toBe('by_hand')
    await show(await listOf({ serialNumbers: [certificate.serialNumber] }))
    expect((await revocation()).state).toBe('confirmed')
    ca.mood.revokes = 'done'
  })

  test('PEM is read as DER is, and serial numbers with a sign octet too', async () => {
    const frank = await someone()
    const certificate = await certify(frank)
    const list = await listOf({ serialNumbers: ['ff00', certificate.serialNumber] })
    await show(`Certificate Revocation List\n${toPem('X509 CRL', list)}`)
    expect(await stateOf(frank, certificate)).toBe('revoked')
  })

  describe('is not applied', () => {
    let grace: Registered
    let certificate: Json

    beforeAll(async () => {
      grace = await someone()
      certificate = await certify(grace)
    })

    const refused = async (list: Uint8Array | string, failure: string): Promise<void> => {
      await show(list)
      expect((await standing())?.lastFailure).toBe(failure)
      expect(await stateOf(grace, certificate)).toBe('valid')
      expect(harness.log.filter((line) => line.includes('"ca_list_failed"')).at(-1)).toContain(failure)
    }
    const naming = (more: Partial<TestList> = {}): Promise<Uint8Array> =>
      listOf({ serialNumbers: [certificate.serialNumber], ...more })
    const extension = (id: string, critical: boolean, hex: string): Extension =>
      new Extension(id, critical, new Uint8Array(Buffer.from(hex, 'hex')))

    test('when another CA signed it', async () => {
      const stranger = await makeTestCa('Stranger', () => harness.clock.now)
      await refused(await naming({ ca: stranger }), 'list_issuer_unknown')
    })
    test('when another key signed it in the name of the CA', async () => {
      const stranger = await makeTestCa('Stranger', () => harness.clock.now)
      await refused(
        await naming({ ca: { issuing: ca.ca.issuing, issuingKey: stranger.issuingKey } }),
        'list_signature_invalid',
      )
    })
    test('when a byte of it was changed', async () => {
      const list = await naming()
      const changed = Uint8Array.from(list, (byte, index) => (index === list.length - 1 ? byte ^ 1 : byte))
      await refused(changed, 'list_signature_invalid')
    })
    test('when it is from the future', async () => {
      await refused(
        await naming({ thisUpdate: new Date(harness.clock.now + nextFetch + 6 * minute) }),
        'list_not_yet_valid',
      )
    })
    test('when it is older than the one before it', async () => {
      await refused(await naming({ thisUpdate: new Date(harness.clock.now - 30 * day) }), 'list_older')
    })
    test('when it holds changes only', async () => {
      await refused(await naming({ extensions: [extension('2.5.29.27', true, '020101')] }), 'list_unsupported')
    })
    test.each([
      ['CA certificates', '30038201ff'],
      ['some reasons', '300483020640'],
      ['certificates of others', '30038401ff'],
      ['attribute certificates', '30038501ff'],
    ])('when it is for %s', async (_, hex) => {
      await refused(await naming({ extensions: [extension('2.5.29.28', true, hex)] }), 'list_unsupported')
    })
    test('when a critical extension of it is unknown', async () => {
      await refused(await naming({ extensions: [extension('1.3.6.1.4.1.55555.1', true, '0500')] }), 'list_unsupported')
    })
    test.each([
      ['is somebody else’s', '2.5.29.29'],
      ['has an unknown critical extension', '1.3.6.1.4.1.55555.1'],
    ])('when an entry of it %s, even where that comes last', async (_, id) => {
      const revocationDate = new Date(harness.clock.now)
      const odd = { serialNumber: '7e', revocationDate, extensions: [extension(id, true, '0500')] }
      await refused(await naming({ entries: [odd] }), 'list_unsupported')
    })
    test.each([
      ['HTML', '<html>404</html>'],
      ['a certificate', () => ca.ca.issuing],
      ['nothing', ''],
      ['a broken PEM block', '-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----'],
    ])('when it is %s', async (_, body) => {
      await refused(typeof body === 'string' ? body : body(), 'list_malformed')
    })
    test('when half of it came', async () => {
      const list = await naming()
      await refused(list.subarray(0, list.length / 2), 'list_malformed')
    })

    test('but one like it with all of what may be passed over is', async () => {
      await show(
        await naming({
          extensions: [
            // CRLNumber of 20 octets, IssuingDistributionPoint with onlyContainsUserCerts, and one that nobody knows.
            extension('2.5.29.20', false, `0214${'7f'.repeat(20)}`),
            extension('2.5.29.28', true, '30038101ff'),
            extension('1.3.6.1.4.1.55555.1', false, '0500'),
          ],
        }),
      )
      expect(await standing()).toMatchObject({ failures: 0, lastFailure: null })
      expect(await stateOf(grace, certificate)).toBe('revoked')
    })
  })

  test('an expired list is applied, and warned of until the next', async () => {
    const heidi = await someone()
    const certificate = await certify(heidi)
    const list = await listOf({
      serialNumbers: [certificate.serialNumber],
      nextUpdate: new Date(harness.clock.now + minute),
    })
    await show(list)
    expect(await stateOf(heidi, certificate)).toBe('revoked')
    expect(await standing()).toMatchObject({ failures: 1, lastFailure: 'list_expired' })
    expect(await warnings()).toMatch(
      /The revocation list \S+mail\.crl of the CA connection Mail CA is overdue since .*list_expired/,
    )
    if (engine === 'sqlite') {
      const metrics = await (await harness.ask('/metrics')).text()
      expect(metrics).toContain(`certbook_ca_lists_overdue{connection="${connection.id}"} 1`)
    }
    await show(await listOf({ serialNumbers: [certificate.serialNumber] }))
    expect(await warnings()).not.toContain('overdue')
  })

  test('it is fetched within the hour, and not more often than every five minutes', async () => {
    await show(await listOf())
    const until = async () => ((await standing())?.dueAt ?? 0) - harness.clock.now
    expect(await until()).toBeGreaterThanOrEqual(hour / 2)
    expect(await until()).toBeLessThanOrEqual(hour)
    await show(await listOf({ nextUpdate: new Date(harness.clock.now + nextFetch + minute) }))
    expect(await until()).toBe(5 * minute)
  })

  test('several workers at once fetch it once', async () => {
    harness.clock.now += nextFetch
    const before = server.asked.length
    await race(4, () => harness.runJob('ca-lists'))
    expect(server.asked.length).toBe(before + 1)
  })

  test('a paused connection is no reason to leave in the directory what its CA has revoked', async () => {
    const ivan = await someone()
    const certificate = await certify(ivan)
    await operator.api.post(`/v1/admin/ca-connections/${connection.id}/pause`)
    await show(await listOf({ serialNumbers: [certificate.serialNumber] }))
    expect(await stateOf(ivan, certificate)).toBe('revoked')
    await operator.api.post(`/v1/admin/ca-connections/${connection.id}/resumption`)
  })

  test('of a long list every entry is looked at', async () => {
    const judy = await someone()
    const certificate = await certify(judy)
    const others = Array.from({ length: 6_000 }, () => randomBytes(16).toString('hex'))
    await show(
      await listOf({ serialNumbers: [...others.slice(0, 5_500), certificate.serialNumber, ...others.slice(5_500)] }),
    )
    expect(await standing()).toMatchObject({ lastFailure: null })
    expect(await stateOf(judy, certificate)).toBe('revoked')
  })

  test('with the connection its lists are forgotten', async () => {
    const rules = await operator.api.get('/v1/admin/routing-rules')
    for (const { id } of rules.body.items) await operator.api.delete(`/v1/admin/routing-rules/${id}`)
    // All that came through it has run out by then; a credential lasts as long as it is used.
    for (let passed = 0; passed < 3; passed += 1) {
      harness.clock.now += 170 * day
      expect((await operator.api.get('/v1/admin/me')).status).toBe(200)
    }
    expect((await operator.api.delete(`/v1/admin/ca-connections/${connection.id}`)).status).toBe(204)
    const before = server.asked.length
    await show(await listOf())
    expect(server.asked.length).toBe(before)
    expect(await standing()).toBeNull()
  })
})
