import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { certbook, certbookHere, type Ended } from '../support/certbook.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { toPem } from '../support/pem.ts'
import { startSmallCa, type SmallCa } from '../support/small-ca.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
let ca: TestCa
let server: SmallCa
let anchors: string

beforeAll(async () => {
  folder = await temporaryFolder()
  service = await startProcess(join(folder.path, 'data'))
  ca = await makeTestCa('Journey')
  server = await startSmallCa(ca.issuing)
  anchors = join(folder.path, 'anchors.pem')
  await writeFile(anchors, toPem('CERTIFICATE', ca.root))
})
afterAll(async () => {
  await server.stop()
  await service.end('SIGTERM')
  await folder.remove()
})

const settings = (more: Readonly<Record<string, string>> = {}) => ({
  DATA_DIR: join(folder.path, 'data'),
  PUBLIC_URL: service.url,
  ...more,
})
const here = (args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  certbookHere(args, settings(more))
const json = async (args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Json> => {
  const done = await here([...args, '--json'], more)
  expect(done.code, done.stderr).toBe(0)
  return JSON.parse(done.stdout)
}
/** Settings in a file, as an operator keeps them. */
const fileOf = async (name: string, body: object): Promise<string> => {
  const path = join(folder.path, `${name}.json`)
  await writeFile(path, JSON.stringify({ name, recipient: 'Example Trust GmbH', country: 'DE', ...body }))
  return path
}
const cfssl = async (name: string): Promise<Json> =>
  json([
    'connection',
    'add',
    '--settings',
    await fileOf(name, { kind: 'cfssl', url: server.url }),
    '--anchors',
    anchors,
  ])

test('a connection is made beside a running service, which shows it at once', async () => {
  const file = await fileOf('internal', { kind: 'cfssl', url: server.url })
  const secret = { CERTBOOK_CA_AUTH_KEY: '0123456789abcdef'.repeat(2) }
  const added = await here(['connection', 'add', '--settings', file, '--anchors', anchors], secret)
  expect([added.code, added.stderr]).toEqual([0, ''])
  expect(added.stdout).toContain('the privacy page names Example Trust GmbH')
  expect(await (await fetch(`${service.url}/privacy`)).text()).toContain(
    '<strong>Example Trust GmbH</strong> (Germany)',
  )

  const [found] = (await json(['connection', 'list'])).items
  expect(found).toMatchObject({ name: 'internal', kind: 'cfssl', credentials: 'kept' })
  expect((await here(['connection', 'list'])).stdout).toMatch(
    /^ID +KIND +STATE +REQUESTS +NAME\n[^]*cfssl +active +0 waiting, 0 pending, 0 unknown +internal/,
  )
  const shown = (await here(['connection', 'show', found.id])).stdout
  expect(shown).toContain(server.url)
  expect(shown).not.toContain(secret.CERTBOOK_CA_AUTH_KEY)
  expect(shown).toMatch(/^revoke +where it has a certificate database$/m)
  expect(shown).toMatch(/^settings +revocationLists +-$/m)
  expect((await here(['connection', 'show', 'embedded'])).stdout).toMatch(/^createdAt +-$/m)
})

test('settings come from standard input too, and no secret from the command line', async () => {
  const body = { kind: 'manual', name: 'piped', recipient: 'Example', anchors: toPem('CERTIFICATE', ca.root) }
  const done = await certbook(['connection', 'add', '--settings', '-', '--json'], settings(), JSON.stringify(body))
  expect([done.code, JSON.parse(done.stdout).name]).toEqual([0, 'piped'])
  const help = await certbook(['connection', 'add', '--help'], settings())
  expect(help.stdout).toContain('CERTBOOK_CA_AUTH_KEY')
  for (const wrong of ['[]', 'not JSON']) {
    const path = join(folder.path, 'wrong.json')
    await writeFile(path, wrong)
    const refused = await here(['connection', 'add', '--settings', path])
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('no JSON object')])
  }
})

test('a test looks at the CA, and its exit code tells', async () => {
  const { id } = await cfssl('tested')
  const ready = await here(['connection', 'test', id])
  expect([ready.code, ready.stdout]).toEqual([0, expect.stringContaining('The CA is there')])
  const closed = await startSmallCa(ca.issuing)
  await closed.stop()
  await json(['connection', 'change', id, '--settings', await fileOf('tested', { url: closed.url })])
  const unready = await here(['connection', 'test', id])
  expect([unready.code, unready.stdout]).toEqual([
    1,
    expect.stringContaining('The CA cannot be used: unreachable. It was not found, refused the connection'),
  ])
  expect((await here(['connection', 'test', 'nobody'])).code).toBe(1)
})

test('a test says what to look at where the CA is not the one that was set up, and nothing of one asked by hand', async () => {
  const other = join(folder.path, 'other.pem')
  await writeFile(other, toPem('CERTIFICATE', (await makeTestCa('Other')).root))
  const file = await fileOf('other anchors', { kind: 'cfssl', url: server.url })
  const { id } = await json(['connection', 'add', '--settings', file, '--anchors', other])
  const tested = await here(['connection', 'test', id])
  expect(tested.code).toBe(1)
  expect(tested.stdout).toMatch(/^The CA cannot be used: anchors_differ\. What it shows does not lead to the anchors/)
  expect(tested.stdout).toMatch(/^issuer /m)

  const path = await fileOf('on paper', { kind: 'manual' })
  const manual = await json(['connection', 'add', '--settings', path, '--anchors', anchors])
  const untested = await here(['connection', 'test', manual.id])
  expect([untested.code, untested.stdout]).toEqual([0, 'Nothing to test: this CA is asked by hand.\n'])
})

