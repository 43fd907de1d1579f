import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { openNodeService } from '../src/node.ts'
import type { Service } from '../src/service.ts'
import { Api, type Ask } from '../test/support/api.ts'
import { MailPool } from '../test/support/mail.ts'
import { testConfig } from '../test/support/node-process.ts'
import { register, type Registered } from '../test/support/story.ts'
import { mergeInto, separateNumbers } from './merge.ts'
import { reportOf } from './processes.ts'
import { ldifHead } from './slapd.ts'
import { GatheringSqlite, runJob, settledMilliseconds } from './stocking.ts'

/** Asks a service without a socket, as if over TLS from one network of very many. */
export const askFrom =
  (service: Service, network: number): Ask =>
  async (path, init) =>
    service.fetch(new Request(`https://127.0.0.1${path}`, init), {
      peer: `10.${Math.floor(network / 256)}.${network % 256}.1`,
      encrypted: true,
      pkiOnly: false,
    })

/** The mail domains of `stockSubscribers`, in turn. */
export const registeredDomains = 100

/** Fills an empty data directory with subscribers, all through the service's own API. */
export async function stockSubscribers(
  dataDir: string,
  count: number,
  eachDoes: (subscriber: Registered) => Promise<void> = async () => undefined,
  clock: () => number = Date.now,
): Promise<Registered[]> {
  const mails = new MailPool()
  const node = await openNodeService(testConfig(dataDir), {
    clock,
    mailer: { deliver: async ({ raw }) => mails.add(Buffer.from(raw).toString('utf8')) },
  })
  const { service } = node
  const subscribers: Registered[] = []
  try {
    for (let number = 0; number < count; number += 1) {
      // Each from a network of its own: what one network may begin in an hour is no part of the bench.
      const api = new Api(askFrom(service, number))
      const subscriber = await register(
        api,
        mails,
        `subscriber.${number}@company-${number % registeredDomains}.example`,
      )
      // The first use of a credential is noted durably; no measured request is to pay for that.
      await subscriber.api.get('/v1/certificates')
      await eachDoes(subscriber)
      subscribers.push(subscriber)
    }
  } finally {
    await node.settled()
    await node.close()
  }
  return subscribers
}

const askersWanted = 10_000

const partScript = fileURLToPath(new URL('./stock-process.ts', import.meta.url))

const askerShape = z.object({ credential: z.string(), certificate: z.string() })
const partReport = z.object({ cpuSeconds: z.number(), settled: z.array(askerShape), fresh: z.array(askerShape) })

const shape = z.object({
  subscribers: z.number(),
  domains: z.number(),
  /** UTC milliseconds. */
  stockedAt: z.number(),
  /** How long it took, and how much CPU. */
  seconds: z.number(),
  cpuSeconds: z.number(),
  /** Past their first day, and within it. */
  settled: z.array(askerShape),
  fresh: z.array(askerShape),
})

/** A stocked directory: who asks, and how many addresses are published. */
export type Stock = z.infer<typeof shape>

export interface StockFolder {
  readonly stock: Stock
  /** The service's files; they are copied before they are served from. */
  readonly dataDir: string
  /** The same addresses and certificates for slapd. */
  readonly ldif: string
  /** Files that are made from the stock and kept with it. */
  readonly path: string
}

/** The address of a subscriber by number. The askers have two in each domain, so that no domain's budget is spent. */
export const addressOf = ({ domains }: Pick<Stock, 'domains'>, number: number): string =>
  `person.${number}@company-${number % domains}.example`

/** A first day lasts 24 hours. */
const keptMilliseconds = 12 * 3_600_000

/** Changes with whatever is stored: the schema, and how the stock is made. */
async function versionOfStock(): Promise<string> {
  const root = new URL('../', import.meta.url)
  const hash = createHash('sha256')
  for (const name of ['stocking', 'stock-rooms', 'merge'])
    hash.update(await readFile(new URL(`bench/${name}.ts`, root)))
  for (const database of ['main', 'journal']) {
    const folder = new URL(`db/${database}/`, root)
    for (const name of (await readdir(folder)).toSorted()) hash.update(await readFile(new URL(name, folder)))
  }
  return hash.digest('hex').slice(0, 12)
}

async function readStock(path: string): Promise<Stock | null> {
  if (!existsSync(join(path, 'stock.json'))) return null
  const stock = shape.parse(JSON.parse(await readFile(join(path, 'stock.json'), 'utf8')))
  return Date.now() - stock.stockedAt < keptMilliseconds ? stock : null
}

/** Reads the stock of a folder; throws where there is none. */
export async function requireStock(path: string): Promise<Stock> {
  const stock = await readStock(path)
  if (stock === null) throw new Error(`there is no stock in ${path}`)
  return stock
}

