import 'reflect-metadata'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { certbook, type Ended } from '../support/certbook.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { openssl } from '../support/openssl.ts'
import { lookUp, publish, register, type Registered } from '../support/story.ts'
import { requireProgram } from './programs.ts'

/** An offline CA of openssl's, to which an operator carries requests on the command line. */

const extensions = (address: string): string => `basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyAgreement
extendedKeyUsage = emailProtection
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
subjectAltName = email:${address}
`
const caExtensions = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign']

describe('an offline CA that is openssl', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let dataDir: string
  let service: ServiceProcess
  let mails: Awaited<ReturnType<typeof watchOutbox>>
  let alice: Registered
  let bob: Registered

  beforeAll(async () => {
    await requireProgram('openssl', 'openssl')
    folder = await temporaryFolder()
    dataDir = join(folder.path, 'data')
    const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-days', '3650']
    const root = ['-subj', '/C=DE/O=Example/CN=Offline Root', '-keyout', 'root.key', '-out', 'root.pem']
    await openssl(folder.path, 'req', '-x509', ...p256, ...root, ...caExtensions)
    const issuing = ['-subj', '/C=DE/O=Example/CN=Offline Issuing CA', '-keyout', 'issuing.key', '-out', 'issuing.pem']
    const basic = ['-addext', 'basicConstraints=critical,CA:TRUE,pathlen:0']
    await openssl(
      folder.path,
      'req',
      '-x509',
      '-CA',
      'root.pem',
      '-CAkey',
      'root.key',
      ...p256,
      ...issuing,
      ...basic,
      ...caExtensions,
    )
    service = await startProcess(dataDir)
    mails = await watchOutbox(join(dataDir, 'outbox'))
    const api = new Api(askOver(service.url))
    alice = await register(api, mails, 'alice@offline.example')
    bob = await register(api, mails, 'bob@example.com')
  })
  afterAll(async () => {
    mails.close()
    await service.end('SIGTERM')
    await folder.remove()
  })

  const command = (...args: readonly string[]): Promise<Ended> => certbook(args, { DATA_DIR: dataDir }, '', folder.path)
  const done = async (...args: readonly string[]): Promise<Json> => {
    const { code, stdout, stderr } = await command(...args, '--json')
    expect([code, stderr]).toEqual([0, ''])
    return JSON.parse(stdout)
  }
  const sign = async (address: string, out: string, csr = 'alice.csr'): Promise<void> => {
    await writeFile(join(folder.path, `${out}.ext`), extensions(address))
    const by = ['-CA', 'issuing.pem', '-CAkey', 'issuing.key', '-days', '365', '-extfile', `${out}.ext`]
    await openssl(folder.path, 'x509', '-req', '-in', csr, ...by, '-subj', `/CN=${address}`, '-out', `${out}.pem`)
  }

  test('gets its CSR as a file, and its certificate is brought back, published and found', async () => {
    const connection = await done('connection', 'add', '--settings', await settingsFile())
    await done('rule', 'add', '--position', '1', '--domain', 'offline.example', '--connection', connection.id)

    const key = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'device.key']
    await openssl(folder.path, 'genpkey', ...key)
    const san = ['-addext', 'subjectAltName=email:alice@offline.example']
    await openssl(folder.path, 'req', '-new', '-key', 'device.key', '-subj', '/', ...san, '-out', 'device.csr')
    const csr = await readFile(join(folder.path, 'device.csr'), 'utf8')
    const asked = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    expect(asked.status, JSON.stringify(asked.body)).toBe(202)
    const { id } = asked.body
    expect((await done('request', 'list', '--state', 'pending')).items).toMatchObject([{ id }])

    const taken = await command('request', 'csr', id, '--out', 'alice.csr')
    expect([taken.code, taken.stderr]).toEqual([0, ''])
    expect(taken.stdout).toContain('alice@offline.example')
    expect(await openssl(folder.path, 'req', '-in', 'alice.csr', '-noout', '-verify')).toContain('OK')
    const again = await command('request', 'csr', id, '--out', 'alice.csr')
    expect([again.code, again.stdout]).toEqual([2, ''])
    expect(again.stderr).toContain('name another')
    expect((await command('request', 'csr', id)).stdout.trim()).toBe(csr.trim())

    await sign('mallory@offline.example', 'wrong')
    const refused = await command('request', 'bring', id, 'wrong.pem')
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    expect(refused.stderr).toContain('mailbox_differs')

    await sign('alice@offline.example', 'alice')
    await openssl(folder.path, 'x509', '-in', 'alice.pem', '-outform', 'DER', '-out', 'alice.der')
    const brought = await command('request', 'bring', id, 'alice.der')
    expect([brought.code, brought.stderr]).toEqual([0, ''])
    expect(brought.stdout).toContain('issued')
    expect((await done('request', 'bring', id, 'alice.pem')).state).toBe('issued')

    const [certificate] = (await alice.api.get('/v1/certificates')).body.items
    await publish(alice, certificate.id)
    const [found] = await lookUp(bob, ['alice@offline.example'])
    const [kept] = found?.['certificates'] ?? []
    const pem = (base64: string): string => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
    await writeFile(join(folder.path, 'found.pem'), pem(kept.certificate))
    await writeFile(join(folder.path, 'chain.pem'), kept.chain.map(pem).join(''))
    const verified = [
      'verify',
      '-x509_strict',
      '-purpose',
      'smimesign',
      '-CAfile',
      'root.pem',
      '-untrusted',
      'chain.pem',
    ]
    expect(await openssl(folder.path, ...verified, 'found.pem')).toBe('found.pem: OK\n')
  })

  test('a request that is cancelled here has its late certificate revoked there by hand', async () => {
    const san = ['-addext', 'subjectAltName=email:alice@offline.example']
    await openssl(folder.path, 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', 'late.key')
    await openssl(folder.path, 'req', '-new', '-key', 'late.key', '-subj', '/', ...san, '-out', 'late.csr')
    const csr = await readFile(join(folder.path, 'late.csr'), 'utf8')
    const { id } = (await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })).body
    expect((await done('request', 'cancel', id)).state).toBe('cancelled')
    await sign('alice@offline.example', 'late', 'late.csr')
    // The log says so too, on standard error.
    const late = await command('request', 'bring', id, 'late.pem', '--json')
    expect([late.code, JSON.parse(late.stdout)]).toMatchObject([0, { state: 'cancelled', certificateId: null }])
    expect(late.stderr).toContain('"event":"certificate_refused"')
    const unsettled = await command('request', 'settle', id, '--outcome', 'failed')
    expect([unsettled.code, unsettled.stdout]).toEqual([1, ''])
    expect(unsettled.stderr).toContain('request_not_in_that_state')
  })

  const settingsFile = async (): Promise<string> => {
    const path = join(folder.path, 'offline-ca.json')
    const pem = (name: string): Promise<string> => readFile(join(folder.path, name), 'utf8')
    const settings = {
      kind: 'manual',
      name: 'Offline CA',
      recipient: 'Example AG',
      country: 'DE',
      anchors: await pem('root.pem'),
      intermediates: await pem('issuing.pem'),
    }
    await writeFile(path, JSON.stringify(settings))
    return path
  }
})
