import { statSync } from 'node:fs'
import { join } from 'node:path'
import SqliteDatabase from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { serveNode } from '../../src/node.ts'
import { Api, askOver, type Answer } from '../support/api.ts'
import { checkService, readLog } from '../support/check-service.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig, type ServiceProcess } from '../support/node-process.ts'
import { certify, publish, register, startRegistration, type Registered } from '../support/story.ts'
import { runProgramWell } from '../support/processes.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
let api: Api
let asker: Registered
let certificate: string

const alice = 'alice@full.example'

beforeEach(async () => {
  folder = await temporaryFolder()
  service = await startProcess(folder.path)
  api = new Api(askOver(service.url))
  const mails = await watchOutbox(join(folder.path, 'outbox'))
  try {
    const subscriber = await register(api, mails, alice)
    const issued = await certify(subscriber)
    await publish(subscriber, issued.id)
    certificate = issued.certificate
    asker = await register(api, mails, 'asker@full.example')
  } finally {
    mails.close()
  }
})
afterEach(async () => {
  await service.end('SIGKILL')
  await folder.remove()
})

/** A lookup of somebody who can be found, and beside it an address of its own, by which its row can be told. */
const ask = (mark: string): Promise<Answer> =>
  asker.api.post('/v1/lookups', { addresses: [alice, `${mark}@full.example`], use: 'encrypt' })

const expectRefused = (answer: Answer, mark: string): void => {
  expect([answer.status, answer.body.code]).toEqual([503, 'log_unavailable'])
  expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0)
  expect(answer.headers.get('Content-Type')).toBe('application/problem+json')
  // Nothing of what was found, nor of what was asked.
  const text = JSON.stringify([answer.body, ...answer.headers])
  for (const secret of [certificate, alice, mark, 'found']) expect(text).not.toContain(secret)
}

const expectAnswered = (answer: Answer): void => {
  expect(answer.status).toBe(200)
  expect(answer.body.results[0].certificates[0].certificate).toBe(certificate)
}

/** Ends the service in order and expects one row for each answered lookup, and none for a refused one. */
async function expectLogged(answered: readonly string[]): Promise<void> {
  expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
  expect(service.output()).not.toContain('full.example')
  const server = await serveNode(testConfig(folder.path), { writeLog: () => undefined })
  try {
    const { journal, keys } = server.node
    await keys.journal.prepare(Date.now())
    const logged = (await readLog(journal.shards(), keys)).map(({ address }) => address)
    const marks = answered.map((mark) => `${mark}@full.example`)
    expect(logged.toSorted()).toEqual([...marks, ...marks.map(() => alice)].toSorted())
    await checkService({
      service: server.node.service,
      shards: journal.shards(),
      keys,
      answered: marks.map((mark) => ({ asker: asker.subscriberId, addresses: [mark, alice] })),
      addresses: [alice, ...marks],
      dataDir: folder.path,
    })
  } finally {
    await server.stop('the test is over')
  }
}

test('another process holds the journal: 503 after the five seconds of waiting, and 200 again when it lets go', async () => {
  const other = new SqliteDatabase(join(folder.path, 'journal.db'))
  try {
    expectAnswered(await ask('before'))
    other.exec('BEGIN IMMEDIATE')
    const began = performance.now()
    const refused = ask('refused')
    // What does not rest on the journal goes on meanwhile.
    await startRegistration(api, 'meanwhile@full.example')
    expect((await asker.api.get('/v1/me')).status).toBe(200)
    expect(performance.now() - began).toBeLessThan(4_000)
    expectRefused(await refused, 'refused')
    expect(performance.now() - began).toBeGreaterThan(4_000)
    // These wait for the journal when it becomes free.
    const waiting = ['waiting1', 'waiting2'].map(ask)
    await startRegistration(api, 'meanwhile2@full.example')
    other.exec('ROLLBACK')
    for (const answer of await Promise.all(waiting)) expectAnswered(answer)
  } finally {
    other.close()
  }
  await expectLogged(['before', 'waiting1', 'waiting2'])
})

/** Sets how large a file the running service may write, as a full disk would stop it. `prlimit` is in util-linux. */
const limitFileSize = async (bytes: number | 'unlimited'): Promise<void> => {
  await runProgramWell('prlimit', ['--pid', String(service.child.pid), `--fsize=${bytes}:`])
}

test('the journal cannot grow: 503 at once, and 200 again when there is room', async () => {
  expectAnswered(await ask('before'))
  await limitFileSize(statSync(join(folder.path, 'journal.db-wal')).size)
  const marks = Array.from({ length: 20 }, (_, index) => `refused${index}`)
  const refused = await Promise.all(marks.map(ask))
  for (const [index, answer] of refused.entries()) expectRefused(answer, marks[index] ?? '')
  await limitFileSize('unlimited')
  for (const mark of ['after1', 'after2']) expectAnswered(await ask(mark))
  await expectLogged(['before', 'after1', 'after2'])
})
