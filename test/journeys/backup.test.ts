import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import SqliteDatabase from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ListenerBindings } from '../../src/adapters/http-listener.ts'
import { openNodeService, serveNode } from '../../src/node.ts'
import { parseCrl } from '../../src/pki/read-crl.ts'
import { query, text } from '../../src/ports/database.ts'
import { Api, askOver } from '../support/api.ts'
import { certbook, certbookHere, startCertbook, type Ended } from '../support/certbook.ts'
import { checkService, readLog, type AnsweredLookup } from '../support/check-service.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig, type ServiceProcess } from '../support/node-process.ts'
import { certify, lookUp, publish, register, startRegistration, type Registered } from '../support/story.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dataDir: string
let backups: string
let dataKey: string
let service: ServiceProcess
let mails: Awaited<ReturnType<typeof watchOutbox>>
let alice: Registered
let bob: Registered
const witness = {
  subscribers: [] as { who: Registered; at: number }[],
  lookups: [] as (AnsweredLookup & { at: number })[],
}

const inFolder = (name: string): string => join(folder.path, name)
const settings = (more: Readonly<Record<string, string>> = {}) => ({ DATA_DIR: dataDir, ...more })

/** Restores into a folder, with the key as a setting. */
const restore = (from: string, to: string, ...more: readonly string[]): Promise<Ended> =>
  certbookHere(['restore', from, '--to', to, '--json', ...more], { DATA_KEY: dataKey })

const backUp = async (to: string, ...more: readonly string[]) => {
  const done = await certbookHere(['backup', to, '--json', ...more], settings())
  expect(done, done.stderr).toMatchObject({ code: 0 })
  return JSON.parse(done.stdout)
}

const wholeBackups = async (place: string): Promise<string[]> =>
  (await readdir(place)).filter((name) => /^\d{4}-/.test(name)).toSorted()

async function loadUntil(finished: () => boolean): Promise<void> {
  const api = new Api(askOver(service.url))
  const registering = async (worker: number): Promise<void> => {
    for (let n = 0; !finished(); n += 1) {
      const who = await register(api, mails, `load-${worker}-${n}@example.com`)
      witness.subscribers.push({ who, at: Date.now() })
      const addresses = ['alice@example.com']
      await lookUp(who, addresses)
      witness.lookups.push({ asker: who.subscriberId, addresses, at: Date.now() })
    }
  }
  const lookingUp = async (): Promise<void> => {
    for (let n = 0; !finished(); n += 1) {
      const addresses = ['alice@example.com', `nobody-${n % 20}@example.com`]
      await lookUp(bob, addresses)
      witness.lookups.push({ asker: bob.subscriberId, addresses, at: Date.now() })
    }
  }
  await Promise.all([registering(1), registering(2), lookingUp(), lookingUp(), lookingUp(), lookingUp()])
}

beforeAll(async () => {
  folder = await temporaryFolder()
  dataDir = inFolder('data')
  backups = inFolder('backups')
  service = await startProcess(dataDir)
  mails = await watchOutbox(join(dataDir, 'outbox'))
  dataKey = (await readFile(join(dataDir, 'data-key'), 'utf8')).trim()
  const api = new Api(askOver(service.url))
  alice = await register(api, mails, 'alice@example.com')
  bob = await register(api, mails, 'bob@example.com')
  await publish(alice, (await certify(alice)).id)
})
afterAll(async () => {
  mails.close()
  await service.end('SIGTERM')
  await folder.remove()
})

