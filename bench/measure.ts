import autocannon, { type LoadResult } from 'autocannon'
import type { ServerProcess } from './processes.ts'
import type { Stock } from './stock.ts'

const connections = 64

/** One round of load on one server. */
export interface Round {
  readonly lookups: number
  readonly perSecond: number
  /** CPU time of the server, of all its threads and with the minute's job, for one lookup. */
  readonly serverMicroseconds: number
  /** The part of one core that the load generator took; near 1 it would be what is measured. */
  readonly loadCores: number
  readonly p50Milliseconds: number
  readonly p99Milliseconds: number
}

const cpuHere = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const question = (address: string): string => JSON.stringify({ addresses: [address], use: 'encrypt' })

const headersOf = (stock: Stock) => ({
  authorization: `Bearer ${stock.credential}`,
  'content-type': 'application/json',
})

/** Looks up the first address; resolves to how many bytes the answer has. */
export async function askOnce(server: ServerProcess, stock: Stock): Promise<number> {
  const response = await fetch(`${server.url}/v1/lookups`, {
    method: 'POST',
    headers: headersOf(stock),
    body: question(stock.addresses[0] ?? ''),
  })
  const answer = await response.text()
  if (!answer.includes('"status":"found"')) throw new Error(`the lookup found nothing: ${response.status}`)
  return Buffer.byteLength(answer)
}

async function load(server: ServerProcess, stock: Stock, seconds: number): Promise<LoadResult> {
  const result = await autocannon({
    url: `${server.url}/v1/lookups`,
    connections,
    duration: seconds,
    method: 'POST',
    headers: headersOf(stock),
    requests: stock.addresses.map((address) => ({ body: question(address) })),
  })
  if (result.non2xx > 0 || result.errors > 0 || result['2xx'] === 0) {
    throw new Error(`the load failed: ${result['2xx']} answers, ${result.non2xx} refusals, ${result.errors} errors`)
  }
  return result
}

/** Compiling the hot paths is no cost of a lookup: loads the server until they are, ten seconds at most. */
export async function warmUp(server: ServerProcess, stock: Stock): Promise<void> {
  let answered = 0
  for (let second = 0; second < 10 && answered < 60_000; second += 1) answered += (await load(server, stock, 1))['2xx']
  await server.settle()
}

/** Asks one address a lookup over 64 connections, then has the minute's job done, and counts both. */
export async function measure(server: ServerProcess, stock: Stock, seconds: number): Promise<Round> {
  const serverBefore = await server.cpuMicroseconds()
  const hereBefore = cpuHere()
  const result = await load(server, stock, seconds)
  const here = cpuHere() - hereBefore
  await server.settle()
  const serverUsed = (await server.cpuMicroseconds()) - serverBefore
  const lookups = result['2xx']
  return {
    lookups,
    perSecond: lookups / result.duration,
    serverMicroseconds: serverUsed / lookups,
    loadCores: here / (result.duration * 1_000_000),
    p50Milliseconds: result.latency.p50,
    p99Milliseconds: result.latency.p99,
  }
}
