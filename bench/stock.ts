import { createHash } from 'node:crypto'
import { createWriteStream, existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { z } from 'zod'
import { openNodeService } from '../src/node.ts'
import type { Service } from '../src/service.ts'
import { Api, type Ask } from '../test/support/api.ts'
import { MailPool } from '../test/support/mail.ts'
import { testConfig } from '../test/support/node-process.ts'
import { register, type Registered } from '../test/support/story.ts'
import { ldifHead, ldifOf } from './slapd.ts'
import { stockInBulk } from './stocking.ts'

/** Asks a service without a socket, as if over TLS from one network of very many. */
export const askFrom =
  (service: Service, network: number): Ask =>
  async (path, init) =>
    service.fetch(new Request(`https://127.0.0.1${path}`, init), {
      peer: `10.${Math.floor(network / 256)}.${network % 256}.1`,
      encrypted: true,
      pkiOnly: false,
    })

/** Fills an empty data directory with subscribers, all through the service's own API. */
export async function stockSubscribers(
  dataDir: string,
  count: number,
  eachDoes: (subscriber: Registered) => Promise<void> = async () => undefined,
): Promise<Registered[]> {
  const mails = new MailPool()
  const node = await openNodeService(testConfig(dataDir), {
    mailer: { deliver: async ({ raw }) => mails.add(Buffer.from(raw).toString('utf8')) },
  })
  const { service } = node
  const subscribers: Registered[] = []
  try {
    for (let number = 0; number < count; number += 1) {
      // Each from a network of its own: what one network may begin in an hour is no part of the bench.
      const api = new Api(askFrom(service, number))
      const subscriber = await register(api, mails, `subscriber.${number}@company-${number % 20}.example`)
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

const shape = z.object({
  subscribers: z.number(),
  domains: z.number(),
  /** UTC milliseconds. */
  stockedAt: z.number(),
  /** How long it took, and how much CPU. */
  seconds: z.number(),
  cpuSeconds: z.number(),
  /** Past their first day, and within it. */
  settled: z.array(z.object({ credential: z.string(), certificate: z.string() })),
  fresh: z.array(z.object({ credential: z.string(), certificate: z.string() })),
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
  const hash = createHash('sha256').update(await readFile(new URL('bench/stocking.ts', root)))
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

async function makeStock(path: string, subscribers: number): Promise<Stock> {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { recursive: true })
  const began = performance.now()
  const cpu = process.cpuUsage()
  const askers = Math.min(askersWanted, subscribers)
  const domains = Math.ceil(askers / 2)
  const settled: Stock['settled'] = []
  const fresh: Stock['fresh'] = []
  const ldif = createWriteStream(join(path, 'entries.ldif'))
  ldif.write(ldifHead)
  let number = 0
  await stockInBulk({
    dataDir: join(path, 'data'),
    addresses: Array.from({ length: subscribers }, (_, index) => addressOf({ domains }, index)),
    settled: Math.floor(subscribers / 2),
    take: ({ address, credential, id, certificate }) => {
      ldif.write(ldifOf(address, certificate))
      if (number < Math.floor(askers / 2)) settled.push({ credential, certificate: id })
      else if (number >= subscribers - Math.ceil(askers / 2)) fresh.push({ credential, certificate: id })
      number += 1
    },
  })
  await finished(ldif.end())
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - began) / 1_000
  const cpuSeconds = (user + system) / 1_000_000
  return { subscribers, domains, stockedAt: Date.now(), seconds, cpuSeconds, settled, fresh }
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
