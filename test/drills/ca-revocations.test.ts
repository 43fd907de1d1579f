import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ocspIssuer } from '../../src/pki/ocsp.ts'
import { command, query, text } from '../../src/ports/database.ts'
import { localOperator, makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Json } from '../support/api.ts'
import { cfsslAt, connectCa, passMinutes } from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { requestFor } from '../support/ocsp-request.ts'
import { toPem } from '../support/pem.ts'
import { certify, joinDevice, lookUp, publish, register, type Registered } from '../support/story.ts'
import { countRows, expectProblem, hour, minute, race } from '../rooms/support.ts'

const revocations = '/v1/admin/ca-revocations'
/** RFC 6960 section 4.2.1: an OCSPResponse of the status unauthorized (6), and nothing else. */
const unauthorized = Buffer.from('30030a0106', 'hex')
const decimal = ({ serialNumber }: Json): string => BigInt(`0x${serialNumber}`).toString()

describe.each(engines)('revocations told to the CA that issued, on %s', (engine) => {
  let harness: RoomHarness
  let ca: CountingCa
  let operator: Administrator
  let connection: Json
  let people = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    ca = await startCountingCa(() => harness.clock.now)
    operator = await makeAdministrator(harness, 'operator')
    connection = await connectCa(operator.api, { ...cfsslAt(ca, ca.url), takesContentFromCsr: false })
  })
  beforeEach(() => {
    ca.mood.revokes = 'done'
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const faults = await harness.service.check()
    await harness.close()
    await ca.close()
    expect(faults).toEqual([])
  })

  const someone = (): Promise<Registered> => register(harness.api, harness.mails, `person-${(people += 1)}@example.com`)
  const revoke = async (by: Registered, certificate: Json, reason = 'superseded'): Promise<void> => {
    const answer = await by.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason })
    expect([answer.status, answer.body.state]).toEqual([200, 'revoked'])
  }
  const all = async (api = operator.api): Promise<Json[]> => (await api.get(`${revocations}?limit=200`)).body.items
  const revocationOf = async ({ id }: Json): Promise<Json> =>
    (await all()).find(({ certificateId }) => certificateId === id)
  const toldTimes = (): number => ca.asked.filter((path) => path.endsWith('/revoke')).length
  const setCircuit = async (openUntil: number | null): Promise<void> => {
    await harness.main.batch([
      command(`UPDATE ca_connections SET open_until = ? WHERE id = ?`, openUntil, connection.id),
    ])
  }
  const warnings = async (): Promise<string> => (await harness.service.warnings()).join('\n')
  const validThrough = async (id: string): Promise<string[]> =>
    (
      await harness.main.all(
        query(
          { id: text },
          `SELECT c.id FROM certificates c JOIN certificate_requests r ON r.id = c.request
           WHERE c.state = 'valid' AND r.connection = ? AND c.not_after_day > ?`,
          id,
          harness.clock.now,
        ),
      )
    ).map((row) => row.id)
  const audited = (subject: string) =>
    harness.main.all(
      query(
        { action: text, actorKind: text },
        `SELECT action, actor_kind AS actorKind FROM audit_entries WHERE subject = ? ORDER BY position`,
        subject,
      ),
    )

  test('the CA is told at once, and what it confirms is kept', async () => {
    const alice = await someone()
    const asker = await someone()
    const certificate = await certify(alice)
    await publish(alice, certificate.id)
    expect((await lookUp(asker, [alice.email]))[0].status).toBe('found')
    await revoke(alice, certificate)
    expect((await lookUp(asker, [alice.email]))[0].status).toBe('not_found')
    await harness.settled()
    expect(ca.revoked.has(decimal(certificate))).toBe(true)
    const found = await revocationOf(certificate)
    expect(found).toMatchObject({
      connectionId: connection.id,
      serialNumber: certificate.serialNumber,
      issuer: certificate.issuer,
      reason: 'superseded',
      state: 'confirmed',
      lastFailure: null,
    })
    expect(found.confirmedAt).not.toBeNull()
    expect(await audited(found.id)).toEqual([{ action: 'ca_revocation.confirmed', actorKind: 'service' }])
    expect(harness.log.filter((line) => line.includes('ca_revocation_confirmed'))).not.toEqual([])
  })

  test('a certificate of the CA inside is nothing that another CA is told of', async () => {
    const rules = await operator.api.get('/v1/admin/routing-rules')
    const rule = `/v1/admin/routing-rules/${rules.body.items[0].id}`
    expect((await operator.api.put(rule, { position: 1, connectionId: 'embedded' })).status).toBe(200)
    const bob = await someone()
    const certificate = await certify(bob)
    expect((await operator.api.put(rule, { position: 1, connectionId: connection.id })).status).toBe(200)
    const before = toldTimes()
    await revoke(bob, certificate)
    await harness.settled()
    expect(toldTimes()).toBe(before)
    expect(await revocationOf(certificate)).toBeUndefined()
  })

  test('however it comes about: by an administrator, with its device, with its key', async () => {
    const carol = await someone()
    const first = await certify(carol)
    const byAdministrator = `/v1/admin/certificates/${first.id}/revocation`
    await operator.api.post(byAdministrator, { reason: 'privilegeWithdrawn' })
    const second = await joinDevice(harness.api, harness.mails, carol)
    const ofDevice = await certify(second)
    expect((await carol.api.delete(`/v1/me/devices/${second.deviceId}`)).status).toBe(204)
    const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ])
    const leaked = await certify(carol, { csr: await makeCsr({ keys: { privateKey, publicKey } }) })
    const pem = toPem('PRIVATE KEY', new Uint8Array(await crypto.subtle.exportKey('pkcs8', privateKey)))
    expect((await harness.api.post('/v1/key-compromise', { privateKey: pem })).status).toBe(200)
    await harness.settled()
    await harness.runJob('consequences')
    await harness.settled()
    const reasons = [first, ofDevice, leaked].map(async (certificate) => {
      const { state, reason } = await revocationOf(certificate)
      return [ca.revoked.has(decimal(certificate)), state, reason]
    })
    expect(await Promise.all(reasons)).toEqual([
      [true, 'confirmed', 'privilegeWithdrawn'],
      [true, 'confirmed', 'cessationOfOperation'],
      [true, 'confirmed', 'keyCompromise'],
    ])
  })

  test('a CA that fails is told again, later each time, until it confirms; here it is revoked all the while', async () => {
    ca.mood.revokes = 'database_fails'
    const dave = await someone()
    const certificate = await certify(dave)
    await revoke(dave, certificate)
    await harness.settled()
    expect((await dave.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('revoked')
    expect(await revocationOf(certificate)).toMatchObject({ state: 'waiting', attempts: 1, lastFailure: 'ca_error' })
    expect(await warnings()).not.toContain('for more than an hour')
    await passMinutes(harness, 61, ['ca-revocations'])
    const waiting = await revocationOf(certificate)
    expect(waiting.state).toBe('waiting')
    expect(waiting.attempts).toBeGreaterThan(5)
    expect(waiting.attempts).toBeLessThan(20)
    expect(await warnings()).toContain('Mail CA has not confirmed one revocation for more than an hour (ca_error)')
    if (engine === 'sqlite') {
      const metrics = await (await harness.ask('/metrics')).text()
      expect(metrics).toContain(`certbook_ca_revocations_open{connection="${connection.id}"} 1`)
    }
    ca.mood.revokes = 'done'
    await passMinutes(harness, 15, ['ca-revocations'])
    expect(await revocationOf(certificate)).toMatchObject({ state: 'confirmed', lastFailure: null })
    expect(ca.revoked.has(decimal(certificate))).toBe(true)
    expect(await warnings()).not.toContain('has not confirmed')
  })

  test('what the CA cannot be told is left to an operator, whose word counts once', async () => {
    ca.mood.revokes = 'not_known'
    const erin = await someone()
    const certificate = await certify(erin)
    await revoke(erin, certificate)
    await harness.settled()
    const found = await revocationOf(certificate)
    expect(found).toMatchObject({ state: 'by_hand', lastFailure: 'unknown_to_ca' })
    expect(await warnings()).toContain('to be made by hand')
    const before = toldTimes()
    await passMinutes(harness, 2, ['ca-revocations'])
    expect(toldTimes()).toBe(before)
    const inState = await operator.api.get(`${revocations}?state=by_hand`)
    expect(inState.body.items.map(({ id }: Json) => id)).toEqual([found.id])

    const confirmation = `${revocations}/${found.id}/confirmation`
    const auditor = await makeAdministrator(harness, 'auditor')
    expectProblem(await auditor.api.post(confirmation), 403, 'role_required')
    const confirmed = await race(3, () => operator.api.post(confirmation))
    for (const { status, body } of confirmed) expect([status, body.state]).toEqual([200, 'confirmed'])
    harness.clock.now += minute
    const again = await operator.api.post(confirmation)
    expect(again.body).toEqual(confirmed[0]?.body)
    expect(await audited(found.id)).toEqual([
      { action: 'ca_revocation.left_to_operators', actorKind: 'service' },
      { action: 'ca_revocation.confirmed', actorKind: 'administrator' },
    ])
    expect(await warnings()).not.toContain('to be made by hand')
    expect((await all(auditor.api)).find(({ id }) => id === found.id)).toEqual(again.body)
    expectProblem(await operator.api.post(`${revocations}/nobody/confirmation`), 404, 'not_found')
  })

  test('nobody is shown a mailbox, and pages go on where the last one ended', async () => {
    const whole = await all()
    expect(JSON.stringify(whole)).not.toContain('@')
    const first = await operator.api.get(`${revocations}?limit=2`)
    const second = await operator.api.get(`${revocations}?limit=2&cursor=${encodeURIComponent(first.body.next)}`)
    expect([...first.body.items, ...second.body.items]).toEqual(whole.slice(0, 4))
    expectProblem(await operator.api.get(`${revocations}?state=lost`), 422, 'invalid_request')
  })

  test('a paused connection is told, one whose circuit is open is not, unless it is paused too', async () => {
    const path = `/v1/admin/ca-connections/${connection.id}`
    const frank = await someone()
    const [first, second, third] = [await certify(frank), await certify(frank), await certify(frank)]
    await operator.api.post(`${path}/pause`)
    await revoke(frank, first)
    await harness.settled()
    expect((await revocationOf(first)).state).toBe('confirmed')
    await operator.api.post(`${path}/resumption`)
    await setCircuit(harness.clock.now + hour)
    await revoke(frank, second)
    await harness.runJob('ca-revocations')
    await harness.settled()
    expect(await revocationOf(second)).toMatchObject({ state: 'waiting', attempts: 0 })
    await operator.api.post(`${path}/pause`)
    await setCircuit(harness.clock.now + hour)
    await revoke(frank, third)
    await harness.settled()
    expect([(await revocationOf(second)).state, (await revocationOf(third)).state]).toEqual(['confirmed', 'confirmed'])
    await operator.api.post(`${path}/resumption`)
  })

  test('of several workers at once one tells the CA', async () => {
    ca.mood.revokes = 'database_fails'
    const grace = await someone()
    const certificate = await certify(grace)
    await revoke(grace, certificate)
    await harness.settled()
    ca.mood.revokes = 'done'
    harness.clock.now += hour
    const before = toldTimes()
    await race(4, () => harness.runJob('ca-revocations'))
    expect(toldTimes()).toBe(before + 1)
    expect((await revocationOf(certificate)).state).toBe('confirmed')
  })

  test('a worker that is gone, or slower than its claim lasts, keeps no other from it', async () => {
    ca.mood.revokes = 'database_fails'
    const mallory = await someone()
    const certificate = await certify(mallory)
    await revoke(mallory, certificate)
    await harness.settled()
    ca.mood.revokes = 'done'
    harness.clock.now += hour
    const { promise, resolve } = Promise.withResolvers<void>()
    ca.mood.held = promise
    const before = toldTimes()
    const slow = harness.runJob('ca-revocations')
    await expect.poll(toldTimes).toBe(before + 1)
    await harness.runJob('ca-revocations')
    expect(toldTimes()).toBe(before + 1)
    harness.clock.now += 6 * minute
    const next = harness.runJob('ca-revocations')
    await expect.poll(toldTimes).toBe(before + 2)
    ca.mood.held = null
    resolve()
    await Promise.all([slow, next])
    const { id, state } = await revocationOf(certificate)
    expect(state).toBe('confirmed')
    expect(await audited(id)).toHaveLength(1)
  })

  test('a CA that is down is not asked for each, and told of all when it is back', async () => {
    const heidi = await someone()
    const certificates: Json[] = []
    for (let number = 0; number < 10; number += 1) certificates.push(await certify(heidi))
    await setCircuit(harness.clock.now + hour)
    for (const certificate of certificates) await revoke(heidi, certificate)
    await harness.settled()
    await ca.goDown()
    await setCircuit(null)
    await harness.runJob('ca-revocations')
    const standing = await Promise.all(certificates.map(revocationOf))
    const asked = standing.filter(({ attempts }) => attempts > 0)
    expect(asked.length).toBeGreaterThan(0)
    expect(asked.length).toBeLessThanOrEqual(4)
    expect(new Set(asked.map(({ lastFailure }) => lastFailure))).toEqual(new Set(['unreachable']))
    await ca.comeBack()
    await passMinutes(harness, 1, ['ca-revocations'])
    const after = await Promise.all(certificates.map(revocationOf))
    expect(after.map(({ state }) => state)).toEqual(certificates.map(() => 'confirmed'))
  })

  test('lists and OCSP of the service say nothing of certificates of others', async () => {
    const ivan = await someone()
    const certificate = await certify(ivan)
    await revoke(ivan, certificate)
    const row = await harness.main.first(
      query({ authority: text }, `SELECT authority FROM certificates WHERE id = ?`, certificate.id),
    )
    const authority = row?.authority ?? ''
    expect(authority).toMatch(/^ca-/)
    for (const file of [`${authority}.crl`, `${authority}.cer`]) {
      expect((await harness.ask(`/ca/${file}`)).status).toBe(404)
    }
    const issuer = await ocspIssuer(crypto, ca.ca.issuing, 'SHA-256')
    const request = requestFor(issuer, 'SHA-256', certificate.serialNumber)
    const own = (await harness.api.get('/v1/authorities')).body.items[1]
    for (const responder of [authority, own.id]) {
      const headers = { 'Content-Type': 'application/ocsp-request', 'Content-Length': String(request.length) }
      const body = new Uint8Array(request)
      const answer = await harness.ask(`/ocsp/${responder}`, { method: 'POST', headers, body })
      expect(Buffer.from(await answer.arrayBuffer())).toEqual(unauthorized)
    }
    harness.clock.now += 13 * hour
    await harness.runJob('revocation-lists')
    expect(await countRows(harness.main, `certificate_revocation_lists WHERE authority = ?`, authority)).toBe(0)
    const listed = `certificate_statuses WHERE authority = ? AND listed_in IS NOT NULL`
    expect(await countRows(harness.main, listed, authority)).toBe(0)
    const authorities = await harness.api.get('/v1/authorities')
    expect(authorities.body.items.map(({ role }: Json) => role)).toEqual(['root', 'issuing'])
  })

  test('where the connection was removed, an operator has to tell the CA', async () => {
    const judy = await someone()
    const certificate = await certify(judy)
    const rules = await operator.api.get('/v1/admin/routing-rules')
    for (const { id } of rules.body.items) await operator.api.delete(`/v1/admin/routing-rules/${id}`)
    const seeToRevocations = async (): Promise<void> => {
      await harness.settled()
      for (const { id, state } of await all()) {
        if (state !== 'confirmed') await operator.api.post(`${revocations}/${id}/confirmation`)
      }
    }
    await seeToRevocations()
    const refused = await operator.api.delete(`/v1/admin/ca-connections/${connection.id}`)
    expectProblem(refused, 409, 'connection_in_use')
    const valid = await validThrough(connection.id)
    expect(refused.body.detail).toContain(`Valid certificates that came through it: ${valid.length}.`)
    // Judy's is renewed at the CA inside, the others are revoked.
    await certify(judy)
    for (const id of valid.filter((one) => one !== certificate.id)) {
      await operator.api.post(`/v1/admin/certificates/${id}/revocation`, { reason: 'superseded' })
    }
    await seeToRevocations()
    expect((await operator.api.delete(`/v1/admin/ca-connections/${connection.id}`)).status).toBe(204)
    const before = toldTimes()
    await localOperator(harness).post(`/v1/admin/certificates/${certificate.id}/revocation`, { reason: 'unspecified' })
    await harness.settled()
    expect(await revocationOf(certificate)).toMatchObject({ state: 'by_hand', reason: null })
    expect(toldTimes()).toBe(before)
    expect(await warnings()).toContain('At the CA connection Mail CA 1 revocation waits to be made by hand')
  })
})
