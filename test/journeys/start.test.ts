import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSqliteFile } from '../../src/adapters/sqlite.ts'
import { Api, askOver, type Json } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { runProgram } from '../support/processes.ts'
import { register } from '../support/story.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

interface Ended {
  readonly code: number
  readonly output: string
}

/** Runs a command of the command line to its end. */
const certbook = async (settings: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> => {
  const env = { PATH: process.env['PATH'], PORT: '0', ...settings }
  const { code, stdout, stderr } = await runProgram(process.execPath, [cli, ...args], { env })
  return { code: code ?? -1, output: stdout + stderr }
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dataDir: string

beforeEach(async () => {
  folder = await temporaryFolder()
  dataDir = join(folder.path, 'data')
})
afterEach(() => folder.remove())

const startOnceAndStop = async (): Promise<void> => {
  const service = await startProcess(dataDir)
  await service.end('SIGTERM')
}

test('a service that stops leaves data that the next start takes up', async () => {
  const first = await startProcess(dataDir)
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  const alice = await register(new Api(askOver(first.url)), mails, 'alice@example.com')
  mails.close()
  await first.end('SIGTERM')
  const second = await startProcess(dataDir)
  const me = await new Api(askOver(second.url), alice.credential).get('/v1/me')
  expect(me.body.subscriberId).toBe(alice.subscriberId)
  expect(await second.end('SIGINT')).toEqual({ code: 0, signal: null })
})

test('two services cannot serve from one folder; after a SIGKILL the next one can', async () => {
  const first = await startProcess(dataDir)
  const second = await certbook({ DATA_DIR: dataDir }, 'serve')
  expect(second).toMatchObject({ code: 2, output: expect.stringContaining('another certbook is serving') })
  await first.end('SIGKILL')
  const third = await startProcess(dataDir)
  expect(await third.end('SIGTERM')).toEqual({ code: 0, signal: null })
})

test.each([
  ['data-key', 'DATA_KEY is not set and'],
  ['key-ring', 'the key ring is missing although a database exists'],
])('a lost %s beside an existing database stops the start, and nothing new is made', async (file, words) => {
  await startOnceAndStop()
  await rm(join(dataDir, file))
  const ended = await certbook({ DATA_DIR: dataDir }, 'serve')
  expect(ended).toMatchObject({ code: 2, output: expect.stringContaining(words) })
  await expect(readFile(join(dataDir, file))).rejects.toThrow('ENOENT')
})

test('another DATA_KEY than the one that made the ring stops the start', async () => {
  await startOnceAndStop()
  const other = Buffer.alloc(32, 7).toString('base64')
  const ended = await certbook({ DATA_DIR: dataDir, DATA_KEY: other }, 'serve')
  expect(ended).toMatchObject({ code: 2, output: expect.stringContaining('DATA_KEY does not open the key ring') })
})

test('a database that is newer than the code stops the start, by the name of the migration', async () => {
  await startOnceAndStop()
  const connection = openSqliteFile(join(dataDir, 'main.db'))
  connection.prepare('INSERT INTO d1_migrations (name) VALUES (?)').run('9999_from_tomorrow.sql')
  connection.close()
  const ended = await certbook({ DATA_DIR: dataDir }, 'serve')
  expect(ended).toMatchObject({ code: 2, output: expect.stringContaining('9999_from_tomorrow.sql') })
})

test('a CA whose key cannot be opened stops the start, and no process is left', async () => {
  await startOnceAndStop()
  const connection = openSqliteFile(join(dataDir, 'main.db'))
  connection.prepare(`UPDATE certificate_authorities SET private_key_sealed = x'00'`).run()
  connection.close()
  const words = 'cannot open certificate_authorities.private_key_sealed'
  for (const command of [['serve'], ['ca', 'list']]) {
    const ended = await certbook({ DATA_DIR: dataDir }, ...command)
    expect(ended).toMatchObject({ code: 2, output: expect.stringContaining(words) })
  }
})

test('a CA whose certificate was exchanged stops the start', async () => {
  await startOnceAndStop()
  const connection = openSqliteFile(join(dataDir, 'main.db'))
  connection.prepare(`UPDATE certificate_authorities SET certificate = x'3000' WHERE role = 'issuing'`).run()
  connection.close()
  const ended = await certbook({ DATA_DIR: dataDir }, 'serve')
  expect(ended).toMatchObject({ code: 2, output: expect.stringContaining('has changed the issuing CA') })
})

test('a port that is taken stops the start and says what to set', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const ended = await certbook({ DATA_DIR: dataDir, PORT: String(port) }, 'serve')
  expect(ended).toMatchObject({ code: 2, output: expect.stringContaining('set PORT to another one') })
  server.close()
})

test('off loopback the start is refused, with everything that is missing at once', async () => {
  const ended = await certbook({ DATA_DIR: dataDir, HOST: '0.0.0.0' }, 'serve')
  expect(ended.code).toBe(2)
  for (const name of ['SMTP_URL', 'PKI_URL', 'CONTROLLER', 'PUBLIC_URL', 'TLS_CERT_FILE'])
    expect(ended.output).toContain(`${name}: set it`)
})

test.each([
  ['PORT', '80a'],
  ['PUBLIC_URL', 'keys.example.com'],
  ['QUERY_LOG_DAYS', '366'],
  ['DATA_KEY', 'c2hvcnQ='],
  ['CA_KEY', 'rsa1024'],
  ['DIRECTORY_ACCESS', 'everyone'],
  ['DATA_KEY_FILE', '/there/is/none'],
  ['TRUSTED_PROXY', '0.0.0.0/0'],
  ['CORS_ORIGINS', '*'],
])('the setting %s=%s is refused by name', async (name, value) => {
  const ended = await certbook({ DATA_DIR: dataDir, [name]: value }, 'config', 'check')
  expect(ended).toMatchObject({ code: 1, output: expect.stringContaining(`${name}: `) })
  expect(
    JSON.parse((await certbook({ DATA_DIR: dataDir, [name]: value }, 'config', 'check', '--json')).output).valid,
  ).toBe(false)
})

test('config check explains the settings and hides secrets', async () => {
  const secret = Buffer.alloc(32, 9).toString('base64')
  const ended = await certbook(
    { DATA_DIR: dataDir, DATA_KEY: secret, SMTP_URL: 'smtp://user:hush@mail.example.com' },
    'config',
    'check',
  )
  expect(ended.code).toBe(0)
  expect(ended.output).toContain('QUERY_LOG_DAYS')
  expect(ended.output).not.toContain(secret)
  expect(ended.output).not.toContain('hush')
})

test('/readyz answers while another process has the main database locked, and says so', async () => {
  const service = await startProcess(dataDir)
  const readiness = async (): Promise<unknown> => (await fetch(`${service.url}/readyz`)).json()
  const holder = openSqliteFile(join(dataDir, 'main.db'))
  holder.exec('BEGIN IMMEDIATE')
  const warnings = [expect.stringContaining('Another process has the main database locked')]
  expect(await readiness()).toEqual({ status: 'ready', unusable: [], warnings })
  holder.exec('COMMIT')
  expect(await readiness()).toEqual({ status: 'ready', unusable: [], warnings: [] })
  holder.close()
  await service.end('SIGTERM')
})

test('audit verify reads beside the running service, and finds what was tampered with', async () => {
  const service = await startProcess(dataDir)
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  await register(new Api(askOver(service.url)), mails, 'alice@example.com')
  mails.close()
  const whole = await certbook({ DATA_DIR: dataDir }, 'audit', 'verify', '--json')
  expect([whole.code, JSON.parse(whole.output).faults]).toEqual([0, []])
  expect(JSON.parse(whole.output).entries).toBeGreaterThan(3)
  await service.end('SIGTERM')

  const { head } = JSON.parse((await certbook({ DATA_DIR: dataDir }, 'audit', 'verify', '--json')).output)
  expect((await certbook({ DATA_DIR: dataDir }, 'audit', 'verify', '--head', head)).code).toBe(0)
  expect((await certbook({ DATA_DIR: dataDir }, 'audit', 'verify', '--head', 'f'.repeat(64))).code).toBe(1)

  const connection = openSqliteFile(join(dataDir, 'main.db'))
  connection.exec('DROP TRIGGER audit_entries_not_changed')
  connection.exec(`UPDATE audit_entries SET actor = 'somebody else' WHERE position = 2`)
  connection.close()
  const tampered = await certbook({ DATA_DIR: dataDir }, 'audit', 'verify')
  expect(tampered).toMatchObject({ code: 1, output: expect.stringContaining('its hash does not fit its entries') })
})

test('audit verify of a folder without a database says so', async () => {
  await writeFile(join(folder.path, 'placeholder'), '')
  const ended = await certbook({ DATA_DIR: join(folder.path, 'empty') }, 'audit', 'verify')
  expect(ended).toMatchObject({ code: 2, output: expect.stringContaining('there is no database') })
})

describe('the key and the name of the embedded CA', () => {
  /** The certificates that a service with these settings serves under. */
  const inside = async (settings: Readonly<Record<string, string>>): Promise<X509Certificate[]> => {
    const service = await startProcess(dataDir, { settings })
    const { body } = await new Api(askOver(service.url)).get('/v1/authorities')
    await service.end('SIGTERM')
    return body.items.map((item: Json) => new X509Certificate(Buffer.from(item.certificate, 'base64')))
  }
  const bits = ({ publicKey }: X509Certificate): number | undefined => publicKey.asymmetricKeyDetails?.modulusLength

  test('an RSA key of 3,072 bits is refused for a new CA under sbr-strict, and kept where it exists', async () => {
    const ended = await certbook({ DATA_DIR: dataDir, CA_KEY: 'rsa3072' }, 'serve')
    expect(ended).toMatchObject({ code: 2, output: expect.stringContaining('CA_KEY: set it to rsa4096') })
    const made = await inside({ CA_KEY: 'rsa3072', CA_PROFILE: 'private', CA_POLICY_OID: '1.3.6.1.4.1.32473.1' })
    expect(made.map(bits)).toEqual([3_072, 3_072])
    const kept = await inside({ CA_KEY: 'rsa3072' })
    expect(kept.map(({ fingerprint256 }) => fingerprint256)).toEqual(made.map(({ fingerprint256 }) => fingerprint256))
  })

  test('a new one with RSA has 4,096 bits, and names the country and the organisation of who runs it', async () => {
    const found = await inside({ CA_KEY: 'rsa4096', CA_COUNTRY: 'DE', CONTROLLER: 'Example GmbH, Musterweg 1, Berlin' })
    expect(found.map(bits)).toEqual([4_096, 4_096])
    for (const { subject } of found) expect(subject).toMatch(/^C=DE\nO=Example GmbH\nCN=certbook /)
    // 2.5.29.32.0, and no policy of mailboxes (S/MIME BR 7.1.6.1).
    const policies = found.map(({ raw }) => [raw.includes('0604551d2000', 'hex'), raw.includes('67810c0105', 'hex')])
    expect(policies).toEqual([
      [false, false],
      [true, false],
    ])
  })
})