test('backups taken one after another under load all restore, with everything that was answered before they began', async () => {
  let finished = false
  // The load goes on until it has registered somebody, however quick the backups are.
  const load = loadUntil(() => finished && witness.subscribers.length > 2)
  const begun: { name: string; at: number }[] = []
  for (let n = 0; n < 6; n += 1) {
    const at = Date.now()
    begun.push({ name: (await backUp(backups)).name, at })
  }
  finished = true
  await load
  expect(await wholeBackups(backups)).toEqual(begun.map(({ name }) => name))
  expect(witness.subscribers.length).toBeGreaterThan(2)

  for (const { name, at } of begun) {
    const to = inFolder(`restored-${name}`)
    const done = await restore(backups, to, '--at', name)
    expect([done.code, done.stderr]).toEqual([0, ''])
    expect(JSON.parse(done.stdout)).toMatchObject({ backup: name, dataDir: to, keptAside: null })
    const node = await openNodeService(testConfig(to, { DATA_KEY: dataKey }))
    try {
      const api = new Api(async (path, init) => node.service.fetch(new Request(`http://127.0.0.1${path}`, init), local))
      for (const { who } of witness.subscribers.filter((one) => one.at < at)) {
        expect((await api.with(who.credential).get('/v1/me')).body.subscriberId).toBe(who.subscriberId)
      }
      await checkService({
        service: node.service,
        shards: node.journal.shards(),
        keys: node.keys,
        answered: witness.lookups.filter((one) => one.at < at),
        addresses: ['alice@example.com', 'bob@example.com'],
        dataDir: to,
      })
      // Nothing in the journal is of somebody whom the main database does not know: the journal was copied first.
      const known = await node.main.all(query({ id: text }, 'SELECT id FROM subscribers'))
      const askers = (await readLog(node.journal.shards(), node.keys)).map(({ asker }) => asker)
      expect(askers.filter((asker) => !known.some(({ id }) => id === asker))).toEqual([])
    } finally {
      await node.close()
    }
  }
})

const local: ListenerBindings = { peer: '127.0.0.1', encrypted: false, pkiOnly: false }

const listNumberOf = async (url: string): Promise<number> => {
  const { items } = (await new Api(askOver(url)).get('/v1/authorities')).body
  const answer = await fetch(`${url}/ca/${items[1].id}.crl`)
  return parseCrl(new Uint8Array(await answer.arrayBuffer())).number
}

