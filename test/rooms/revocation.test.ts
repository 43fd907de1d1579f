import 'reflect-metadata'
import { X509Certificate, X509Crl } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../support/api.ts'
import { blob, command, integer, query, text } from '../../src/ports/database.ts'
import { checkService } from '../support/check-service.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { localOperator } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, lookUp, publish, register } from '../support/story.ts'

const minute = 60_000
const reasonCodes = { keyCompromise: 1, superseded: 4, cessationOfOperation: 5 }

/** The id of the CA that issued a certificate, as the certificate's own CRL address names it. */
const issuerId = (certificate: Json): string => {
  const der = Buffer.from(certificate.certificate, 'base64').toString('latin1')
  const id = /\/ca\/([\w-]+)\.crl/.exec(der)?.[1]
  if (id === undefined) throw new Error('the certificate names no CRL')
  return id
}

describe.each(engines)('revocation on %s', (engine) => {
  let harness: RoomHarness

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const { service, journal, keys } = harness
    await checkService({ service, shards: journal.shards(), keys, answered: [], addresses: [] })
    await harness.close()
  })

  /** The newest list of a CA, verified with the certificate of its issuer. */
  const fetchList = async (authority: string): Promise<{ list: X509Crl; number: bigint }> => {
    const answer = await harness.ask(`/ca/${authority}.crl`)
    expect([answer.status, answer.headers.get('Content-Type')]).toEqual([200, 'application/pkix-crl'])
    const list = new X509Crl(await answer.arrayBuffer())
    const issuer = await harness.ask(`/ca/${authority}.cer`)
    expect(issuer.headers.get('Content-Type')).toBe('application/pkix-cert')
    const { publicKey } = new X509Certificate(await issuer.arrayBuffer())
    expect(await list.verify({ publicKey })).toBe(true)
    const extension = list.getExtension('2.5.29.20')
    const number = Buffer.from(extension?.value ?? new ArrayBuffer())
      .subarray(2)
      .toString('hex')
    return { list, number: BigInt(`0x${number}`) }
  }

  const entryOf = (list: X509Crl, certificate: Json) =>
    list.entries.find((entry) => entry.serialNumber.replace(/^0+/, '') === certificate.serialNumber.replace(/^0+/, ''))

  test('a revoked certificate leaves the directory at once and stands on the list within five minutes', async () => {
    const { api, mails } = harness
    const alice = await register(api, mails, 'alice@example.com')
    const bob = await register(api, mails, 'bob@example.com')
    const certificate = await certify(alice)
    await publish(alice, certificate.id)
    expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('found')
    const authority = issuerId(certificate)
    await harness.runJob('revocation-lists')
    const before = await fetchList(authority)
    expect(entryOf(before.list, certificate)).toBeUndefined()

    const revoked = await alice.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'superseded' })
    expect([revoked.status, revoked.body.state, revoked.body.published]).toEqual([200, 'revoked', false])
    expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('not_found')

    harness.clock.now += minute
    await harness.runJob('revocation-lists')
    const after = await fetchList(authority)
    expect(entryOf(after.list, certificate)?.reason).toBe(reasonCodes.superseded)
    expect(after.number > before.number).toBe(true)

    const again = await alice.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'unspecified' })
    expect([again.status, again.body.state]).toEqual([200, 'revoked'])
    const publishing = await alice.api.put(`/v1/certificates/${certificate.id}/publication`, {
      consentVersion: '2026-11',
      audience: 'members',
    })
    expect(publishing.body.code).toBe('certificate_not_valid')
  })

  test('its key cannot be certified again, and a compromised one is blocked for everybody', async () => {
    const { api, mails } = harness
    const carol = await register(api, mails, 'carol@example.com')
    const dave = await register(api, mails, 'dave@example.com')
    const keys = await makeKeys()
    const certificate = await certify(carol, { csr: await makeCsr({ keys }) })
    const ceased = { reason: 'cessationOfOperation' }
    await carol.api.post(`/v1/certificates/${certificate.id}/revocation`, ceased)
    const request = { csr: await makeCsr({ keys }), use: 'dual' }
    expect((await carol.api.post('/v1/certificate-requests', request)).body.code).toBe('key_already_used')

    const leaked = await makeKeys()
    const other = await certify(carol, { csr: await makeCsr({ keys: leaked }) })
    await carol.api.post(`/v1/certificates/${other.id}/revocation`, { reason: 'keyCompromise' })
    const foreign = { csr: await makeCsr({ keys: leaked }), use: 'dual' }
    const refused = await dave.api.post('/v1/certificate-requests', foreign)
    expect([refused.status, refused.body.code]).toEqual([422, 'key_blocked'])
  })

  test('only its subscriber may revoke, with a reason that exists', async () => {
    const { api, mails } = harness
    const erin = await register(api, mails, 'erin@example.com')
    const mallory = await register(api, mails, 'mallory@example.com')
    const certificate = await certify(erin)
    const path = `/v1/certificates/${certificate.id}/revocation`
    expect((await api.post(path, { reason: 'superseded' })).status).toBe(401)
    expect((await mallory.api.post(path, { reason: 'superseded' })).status).toBe(404)
    expect((await erin.api.post(path, { reason: 'certificateHold' })).body.code).toBe('invalid_request')
    expect((await erin.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('valid')
  })

  test('an administrator revokes by the id', async () => {
    const { api, mails } = harness
    const frank = await register(api, mails, 'frank@example.com')
    const certificate = await certify(frank)
    const path = `/v1/admin/certificates/${certificate.id}/revocation`
    const revoked = await localOperator(harness).post(path, { reason: 'privilegeWithdrawn' })
    expect([revoked.status, revoked.body.state]).toEqual([200, 'revoked'])
    expect((await frank.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('revoked')
  })

  test('lists come at least daily, their number never goes back, and it is at least the time in seconds', async () => {
    const { api, mails } = harness
    const grace = await register(api, mails, 'grace@example.com')
    const authority = issuerId(await certify(grace))
    const numbers: bigint[] = []
    for (let hours = 0; hours < 72; hours += 12) {
      await harness.runJob('revocation-lists')
      const { list, number } = await fetchList(authority)
      numbers.push(number)
      expect(number >= BigInt(Math.floor(list.thisUpdate.getTime() / 1_000))).toBe(true)
      expect(harness.clock.now - list.thisUpdate.getTime()).toBeLessThan(24 * 60 * minute)
      const life = (list.nextUpdate?.getTime() ?? Infinity) - list.thisUpdate.getTime()
      expect(life).toBeLessThan(10 * 24 * 60 * minute)
      harness.clock.now += 12 * 60 * minute + 1
    }
    expect(numbers).toEqual(numbers.toSorted((a, b) => Number(a - b)))
    expect(new Set(numbers).size).toBe(numbers.length)
    const root = new X509Certificate(
      Buffer.from((await grace.api.get('/v1/certificates')).body.items[0].chain[0], 'base64'),
    )
    const rootId = /\/ca\/([\w-]+)\.crl/.exec(Buffer.from(root.rawData).toString('latin1'))?.[1] ?? ''
    expect((await fetchList(rootId)).list.entries).toHaveLength(0)
  })

  test('the number does not go back where an older copy of the database is put back', async () => {
    const { api, mails } = harness
    const ivan = await register(api, mails, 'ivan@example.com')
    const certificate = await certify(ivan)
    const authority = issuerId(certificate)
    await harness.runJob('revocation-lists')
    const older = await harness.main.all(
      query(
        { authority: text, number: integer, thisUpdate: integer, nextUpdate: integer, list: blob },
        `SELECT authority, number, this_update AS thisUpdate, next_update AS nextUpdate, list
         FROM certificate_revocation_lists`,
      ),
    )
    harness.clock.now += minute
    await ivan.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'superseded' })
    await harness.runJob('revocation-lists')
    const published = await fetchList(authority)
    await harness.main.batch([
      command(`UPDATE certificate_statuses SET listed_in = NULL WHERE listed_in IS NOT NULL`),
      ...older.map((row) =>
        command(
          `UPDATE certificate_revocation_lists SET number = ?, this_update = ?, next_update = ?, list = ?
           WHERE authority = ?`,
          row.number,
          row.thisUpdate,
          row.nextUpdate,
          row.list,
          row.authority,
        ),
      ),
    ])
    harness.clock.now += minute
    await harness.runJob('revocation-lists')
    expect((await fetchList(authority)).number > published.number).toBe(true)
  })

  test('an expired certificate leaves the list only after it stood there once past its end', async () => {
    const { api, mails } = harness
    const heidi = await register(api, mails, 'heidi@example.com')
    const certificate = await certify(heidi)
    const authority = issuerId(certificate)
    await heidi.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'superseded' })
    await harness.runJob('revocation-lists')
    expect(entryOf((await fetchList(authority)).list, certificate)).toBeDefined()
    harness.clock.now = Date.parse(certificate.notAfter) + minute
    await harness.runJob('revocation-lists')
    expect(entryOf((await fetchList(authority)).list, certificate), 'the first list after the expiry').toBeDefined()
    harness.clock.now += 24 * 60 * minute
    await harness.runJob('revocation-lists')
    expect(entryOf((await fetchList(authority)).list, certificate), 'the next one').toBeUndefined()
  })

  test('there is nothing under the id of a CA that does not exist', async () => {
    for (const path of ['/ca/nothing.crl', '/ca/nothing.cer', '/ca/nothing.pem']) {
      expect((await harness.api.get(path)).status).toBe(404)
    }
  })
})
