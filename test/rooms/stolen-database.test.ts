import 'reflect-metadata'
import { createHash } from 'node:crypto'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { blob, query, text } from '../../src/ports/database.ts'
import { localOperator } from '../support/administrators.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { toPem } from '../support/pem.ts'
import { certify, publish, register } from '../support/story.ts'
import { makeTestCa } from '../support/test-ca.ts'
import { day, minute } from './support.ts'

const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest()

/** Every row of every table, as a line of its values; bytes as hexadecimal. */
async function rowsOf(harness: RoomHarness): Promise<{ table: string; row: string }[]> {
  const rows: { table: string; row: string }[] = []
  for (const database of [harness.main, ...harness.journal.shards()]) {
    const tables = await database.all(
      query(
        { name: text },
        `SELECT name FROM sqlite_schema
         WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 4) <> '_cf_'`,
      ),
    )
    for (const { name } of tables) {
      const columns = await database.all(query({ name: text }, `SELECT name FROM pragma_table_info(?)`, name))
      const values = columns.map((column) => `quote("${column.name}")`).join(` || ' ' || `)
      const found = await database.all(query({ row: text }, `SELECT ${values} AS "row" FROM "${name}"`))
      rows.push(...found.map(({ row }) => ({ table: name, row: row.toLowerCase() })))
    }
  }
  return rows
}

/**
 * Somebody has a copy of the databases without the key ring, and a signed mail: the certificate of its signer. The two
 * must not join, or the copy would tell what else is known of a person whose mail one has.
 */
describe.each(engines)('a stolen database and a signed mail on %s', (engine) => {
  let harness: RoomHarness

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  test('no row has a value of the certificate, but the status that its revocation lists need', async () => {
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    harness.clock.now += 7 * minute
    const { certificate: base64, id } = await certify(alice, { csr: await makeCsr() })
    await publish(alice, id)
    const { body: challenge } = await alice.api.post('/v1/key-compromise', {
      publicKey: Buffer.from(parseCertificate(Buffer.from(base64, 'base64')).spki).toString('base64'),
    })
    expect(challenge.id).toBeTypeOf('string')
    await harness.settled()
    const der = Buffer.from(base64, 'base64')
    const { serialNumber, spki } = parseCertificate(der)
    const serial = Buffer.from(serialNumber).toString('hex')
    const hashes = [sha256(der), sha256(spki), sha256(serial)].map((hash) => hash.toString('hex'))
    const publicValues = [serial, ...hashes, Buffer.from(spki).subarray(-32).toString('hex')]
    const rows = await rowsOf(harness)
    const joined = rows.filter(({ row }) => publicValues.some((value) => row.includes(value)))
    expect(joined.map(({ table }) => table)).toEqual(['certificate_statuses'])
  })

  test('no audit entry can be recognised by guessing what it committed to', async () => {
    const carol = await register(harness.api, harness.mails, 'carol@example.com')
    const { certificate: base64, serialNumber } = await certify(carol)
    const spki = sha256(parseCertificate(Buffer.from(base64, 'base64')).spki).toString('hex')
    const guesses = ['carol@example.com', serialNumber, spki]
    const commitments = await harness.main.all(query({ all: text }, `SELECT commitments AS "all" FROM audit_entries`))
    const committed = commitments.map(({ all }) => all).join('\n')
    const stored = await harness.main.all(
      query({ field: text, a: blob, b: blob }, `SELECT field, salt_sealed AS a, value_sealed AS b FROM audit_private`),
    )
    expect(stored.length).toBeGreaterThan(2)
    const recomputed = stored.flatMap(({ field, a, b }) =>
      [a, b].flatMap((salt) =>
        guesses.map((guess) => sha256(Buffer.concat([salt, Buffer.from(`${field}\0${guess}`)])).toString('hex')),
      ),
    )
    expect(recomputed.filter((hash) => committed.includes(hash))).toEqual([])
  })

  test('its times are those of days, so they do not lead to the rows that were written when it was issued', async () => {
    const dora = await register(harness.api, harness.mails, 'dora@example.com')
    const { notBefore, notAfter } = await certify(dora)
    expect(Date.parse(notBefore) % day).toBe(0)
    expect((Date.parse(notAfter) + 1_000) % day).toBe(0)
    expect(harness.clock.now - Date.parse(notBefore)).toBeLessThan(day + 5 * minute)
  })

  test('where another CA has dated it to the second, no row but that status has these times', async () => {
    const ca = await makeTestCa('Offline', () => harness.clock.now)
    const operator = localOperator(harness)
    const connection = await operator.post('/v1/admin/ca-connections', {
      kind: 'manual',
      name: 'Offline CA',
      recipient: 'Example AG',
      anchors: toPem('CERTIFICATE', ca.root),
    })
    const rule = { position: 1, domain: 'offline.example', connectionId: connection.body.id }
    expect((await operator.post('/v1/admin/routing-rules', rule)).status).toBe(201)
    const erin = await register(harness.api, harness.mails, 'erin@offline.example')
    const csr = await makeCsr({ subject: '', addresses: [erin.email] })
    const asked = await erin.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    await harness.settled()
    const begins = harness.clock.now - 3 * minute
    const term = [begins, begins + 90 * day]
    const certificate = await ca.issue({
      spki: new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData),
      names: erin.email,
      notBefore: new Date(begins),
      notAfter: new Date(begins + 90 * day),
    })
    const pem = [certificate, ca.issuing].map((der) => toPem('CERTIFICATE', der)).join('')
    const path = `/v1/admin/certificate-requests/${asked.body.id}/certificate`
    const brought = await operator.post(path, { certificate: pem })
    expect(brought.status, JSON.stringify(brought.body)).toBe(200)
    const { body: own } = await erin.api.get(`/v1/certificates/${brought.body.certificateId}`)
    expect([own.notBefore, own.notAfter]).toEqual(term.map((at) => new Date(at).toISOString()))
    await publish(erin, own.id)
    await harness.settled()
    // What is counted from the term would tell it as well: reminders are 30 and 7 days before the end.
    const [end = 0] = term.slice(1)
    const telling = [...term, end - 30 * day, end - 7 * day].map(String)
    const joined = (await rowsOf(harness)).filter(({ row }) => telling.some((at) => row.includes(at)))
    expect(joined.map(({ table }) => table)).toEqual(['certificate_statuses'])
  })

  test('administrators find it by both all the same, and read when and why it was revoked', async () => {
    const bob = await register(harness.api, harness.mails, 'bob@example.com')
    const { certificate: base64, id } = await certify(bob)
    const revoked = await bob.api.post(`/v1/certificates/${id}/revocation`, { reason: 'superseded' })
    expect(revoked.status).toBeLessThan(300)
    const der = Buffer.from(base64, 'base64')
    const administrator = localOperator(harness)
    const searches = [
      { fingerprintSha256: sha256(der).toString('hex') },
      { serialNumber: Buffer.from(parseCertificate(der).serialNumber).toString('hex') },
    ]
    for (const search of searches) {
      const { body } = await administrator.post('/v1/admin/certificates/search', search)
      expect(body.items).toMatchObject([
        { id, revocationReason: 'superseded', revokedAt: new Date(harness.clock.now).toISOString() },
      ])
    }
  })
})
