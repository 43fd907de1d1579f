import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { takeFileLock } from '../../src/adapters/file-lock.ts'
import { settleMilliseconds } from '../../src/adapters/main-secrets.ts'
import { openNodeService, type NodeService } from '../../src/node.ts'
import { openText, sealText } from '../../src/ports/keys.ts'
import { Api, askOver } from '../support/api.ts'
import { certbookHere } from '../support/certbook.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig } from '../support/node-process.ts'
import { register } from '../support/story.ts'

const place = { table: 'mailboxes', column: 'address_sealed', row: 'row-1' }
const newKey = (): string => randomBytes(32).toString('base64')

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dataDir: string
let clock: { now: number }
beforeEach(async () => {
  folder = await temporaryFolder()
  dataDir = join(folder.path, 'data')
  clock = { now: Date.now() }
})
afterEach(() => folder.remove())

const fileWith = (content: string): string => {
  const file = join(folder.path, 'a-key')
  writeFileSync(file, content)
  return file
}

const open = (settings: Readonly<Record<string, string>> = {}): Promise<NodeService> =>
  openNodeService(testConfig(dataDir, settings), { clock: () => clock.now, writeLog: () => undefined })

const runJob = async (node: NodeService, name: string): Promise<void> => {
  for (const job of node.service.jobs) if (job.name === name) await job.run()
}

const keys = (args: readonly string[], settings: Readonly<Record<string, string>> = {}) =>
  certbookHere(['keys', ...args], { DATA_DIR: dataDir, ...settings })

/** The keys that the audit log says were rotated, newest first. */
const audited = async (settings: Readonly<Record<string, string>> = {}): Promise<string[]> => {
  const args = ['audit', 'list', '--action', 'keys.rotated', '--json']
  const { stdout } = await certbookHere(args, { DATA_DIR: dataDir, ...settings })
  const items: { subject: string; actor: string }[] = JSON.parse(stdout).items
  expect(items.map(({ actor }) => actor)).toEqual(items.map(() => 'command line'))
  return items.map(({ subject }) => subject)
}

const nextMonth = (at: number): number => new Date(at).setUTCMonth(new Date(at).getUTCMonth() + 1, 1)

test('the data key in the folder is replaced beside a running service, which goes on into the next month', async () => {
  const node = await open()
  const sealed = sealText(node.keys.main, place, 'alice@example.com')
  const old = readFileSync(join(dataDir, 'data-key'), 'utf8').trim()
  const key = newKey()
  const done = await keys(['rotate', '--data-key', fileWith(key)])
  expect(done).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('opens it no more') })
  expect(done.stdout).not.toContain(key)
  expect(readFileSync(join(dataDir, 'data-key'), 'utf8').trim()).toBe(key)
  expect(existsSync(join(dataDir, 'data-key-next'))).toBe(false)

  clock.now = nextMonth(clock.now)
  await runJob(node, 'key-ring-read')
  await node.keys.journal.prepare(clock.now)
  expect(await node.service.warnings()).not.toContainEqual(expect.stringContaining('data key was replaced'))
  expect((await keys(['rotate', '--data-key', fileWith(key)])).stdout).toContain('with that data key already')
  expect(await audited()).toEqual(['data-key'])
  await node.close()

  await expect(open({ DATA_KEY: old })).rejects.toThrow('DATA_KEY does not open the key ring')
  const again = await open()
  expect(openText(again.keys.main, place, sealed)).toBe('alice@example.com')
  expect(again.keys.months()).toContain(new Date(clock.now).toISOString().slice(0, 7))
  await again.close()
})

test('a data key in a file elsewhere: the service follows once the new key is there, and warns until then', async () => {
  const [old, key] = [newKey(), newKey()]
  const DATA_KEY_FILE = join(folder.path, 'credential')
  writeFileSync(DATA_KEY_FILE, old)
  const node = await open({ DATA_KEY_FILE })
  const done = await keys(['rotate', '--data-key', fileWith(key)], { DATA_KEY_FILE })
  expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining(`Put it into ${DATA_KEY_FILE} now`) })

  clock.now += settleMilliseconds
  await expect(runJob(node, 'key-ring-read')).rejects.toThrow('DATA_KEY does not open the key ring')
  expect(await node.service.warnings()).toContainEqual(expect.stringContaining('The data key was replaced'))
  writeFileSync(DATA_KEY_FILE, key)
  await runJob(node, 'key-ring-read')
  expect(await node.service.warnings()).not.toContainEqual(expect.stringContaining('The data key was replaced'))
  await node.keys.journal.prepare(nextMonth(clock.now))
  await node.close()
  await (await open({ DATA_KEY_FILE })).close()
})

test('a data key that is none, and one beside another rotation, are refused', async () => {
  await (await open()).close()
  expect(await keys(['rotate', '--data-key', fileWith('short')])).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('holds no data key'),
  })
  expect((await keys(['rotate', '--data-key', join(folder.path, 'nowhere')])).code).toBe(2)
  const lock = takeFileLock(join(dataDir, 'key-ring-rotation'))
  const beside = await keys(['rotate', '--data-key', fileWith(newKey())])
  expect(beside).toMatchObject({ code: 2, stderr: expect.stringContaining('another process is replacing') })
  lock?.release()
  await (await open()).close()
})

test('a new main secret: a running service learns it, and a process of its own opens what it sealed', async () => {
  const service = await startProcess(dataDir)
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  const api = new Api(askOver(service.url))
  const alice = await register(api, mails, 'alice@example.com')
  const made = await keys(['rotate', '--json'])
  expect([made.code, JSON.parse(made.stdout)]).toMatchObject([0, { id: 'main-2', does: 'waits' }])
  expect(await audited()).toEqual(['main-2'])
  const listed = JSON.parse((await keys(['list', '--json'])).stdout)
  expect(listed.main.map(({ id, does }: { id: string; does: string }) => [id, does])).toEqual([
    ['main-2', 'waits'],
    ['main', 'seals'],
  ])
  expect((await alice.api.get('/v1/me')).status).toBe(200)
  mails.close()
  expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })

  clock.now = Date.now() + settleMilliseconds
  const node = await open()
  expect(node.keys.mainSecrets().map(({ id, does }) => [id, does])).toEqual([
    ['main-2', 'seals'],
    ['main', 'opens'],
  ])
  expect(await node.service.check()).toEqual([])
  await node.close()
})

test('a backup from before a rotation opens with the old data key, and with the new one once a newer backup lies beside', async () => {
  await (await open()).close()
  const old = readFileSync(join(dataDir, 'data-key'), 'utf8').trim()
  const key = newKey()
  const backups = join(folder.path, 'backups')
  const backup = async (): Promise<string> => {
    expect((await certbookHere(['backup', backups], { DATA_DIR: dataDir })).code).toBe(0)
    return new Date().toISOString()
  }
  let restored = 0
  const restore = async (DATA_KEY: string, at: string): Promise<number> => {
    const to = join(folder.path, `restored-${(restored += 1)}`)
    return (await certbookHere(['restore', backups, '--to', to, '--at', at], { DATA_KEY })).code
  }
  const before = await backup()
  await keys(['rotate'])
  await keys(['rotate', '--data-key', fileWith(key)])
  expect([await restore(old, before), await restore(key, before)]).toEqual([0, 2])
  await backup()
  expect([await restore(old, before), await restore(key, before)]).toEqual([2, 0])
})
