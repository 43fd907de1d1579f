import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serveNode } from '../../src/node.ts'
import { Api, askOver } from '../support/api.ts'
import { checkService, readLog, type AnsweredLookup } from '../support/check-service.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig, type ServiceProcess } from '../support/node-process.ts'
import { startServer } from '../support/processes.ts'
import { certify, deviceFacts, policyVersion, publish, register, type Registered } from '../support/story.ts'
import { Clients, splitAnswers, type Outcome } from './clients.ts'
import { manyLookups, unloggedLookups } from './load.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

const reopen = () => serveNode(testConfig(folder.path), { writeLog: () => undefined })

/** The processes of a group, zombies apart: those are gone but not yet waited for. */
const groupMembers = (group: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // pid (command) state parent group …; the command may hold anything, so read behind its last bracket.
        const [state, , processGroup] = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
        return Number(processGroup) === group && state !== 'Z'
      } catch {
        return false // it ended meanwhile
      }
    })
    .map(Number)

interface Started {
  readonly url: string
  /** npm's process id, which is also its group's. */
  readonly pid: number
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  output(): string
}

/** `npm start` as a person or a service manager runs it, in a process group of its own. */
async function startNpm(): Promise<Started> {
  const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
  const child = startServer('npm', ['start'], {
    cwd: project,
    mayLeave: true,
    env: { PATH: path, HOME: process.env['HOME'], PORT: '0', DATA_DIR: folder.path, ...manyLookups },
  })
  const lines: string[] = []
  const ended = once(child, 'exit').then(() => ({ code: child.exitCode, signal: child.signalCode }))
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        const started = /"event":"started","url":"([^"]+)"/.exec(line)?.[1]
        if (started !== undefined) resolve(started)
      })
    }
    void ended.then(() => reject(new Error(`npm start ended:\n${lines.join('\n')}`)))
  })
  assert(child.pid !== undefined)
  return { url, pid: child.pid, ended, output: () => lines.join('\n') }
}

async function registerAsker(url: string, email: string): Promise<Registered> {
  const mails = await watchOutbox(join(folder.path, 'outbox'))
  try {
    return await register(new Api(askOver(url)), mails, email)
  } finally {
    mails.close()
  }
}

interface Sent {
  readonly address: string
  readonly act: 'lookup' | 'registration'
  readonly afterSignal: boolean
  readonly outcome: Outcome
}

const registrationOf = (email: string) => ({ email, accountType: 'imap', policyVersion, device: deviceFacts })

const workers = 64
const answersBeforeSignal = 400

