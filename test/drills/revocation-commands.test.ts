import 'reflect-metadata'
import { join } from 'node:path'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { bringIn } from '../support/ca-drill.ts'
import { certbookHere, type Ended } from '../support/certbook.ts'
import { makeCsr } from '../support/csr.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { toPem } from '../support/pem.ts'
import { register, type Registered } from '../support/story.ts'
import { makeTestCa } from '../support/test-ca.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
let mails: Awaited<ReturnType<typeof watchOutbox>>
let alice: Registered
let certificate: Json

const settings = () => ({ DATA_DIR: join(folder.path, 'data'), PUBLIC_URL: service.url })
const here = (...args: readonly string[]): Promise<Ended> => certbookHere(args, settings())
const json = async (...args: readonly string[]): Promise<Json> => {
  const done = await here(...args, '--json')
  expect(done.code, done.stderr).toBe(0)
  return JSON.parse(done.stdout)
}
const credentialOf = async (role: string): Promise<string> =>
  (await json('admin', 'create', '--name', `An ${role}`, '--role', role)).credential

/** A certificate of a CA to which a person goes, revoked here. */
beforeAll(async () => {
  folder = await temporaryFolder()
  service = await startProcess(join(folder.path, 'data'))
  mails = await watchOutbox(join(folder.path, 'data', 'outbox'))
  alice = await register(new Api(askOver(service.url)), mails, 'alice@offline.example')
  const ca = await makeTestCa('Offline')
  const operator = new Api(askOver(service.url)).with(await credentialOf('operator'))
  const made = await operator.post('/v1/admin/ca-connections', {
    kind: 'manual',
    name: 'Offline CA',
    recipient: 'Example AG',
    anchors: toPem('CERTIFICATE', ca.root),
    intermediates: toPem('CERTIFICATE', ca.issuing),
  })
  await operator.post('/v1/admin/routing-rules', { position: 1, connectionId: made.body.id })
  const csr = await makeCsr({ subject: '', addresses: [alice.email] })
  const asked = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
  const spki = new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData)
  const brought = await bringIn(operator, asked.body.id, await ca.issue({ spki, names: alice.email }))
  expect(brought.status, JSON.stringify(brought.body)).toBe(200)
  ;({ certificate } = (await alice.api.get(`/v1/certificate-requests/${asked.body.id}`)).body)
  await alice.api.post(`/v1/certificates/${certificate.id}/revocation`, { reason: 'superseded' })
})
afterAll(async () => {
  mails.close()
  await service.end('SIGTERM')
  await folder.remove()
})

test('what is to be revoked by hand is listed, and confirmed by who may', async () => {
  const { items } = await json('revocation', 'list', '--state', 'by_hand')
  expect(items).toMatchObject([{ certificateId: certificate.id, serialNumber: certificate.serialNumber }])
  const [{ id }] = items
  const revoked = await here('certificate', 'revoke', certificate.id, '--reason', 'superseded')
  expect([revoked.code, revoked.stdout]).toEqual([
    0,
    expect.stringMatching(
      new RegExp(`revoke ${certificate.serialNumber} there, then certbook revocation confirm ${id}\n$`),
    ),
  ])
  const auditor = { CERTBOOK_URL: service.url, CERTBOOK_ADMIN_CREDENTIAL: await credentialOf('auditor') }
  const seen = await certbookHere(['revocation', 'list'], auditor)
  expect([seen.code, seen.stdout]).toEqual([0, expect.stringContaining(certificate.serialNumber)])
  const refused = await certbookHere(['revocation', 'confirm', id], auditor)
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('role_required')])

  const confirmed = await here('revocation', 'confirm', id)
  expect([confirmed.code, confirmed.stdout]).toEqual([0, expect.stringContaining('counts as revoked at its CA since')])
  expect((await here('revocation', 'confirm', id)).stdout).toBe(confirmed.stdout)
  expect((await here('certificate', 'revoke', certificate.id, '--reason', 'superseded')).stdout).toContain(
    'Its CA has revoked it too.',
  )
  expect((await json('revocation', 'list', '--state', 'by_hand')).items).toEqual([])
  expect((await json('revocation', 'list')).items).toMatchObject([{ id, state: 'confirmed' }])
})

test('a revocation that is none, or a state, is not in order', async () => {
  const nobody = await here('revocation', 'confirm', 'nobody')
  expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringMatching(/take its id.*revocation list.*not_found/)])
  expect((await here('revocation', 'list', '--state', 'lost')).code).toBe(2)
})
