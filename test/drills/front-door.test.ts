import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Api, askOver } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { RawClient } from '../support/raw-client.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
let mails: Awaited<ReturnType<typeof watchOutbox>>
let alice: Registered
let bob: Registered

beforeAll(async () => {
  folder = await temporaryFolder()
  service = await startProcess(join(folder.path, 'data'))
  mails = await watchOutbox(join(folder.path, 'data/outbox'))
  alice = await register(new Api(askOver(service.url)), mails, 'alice@example.com')
  bob = await register(new Api(askOver(service.url)), mails, 'bob@example.com')
  await publish(bob, (await certify(bob)).id)
})
afterAll(async () => {
  mails.close()
  await service.end('SIGTERM')
  await folder.remove()
})

/** Opens a connection that says nothing; resolves once it stands or was reset. */
const openSilent = async (from: string): Promise<Socket> => {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(service.url).port), localAddress: from })
  socket.on('error', () => undefined)
  await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  return socket
}

const isOpen = (socket: Socket): boolean => !socket.destroyed && socket.readyState === 'open'

test('2,100 connections of one network: it keeps its part, and everyone else is answered', async () => {
  const held: Socket[] = []
  const kept = await RawClient.open(service.url)
  try {
    for (let number = 0; number < 2_100; number += 1) {
      held.push(await openSilent(`127.0.7.${1 + (number % 250)}`))
      if (number % 300 === 0) expect((await lookUp(alice, ['bob@example.com']))[0].status).toBe('found')
    }
    await expect.poll(() => held.filter(isOpen).length, { interval: 20 }).toBe(600)
    for (let times = 0; times < 20; times += 1) {
      expect((await lookUp(alice, ['bob@example.com']))[0].status).toBe('found')
    }
    // A stranger who has no credential yet, on a connection from before the attack and on a new one.
    kept.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await kept.until((received) => received.includes('"ok"'))
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200)
  } finally {
    for (const socket of held) socket.destroy()
    kept.close()
  }
})

test('2,100 connections of one address', async () => {
  const held: Socket[] = []
  try {
    for (let number = 0; number < 2_100; number += 1) held.push(await openSilent('127.0.8.1'))
    await expect.poll(() => held.filter(isOpen).length, { interval: 20 }).toBe(300)
    expect((await lookUp(alice, ['bob@example.com']))[0].status).toBe('found')
  } finally {
    for (const socket of held) socket.destroy()
  }
})

test('4,000 connections of ten networks take every place, and a new client is still let in', async () => {
  const held: Socket[] = []
  try {
    for (let number = 0; number < 4_000; number += 1) {
      held.push(await openSilent(`127.0.${20 + (number % 10)}.${1 + (number % 200)}`))
    }
    await expect.poll(() => held.filter(isOpen).length, { interval: 20 }).toBeLessThanOrEqual(2_000)
    for (let times = 0; times < 5; times += 1) {
      expect((await fetch(`${service.url}/healthz`, { headers: { connection: 'close' } })).status).toBe(200)
    }
    expect((await lookUp(alice, ['bob@example.com']))[0].status).toBe('found')
  } finally {
    for (const socket of held) socket.destroy()
  }
})

/** What somebody sends again and again, each time as soon as the answer to the time before has come. */
interface Flood {
  readonly path: string
  readonly credential?: string
  readonly connections: number
  readonly content: () => object
}

/** Floods the service from one network. `end` resolves when the last answer has come. */
function flood(
  from: string,
  floods: readonly Flood[],
): {
  readonly statuses: ReadonlyMap<number, number>
  readonly answers: () => number
  readonly end: () => Promise<void>
} {
  const agent = new Agent({ keepAlive: true, localAddress: from })
  const statuses = new Map<number, number>()
  const over = new AbortController()
  const ask = ({ path, credential, content }: Flood): Promise<number> =>
    new Promise((resolve) => {
      const headers = {
        'content-type': 'application/json',
        ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }),
      }
      const asked = request(`${service.url}${path}`, { method: 'POST', agent, headers }, (answer) => {
        answer.resume()
        answer.once('end', () => resolve(answer.statusCode ?? 0))
      })
      // The connection was not let in, or was closed.
      asked.once('error', () => resolve(0))
      asked.end(JSON.stringify(content()))
    })
  const askOn = async (one: Flood): Promise<void> => {
    while (!over.signal.aborted) {
      const status = await ask(one)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const asking = floods.flatMap((one) => Array.from({ length: one.connections }, () => askOn(one)))
  return {
    statuses,
    answers: () => [...statuses].reduce((sum, [status, number]) => (status === 0 ? sum : sum + number), 0),
    end: async () => {
      over.abort()
      await Promise.all(asking)
      agent.destroy()
    },
  }
}

/** An RSA key that takes long to complete, and fails in the end. */
const dearKey = (): string => {
  const n = randomBytes(512)
  n[0] = 0xff
  n[511] = 1
  return JSON.stringify({
    kty: 'RSA',
    n: n.toString('base64url'),
    e: 'AQAB',
    d: randomBytes(512).toString('base64url'),
  })
}

test('idle connections, dear bodies and more lookups than can be answered, from one network: members elsewhere are answered', async () => {
  const held: Socket[] = []
  for (let number = 0; number < 2_000; number += 1) held.push(await openSilent(`127.0.7.${1 + (number % 250)}`))
  const [many, dear] = [250, 8]
  for (const socket of held.splice(0, many + dear)) socket.destroy()
  const attack = flood('127.0.7.1', [
    {
      path: '/v1/lookups',
      credential: bob.credential,
      connections: many,
      content: () => ({ addresses: ['alice@example.com'], use: 'encrypt' }),
    },
    { path: '/v1/key-compromise', connections: dear, content: () => ({ privateKey: dearKey() }) },
  ])
  const answeredMeanwhile: number[] = []
  try {
    await expect.poll(attack.answers, { interval: 20 }).toBeGreaterThan(many)
    for (let times = 0; times < 100; times += 1) {
      const before = attack.answers()
      expect((await lookUp(alice, ['bob@example.com']))[0].status).toBe('found')
      answeredMeanwhile.push(attack.answers() - before)
      if (times % 20 === 0) expect((await fetch(`${service.url}/healthz`)).status).toBe(200)
    }
  } finally {
    await attack.end()
    for (const socket of held) socket.destroy()
  }
  // In one line for all, each lookup would have waited for every connection of the flood.
  const median = answeredMeanwhile.toSorted((left, right) => left - right)[50]
  expect(median).toBeLessThan(many / 2)
  expect([...attack.statuses.keys()].filter((status) => ![0, 200, 422, 429, 503].includes(status))).toEqual([])
  expect(attack.statuses.get(200) ?? 0).toBeGreaterThan(0)
})
