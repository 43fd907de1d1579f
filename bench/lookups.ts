import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { openSqliteFile } from '../src/adapters/sqlite.ts'
import { atLeast, atMost, type Figure, type Part } from './figures.ts'
import { startLoad, type Load } from './load.ts'
import type { LoadOrder, LoadReport } from './load-process.ts'
import { memoryOf } from './proc.ts'
import { ServerProcess } from './processes.ts'
import { Slapd } from './slapd.ts'
import { addressOf, type Stock, type StockFolder } from './stock.ts'

/**
 * Lookups as they come: every one a random asker's for a random address, while subscribers write, beside slapd with the
 * same entries and a bare Hono route with the same answer.
 */

export interface LookupOptions {
  readonly rounds: number
  /** How long each server is asked in each round. */
  readonly seconds: number
  readonly connections: readonly number[]
}

const names = ['bare', 'slapd', 'certbook'] as const
type Name = (typeof names)[number]

interface Server {
  readonly port: number
  cpuMicroseconds(): Promise<number>
  settle?(): Promise<void>
}

type Servers = Readonly<Record<Name, Server>>

/** One server under load for some seconds. */
interface Measured extends LoadReport {
  readonly perSecond: number
  /** CPU of all its threads for one answer. With certbook that of the minute's job and of what others write, too. */
  readonly microseconds: number
}

type Load3 = Readonly<Record<Name, Measured>>

/** All loads of one round. */
interface Round {
  readonly byConnections: ReadonlyMap<number, Load3>
  readonly same: Measured
  readonly checkIns: Measured
  readonly syncsPerSecond: number
}

async function measure(load: Load, server: Server, order: LoadOrder): Promise<Measured> {
  const before = await server.cpuMicroseconds()
  const report = await load.run(order)
  await server.settle?.()
  const used = (await server.cpuMicroseconds()) - before
  return { ...report, perSecond: report.answers / report.seconds, microseconds: used / report.answers }
}

const syncs = 200

/** How often a second the disk takes 4 KB durably, one write after the other. */
function syncsPerSecond(folder: string): number {
  const file = openSync(join(folder, 'syncs'), 'w')
  const page = new Uint8Array(4_096)
  const before = performance.now()
  for (let count = 0; count < syncs; count += 1) {
    writeSync(file, page)
    fdatasyncSync(file)
  }
  closeSync(file)
  return (syncs * 1_000) / (performance.now() - before)
}