/** One of `parts` equal parts of the numbers from `from` to below `to`. */
const partOf = (from: number, to: number, part: number, parts: number): [number, number] => [
  from + Math.floor(((to - from) * part) / parts),
  from + Math.floor(((to - from) * (part + 1)) / parts),
]

/** To a process that stocks one part: which subscribers, by number, and where everything goes. */
export interface PartOrder {
  readonly dataDir: string
  readonly domains: number
  /** Past their first day, from and to below. */
  readonly settled: readonly [number, number]
  readonly fresh: readonly [number, number]
  /** Below and from these numbers on, subscribers ask. */
  readonly askers: readonly [number, number]
  readonly ldif: string
}

/** What that process reports at the end. */
export interface PartReport {
  readonly cpuSeconds: number
  readonly settled: readonly AskerOfStock[]
  readonly fresh: readonly AskerOfStock[]
}

export interface AskerOfStock {
  readonly credential: string
  /** The id of its certificate. */
  readonly certificate: string
}

async function stockPart(order: PartOrder): Promise<PartReport> {
  const child = fork(partScript, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: ['--max-semi-space-size=64'],
  })
  await reportOf(child)
  const report = reportOf(child)
  child.send(order)
  return partReport.parse(await report)
}

/** Makes the keys and the CA that all parts share, so long ago that they are older than every subscriber. */
async function makeEmpty(dataDir: string): Promise<void> {
  const clock = (): number => Date.now() - settledMilliseconds
  await (await openNodeService(testConfig(dataDir), { clock, writeLog: () => undefined })).close()
}

async function sealEntries(dataDir: string): Promise<void> {
  const node = await openNodeService(testConfig(dataDir), {
    openMain: (connection) => new GatheringSqlite(connection),
    writeLog: () => undefined,
  })
  await runJob(node, 'audit-seal')
  await node.close()
}

/** Stocks a part on each core, and merges them. */
async function makeStock(path: string, subscribers: number): Promise<Stock> {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { recursive: true })
  const began = performance.now()
  const cpu = process.cpuUsage()
  const parts = availableParallelism()
  const dataDir = join(path, 'data')
  const folderOf = (part: number): string => (part === 0 ? dataDir : join(path, `data-${part}`))
  const ldifs = Array.from({ length: parts }, (_, part) => join(path, `entries-${part}.ldif`))
  const askers = Math.min(askersWanted, subscribers)
  const domains = Math.ceil(askers / 2)
  const half = Math.floor(subscribers / 2)
  await makeEmpty(dataDir)
  for (let part = 1; part < parts; part += 1) {
    await cp(dataDir, folderOf(part), { recursive: true })
    separateNumbers(folderOf(part), part)
  }
  const reports = await Promise.all(
    ldifs.map((ldif, part) =>
      stockPart({
        dataDir: folderOf(part),
        domains,
        settled: partOf(0, half, part, parts),
        fresh: partOf(half, subscribers, part, parts),
        askers: [Math.floor(askers / 2), subscribers - Math.ceil(askers / 2)],
        ldif,
      }),
    ),
  )
  const ldif = join(path, 'entries.ldif')
  await writeFile(ldif, ldifHead)
  for (const [part, file] of ldifs.entries()) {
    if (part > 0) {
      mergeInto(dataDir, folderOf(part))
      await rm(folderOf(part), { recursive: true })
    }
    await pipeline(createReadStream(file), createWriteStream(ldif, { flags: 'a' }))
    await rm(file)
  }
  await sealEntries(dataDir)
  const { user, system } = process.cpuUsage(cpu)
  return {
    subscribers,
    domains,
    stockedAt: Date.now(),
    seconds: (performance.now() - began) / 1_000,
    cpuSeconds: reports.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, (user + system) / 1_000_000),
    settled: reports.flatMap(({ settled }) => settled),
    fresh: reports.flatMap(({ fresh }) => fresh),
  }
}

/** A stock of an earlier run of this half day, or a new one. It is kept in the folder for temporary files. */
export async function stockOf(subscribers: number, again: boolean): Promise<StockFolder> {
  const path = join(tmpdir(), `certbook-bench-${await versionOfStock()}-${subscribers}`)
  const folder = { path, dataDir: join(path, 'data'), ldif: join(path, 'entries.ldif') }
  const kept = again ? null : await readStock(path)
  if (kept !== null) return { ...folder, stock: kept }
  const stock = await makeStock(path, subscribers)
  // Last, and at once: a stock that was cut has none.
  await writeFile(join(path, 'stock.json.new'), JSON.stringify(stock))
  await rename(join(path, 'stock.json.new'), join(path, 'stock.json'))
  return { ...folder, stock }
}