describe('what is restored', () => {
  let spawned: string
  let restored: string
  let numberBefore: number

  beforeAll(async () => {
    numberBefore = await listNumberOf(service.url)
    spawned = inFolder('spawned')
    restored = inFolder('elsewhere')
    const taken = await certbook(['backup', spawned], { DATA_DIR: dataDir })
    expect(taken).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('DATA_KEY is not in it') })
    const done = await certbook(['restore', spawned], { DATA_DIR: restored, DATA_KEY: dataKey })
    expect(done).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('all invariants hold') })
  })

  test('answers the same lookup with the same bytes, and numbers its revocation lists higher', async () => {
    const body = JSON.stringify({ addresses: ['alice@example.com', 'nobody@example.com'], use: 'encrypt' })
    const ask = async (url: string): Promise<string> => {
      const headers = { Authorization: `Bearer ${bob.credential}`, 'Content-Type': 'application/json' }
      return (await fetch(`${url}/v1/lookups`, { method: 'POST', headers, body })).text()
    }
    const before = await ask(service.url)
    const server = await serveNode(testConfig(restored, { DATA_KEY: dataKey }), { writeLog: () => undefined })
    try {
      expect(JSON.parse(before).results[0].status).toBe('found')
      expect(await ask(server.url)).toBe(before)
      expect(await listNumberOf(server.url)).toBeGreaterThan(numberBefore)
    } finally {
      await server.stop('the test is over')
    }
  })

  test('is readable by its owner only, as the backup is, and neither holds DATA_KEY or an address', async () => {
    for (const place of [spawned, restored]) {
      for (const entry of await readdir(place, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name)
        expect([path, (await stat(path)).mode & 0o077]).toEqual([path, 0])
        if (!entry.isFile()) continue
        const content = await readFile(path)
        expect(content.includes(dataKey) || content.includes(Buffer.from(dataKey, 'base64'))).toBe(false)
        expect([path, content.includes('alice@example.com')]).toEqual([path, false])
      }
    }
    expect(await readdir(restored)).not.toContain('data-key')
  })

  test('a folder that holds data is refused, and with --replace its files are kept aside', async () => {
    const refused = await restore(backups, restored)
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('holds data') })
    const before = await readFile(join(restored, 'main.db'))
    const done = await restore(backups, restored, '--replace')
    expect([done.code, done.stderr]).toEqual([0, ''])
    const { keptAside } = JSON.parse(done.stdout)
    expect(await readFile(join(restored, keptAside, 'main.db'))).toEqual(before)
    expect((await readdir(restored)).filter((name) => name.startsWith('restor'))).toEqual([])
  })

  test.each([
    ['./data', 'data', {}],
    ['empty: the default', 'data', { DATA_DIR: '' }],
    ['with a slash at its end', 'x', { DATA_DIR: './x/' }],
    ['by way of another one', 'y', { DATA_DIR: '../elsewhere-relative/y' }],
  ])('into DATA_DIR as it is written: %s', async (written, name, given) => {
    const cwd = inFolder(`relative ${written.replaceAll('/', '')}`)
    await mkdir(cwd)
    await mkdir(inFolder('elsewhere-relative'), { recursive: true })
    const target = name === 'y' ? inFolder('elsewhere-relative/y') : join(cwd, name)
    const set = { DATA_DIR: './data', DATA_KEY: dataKey, ...given }
    const done = await certbook(['restore', spawned, '--json'], set, '', cwd)
    expect([done.code, done.stderr]).toEqual([0, ''])
    const { dataDir: where, auditHead } = JSON.parse(done.stdout)
    expect(where).toBe(target)
    expect((await readdir(target)).toSorted()).toEqual(['journal.db', 'key-ring', 'lock', 'main.db'])
    const verified = await certbookHere(['audit', 'verify', '--json'], { DATA_DIR: target, DATA_KEY: dataKey })
    expect(JSON.parse(verified.stdout)).toMatchObject({ head: auditHead, faults: [] })
  })

  test('into a folder without a name, which is refused', async () => {
    expect(await restore(spawned, '')).toMatchObject({ code: 2, stderr: expect.stringContaining('--to is empty') })
  })

  test('a restore that was interrupted between two files is finished by the next start', async () => {
    const half = inFolder('half')
    expect((await restore(backups, half)).code).toBe(0)
    const staging = 'restoring-1'
    await mkdir(join(half, staging))
    for (const file of ['journal.db', 'main.db']) await rename(join(half, file), join(half, staging, file))
    await writeFile(join(half, 'restore-under-way'), JSON.stringify({ staging, aside: null }))
    const beside = await certbookHere(['ca', 'list'], { DATA_DIR: half, DATA_KEY: dataKey })
    expect(beside.code).toBe(2)
    const server = await serveNode(testConfig(half, { DATA_KEY: dataKey }), { writeLog: () => undefined })
    try {
      const found = await new Api(askOver(server.url)).with(bob.credential).get('/v1/me')
      expect(found.body.subscriberId).toBe(bob.subscriberId)
    } finally {
      await server.stop('the test is over')
    }
    expect(await readdir(half)).not.toContain(staging)
  })
})

