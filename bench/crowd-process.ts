import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { median } from './figures.ts'
import { requestOf } from './http.ts'
import { Received } from './wire.ts'

/**
 * A crowd of clients, in a process of its own, steered by its parent over IPC:
 *
 *     node bench/crowd-process.ts
 */

export interface CrowdOrder {
  readonly port: number
  readonly seconds: number
  /** Addresses of this machine from which they come, in turn. */
  readonly from: readonly string[]
  readonly credentials: readonly string[]
  readonly addresses: readonly string[]
  readonly connections: number
  /** Lookups that fall due each second, of all together. Null: each asks as soon as it was answered. */
  readonly lookupsPerSecond: number | null
  /** Whether a lookup that falls due while all wait is kept, and waits; otherwise it is left out. */
  readonly keeps: boolean
  /** RSA keys without their primes, sent to the report of compromised keys. */
  readonly dearPerSecond: number
  /** Further connections that say nothing. */
  readonly idle: number
}

export interface CrowdReport {
  /** Answers to lookups, by status. */
  readonly lookups: Readonly<Record<string, number>>
  readonly dear: Readonly<Record<string, number>>
  readonly seconds: number
  /** From when the lookup fell due until its answer of 200 was whole. */
  readonly p50Milliseconds: number
  /** The part of one core that the crowd took. */
  readonly cores: number
}

type Counts = Record<string, number>

const endOfHead = Buffer.from('\r\n\r\n')

/** The status of an answer as soon as it is whole. */
class Replies {
  readonly #received = new Received()

  take(chunk: Buffer): string | null {
    const bytes = this.#received.add(chunk)
    const end = bytes.indexOf(endOfHead)
    if (end < 0) return null
    const head = bytes.toString('latin1', 0, end)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1])
    if (bytes.length < end + endOfHead.length + length) return null
    this.#received.clear()
    return head.slice(9, 12)
  }
}

/** One connection, with one question under way. */
class Client {
  readonly #socket: Socket
  readonly #replies = new Replies()
  #answered: ((status: string) => void) | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      const status = this.#replies.take(chunk)
      if (status === null) return
      const answered = this.#answered
      this.#answered = null
      answered?.(status)
    })
  }

  static async open(port: number, from: string): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from, noDelay: true })
    socket.on('error', () => undefined)
    await Promise.race([once(socket, 'connect'), once(socket, 'close')])
    return new Client(socket)
  }

  ask(bytes: Buffer, answered: (status: string) => void): void {
    this.#answered = answered
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }
}

const count = (counts: Counts, status: string): void => {
  counts[status] = (counts[status] ?? 0) + 1
}

const pick = <T>(values: readonly T[], number: number): T => {
  const value = values[number % values.length]
  if (value === undefined) throw new Error('a crowd lacks what it asks with')
  return value
}

/** A number of 4,096 bits that is odd. */
const oddNumber = (): string => {
  const bytes = randomBytes(512)
  bytes[0] = 0xff
  bytes[511] = 1
  return bytes.toString('base64url')
}

const dearReport = (host: string): Buffer => {
  const privateKey = JSON.stringify({ kty: 'RSA', n: oddNumber(), e: 'AQAB', d: oddNumber() })
  return requestOf(host, '/v1/key-compromise', 'none', { privateKey })
}

/** How often it is looked what has fallen due, in milliseconds. */
const tickMilliseconds = 2

/** The lookups of a crowd. */
class Lookups {
  readonly counts: Counts = {}
  readonly latencies: number[] = []
  readonly #order: CrowdOrder
  readonly #free: Client[]
  readonly #due: number[] = []
  #asked = 0
  #isOver = false

  constructor(order: CrowdOrder, clients: readonly Client[]) {
    this.#order = order
    this.#free = [...clients]
  }

  /** So many are due now. */
  add(number: number): void {
    const now = performance.now()
    for (let added = 0; added < number; added += 1) {
      if (this.#free.length > 0) this.#ask(now)
      else if (this.#order.keeps) this.#due.push(now)
    }
  }

  end(): void {
    this.#isOver = true
  }

  #ask(due: number): void {
    const client = this.#free.shift()
    if (client === undefined) return
    const { port, credentials, addresses, lookupsPerSecond } = this.#order
    const number = this.#asked
    this.#asked += 1
    const content = { addresses: [pick(addresses, number)], use: 'encrypt' }
    client.ask(requestOf(`127.0.0.1:${port}`, '/v1/lookups', pick(credentials, number), content), (status) => {
      if (this.#isOver) return
      const now = performance.now()
      count(this.counts, status)
      if (status === '200') this.latencies.push(now - due)
      this.#free.push(client)
      const next = lookupsPerSecond === null ? now : this.#due.shift()
      if (next !== undefined) this.#ask(next)
    })
  }
}

async function run(order: CrowdOrder): Promise<CrowdReport> {
  const { port, seconds, from, connections, lookupsPerSecond, dearPerSecond } = order
  const opened: Client[] = []
  const open = async (number: number): Promise<Client> => {
    const client = await Client.open(port, pick(from, number))
    opened.push(client)
    return client
  }
  const clients: Client[] = []
  for (let number = 0; number < connections; number += 1) clients.push(await open(number))
  const dearClients: Client[] = []
  for (let number = 0; number < dearPerSecond; number += 1) dearClients.push(await open(number))
  for (let number = 0; number < order.idle; number += 1) await open(number)

  const lookups = new Lookups(order, clients)
  const dear: Counts = {}
  const cpu = process.cpuUsage()
  const began = performance.now()
  let [lookedUp, reported] = [0, 0]
  if (lookupsPerSecond === null) lookups.add(connections)
  await new Promise<void>((resolve) => {
    const tick = setInterval(() => {
      const passed = (performance.now() - began) / 1_000
      const due = Math.floor(passed * (lookupsPerSecond ?? 0)) - lookedUp
      lookups.add(due)
      lookedUp += due
      for (; reported < Math.floor(passed * dearPerSecond); reported += 1) {
        const client = dearClients.shift()
        client?.ask(dearReport(`127.0.0.1:${port}`), (status) => {
          count(dear, status)
          dearClients.push(client)
        })
      }
      if (passed < seconds) return
      clearInterval(tick)
      lookups.end()
      resolve()
    }, tickMilliseconds)
  })
  const took = (performance.now() - began) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  for (const client of opened) client.close()
  return {
    lookups: lookups.counts,
    dear,
    seconds: took,
    p50Milliseconds: lookups.latencies.length === 0 ? 0 : median(lookups.latencies),
    cores: (user + system) / 1_000_000 / took,
  }
}

type Message = CrowdReport | { readonly failed: string } | { readonly ready: true }
const send = (message: Message): void => void process.send?.(message)

process.on('message', (order: CrowdOrder) => {
  run(order).then(send, (error: unknown) => send({ failed: String(error) }))
})
process.once('disconnect', () => process.exit(0))
send({ ready: true })
