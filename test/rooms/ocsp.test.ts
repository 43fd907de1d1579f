import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DerSequence, readElement, tag } from '../../src/pki/der.ts'
import { ocspIssuer, type OcspIssuer } from '../../src/pki/ocsp.ts'
import type { Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { requestFor, type Hash } from '../support/ocsp-request.ts'
import { certify, register, type Registered } from '../support/story.ts'

const responseStatus = (response: Uint8Array): number | undefined => {
  const parts = new DerSequence(readElement(response, tag.sequence))
  return parts.next(tag.enumerated).content[0]
}

/** The context tag of CertStatus: 0 good, 1 revoked, 2 unknown; found behind the CertID of the one answer. */
const certificateStatus = (response: Uint8Array, serialNumber: string): number => {
  const whole = Buffer.from(response)
  const serial = Buffer.from(serialNumber, 'hex')
  const after = whole.indexOf(serial) + serial.length
  return (whole[after] ?? 0) & 0x1f
}

describe.each(engines)('OCSP on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let certificate: Json
  let path: string
  let issuers: Readonly<Record<Hash, OcspIssuer>>

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    certificate = await certify(alice)
    const facts = new X509Certificate(Buffer.from(certificate.certificate, 'base64'))
    path = new URL(/OCSP - URI:(\S+)/.exec(facts.infoAccess ?? '')?.[1] ?? '').pathname
    const issuing = new Uint8Array(Buffer.from(certificate.chain[0], 'base64'))
    issuers = {
      'SHA-1': await ocspIssuer(crypto, issuing, 'SHA-1'),
      'SHA-256': await ocspIssuer(crypto, issuing, 'SHA-256'),
    }
  })
  afterAll(() => harness.close())

  const post = async (request: Uint8Array): Promise<Uint8Array> => {
    const headers = { 'Content-Type': 'application/ocsp-request', 'Content-Length': String(request.length) }
    const answer = await harness.ask(path, { method: 'POST', headers, body: new Uint8Array(request) })
    expect([answer.status, answer.headers.get('Content-Type')]).toEqual([200, 'application/ocsp-response'])
    return new Uint8Array(await answer.arrayBuffer())
  }
  const get = async (request: Uint8Array): Promise<Response> =>
    harness.ask(`${path}/${encodeURIComponent(Buffer.from(request).toString('base64'))}`)

  test.each<Hash>(['SHA-1', 'SHA-256'])('good, by POST and GET, for a CertID with %s', async (hash) => {
    const request = requestFor(issuers[hash], hash, certificate.serialNumber)
    const posted = await post(request)
    expect([responseStatus(posted), certificateStatus(posted, certificate.serialNumber)]).toEqual([0, 0])
    const got = await get(request)
    expect(got.headers.get('Cache-Control')).toMatch(/^max-age=\d+, public/)
    const fetched = new Uint8Array(await got.arrayBuffer())
    expect(fetched, 'the pre-signed answer is given again').toEqual(posted)
  })

  test('unknown for a serial number that was never issued', async () => {
    const serialNumber = '7f'.repeat(16)
    const response = await post(requestFor(issuers['SHA-256'], 'SHA-256', serialNumber))
    expect([responseStatus(response), certificateStatus(response, serialNumber)]).toEqual([0, 2])
  })

  test('revoked at once after a revocation', async () => {
    const other = await certify(alice, { use: 'sign' })
    const request = requestFor(issuers['SHA-1'], 'SHA-1', other.serialNumber)
    expect(certificateStatus(await post(request), other.serialNumber)).toBe(0)
    await alice.api.post(`/v1/certificates/${other.id}/revocation`, { reason: 'superseded' })
    expect(certificateStatus(await post(request), other.serialNumber)).toBe(1)
  })

  test.each<[string, () => Uint8Array, number]>([
    ['no request at all', () => Uint8Array.of(5, 0), 1],
    ['half a request', () => requestFor(issuers['SHA-1'], 'SHA-1', certificate.serialNumber).subarray(0, 40), 1],
    ['another issuer', () => requestFor({ nameHash: '00'.repeat(20), keyHash: '00'.repeat(20) }, 'SHA-1', '01'), 6],
    ['two questions', () => requestFor(issuers['SHA-1'], 'SHA-1', certificate.serialNumber, '01'), 6],
  ])('%s is an OCSP error, not a problem document', async (_, request, status) => {
    expect(responseStatus(await post(request()))).toBe(status)
  })

  test('what is not base64 in the URL is malformed', async () => {
    const answer = await harness.ask(`${path}/this%20is%20not%20base64`)
    expect(responseStatus(new Uint8Array(await answer.arrayBuffer()))).toBe(1)
  })

  test('the answer is signed anew when half of its life is over, and never lives longer than ten days', async () => {
    const request = requestFor(issuers['SHA-256'], 'SHA-256', certificate.serialNumber)
    const before = await post(request)
    harness.clock.now += 23 * 3_600_000
    expect(await post(request)).toEqual(before)
    harness.clock.now += 2 * 3_600_000
    expect(await post(request)).not.toEqual(before)
  })
})