describe('what is refused, and leaves the folder as it was', () => {
  let place: string

  beforeAll(async () => {
    place = inFolder('spoiled')
    await backUp(place)
  })

  /** Spoils a copy of the backups and restores it. */
  const refusalOf = async (spoil: (copy: string, backup: string) => Promise<void>, key = dataKey): Promise<Ended> => {
    const copy = inFolder('copy')
    const to = inFolder('target')
    await cp(place, copy, { recursive: true })
    const [name = ''] = await wholeBackups(copy)
    await spoil(copy, join(copy, name))
    const done = await certbookHere(['restore', copy, '--to', to, '--json'], key === '' ? {} : { DATA_KEY: key })
    expect(await readdir(to)).toEqual(['lock'])
    await rm(copy, { recursive: true })
    await rm(to, { recursive: true })
    expect(done.code).toBe(2)
    expect(done.stderr.trim().split('\n')).toHaveLength(1)
    return done
  }

  const changeByte = async (file: string): Promise<void> => {
    const content = await readFile(file)
    const middle = content.length >> 1
    content[middle] = (content[middle] ?? 0) ^ 1
    await writeFile(file, content)
  }

  const editManifest = async (backup: string, change: (content: Record<string, unknown>) => void): Promise<void> => {
    const manifest = JSON.parse(await readFile(join(backup, 'manifest.json'), 'utf8'))
    change(manifest.content)
    await writeFile(join(backup, 'manifest.json'), JSON.stringify(manifest))
  }

  test.each([
    [
      'another DATA_KEY',
      randomBytes(32).toString('base64'),
      async () => undefined,
      'DATA_KEY does not open the key ring',
    ],
    ['no DATA_KEY, which is never made anew', '', async () => undefined, 'DATA_KEY is not set, nor DATA_KEY_FILE'],
  ])('%s', async (_name, key, spoil, reason) => {
    expect((await refusalOf(spoil, key)).stderr).toContain(reason)
  })

  test.each([
    [
      'a changed byte in the main database',
      (_copy: string, backup: string) => changeByte(join(backup, 'main.db')),
      'SHA-256',
    ],
    [
      'a changed byte in the journal',
      (_copy: string, backup: string) => changeByte(join(backup, 'journal.db')),
      'SHA-256',
    ],
    [
      'a changed manifest',
      (_copy: string, backup: string) => editManifest(backup, (content) => (content['auditHead'] = 'ab'.repeat(32))),
      'was altered',
    ],
    [
      "another backup's files under this one's name",
      (copy: string, backup: string) => rename(backup, join(copy, '2026-01-01T00-00-00.000Z')),
      'was altered or belongs to another backup',
    ],
    ['no manifest', (_copy: string, backup: string) => rm(join(backup, 'manifest.json')), 'no manifest.json'],
    ['no main database', (_copy: string, backup: string) => rm(join(backup, 'main.db')), 'is missing'],
    ['no key ring', (copy: string) => rm(join(copy, 'key-ring')), 'key ring'],
    ['a key ring that is none', (copy: string) => writeFile(join(copy, 'key-ring'), '{}'), 'is not a key ring'],
    [
      'a key ring from before the newest month',
      async (copy: string) => {
        const ring = JSON.parse(await readFile(join(copy, 'key-ring'), 'utf8'))
        ring.entries = ring.entries.filter(({ id }: { id: string }) => id === 'main')
        await writeFile(join(copy, 'key-ring'), JSON.stringify(ring))
      },
      'does not open',
    ],
    [
      'a backup that never became whole',
      (copy: string, backup: string) => rename(backup, join(copy, '.2026-01-01T00-00-00.000Z.partial')),
      'no whole backup',
    ],
  ])('%s', async (_name, spoil, reason) => {
    expect((await refusalOf(spoil)).stderr).toContain(reason)
  })

  test('a backup of a newer certbook', async () => {
    const newer = inFolder('newer')
    expect((await restore(place, newer)).code).toBe(0)
    const database = new SqliteDatabase(join(newer, 'main.db'))
    database.exec(`INSERT INTO d1_migrations (name) VALUES ('9999_from_the_future.sql')`)
    database.close()
    const newerBackups = inFolder('newer-backups')
    const taken = await certbookHere(['backup', newerBackups], { DATA_DIR: newer, DATA_KEY: dataKey })
    expect(taken.code).toBe(0)
    const done = await restore(newerBackups, inFolder('target'))
    expect(done).toMatchObject({ code: 2, stderr: expect.stringContaining('newer than this version') })
  })

  test('an audit head that is not part of the log', async () => {
    const done = await restore(place, inFolder('target'), '--head', 'cd'.repeat(32))
    expect(done).toMatchObject({ code: 2, stderr: expect.stringContaining('expected head') })
  })

  test('a time before the first backup, and a text that is no time', async () => {
    const early = await restore(place, inFolder('target'), '--at', '2020-01-01T00:00:00Z')
    expect(early).toMatchObject({ code: 2, stderr: expect.stringContaining('no backup from before') })
    const wrong = await restore(place, inFolder('target'), '--at', 'yesterday')
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('is no time') })
  })

  test('a URL, for these commands work on files', async () => {
    for (const args of [
      ['backup', place],
      ['restore', place],
    ]) {
      const done = await certbookHere([...args, '--url', service.url], {})
      expect(done).toMatchObject({ code: 2, stderr: expect.stringContaining('On Workers, D1 Time Travel') })
    }
  })

  test('a folder that a service is serving from', async () => {
    const done = await restore(place, dataDir, '--replace')
    expect(done).toMatchObject({ code: 2, stderr: expect.stringContaining('another certbook is serving') })
  })

  test('backups inside DATA_DIR, and in a place of another installation', async () => {
    const inside = await certbookHere(['backup', join(dataDir, 'backups')], settings())
    expect(inside).toMatchObject({ code: 2, stderr: expect.stringContaining('inside DATA_DIR') })
    const other = inFolder('other')
    await (await openNodeService(testConfig(other))).close()
    const ring = await readFile(join(place, 'key-ring'))
    const mixed = await certbookHere(['backup', place], { DATA_DIR: other })
    expect(mixed).toMatchObject({ code: 2, stderr: expect.stringContaining('another installation') })
    expect(await readFile(join(place, 'key-ring'))).toEqual(ring)
  })
})

