import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Command } from 'commander'
import BetterSqlite3 from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createProgram } from '../../src/commands/program.ts'
import { Api, askOver, type Json } from '../support/api.ts'
import { certbook, certbookHere, type Ended } from '../support/certbook.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'

const reason = 'a test of the command line'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dataDir: string
let service: ServiceProcess
let mails: Awaited<ReturnType<typeof watchOutbox>>
let alice: Registered
let bob: Registered
let certificate: Json

/** On the files, beside the running service. */
const onFiles = (...args: readonly string[]): Promise<Ended> => certbookHere(args, { DATA_DIR: dataDir })

/** The JSON of a command that must be done. */
const done = async (ended: Promise<Ended>): Promise<Json> => {
  const { code, stdout, stderr } = await ended
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

beforeAll(async () => {
  folder = await temporaryFolder()
  dataDir = join(folder.path, 'data')
  service = await startProcess(dataDir)
  mails = await watchOutbox(join(dataDir, 'outbox'))
  const api = new Api(askOver(service.url))
  alice = await register(api, mails, 'alice@example.com')
  bob = await register(api, mails, 'bob@example.com')
  certificate = await certify(alice)
  await publish(alice, certificate.id)
})
afterAll(async () => {
  mails.close()
  await service.end('SIGTERM')
  await folder.remove()
})

const leaves = (command: Command, path: readonly string[] = []): { path: string[]; command: Command }[] =>
  command.commands.length === 0
    ? [{ path: [...path], command }]
    : command.commands.flatMap((child) => leaves(child, [...path, child.name()]))

describe('help', () => {
  test.each(leaves(createProgram()).map(({ path }) => [path.join(' ')]))(
    '%s explains itself, its JSON and its exit codes',
    async (path) => {
      const { code, stdout } = await helpOf(path.split(' '))
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: certbook ${path} `)
      expect(stdout).toContain('Exit codes: 0 done;')
      if (path !== 'serve') expect(stdout).toContain('--json')
    },
  )

  /** The parser writes help to standard output itself. */
  const helpOf = async (path: readonly string[]): Promise<{ code: number; stdout: string }> => {
    let stdout = ''
    const program = createProgram()
    const listen = (command: Command): void => {
      command.configureOutput({ writeOut: (text) => (stdout += text) })
      for (const child of command.commands) listen(child)
    }
    listen(program)
    const code = await program.parseAsync([...path, '--help'], { from: 'user' }).then(
      () => -1,
      (error: { exitCode: number }) => error.exitCode,
    )
    return { code, stdout }
  }

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await certbook(['--version'], {})).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('a command line that is none ends with 2 and one hint, not with a page', async () => {
    expect(await certbook(['nonsense'], {})).toMatchObject({ code: 2, stdout: '' })
    for (const args of [
      ['nonsense'],
      ['backup'],
      ['audit', 'verify', '--nonsense'],
      ['admin', 'create', '--name', 'x'],
    ]) {
      const ended = await certbookHere(args, {})
      expect([args, ended.code, ended.stdout]).toEqual([args, 2, ''])
      expect(ended.stderr.trim().split('\n').length).toBeLessThanOrEqual(2)
    }
  })
})

describe('settings', () => {
  test('a configuration that can be used, with what is secret left out', async () => {
    const shown = await done(
      certbookHere(['config', 'check', '--json'], {
        METRICS_TOKEN: 'a-token-that-is-long-enough',
        SMTP_URL: 'smtp://u:secret@mail.example.com',
      }),
    )
    expect(shown).toMatchObject({ valid: true, config: { metricsToken: '(set)', smtpUrl: '(set)', dataKey: null } })
    expect(JSON.stringify(shown)).not.toContain('secret')
  })

  test('one table: each variable, its value in force, and what it means', async () => {
    const { stdout } = await certbookHere(['config', 'check'], {
      PORT: '9090',
      CA_PROFILE: '',
      SMTP_URL: 'smtp://u:hidden@mail.example.com',
      METRICS_TOKEN: 'a-token-that-is-hidden',
    })
    expect(stdout).toMatch(/^PORT +9090 +the port to listen on; .*default 8080$/m)
    expect(stdout).toMatch(/^PUBLIC_URL +http:\/\/127\.0\.0\.1:9090 +where clients .* such as https:/m)
    expect(stdout).toMatch(/^CA_PROFILE +sbr-strict +.*; one of sbr-strict, private; default sbr-strict$/m)
    expect(stdout).toMatch(/^SMTP_URL +\(set\) .* such as smtp:/m)
    expect(stdout).toMatch(/^DATA_KEY +- /m)
    expect(stdout).not.toMatch(/hidden|caProfile/)
  })

  test('every fault at once, of the files that are named too', async () => {
    const nothing = join(folder.path, 'nothing.pem')
    const both = { TLS_CERT_FILE: nothing, TLS_KEY_FILE: nothing, PKI_PORT: '8081', CA_KEY: 'x' }
    const { stdout } = await certbookHere(['config', 'check'], both)
    expect(stdout.trim().split('\n')).toEqual([expect.stringMatching(/^CA_KEY/), expect.stringContaining(nothing)])
  })

  test('every fault at once', async () => {
    const ended = await certbookHere(['config', 'check', '--json'], { PORT: 'x', LOG_LEVEL: 'y' })
    expect([ended.code, JSON.parse(ended.stdout)]).toMatchObject([1, { valid: false }])
    expect(JSON.parse(ended.stdout).faults).toHaveLength(2)
  })
})

describe('administrators', () => {
  test('one is made on the files, its credential alone on standard output, and it works at the running service', async () => {
    expect(await onFiles('admin', 'list')).toMatchObject({ stdout: expect.stringContaining('no administrator yet') })
    const made = await certbook(['admin', 'create', '--name', 'Olga', '--roles', 'owner, auditor'], {
      DATA_DIR: dataDir,
    })
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^cb_adm_\S+\n$/)])
    const asOlga = { CERTBOOK_URL: service.url, CERTBOOK_ADMIN_CREDENTIAL: made.stdout.trim() }
    const { items } = await done(certbookHere(['admin', 'list', '--json'], asOlga))
    expect(items).toMatchObject([{ name: 'Olga', roles: ['owner', 'auditor'], state: 'active' }])

    const other = await done(certbookHere(['admin', 'create', '--name', 'Paul', '--role', 'privacy', '--json'], asOlga))
    expect(other).toMatchObject({ roles: ['privacy'], credential: expect.stringMatching(/^cb_adm_/) })
    const roles = ['--roles', 'operator,approver', '--role', 'auditor']
    const changed = await done(certbookHere(['admin', 'roles', other.id, ...roles, '--json'], asOlga))
    expect(changed).toMatchObject({ id: other.id, roles: ['operator', 'approver', 'auditor'] })
    const renewed = await done(certbookHere(['admin', 'credential', other.id, '--json'], asOlga))
    expect(renewed.credential).not.toBe(other.credential)
    expect(await done(certbookHere(['admin', 'remove', other.id, '--json'], asOlga))).toEqual({
      id: other.id,
      state: 'ended',
    })
    const ended = await certbookHere(['request', 'list'], { ...asOlga, CERTBOOK_ADMIN_CREDENTIAL: renewed.credential })
    expect(ended).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^CERTBOOK_ADMIN_CREDENTIAL is unknown .*\(credential_invalid\)\n$/),
    })
  })

  test('a role that does not exist, and an administrator that does not', async () => {
    for (const roles of ['king', 'owner,king', 'owner,', '']) {
      expect(await onFiles('admin', 'create', '--name', 'x', '--roles', roles)).toMatchObject({ code: 2 })
    }
    expect(await onFiles('admin', 'remove', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not_found'),
    })
  })

  test('over a URL: no credential, one in the clear, none that is listening, and something else that is', async () => {
    const ask = (url: string, credential?: string): Promise<Ended> =>
      certbookHere(['request', 'list', '--url', url], { CERTBOOK_ADMIN_CREDENTIAL: credential })
    expect(await ask(service.url)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('set CERTBOOK_ADMIN_CREDENTIAL'),
    })
    expect(await ask('http://keys.example.com', 'cb_adm_x')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('https:'),
    })
    expect(await ask('keys', 'cb_adm_x')).toMatchObject({ code: 2, stderr: expect.stringContaining('no URL') })
    const stranger = createServer((_request, response) => response.writeHead(302, { Location: '/x' }).end())
    await new Promise<void>((resolve) => {
      stranger.listen(0, '127.0.0.1', () => resolve())
    })
    const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`
    expect(await ask(url, 'cb_adm_x')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('could not be reached'),
    })
    await new Promise((resolve) => {
      stranger.close(resolve)
    })
    expect(await ask(url, 'cb_adm_x')).toMatchObject({ code: 2, stderr: expect.stringContaining('ECONNREFUSED') })
  })

  test('the first one of a service that has had one is not made by a bootstrap', async () => {
    const args = ['admin', 'bootstrap', '--name', 'Eve', '--url', service.url]
    expect(await certbookHere(args, {})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('CERTBOOK_BOOTSTRAP_SECRET'),
    })
    const tried = await certbookHere(args, {
      CERTBOOK_BOOTSTRAP_SECRET: 'a-secret-of-the-right-length-but-not-the-right-one',
    })
    expect(tried).toMatchObject({ code: 2, stderr: expect.stringContaining('bootstrap_closed') })
  })
})

