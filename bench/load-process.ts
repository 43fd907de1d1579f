import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { z } from 'zod'
import { deviceFacts, policyVersion } from '../test/support/story.ts'
import { httpConversation, requestOf } from './http.ts'
import { bindRequest, ldapConversation, searchRequest } from './ldap.ts'
import { suffix } from './slapd.ts'
import { addressOf, requireStock, type Stock } from './stock.ts'
import type { Conversation } from './wire.ts'

/**
 * The load generator, in a process of its own, steered by its parent over IPC. Every question is a random asker's for
 * a random address, over connections that stay open, each with one question under way. HTTP servers and slapd are
 * asked by the same code; only the bytes differ.
 *
 *     node bench/load-process.ts <folder of the stock>
 */

export interface LoadOrder {
  readonly server: 'certbook' | 'bare' | 'slapd'
  readonly port: number
  /**
   * `lookups`: each of a random asker for a random address, while others write. `same lookups`: one asker again and
   * again for the same 200 addresses. `check-ins`: of random devices.
   */
  readonly asks: 'lookups' | 'same lookups' | 'check-ins'
  readonly connections: number
  readonly seconds: number
}

/** What came of it. */
export interface LoadReport {
  readonly answers: number
  readonly found: number
  /** What subscribers wrote meanwhile, five a second. */
  readonly writes: number
  readonly seconds: number
  readonly p50Milliseconds: number
  readonly p99Milliseconds: number
  /** The part of one core that the generator took; near 1 it would be what is measured. */
  readonly cores: number
}

/** The part of the addresses that nobody has registered. */
const unknownShare = 0.05
/** Subscribers on their first day may ask for less; this part of the lookups is theirs. */
const freshShare = 0.1
/** How often one asks in all rounds together: a little less than a day's budget. */
const allowed = { settled: 480, fresh: 48 } as const
const sameAddresses = 200
/** A day's calls may name the budget twenty times over; so often one asks for the same addresses, then another does. */
const allowedSame = 9_000
/** So many settled subscribers ask for the same addresses, and for nothing else. */
const sameAskers = 100
const writesPerSecond = 5

const below = (count: number): number => Math.floor(Math.random() * count)

/** Chooses askers at random, none of them oftener than its budget allows. */
class Askers {
  readonly #credentials: readonly string[]
  readonly #left: Uint16Array

  constructor(askers: readonly { readonly credential: string }[], allowed: number) {
    this.#credentials = askers.map(({ credential }) => credential)
    this.#left = new Uint16Array(askers.length).fill(allowed)
  }

  draw(): string {
    const count = this.#left.length
    const start = below(count)
    for (let step = 0; step < count; step += 1) {
      const place = (start + step) % count
      const left = this.#left[place] ?? 0
      if (left === 0) continue
      this.#left[place] = left - 1
      return this.#credentials[place] ?? ''
    }
    throw new Error('all askers have spent their budgets: stock more subscribers, or measure for fewer seconds')
  }
}

/** One connection: asks, waits for the answer, asks again, until time is over. */
class Connection {
  readonly #socket: Socket
  readonly #conversation: Conversation
  readonly #latencies: number[]
  #askedAt = 0
  #until = 0
  #found = 0
  #done: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined

  private constructor(socket: Socket, conversation: Conversation, latencies: number[]) {
    this.#socket = socket
    this.#conversation = conversation
    this.#latencies = latencies
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the server has closed a connection')))
  }

  /** Connects; what is to be said first is said, and answered. */
  static async open(
    port: number,
    conversation: Conversation,
    latencies: number[],
    greeting: Buffer | null,
  ): Promise<Connection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    if (greeting !== null) {
      const answered = once(socket, 'data')
      socket.write(greeting)
      const [chunk] = z.tuple([z.instanceof(Buffer)]).parse(await answered)
      conversation.take(chunk)
    }
    return new Connection(socket, conversation, latencies)
  }

  /** Asks until a time; resolves to how many answers found something. */
  async run(until: number): Promise<number> {
    this.#until = until
    await new Promise<void>((resolve, reject) => {
      this.#done = resolve
      this.#fail = reject
      this.#ask()
    })
    return this.#found
  }

  close(): void {
    this.#fail = () => undefined
    this.#socket.destroy()
  }

  #ask(): void {
    const question = this.#conversation.next()
    this.#askedAt = performance.now()
    this.#socket.write(question)
  }

  #take(chunk: Buffer): void {
    try {
      const answered = this.#conversation.take(chunk)
      if (answered === null) return
      const now = performance.now()
      this.#latencies.push(now - this.#askedAt)
      if (answered === 'found') this.#found += 1
      if (now < this.#until) this.#ask()
      else this.#done()
    } catch (error) {
      this.#fail(error)
    }
  }
}

