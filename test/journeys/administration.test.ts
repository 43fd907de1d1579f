import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Api, askOver } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { runProgram } from '../support/processes.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dataDir: string
let service: ServiceProcess
let mails: Awaited<ReturnType<typeof watchOutbox>>
let alice: Registered

beforeAll(async () => {
  folder = await temporaryFolder()
  dataDir = join(folder.path, 'data')
  service = await startProcess(dataDir)
  mails = await watchOutbox(join(dataDir, 'outbox'))
  alice = await register(new Api(askOver(service.url)), mails, 'alice@example.com')
})
afterAll(async () => {
  mails.close()
  await service.end('SIGTERM')
  await folder.remove()
})

/** Runs a command beside the service that is running. */
const certbook = async (...args: readonly string[]): Promise<{ code: number | null; output: string }> => {
  const env = { PATH: process.env['PATH'], DATA_DIR: dataDir, PUBLIC_URL: service.url }
  const { code, stdout, stderr } = await runProgram(process.execPath, [cli, ...args], { env })
  return { code, output: stdout + stderr }
}

test('a certificate revoked by the command line is gone from the running service at once', async () => {
  const bob = await register(new Api(askOver(service.url)), mails, 'bob@example.com')
  const certificate = await certify(alice)
  await publish(alice, certificate.id)
  expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('found')
  const done = await certbook('certificate', 'revoke', certificate.id, '--reason', 'privilegeWithdrawn', '--json')
  const revoked = { certificate: certificate.id, state: 'revoked', revocationReason: 'privilegeWithdrawn' }
  expect([done.code, JSON.parse(done.output)]).toMatchObject([0, revoked])
  expect((await lookUp(bob, ['alice@example.com']))[0].status).toBe('not_found')
})

test('a certificate that does not exist, and a reason that does not', async () => {
  expect(await certbook('certificate', 'revoke', 'nothing')).toMatchObject({
    code: 1,
    output: expect.stringContaining('There is no certificate nothing'),
  })
  const held = await certbook('certificate', 'revoke', 'nothing', '--reason', 'certificateHold')
  expect(held.output).toContain('Allowed choices')
  expect(held.code).not.toBe(0)
})

test('imported keys are refused by the running service: by SPKI, and as Debian lists its weak ones', async () => {
  const ed25519 = generateKeyPairSync('ed25519').publicKey
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
  const spki = ed25519.export({ type: 'spki', format: 'der' })
  const { n = '' } = rsa.export({ format: 'jwk' })
  const modulus = Buffer.from(n, 'base64url').toString('hex').toUpperCase()
  const debian = createHash('sha1').update(`Modulus=${modulus}\n`).digest('hex').slice(-20)
  const list = join(folder.path, 'blocked.txt')
  await writeFile(list, `# a list\n${createHash('sha256').update(spki).digest('hex')}\n${debian} # weak\n\n`)

  const ask = async (publicKey: string): Promise<unknown> =>
    (await alice.api.post('/v1/public-keys', { publicKey, use: 'sign' })).body.code
  const ofEd25519 = spki.toString('base64')
  const ofRsa = rsa.export({ type: 'spki', format: 'pem' }).toString()
  expect([await ask(ofEd25519), await ask(ofRsa)]).toEqual([undefined, undefined])
  const done = await certbook('blocklist', 'import', list, '--json')
  expect([done.code, JSON.parse(done.output)]).toEqual([0, { imported: 2, newlyBlocked: 2, unreadable: [] }])
  expect([await ask(ofEd25519), await ask(ofRsa)]).toEqual(['key_blocked', 'key_blocked'])
})

test('a list with a line that is no fingerprint is refused whole, by the number of the line', async () => {
  const list = join(folder.path, 'wrong.txt')
  await writeFile(list, `${'ab'.repeat(32)}\nnot a fingerprint\n`)
  const done = await certbook('blocklist', 'import', list)
  expect(done).toMatchObject({ code: 1, output: expect.stringContaining('no fingerprint: 2') })
})

test.each(['spki-ed25519-published-in-rfc9216.pem', 'spki-rsa2048-published-in-rfc9216.pem'])(
  'a key that a standard prints is refused: %s',
  async (fixture) => {
    const publicKey = await readFile(new URL(`../../certs-fixtures/${fixture}`, import.meta.url), 'utf8')
    const answer = await alice.api.post('/v1/public-keys', { publicKey, use: 'sign' })
    expect([answer.status, answer.body.code]).toEqual([422, 'key_blocked'])
  },
)