describe('what an operator asks', () => {
  test('the CA: listed, and its root as PEM and as DER, the same one', async () => {
    const { items } = await done(onFiles('ca', 'list', '--json'))
    expect(items.map(({ role }: Json) => role)).toEqual(['root', 'issuing'])
    const pem = await certbook(['ca', 'root'], { DATA_DIR: dataDir })
    const root = new X509Certificate(pem.stdout)
    expect(pem.stderr).toContain(root.fingerprint256)
    expect(root.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(items[0].fingerprintSha256)
    const cli = new URL('../../src/cli.ts', import.meta.url).pathname
    const der = execFileSync(process.execPath, [cli, 'ca', 'root', '--der', '--url', service.url], { stdio: 'pipe' })
    expect(createHash('sha256').update(der).digest('hex')).toBe(items[0].fingerprintSha256)
  })

  test('requests and certificates', async () => {
    const { items, next } = await done(onFiles('request', 'list', '--state', 'issued', '--json'))
    expect([items.length, next]).toEqual([1, null])
    const request = await done(onFiles('request', 'show', items[0].id, '--json'))
    expect(request).toMatchObject({ state: 'issued', mailbox: 'alice@example.com', certificateId: certificate.id })
    const shown = await done(onFiles('certificate', 'show', certificate.id, '--json'))
    expect(shown).toMatchObject({ id: certificate.id, published: true })
    for (const by of [
      ['--serial', certificate.serialNumber],
      ['--fingerprint', certificate.fingerprintSha256],
    ]) {
      expect(await done(onFiles('certificate', 'find', ...by, '--json'))).toMatchObject({
        items: [{ id: certificate.id }],
        next: null,
      })
    }
    expect(await onFiles('certificate', 'find', '--serial', '00')).toMatchObject({ code: 1, stdout: '' })
    expect(await onFiles('certificate', 'find')).toMatchObject({ code: 2 })
    expect(await onFiles('request', 'show', 'nothing')).toMatchObject({ code: 1 })
  })

  test('a second revocation says that the first one stands, with its reason', async () => {
    const spare = await certify(bob)
    const revoke = (why: string): Promise<Ended> => onFiles('certificate', 'revoke', spare.id, '--reason', why)
    expect((await revoke('superseded')).stdout).toMatch(
      /^The certificate is revoked since 20\S+, and out of the directory\. OCSP says so/,
    )
    const again = await revoke('keyCompromise')
    expect([again.code, again.stdout]).toEqual([
      0,
      expect.stringMatching(/^The certificate was revoked already, at 20\S+, and its reason stays: superseded\./),
    ])
    expect((await onFiles('certificate', 'show', spare.id)).stdout).toMatch(/^revocationReason +superseded$/m)
  })

  const inShell = (line: string): string => {
    const cli = new URL('../../src/cli.ts', import.meta.url).pathname
    const env = {
      ...process.env,
      DATA_DIR: dataDir,
      CERTBOOK: `${process.execPath} ${cli}`,
      SAID: join(folder.path, 'said'),
    }
    return execFileSync('/bin/sh', ['-c', line], { env, encoding: 'utf8' })
  }

  test.each(['--help', 'audit list'])('%s ends in quiet where its reader has gone', (args) => {
    const both = inShell(`{ $CERTBOOK ${args} 2> "$SAID"; echo "ended with $?" >> "$SAID"; } | true; cat "$SAID"`)
    expect(both).toBe('ended with 0\n')
  })

  test.runIf(existsSync('/dev/full'))('an answer that is lost on a full disk is said to be', () => {
    expect(inShell(`$CERTBOOK ca list 2>&1 >/dev/full || echo "ended with $?"`)).toBe(
      'the answer could not be written (ENOSPC); make room and ask again\nended with 2\n',
    )
  })

  test('a subscriber, by an address on standard input, with a reason that is written down', async () => {
    const args = ['subscriber', 'find', '--reason', reason, '--json']
    const found = await done(certbook(args, { DATA_DIR: dataDir }, 'Alice@Example.com\n'))
    expect(found.items).toMatchObject([{ id: alice.subscriberId, mailboxes: [{ address: 'alice@example.com' }] }])
    const shown = await done(onFiles('subscriber', 'show', alice.subscriberId, '--reason', reason, '--json'))
    expect(shown).toEqual(found.items[0])
    expect(await onFiles('subscriber', 'show', alice.subscriberId)).toMatchObject({ code: 2 })
    expect(await certbook(args, { DATA_DIR: dataDir }, '')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('one address'),
    })
    const { items } = await done(onFiles('audit', 'list', '--subject', alice.subscriberId, '--json'))
    expect(items.filter(({ actor }: Json) => actor === 'command line').length).toBeGreaterThanOrEqual(2)
  })

  test('the log of lookups, with a reason', async () => {
    await lookUp(bob, ['alice@example.com'])
    const from = new Date(Date.now() - 86_400_000).toISOString()
    const args = ['query-log', 'search', '--asker', bob.subscriberId, '--from', from, '--reason', reason]
    const { items } = await done(onFiles(...args, '--json'))
    expect(items[0]).toMatchObject({ asker: bob.subscriberId, address: 'alice@example.com', status: 'found' })
    const byAddress = ['query-log', 'search', '--address', '--from', from, '--reason', reason, '--json']
    const found = await done(certbook(byAddress, { DATA_DIR: dataDir }, 'alice@example.com'))
    expect(found.items.length).toBeGreaterThanOrEqual(1)
    expect(await onFiles('query-log', 'search', '--from', from, '--reason', reason)).toMatchObject({ code: 2 })
    expect(await onFiles(...args.slice(0, -1), 'short')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('10 characters'),
    })
  })

  test('the audit log, whole, with a head that is part of it and one that is not', async () => {
    const whole = await done(onFiles('audit', 'verify', '--json'))
    expect(whole).toMatchObject({ faults: [], head: expect.any(String) })
    expect(await onFiles('audit', 'verify', '--head', whole.head)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('The log is whole.'),
    })
    const wrong = await onFiles('audit', 'verify', '--head', 'ab'.repeat(32), '--json')
    expect([wrong.code, JSON.parse(wrong.stdout).faults.length]).toEqual([1, 1])
  })

  test('what must always hold, and a row that somebody else has written', async () => {
    expect(await done(onFiles('check', '--json'))).toEqual({ faults: [] })
    const database = new BetterSqlite3(join(dataDir, 'main.db'))
    try {
      const [subscriber] = database.prepare('SELECT id FROM subscribers').pluck().all()
      database.prepare('UPDATE subscribers SET restricted_at = 1 WHERE id = ?').run(subscriber)
      const found = await onFiles('check')
      expect(found).toMatchObject({ code: 1, stdout: expect.stringContaining('its MAC does not fit') })
      database.prepare('UPDATE subscribers SET restricted_at = NULL WHERE id = ?').run(subscriber)
    } finally {
      database.close()
    }
    expect((await onFiles('check')).stdout).toBe('The data are in order.\n')
  })

  test('progress is told where it is asked for, on standard error', async () => {
    const list = join(folder.path, 'blocked.txt')
    await writeFile(list, Array.from({ length: 4_100 }, (_, n) => n.toString(16).padStart(64, '0')).join('\n'))
    const quiet = await onFiles('blocklist', 'import', list)
    expect(quiet).toMatchObject({ code: 0, stdout: '4100 keys: 4100 newly blocked, 0 blocked before.\n', stderr: '' })
    expect((await onFiles('blocklist', 'import', list, '--progress')).stderr).toMatch(/imported: 40 %\n.*100 %/s)
    await writeFile(list, `${'0'.repeat(64)} # the first of them\n`)
    const again = await onFiles('blocklist', 'import', list)
    expect(again.stdout).toBe('1 key: 0 newly blocked, 1 blocked before.\n')
    const missing = await onFiles('blocklist', 'import', join(folder.path, 'no-list.txt'))
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/^there is no file \S+ \(ENOENT\); .*\n$/) })
  })
})