test('a backup killed at any moment leaves none that restore takes for whole, and the next one clears its rest away', async () => {
  const place = inFolder('killed')
  for (const lines of [1, 2, 3, 4]) {
    const child = startCertbook(['backup', place, '--progress'], settings())
    let seen = 0
    const told = createInterface({ input: child.stderr ?? process.stdin })
    told.on('line', () => {
      seen += 1
      if (seen === lines) child.kill('SIGKILL')
    })
    await once(child, 'exit')
  }
  const survivors = await wholeBackups(place)
  await backUp(place, '--keep', '1')
  const left = await readdir(place)
  expect(left.filter((name) => name.endsWith('.partial'))).toEqual([])
  expect(await wholeBackups(place)).toHaveLength(1)
  expect(survivors.length).toBeLessThanOrEqual(4)
  expect((await restore(place, inFolder('after-kill'))).code).toBe(0)
})

test('what was revoked after the backup is revoked again by the newest list, also what is not known any more', async () => {
  const dave = await register(new Api(askOver(service.url)), mails, 'dave@example.com')
  const known = await certify(dave)
  await publish(dave, known.id)
  const place = inFolder('before-revocation')
  await backUp(place)
  const later = await certify(dave, { use: 'sign' })
  const running = await openNodeService(testConfig(dataDir), { beside: true })
  for (const [id, reason] of [
    [known.id, 'keyCompromise'],
    [later.id, 'superseded'],
  ]) {
    const revoked = await dave.api.post(`/v1/certificates/${id}/revocation`, { reason })
    expect(revoked.status, JSON.stringify(revoked.body)).toBe(200)
  }
  for (const job of running.service.jobs.filter(({ name }) => name === 'revocation-lists')) await job.run()
  await running.close()
  const { items } = (await new Api(askOver(service.url)).get('/v1/authorities')).body
  const [root, issuing] = items
  const listOf = async (id: string): Promise<string> => {
    const file = inFolder(`${id}.crl`)
    await writeFile(file, Buffer.from(await (await fetch(`${service.url}/ca/${id}.crl`)).arrayBuffer()))
    return file
  }
  const crl = await listOf(issuing.id)
  for (const wrong of [await listOf(root.id), join(place, 'key-ring')]) {
    const refused = await restore(place, inFolder('target'), '--crl', wrong)
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('revocation list') })
  }
  const to = inFolder('revoked-again')
  const done = await restore(place, to, '--crl', crl)
  expect([done.code, JSON.parse(done.stdout).revocations]).toEqual([0, { revoked: 1, unknown: 1 }])

  const server = await serveNode(testConfig(to, { DATA_KEY: dataKey }), { writeLog: () => undefined })
  try {
    const api = new Api(askOver(server.url))
    expect((await api.with(dave.credential).get(`/v1/certificates/${known.id}`)).body.state).toBe('revoked')
    expect((await lookUp({ ...bob, api: api.with(bob.credential) }, ['dave@example.com']))[0].status).toBe('not_found')
    const list = parseCrl(new Uint8Array(await (await fetch(`${server.url}/ca/${issuing.id}.crl`)).arrayBuffer()))
    const before = parseCrl(new Uint8Array(await readFile(crl)))
    expect(list.entries).toEqual(before.entries)
    expect(new Set(list.entries.map(({ reason }) => reason))).toEqual(new Set(['keyCompromise', 'superseded']))
    expect(list.number).toBeGreaterThan(before.number)
    expect(await server.node.service.check()).toEqual([])
  } finally {
    await server.stop('the test is over')
  }
})