test('a change of nothing makes no new version', async () => {
  const { id } = await cfssl('the same')
  const empty = join(folder.path, 'empty.json')
  await writeFile(empty, '{}')
  for (const args of [[], ['--settings', empty]]) {
    const refused = await here(['connection', 'change', id, ...args])
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('nothing to change')])
  }
  expect((await json(['connection', 'show', id])).version).toBe(1)
})

test('a change keeps what it does not name, secrets too', async () => {
  const file = await fileOf('changed', { kind: 'est', url: 'https://est.example.com', authentication: 'password' })
  const secret = { CERTBOOK_CA_USER: 'certbook', CERTBOOK_CA_PASSWORD: 'a long password' }
  const made = await json(['connection', 'add', '--settings', file, '--anchors', anchors], secret)
  const next = join(folder.path, 'next.json')
  await writeFile(next, JSON.stringify({ label: 'mail' }))
  const changed = await json(['connection', 'change', made.id, '--settings', next])
  expect(changed).toMatchObject({ version: 2, credentials: 'kept', settings: { ...made.settings, label: 'mail' } })
  const half = await here(['connection', 'change', made.id], { CERTBOOK_CA_USER: 'certbook' })
  expect([half.code, half.stderr]).toEqual([2, expect.stringContaining('set both')])
})

test('a client certificate is asked for, and put in', async () => {
  const file = await fileOf('certified', {
    kind: 'est',
    url: 'https://est.example.com',
    authentication: 'client-certificate',
  })
  const added = await here(['connection', 'add', '--settings', file, '--anchors', anchors])
  expect(added.stderr).toContain('certbook connection client-certificate')
  const { items } = await json(['connection', 'list'])
  const made = items.find(({ name }: Json) => name === 'certified')
  expect((await here(['connection', 'show', made.id])).stdout).toContain('-----BEGIN CERTIFICATE REQUEST-----')
  const { Pkcs10CertificateRequest } = await import('@peculiar/x509')
  const { publicKey } = new Pkcs10CertificateRequest(made.keyForCa.value)
  const spki = new Uint8Array(publicKey.rawData)
  const path = join(folder.path, 'client.pem')
  await writeFile(path, toPem('CERTIFICATE', await ca.issue({ spki, names: [], subject: 'CN=client' })))
  const put = await here(['connection', 'client-certificate', made.id, path])
  expect([put.code, put.stdout]).toEqual([0, expect.stringContaining('The service shows this certificate')])
  const wrong = await here(['connection', 'client-certificate', made.id, anchors])
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('connection_unfit')])
})

test('rules lead to a connection, which stays for as long as they do', async () => {
  const { id } = await cfssl('ruled')
  const rule = await json([
    'rule',
    'add',
    '--position',
    '1',
    '--domain',
    'Example.COM',
    '--connection',
    id,
    '--approvals',
    '1',
  ])
  expect(rule).toMatchObject({ domain: 'example.com', connectionId: id, approvals: 1, author: 'command line' })
  const attempt = ['rule', 'try', 'alice@example.com', '--use', 'sign', '--algorithm', 'ec']
  expect(await json(attempt)).toMatchObject({ rule: { id: rule.id }, outcome: 'accepted', connectionName: 'ruled' })
  expect((await here(['rule', 'list'])).stdout).toContain('to ruled')
  expect((await certbook(['rule', 'try', '--help'], settings())).stdout).toMatch(/what the key is for; required/)
  const refused = await here([...attempt, '--public-key'])
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('Refused: ca_needs_csr.')])

  const kept = await here(['connection', 'remove', id])
  expect([kept.code, kept.stderr]).toEqual([1, expect.stringContaining('connection_in_use')])
  const changed = await json(['rule', 'change', rule.id, '--position', '2', '--domain', '*.example.com', '--refuse'])
  expect(changed).toMatchObject({ position: 2, domain: '*.example.com', connectionId: null, approvals: 0 })
  expect((await here(['rule', 'list'])).stdout).toContain('no certificate')
  expect((await here(['connection', 'remove', id])).code).toBe(0)
  expect((await here(['rule', 'remove', rule.id])).code).toBe(0)
  expect((await here(['rule', 'remove', rule.id])).code).toBe(1)
  expect((await here(attempt)).stdout).toContain('No rule fits.')
})

test.each([
  ['neither a connection nor a refusal', []],
  ['both', ['--connection', 'embedded', '--refuse']],
  ['no number', ['--connection', 'embedded', '--approvals', 'two']],
])('a rule with %s is not sent', async (_, args) => {
  expect((await here(['rule', 'add', '--position', '9', ...args])).code).toBe(2)
})

test('a connection is paused and resumed with a credential over HTTP on this machine, by who may', async () => {
  const { id } = await cfssl('over http')
  const made = await json(['admin', 'create', '--name', 'An operator', '--role', 'operator'])
  const remote = { CERTBOOK_URL: service.url, CERTBOOK_ADMIN_CREDENTIAL: made.credential }
  expect((await json(['connection', 'pause', id], remote)).state).toBe('paused')
  expect((await json(['connection', 'resume', id], remote)).state).toBe('active')
  const auditor = await json(['admin', 'create', '--name', 'An auditor', '--role', 'auditor'])
  const refused = await here(['connection', 'pause', id], { ...remote, CERTBOOK_ADMIN_CREDENTIAL: auditor.credential })
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('role_required')])
  expect(
    (await new Api(askOver(service.url)).with(auditor.credential).get(`/v1/admin/ca-connections/${id}`)).body.state,
  ).toBe('active')
})