/** Looks up the first address; resolves to how many bytes the answer has. */
export async function lookUpOnce(url: string, stock: Stock): Promise<number> {
  const response = await fetch(`${url}/v1/lookups`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stock.settled[0]?.credential}`, 'content-type': 'application/json' },
    body: JSON.stringify({ addresses: [addressOf(stock, 0)], use: 'encrypt' }),
  })
  const answer = await response.text()
  if (!answer.includes('"status":"found"')) throw new Error(`the lookup found nothing: ${answer}`)
  return Buffer.byteLength(answer)
}

async function measureRound(load: Load, servers: Servers, options: LookupOptions, folder: string): Promise<Round> {
  const { seconds } = options
  const ask = (server: Name, connections: number, asks: LoadOrder['asks'] = 'lookups'): Promise<Measured> =>
    measure(load, servers[server], { server, port: servers[server].port, connections, asks, seconds })
  const byConnections = new Map<number, Load3>()
  for (const connections of options.connections) {
    byConnections.set(connections, {
      bare: await ask('bare', connections),
      slapd: await ask('slapd', connections),
      certbook: await ask('certbook', connections),
    })
  }
  return {
    byConnections,
    same: await ask('certbook', 64, 'same lookups'),
    checkIns: await ask('certbook', 64, 'check-ins'),
    syncsPerSecond: syncsPerSecond(folder),
  }
}

/** Compiling the hot paths is no cost of a lookup: asks each server until it has answered often, for ten seconds at most. */
async function warmUp(load: Load, servers: Servers): Promise<void> {
  for (const asks of ['lookups', 'same lookups', 'check-ins'] as const) {
    for (const server of asks === 'lookups' ? names : (['certbook'] as const)) {
      let answered = 0
      for (let second = 0; second < 10 && answered < 40_000; second += 1) {
        const { port } = servers[server]
        answered += (await load.run({ server, port, asks, connections: 64, seconds: 1 })).answers
      }
      await servers[server].settle?.()
    }
  }
}

/** Every lookup that was answered must stand in the log; throws where one does not. */
function countLogged(dataDir: string, answered: number): number {
  const connection = openSqliteFile(join(dataDir, 'journal.db'), { readonly: true })
  try {
    const tables = connection.prepare(`SELECT name FROM sqlite_master WHERE name IN ('query_log', 'query_log_recent')`)
    const rows = tables
      .pluck()
      .all()
      .map((name) =>
        Number(
          connection
            .prepare(`SELECT count(*) FROM ${String(name)}`)
            .pluck()
            .get(),
        ),
      )
    const logged = rows.reduce((sum, count) => sum + count, 0)
    if (logged < answered) throw new Error(`${answered} lookups were answered, but only ${logged} are in the log`)
    return logged
  } finally {
    connection.close()
  }
}

const figuresAt = (rounds: readonly Round[], connections: number): Figure[] => {
  const each = (read: (load: Load3) => number): number[] =>
    rounds.flatMap(({ byConnections }) => {
      const load = byConnections.get(connections)
      return load === undefined ? [] : [read(load)]
    })
  const at = (name: string): string => `${connections} connections: ${name}`
  // The aims are for 64 connections.
  const aims = connections === 64 ? { bare: { aim: atLeast(0.25) }, slapd: { aim: atLeast(0.5) } } : {}
  return [
    { name: at('certbook'), unit: 'lookups/s', values: each(({ certbook }) => certbook.perSecond), digits: 0 },
    { name: at('slapd'), unit: 'searches/s', values: each(({ slapd }) => slapd.perSecond), digits: 0 },
    { name: at('bare Hono'), unit: 'requests/s', values: each(({ bare }) => bare.perSecond), digits: 0 },
    {
      name: at('certbook / slapd'),
      unit: 'times',
      values: each(({ certbook, slapd }) => certbook.perSecond / slapd.perSecond),
      digits: 3,
      ...aims.slapd,
    },
    {
      name: at('certbook / bare Hono'),
      unit: 'times',
      values: each(({ certbook, bare }) => certbook.perSecond / bare.perSecond),
      digits: 3,
      ...aims.bare,
    },
    ...names.flatMap((name): Figure[] => [
      { name: at(`p50, ${name}`), unit: 'ms', values: each((load) => load[name].p50Milliseconds), digits: 1 },
      { name: at(`p99, ${name}`), unit: 'ms', values: each((load) => load[name].p99Milliseconds), digits: 1 },
      {
        name: at(`server CPU for one, ${name}`),
        unit: 'µs',
        values: each((load) => load[name].microseconds),
        digits: 1,
        ...(name === 'certbook' ? { aim: atMost(100) } : {}),
      },
      { name: at(`load generator, ${name}`), unit: 'cores', values: each((load) => load[name].cores), digits: 2 },
    ]),
  ]
}

const figuresOf = (rounds: readonly Round[], options: LookupOptions, peakMegabytes: number): Figure[] => [
  ...options.connections.flatMap((connections) => figuresAt(rounds, connections)),
  {
    name: 'same asker, same 200 addresses, 64 connections',
    unit: 'lookups/s',
    values: rounds.map(({ same }) => same.perSecond),
    digits: 0,
  },
  {
    name: 'server CPU for one check-in, 64 connections',
    unit: 'µs',
    values: rounds.map(({ checkIns }) => checkIns.microseconds),
    digits: 1,
    aim: atMost(100),
  },
  { name: 'most memory of certbook', unit: 'MB', values: [peakMegabytes], digits: 0, aim: atMost(250) },
  { name: 'fdatasync of 4 KB', unit: '1/s', values: rounds.map(({ syncsPerSecond }) => syncsPerSecond), digits: 0 },
]

const wordsOf = (stock: Stock, options: LookupOptions, loads: readonly Measured[], logged: number): string[] => {
  const sum = (read: (load: Measured) => number): number => loads.reduce((total, load) => total + read(load), 0)
  const answers = sum(({ answers }) => answers)
  const found = ((sum(({ found }) => found) * 100) / answers).toFixed(1)
  return [
    `Lookups: each by a random one of ${stock.settled.length + stock.fresh.length} subscribers with their own credentials (half of them past`,
    `their first day), for a random one of ${stock.subscribers} published addresses; ${found} % found something. Budgets as shipped,`,
    `five writes a second meanwhile (${sum(({ writes }) => writes)}); ${options.rounds} rounds of ${options.seconds} s for each server, in turn.`,
    `Each of the ${answers} lookups that certbook answered is in its log (${logged} rows, those of the warm-up among them).`,
    `The stock took ${stock.seconds.toFixed(0)} s (${stock.cpuSeconds.toFixed(0)} s of CPU).`,
  ]
}

/** Copies a stock into the folder and measures there. */
export async function measureLookups(
  { stock, path, dataDir, ldif }: StockFolder,
  folder: string,
  options: LookupOptions,
): Promise<Part> {
  const started: { stop(): Promise<void> }[] = []
  const keep = <T extends { stop(): Promise<void> }>(process: T): T => {
    started.push(process)
    return process
  }
  try {
    // First, so that a missing slapd is said at once.
    const slapd = keep(await Slapd.start(ldif, join(path, 'slapd')))
    const served = join(folder, 'certbook')
    await cp(dataDir, served, { recursive: true })
    const certbook = keep(await ServerProcess.start('certbook', served))
    const bare = keep(await ServerProcess.start('bare', String(await lookUpOnce(certbook.url, stock))))
    const load = keep(await startLoad(path))
    const servers = { bare, slapd, certbook }
    await warmUp(load, servers)
    const rounds: Round[] = []
    for (let round = 0; round < options.rounds; round += 1) {
      rounds.push(await measureRound(load, servers, options, folder))
    }
    const { peak } = await memoryOf(certbook.pid)
    await certbook.stop()
    const loads = rounds.flatMap(({ byConnections, same }) => [
      same,
      ...[...byConnections.values()].map(({ certbook }) => certbook),
    ])
    const answered = loads.reduce((sum, { answers }) => sum + answers, 0)
    const logged = countLogged(served, answered)
    return { words: wordsOf(stock, options, loads, logged), figures: figuresOf(rounds, options, peak) }
  } finally {
    for (const process of started.toReversed()) await process.stop()
  }
}