test('values of a month whose key was dropped since are gone from the backup too, and no hindrance', async () => {
  const from = inFolder('months')
  expect((await restore(backups, from)).code).toBe(0)
  const longAgo = Date.now() - 100 * 86_400_000
  const past = await openNodeService(testConfig(from, { DATA_KEY: dataKey }), { clock: () => longAgo })
  const api = new Api(async (path, init) => past.service.fetch(new Request(`http://127.0.0.1${path}`, init), local))
  await lookUp({ ...bob, api: api.with(bob.credential) }, ['alice@example.com'])
  await past.close()
  const place = inFolder('months-backups')
  expect((await certbookHere(['backup', place], { DATA_DIR: from, DATA_KEY: dataKey })).code).toBe(0)

  const ringFile = join(place, 'key-ring')
  const ring = JSON.parse(await readFile(ringFile, 'utf8'))
  const month = new Date(longAgo).toISOString().slice(0, 7)
  const kept = ring.entries.filter(({ id }: { id: string }) => id !== `journal-${month}`)
  expect(kept.length).toBe(ring.entries.length - 1)
  await writeFile(ringFile, JSON.stringify({ ...ring, entries: kept }))
  const done = await restore(place, inFolder('months-restored'))
  expect([done.code, done.stderr]).toEqual([0, ''])
  expect(JSON.parse(done.stdout).valuesShredded).toBeGreaterThan(0)
})

test('a command leaves mail to the service, whose mail system it may not know', async () => {
  const alone = inFolder('alone')
  expect((await restore(backups, alone)).code).toBe(0)
  const { items } = (await alice.api.get('/v1/certificates')).body
  const settingsAlone = { DATA_DIR: alone, DATA_KEY: dataKey }
  expect((await certbookHere(['certificate', 'revoke', items[0].id], settingsAlone)).code).toBe(0)
  expect(await readdir(alone)).not.toContain('outbox')
  const place = inFolder('alone-backups')
  expect((await certbookHere(['backup', place], settingsAlone)).code).toBe(0)
  expect(JSON.parse((await restore(place, inFolder('alone-restored'))).stdout).mailsGivenUp).toBe(1)
})

test('mails that waited in the backup are given up, for nobody knows which were sent since', async () => {
  const from = inFolder('unsent')
  const neverSent = { deliver: async (): Promise<void> => Promise.reject(new Error('no network')) }
  const node = await openNodeService(testConfig(from, { DATA_KEY: dataKey }), {
    mailer: neverSent,
    writeLog: () => undefined,
  })
  const api = new Api(async (path, init) => node.service.fetch(new Request(`http://127.0.0.1${path}`, init), local))
  await startRegistration(api, 'carol@example.com')
  await node.close()
  const place = inFolder('unsent-backups')
  expect((await certbookHere(['backup', place], { DATA_DIR: from, DATA_KEY: dataKey })).code).toBe(0)
  const done = await restore(place, inFolder('unsent-restored'))
  expect([done.code, JSON.parse(done.stdout).mailsGivenUp]).toEqual([0, 1])
})
