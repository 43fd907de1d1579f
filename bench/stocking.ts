import { Sqlite, SqliteBatchRunner, type SqliteConnection } from '../src/adapters/sqlite.ts'
import { openNodeService, type NodeService } from '../src/node.ts'
import type { Command, Outcome } from '../src/ports/database.ts'
import { testConfig } from '../test/support/node-process.ts'
import { openStockroom, type Stocked } from './stock-rooms.ts'

/**
 * Fills a directory with very many subscribers. Three things make it fast: the rooms' own code is called without the API
 * (`stock-rooms.ts`), thousands of batches are committed together, and nothing is synced to the disk before the end.
 */

const batchesPerCommit = 50_000
const subscribersPerWave = 1_000
const atOnce = 64

/** A database whose batches stay in one open transaction until there are thousands of them. */
export class GatheringSqlite extends Sqlite {
  readonly #connection: SqliteConnection
  readonly #runner: SqliteBatchRunner
  #gathered = 0
  #writes = 0

  constructor(connection: SqliteConnection) {
    super(connection)
    this.#connection = connection
    this.#runner = new SqliteBatchRunner(connection)
    connection.pragma('journal_mode = MEMORY')
    connection.pragma('synchronous = OFF')
    connection.pragma('secure_delete = OFF')
    // A stock that breaks off is made anew.
    connection.pragma('foreign_keys = OFF')
    connection.pragma('cache_size = -1000000')
    connection.pragma('cache_spill = OFF')
  }

  override async batch(commands: readonly Command[]): Promise<Outcome[]> {
    if (!this.#connection.inTransaction) this.#connection.exec('BEGIN IMMEDIATE')
    const outcomes = this.#runner.nested(commands)
    this.#writes += 1
    this.#gathered += 1
    if (this.#gathered >= batchesPerCommit) this.#commit()
    if (outcomes instanceof Error) throw outcomes
    return outcomes
  }

  override changeStamp(): number {
    return this.#writes
  }

  override close(): void {
    this.#commit()
    this.#connection.pragma('journal_mode = WAL')
    this.#connection.pragma('synchronous = FULL')
    super.close()
  }

  #commit(): void {
    if (this.#connection.inTransaction) this.#connection.exec('COMMIT')
    this.#gathered = 0
  }
}

export interface StockOrder {
  readonly dataDir: string
  readonly addresses: readonly string[]
  /** Before this number of `addresses`, a subscriber is two days old; from it on, this minute's. */
  readonly settled: number
  readonly take: (stocked: Stocked) => void
}

/** Does something with each item, a number of them at once, and keeps their order. */
async function mapAtOnce<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const left = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await act(item)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return results
}

/** How long the older subscribers have been there. */
export const settledMilliseconds = 2 * 86_400_000

/** Runs one of the service's jobs, as its schedule does. */
export async function runJob({ service }: NodeService, name: string): Promise<void> {
  const job = service.jobs.find((candidate) => candidate.name === name)
  if (job === undefined) throw new Error(`the service has no job ${name}`)
  await job.run()
}

/** Fills an empty data directory, and has all answers ready. */
export async function stockInBulk({ dataDir, addresses, settled, take }: StockOrder): Promise<void> {
  let behind = settledMilliseconds
  const clock = (): number => Date.now() - behind
  const config = testConfig(dataDir)
  const node = await openNodeService(config, {
    clock,
    openMain: (connection) => new GatheringSqlite(connection),
    writeLog: () => undefined,
  })
  try {
    const stockOne = await openStockroom(node, config, clock)
    for (let place = 0; place < addresses.length;) {
      if (place >= settled) behind = 0
      const end = place < settled ? Math.min(place + subscribersPerWave, settled) : place + subscribersPerWave
      for (const stocked of await mapAtOnce(addresses.slice(place, end), stockOne)) take(stocked)
      place = end
    }
    await runJob(node, 'ready-answers')
  } finally {
    await node.settled()
    await node.close()
  }
}
