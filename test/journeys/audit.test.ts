import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openSqliteFile } from '../../src/adapters/sqlite.ts'
import { Api, askOver } from '../support/api.ts'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { runProgram } from '../support/processes.ts'
import { startRegistration } from '../support/story.ts'

const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dataDir: string
beforeEach(async () => {
  folder = await temporaryFolder()
  dataDir = join(folder.path, 'data')
})
afterEach(() => folder.remove())

const audit = async (...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  runProgram(process.execPath, [cli, 'audit', ...args], { env: { PATH: process.env['PATH'], DATA_DIR: dataDir } })

test('a verifier key at the first start, a checkpoint kept elsewhere, and what it finds', async () => {
  const service = await startProcess(dataDir)
  const [, shown = ''] = /"verifierKey":"([^"]+)"/.exec(service.output()) ?? []
  expect(shown).toMatch(/^127\.0\.0\.1:\d+\/audit-log\+[0-9a-f]{8}\+\S+$/)
  await startRegistration(new Api(askOver(service.url)), 'alice@example.com')
  await service.end('SIGTERM')
  expect((await stat(join(dataDir, 'audit-note-key'))).mode & 0o777).toBe(0o600)
  expect((await audit('verifier-key')).stdout).toBe(`${shown}\n`)

  const file = join(folder.path, 'checkpoint.txt')
  await writeFile(file, (await audit('checkpoint')).stdout)
  const verify = (...args: readonly string[]) => audit('verify', '--checkpoint', file, ...args)
  const whole = await verify('--verifier-key', shown)
  expect(whole).toMatchObject({ code: 0, stdout: expect.stringContaining('1 checkpoints compared') })
  expect((await verify()).code).toBe(0)

  const again = await startProcess(dataDir)
  expect(again.output()).not.toContain('verifierKey')
  await again.end('SIGTERM')

  const other = JSON.parse((await audit('note-key', 'keys.example.com/audit-log', '--json')).stdout)
  expect(other.noteKey).toMatch(/^PRIVATE\+KEY\+keys\.example\.com\/audit-log\+/)
  expect(await verify('--verifier-key', other.verifierKey)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('1 checkpoints of'),
  })
  expect(await verify('--verifier-key', 'x')).toMatchObject({ code: 2, stderr: expect.stringContaining('no verifier') })
  expect((await audit('note-key', 'with spaces')).code).toBe(2)

  // The whole log is gone, as if nothing had ever happened.
  const connection = openSqliteFile(join(dataDir, 'main.db'))
  for (const name of ['audit_seals_not_deleted', 'audit_head_not_deleted', 'audit_entries_not_deleted']) {
    connection.exec(`DROP TRIGGER ${name}`)
  }
  connection.exec(
    'DELETE FROM audit_entries; DELETE FROM audit_seals; DELETE FROM audit_head; DELETE FROM audit_private',
  )
  connection.close()
  expect(await verify('--verifier-key', shown)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('the log has fewer now, so it was cut'),
  })
})

test('a folder for checkpoints inside the data stops the start, and config check says so', async () => {
  const inside = join(dataDir, 'checkpoints')
  await mkdir(inside, { recursive: true, mode: 0o700 })
  const env = { PATH: process.env['PATH'], PORT: '0', DATA_DIR: dataDir, AUDIT_CHECKPOINTS: inside }
  const started = await runProgram(process.execPath, [cli, 'serve'], { env })
  expect(started).toMatchObject({ code: 2, stderr: expect.stringContaining('lies inside DATA_DIR') })
  const checked = await runProgram(process.execPath, [cli, 'config', 'check'], { env })
  expect(checked).toMatchObject({ code: 1, stdout: expect.stringContaining('AUDIT_CHECKPOINTS: ') })
})

test('a note key of the settings is used, is not shown, and leaves no file', async () => {
  const { noteKey, verifierKey } = JSON.parse((await audit('note-key', 'keys.example.com', '--json')).stdout)
  const settings = { AUDIT_NOTE_KEY: noteKey }
  const service = await startProcess(dataDir, { settings })
  await service.end('SIGTERM')
  await expect(readFile(join(dataDir, 'audit-note-key'))).rejects.toMatchObject({ code: 'ENOENT' })
  const env = { PATH: process.env['PATH'], DATA_DIR: dataDir, ...settings }
  const shown = await runProgram(process.execPath, [cli, 'audit', 'verifier-key'], { env })
  expect(shown.stdout).toBe(`${verifierKey}\n`)
  const checked = await runProgram(process.execPath, [cli, 'config', 'check', '--json'], { env })
  expect(checked.stdout).not.toContain(noteKey)
  const broken = { ...env, AUDIT_NOTE_KEY: noteKey.replace('keys.', 'key.') }
  expect(await runProgram(process.execPath, [cli, 'serve'], { env: { ...broken, PORT: '0' } })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('its hash is not that of the key'),
  })
})