test('what somebody sent does not reach the terminal as a command, nor as a line of its own', async () => {
  const name = 'Eve\u001B]0;owned\u0007\u202Eevil'
  const made = await done(onFiles('admin', 'create', '--name', name, '--role', 'auditor', '--json'))
  const { stdout } = await onFiles('admin', 'list')
  expect(stdout).toContain('Eve\uFFFD]0;owned\uFFFD\uFFFDevil')
  expect((await onFiles('admin', 'remove', made.id)).code).toBe(0)
})

describe('lookup', () => {
  const as = (credential?: string) => ({ CERTBOOK_URL: service.url, CERTBOOK_CREDENTIAL: credential })

  test('goes through the service, so that it is logged, and answers with JSON, words or PEM', async () => {
    const json = await done(certbookHere(['lookup', 'alice@example.com', '--json'], as(bob.credential)))
    expect(json.results).toMatchObject([{ status: 'found', certificates: [{ id: certificate.id }] }])
    const words = await certbookHere(['lookup', 'alice@example.com'], as(bob.credential))
    expect(words.stdout).toContain(certificate.fingerprintSha256)
    const pem = await certbook(['lookup', '--pem'], as(bob.credential), 'alice@example.com\n')
    const found = new X509Certificate(pem.stdout)
    expect(found.raw.toString('base64')).toBe(certificate.certificate)
    const own = await bob.api.get('/v1/me/lookups')
    expect(own.body.items.slice(0, 3).map(({ address }: Json) => address)).toEqual(Array(3).fill('alice@example.com'))
  })

  test('an address that is not found ends with 1', async () => {
    const json = await certbookHere(['lookup', 'alice@example.com', 'nobody@example.com', '--json'], as(bob.credential))
    expect([json.code, JSON.parse(json.stdout).results[1].status]).toEqual([1, 'not_found'])
    const pem = await certbookHere(['lookup', 'nobody@example.com', '--pem'], as(bob.credential))
    expect(pem).toEqual({ code: 1, stdout: '', stderr: 'nobody@example.com  not_found\n' })
  })

  test('cannot be asked without a service, without addresses, or by a stranger', async () => {
    expect(await certbookHere(['lookup', 'alice@example.com'], { DATA_DIR: dataDir })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('CERTBOOK_URL'),
    })
    expect(await certbook(['lookup'], as(bob.credential), '')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('1 to 100'),
    })
    expect(await certbookHere(['lookup', 'alice@example.com'], as())).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^set CERTBOOK_CREDENTIAL to the credential of a device .*\(credential_required\)\n$/,
      ),
    })
    expect(await certbookHere(['lookup', 'alice@example.com'], as('cb_dev_wrong'))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('credential_invalid'),
    })
  })
})

