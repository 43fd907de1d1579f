import 'reflect-metadata'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Pkcs10CertificateRequest } from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { certbookHere, type Ended } from '../support/certbook.ts'
import { makeCsr } from '../support/csr.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { toPem } from '../support/pem.ts'
import { register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'

const roles = ['owner', 'operator', 'approver', 'privacy', 'auditor'] as const
type Role = (typeof roles)[number]

describe('the commands for requests that are handled by hand', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let service: ServiceProcess
  let mails: Awaited<ReturnType<typeof watchOutbox>>
  let ca: TestCa
  let alice: Registered
  const credentials = new Map<Role, string>()

  beforeAll(async () => {
    folder = await temporaryFolder()
    const dataDir = join(folder.path, 'data')
    service = await startProcess(dataDir)
    mails = await watchOutbox(join(dataDir, 'outbox'))
    alice = await register(new Api(askOver(service.url)), mails, 'alice@offline.example')
    ca = await makeTestCa('Offline')
    for (const role of roles) {
      const made = await certbookHere(['admin', 'create', '--name', role, '--roles', role, '--json'], {
        DATA_DIR: dataDir,
      })
      expect(made.code, made.stderr).toBe(0)
      credentials.set(role, JSON.parse(made.stdout).credential)
    }
    const api = new Api(askOver(service.url)).with(credentials.get('operator') ?? '')
    const settings = { kind: 'manual', name: 'Offline CA', recipient: 'Example AG' }
    const anchors = toPem('CERTIFICATE', ca.root)
    const made = await api.post('/v1/admin/ca-connections', { ...settings, anchors })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    const rule = { position: 1, domain: 'offline.example', connectionId: made.body.id }
    expect((await api.post('/v1/admin/routing-rules', rule)).status).toBe(201)
  })
  afterAll(async () => {
    mails.close()
    await service.end('SIGTERM')
    await folder.remove()
  })

  const as = (role: Role, ...args: readonly string[]): Promise<Ended> =>
    certbookHere(args, { CERTBOOK_URL: service.url, CERTBOOK_ADMIN_CREDENTIAL: credentials.get(role) ?? '' })
  const done = async (...args: readonly string[]): Promise<Json> => {
    const { code, stdout, stderr } = await as('operator', ...args, '--json')
    expect([code, stderr]).toEqual([0, ''])
    return JSON.parse(stdout)
  }
  const file = (name: string): string => join(folder.path, name)

  const ask = async (): Promise<{ id: string; spki: Uint8Array }> => {
    const csr = await makeCsr({ subject: '', addresses: [alice.email] })
    const asked = await alice.api.post('/v1/certificate-requests', { csr, use: 'dual' })
    expect(asked.status, JSON.stringify(asked.body)).toBe(202)
    return { id: asked.body.id, spki: new Uint8Array(new Pkcs10CertificateRequest(csr).publicKey.rawData) }
  }

  test('carry a CSR out and its certificate in, over HTTP', async () => {
    const { id, spki } = await ask()
    const { csr } = await done('request', 'csr', id, '--out', file('alice.csr'))
    expect(await readFile(file('alice.csr'), 'utf8')).toBe(csr)
    const certificate = await ca.issue({ spki, names: alice.email })
    await writeFile(file('alice.pem'), toPem('CERTIFICATE', certificate) + toPem('CERTIFICATE', ca.issuing))
    const brought = await as('operator', 'request', 'bring', id, file('alice.pem'))
    expect([brought.code, brought.stderr]).toEqual([0, ''])
    expect(brought.stdout).toMatch(new RegExp(`^The request ${id} is issued; its certificate is [\\w-]{22}\\.\n$`))
    expect((await alice.api.get(`/v1/certificate-requests/${id}`)).body.state).toBe('issued')
    expect((await as('operator', 'request', 'show', id)).stdout).toContain('issued')
  })

  test('say what is not in order, and leave everything as it was', async () => {
    const { id } = await ask()
    await writeFile(file('wrong.pem'), toPem('CERTIFICATE', ca.issuing))
    const wrong = await as('operator', 'request', 'bring', id, file('wrong.pem'))
    expect([wrong.code, wrong.stdout]).toEqual([1, ''])
    expect(wrong.stderr).toMatch(/It is a CA's own certificate.*certificate_not_accepted/)
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    await writeFile(file('key.pem'), pair.export({ type: 'pkcs8', format: 'pem' }))
    for (const env of [{ DATA_DIR: join(folder.path, 'data') }, null]) {
      const args = ['request', 'bring', id, file('key.pem')]
      const secret = env === null ? await as('operator', ...args) : await certbookHere(args, env)
      expect([secret.code, secret.stdout]).toEqual([2, ''])
      expect(secret.stderr).toMatch(/^\S+key\.pem holds a private key, and was not sent: [^\n]+\n$/)
    }
    const anchors = await as('operator', 'connection', 'add', '--anchors', file('key.pem'))
    expect([anchors.code, anchors.stderr]).toEqual([
      2,
      expect.stringContaining('holds a private key, and was not sent'),
    ])
    const listed = await as('operator', 'request', 'list')
    expect(listed.stdout).toMatch(new RegExp(`^${id} +pending .* Offline CA`, 'm'))
    const missing = await as('operator', 'request', 'bring', id, file('none.pem'))
    expect([missing.code, missing.stdout]).toEqual([2, ''])
    const settled = await as('operator', 'request', 'settle', id, '--outcome', 'submit_again')
    expect([settled.code, settled.stdout]).toEqual([1, ''])
    expect(settled.stderr).toContain('request_not_in_that_state')
    const otherwise = await as('operator', 'request', 'settle', id, '--outcome', 'issued')
    expect([otherwise.code, otherwise.stdout]).toEqual([2, ''])
    const nobody = await as('operator', 'request', 'cancel', 'nothing')
    expect([nobody.code, nobody.stdout]).toEqual([1, ''])
    expect((await done('request', 'show', id)).state).toBe('pending')
    expect((await done('request', 'cancel', id)).state).toBe('cancelled')
  })

  test.each(roles.filter((role) => role !== 'operator'))('are not for whoever is only %s', async (role) => {
    const { id } = await ask()
    await writeFile(file('any.pem'), toPem('CERTIFICATE', ca.root))
    const out = file(`${role}.csr`)
    for (const args of [
      ['csr', id, '--out', out],
      ['bring', id, file('any.pem')],
      ['settle', id, '--outcome', 'failed'],
      ['cancel', id],
    ]) {
      const refused = await as(role, 'request', ...args)
      expect([refused.code, refused.stdout]).toEqual([2, ''])
      expect(refused.stderr).toContain('role_required')
    }
    expect(existsSync(out)).toBe(false)
    expect((await done('request', 'show', id)).state).toBe('pending')
  })
})