/** Keeps clients busy until the service is gone; calls `signal` once, in the middle of it. */
async function load(clients: Clients, asker: Registered, signal: () => void): Promise<Sent[]> {
  const sent: Sent[] = []
  let signalled = false
  let serial = 0
  const ask = (act: Sent['act'], address: string): Promise<Outcome> =>
    act === 'lookup'
      ? clients.post('/v1/lookups', { addresses: [address], use: 'encrypt' }, asker.credential)
      : clients.post('/v1/registrations', registrationOf(address), asker.credential)
  const work = async (): Promise<void> => {
    for (;;) {
      serial += 1
      const address = `m${serial}@faults.example`
      const act = serial % 8 === 0 ? 'registration' : 'lookup'
      const outcome = await ask(act, address)
      sent.push({ address, act, afterSignal: signalled, outcome })
      if (outcome.kind !== 'answered') return
      if (sent.length === answersBeforeSignal) {
        signalled = true
        signal()
      }
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  return sent
}

/**
 * What is not fair of a service that is told to stop.
 * - An answer must be whole and well-formed.
 * - Before the signal every request is answered.
 * - After it a request may go without an answer in two cases only, and in both not one byte of an answer has come and
 *   the service has done nothing of what was asked. Either its connection was new (refused, or reset out of the
 *   listening queue), or it was sent on an idle kept-alive connection in the moment in which the service closed it.
 *   The second is HTTP's own race (RFC 9112, 9.3.1 and 9.5); a client may send such a request again, as nobody has
 *   acted on it. Whether the service acted is read from its files: each request names an address of its own, which
 *   then stands in the query log, or on a mail.
 */
const unfair = (sent: readonly Sent[], actedOn: ReadonlySet<string>): string[] =>
  sent.flatMap(({ address, act, afterSignal, outcome }) => {
    const what = `${act} of ${address}`
    if (outcome.kind === 'cut') return [`${what}: the answer was cut (${outcome.reason})`]
    if (outcome.kind === 'answered') {
      const shape = act === 'lookup' ? /^\{"results":\[.*\]\}$/ : /^\{"id":.*\}$/
      const good = outcome.status === (act === 'lookup' ? 200 : 202) && shape.test(outcome.body)
      return good ? [] : [`${what}: answered ${outcome.status} ${outcome.body}`]
    }
    if (!afterSignal) return [`${what}: not answered before the signal (${outcome.reason})`]
    return actedOn.has(address) ? [`${what}: accepted and then cut (${outcome.reason})`] : []
  })

const mailedTo = (outbox: string): Set<string> =>
  new Set(
    readdirSync(outbox).flatMap((name) => {
      const to = /^To: (.*)$/m.exec(readFileSync(join(outbox, name), 'utf8'))?.[1]?.trim()
      return to === undefined ? [] : [to]
    }),
  )

const ways = [
  { way: 'SIGTERM to npm', signal: 'SIGTERM', target: (pid: number) => pid },
  // npm passes on what it gets, so in a group the service gets the signal twice.
  {
    way: 'SIGTERM to the whole group, as a service manager sends it',
    signal: 'SIGTERM',
    target: (pid: number) => -pid,
  },
  { way: 'SIGINT to the whole group, as Ctrl-C in a terminal', signal: 'SIGINT', target: (pid: number) => -pid },
] as const

const answeredLookups = (asker: Registered, sent: readonly Sent[]): AnsweredLookup[] =>
  sent
    .filter(({ act, outcome }) => act === 'lookup' && outcome.kind === 'answered')
    .map(({ address }) => ({ asker: asker.subscriberId, addresses: [address] }))

describe('npm start under load ends in order', () => {
  test.each(ways)('$way', async ({ signal, target }) => {
    const started = await startNpm()
    const clients = new Clients(started.url)
    try {
      const asker = await registerAsker(started.url, 'asker@faults.example')
      const slow = { addresses: ['slow@faults.example'], use: 'encrypt' }
      const sendRest = await clients.postSlowly('/v1/lookups', slow, asker.credential)
      const send = (): boolean => process.kill(target(started.pid), signal)
      const sent = await load(clients, asker, send)
      // The service waits for the slow request now. Who is impatient must not make it drop that one.
      send()
      const outcome = await sendRest()
      expect(outcome).toMatchObject({ kind: 'answered', status: 200 })
      sent.push({ address: 'slow@faults.example', act: 'lookup', afterSignal: true, outcome })
      expect(await started.ended, started.output()).toEqual({ code: 0, signal: null })
      expect(groupMembers(started.pid)).toEqual([])
      for (const event of ['stopping', 'stopped']) expect(started.output()).toContain(`"event":"${event}"`)
      // The race on kept-alive connections is for idle ones: a busy one is told in its last answer that it was the last.
      const raced = sent.filter(({ outcome }) => outcome.kind === 'unanswered' && outcome.reused)
      expect(raced.length).toBeLessThan(workers / 4)

      const server = await reopen()
      try {
        const { journal, keys, service } = server.node
        const answered = answeredLookups(asker, sent)
        expect(await unloggedLookups(server, answered)).toEqual([])
        const logged = (await readLog(journal.shards(), keys)).map(({ address }) => address)
        const mailed = mailedTo(join(folder.path, 'outbox'))
        expect(unfair(sent, new Set([...logged, ...mailed]))).toEqual([])
        await server.node.settled()
        await checkService({ service, shards: journal.shards(), keys, answered, addresses: [] })
      } finally {
        await server.stop('the test is over')
      }
    } finally {
      clients.close()
      for (const pid of groupMembers(started.pid)) process.kill(pid, 'SIGKILL')
    }
  })
})

/** Resolves when what the service has written so far fulfils a condition. */
const outputFulfils = (service: ServiceProcess, condition: (output: string) => boolean): Promise<void> =>
  new Promise((resolve, reject) => {
    const look = (): void => {
      if (condition(service.output())) resolve()
    }
    service.child.stdout?.on('data', () => setImmediate(look))
    service.child.once('exit', () => reject(new Error(`the service has ended:\n${service.output()}`)))
    look()
  })

/** Reads a connection to its end, a piece every few milliseconds, as over a thin line. */
async function readSlowly(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of socket) {
    pieces.push(piece)
    await setTimeout(5)
  }
  return Buffer.concat(pieces)
}

test('SIGTERM does not cut large answers to a client that reads slowly', async () => {
  const service = await startProcess(folder.path, { settings: { LOG_LEVEL: 'debug' } })
  const asker = await registerAsker(service.url, 'large@faults.example')
  await publish(asker, (await certify(asker)).id)
  const questions = Array.from({ length: 20 }, (_, index) => {
    const addresses = [`mark${index}@faults.example`, ...Array.from({ length: 99 }, () => asker.email)]
    const body = JSON.stringify({ addresses, use: 'encrypt' })
    return `POST /v1/lookups HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${asker.credential}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  })
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1')
  socket.pause()
  try {
    socket.write(questions.join(''))
    // One question after the other is answered; how many answers the system holds for the client is its own affair.
    const begun = 4
    await outputFulfils(service, (output) => output.split('"route":"/v1/lookups","status":200').length > begun)
    const ended = service.end('SIGTERM')
    await outputFulfils(service, (output) => output.includes('"event":"stopping"'))
    const received = await readSlowly(socket)
    expect(await ended).toEqual({ code: 0, signal: null })
    const { bodies, rest } = splitAnswers(received)
    expect(rest).toBe(0)
    expect(bodies.length).toBeGreaterThanOrEqual(begun)
    expect(bodies.map((body) => JSON.parse(body).results[0].address)).toEqual(
      bodies.map((_, index) => `mark${index}@faults.example`),
    )
    // What was not answered was not asked.
    const server = await reopen()
    try {
      const logged = (await readLog(server.node.journal.shards(), server.node.keys)).map(({ address }) => address)
      expect(logged.filter((address) => address.startsWith('mark'))).toHaveLength(bodies.length)
    } finally {
      await server.stop('the test is over')
    }
  } finally {
    socket.destroy()
    await service.end('SIGKILL')
  }
})