test('a folder without data is said to be one, and is not made', async () => {
  const nothing = join(folder.path, 'nothing')
  for (const args of [
    ['ca', 'list'],
    ['audit', 'verify'],
    ['backup', join(folder.path, 'b')],
  ]) {
    const ended = await certbookHere(args, { DATA_DIR: nothing })
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('there is no database') })
  }
  await expect(readFile(nothing)).rejects.toThrow('ENOENT')
})

test('the service says on its start where it is, what to do next, and what it warns of', async () => {
  expect(service.output()).toContain(`certbook is serving at ${service.url}\n`)
  expect(service.output()).toContain('the story in curl')
  expect(service.output()).not.toContain('warning  ')
  const behind = await startProcess(join(folder.path, 'behind'), {
    settings: { PUBLIC_URL: 'https://keys.example.com', TRUSTED_PROXY: '127.0.0.1', CONTROLLER: 'Example GmbH' },
  })
  await behind.end('SIGTERM')
  const said = behind.output()
  expect(said).toContain(
    `certbook is serving at https://keys.example.com (listening at http://127.0.0.1:${behind.ports[0]})`,
  )
  expect(said).toContain('https://keys.example.com/docs\n')
  expect(said).not.toContain('the story in curl')
  for (const warning of ['DATA_KEY lies inside DATA_DIR', 'No mail leaves']) {
    expect(said).toMatch(new RegExp(`^  warning +${warning}`, 'm'))
  }
})