const writes = [
  { method: 'PATCH', path: () => '/v1/me', body: { language: 'de' } },
  { method: 'DELETE', path: (id: string) => `/v1/certificates/${id}/publication`, body: null },
  {
    method: 'PUT',
    path: (id: string) => `/v1/certificates/${id}/publication`,
    body: { consentVersion: policyVersion, audience: 'members' },
  },
] as const

/**
 * What subscribers do besides, until a time: one changes a setting, withdraws a certificate, and publishes it again,
 * then it is another's turn. Resolves to how many writes there were.
 */
async function writeUntil(until: number, port: number, askers: Stock['settled']): Promise<number> {
  const pending: Promise<void>[] = []
  let asker = askers[0]
  while (performance.now() < until) {
    const write = writes[pending.length % writes.length]
    if (write === writes[0]) asker = askers[below(askers.length)]
    if (write === undefined || asker === undefined) throw new Error('nobody writes')
    const { credential, certificate } = asker
    const sent = fetch(`http://127.0.0.1:${port}${write.path(certificate)}`, {
      method: write.method,
      headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
      body: write.body === null ? null : JSON.stringify(write.body),
    })
    pending.push(
      sent.then(async (answer) => {
        const text = await answer.text()
        if (!answer.ok) throw new Error(`a write was refused: ${text}`)
      }),
    )
    await new Promise((resolve) => setTimeout(resolve, 1_000 / writesPerSecond))
  }
  await Promise.all(pending)
  return pending.length
}

const stock = await requireStock(process.argv[2] ?? '')
const settled = new Askers(stock.settled.slice(sameAskers), allowed.settled)
const fresh = new Askers(stock.fresh, allowed.fresh)

const freshAddress = (): string => {
  const number = below(stock.subscribers)
  return Math.random() < unknownShare ? `nobody.${number}@company-0.example` : addressOf(stock, number)
}
const sameAddress = (): string => addressOf(stock, below(Math.min(sameAddresses, stock.subscribers)))

let sameAsked = 0
const sameCredential = (): string => {
  const asker = stock.settled[Math.floor(sameAsked / allowedSame)]
  if (asker === undefined || sameAsked >= sameAskers * allowedSame) throw new Error('measure for fewer seconds')
  sameAsked += 1
  return asker.credential
}
const budgetedCredential = (): string => (Math.random() < freshShare ? fresh : settled).draw()
const anyCredential = (): string => stock.settled[below(stock.settled.length)]?.credential ?? ''

function conversationFor({ server, port, asks }: LoadOrder): Conversation {
  if (server === 'slapd') return ldapConversation(() => searchRequest(suffix, freshAddress()))
  const host = `127.0.0.1:${port}`
  const lookup = (credential: string, address: string): Buffer =>
    requestOf(host, '/v1/lookups', credential, { addresses: [address], use: 'encrypt' })
  switch (asks) {
    case 'same lookups':
      return httpConversation(() => lookup(sameCredential(), sameAddress()))
    case 'check-ins':
      return httpConversation(() => requestOf(host, '/v1/check-ins', anyCredential(), deviceFacts))
    case 'lookups': {
      // Only certbook has budgets.
      const credential = server === 'bare' ? anyCredential : budgetedCredential
      return httpConversation(() => lookup(credential(), freshAddress()))
    }
  }
}

const percentile = (sorted: Float64Array, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN

async function load(order: LoadOrder): Promise<LoadReport> {
  const { server, port } = order
  const latencies: number[] = []
  const connections: Connection[] = []
  try {
    for (let count = 0; count < order.connections; count += 1) {
      const greeting = server === 'slapd' ? bindRequest : null
      connections.push(await Connection.open(port, conversationFor(order), latencies, greeting))
    }
    const cpu = process.cpuUsage()
    const began = performance.now()
    const until = began + order.seconds * 1_000
    const [found, written] = await Promise.all([
      Promise.all(connections.map((connection) => connection.run(until))),
      server === 'certbook' && order.asks === 'lookups' ? writeUntil(until, port, stock.settled) : 0,
    ])
    const seconds = (performance.now() - began) / 1_000
    const { user, system } = process.cpuUsage(cpu)
    const sorted = Float64Array.from(latencies).toSorted()
    return {
      answers: latencies.length,
      found: found.reduce((sum, count) => sum + count, 0),
      writes: written,
      seconds,
      p50Milliseconds: percentile(sorted, 0.5),
      p99Milliseconds: percentile(sorted, 0.99),
      cores: (user + system) / 1_000_000 / seconds,
    }
  } finally {
    for (const connection of connections) connection.close()
  }
}

type Message = LoadReport | { readonly failed: string } | { readonly ready: true }
const send = (message: Message): void => void process.send?.(message)

process.on('message', (order: LoadOrder) => {
  load(order).then(send, (error: unknown) => send({ failed: String(error) }))
})
process.once('disconnect', () => process.exit(0))
send({ ready: true })
