import { Worker } from 'node:worker_threads'
import { portError, type Command, type Database, type Outcome, type Query, type Reader } from '../ports/database.ts'
import { JournalUnavailable, type Journal } from '../ports/journal.ts'
import { packGroup, type JournalAnswer, type JournalRequest } from './journal-messages.ts'
import { openSqliteFile, SqliteReader } from './sqlite.ts'
import type SqliteDatabase from 'better-sqlite3'

/** How many batches may wait for the thread: beyond it the journal is refusing work, not queueing it. */
const waitingBatchesAllowed = 20_000

interface Waiting {
  readonly commands: readonly Command[]
  readonly resolve: (outcomes: Outcome[]) => void
  readonly reject: (error: unknown) => void
}

/** Gives each batch of a committed group its outcomes or its failure. */
const settle = (
  group: readonly Waiting[],
  { changes, failures }: Extract<JournalAnswer, { changes: unknown }>,
): void => {
  const failed = new Map(failures.map(({ batch, message }) => [batch, message]))
  let place = 0
  group.forEach(({ commands, resolve, reject }, batch) => {
    const message = failed.get(batch)
    if (message === undefined) resolve(commands.map(() => ({ changes: changes[place++] ?? 0 })))
    else reject(portError(new Error(message)))
  })
}

/**
 * The journal on Node: one file, written by one thread with group commit, read here through a connection of its own.
 * The file must exist with its schema.
 */
export class JournalThread implements Journal, Database {
  readonly #worker: Worker
  readonly #readConnection: SqliteDatabase.Database
  readonly #reader: SqliteReader
  #waiting: Waiting[] = []
  #committing: Waiting[] | null = null
  #flushPlanned = false
  #broken: string | null = null
  #closed: (() => void) | null = null

  private constructor(worker: Worker, readConnection: SqliteDatabase.Database) {
    this.#worker = worker
    this.#readConnection = readConnection
    this.#reader = new SqliteReader(readConnection)
    worker.on('message', (answer: JournalAnswer) => this.#receive(answer))
    worker.on('error', (error) => this.#fail(error instanceof Error ? error.message : 'the thread failed'))
    worker.on('exit', () => this.#fail('the thread has ended'))
  }

  /** Starts the thread and resolves once it has opened the file. */
  static async start(file: string): Promise<JournalThread> {
    const worker = new Worker(new URL('./journal-worker.ts', import.meta.url), { workerData: { file } })
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve())
      worker.once('error', reject)
    })
    return new JournalThread(worker, openSqliteFile(file, { readonly: true }))
  }

  shard(): Database {
    return this
  }

  shards(): readonly Database[] {
    return [this]
  }

  first<T>(query: Query<T>): Promise<T | null> {
    return this.#reader.first(query)
  }

  all<T>(query: Query<T>): Promise<T[]> {
    return this.#reader.all(query)
  }

  reading(): Reader {
    return this.#reader
  }

  /** Nothing of the journal is cached. */
  changeStamp(): null {
    return null
  }

  batch(commands: readonly Command[]): Promise<Outcome[]> {
    if (commands.length === 0) return Promise.reject(new RangeError('an empty batch'))
    if (this.#broken !== null) return Promise.reject(new JournalUnavailable(this.#broken))
    if (this.#waiting.length >= waitingBatchesAllowed) {
      return Promise.reject(new JournalUnavailable('too many lookups are waiting to be logged'))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ commands, resolve, reject })
      this.#planFlush()
    })
  }

  /** Commits what is waiting, ends the thread and closes the file. */
  async close(): Promise<void> {
    while (this.#waiting.length > 0 || this.#committing !== null) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (this.#broken === null) {
      const ended = new Promise<void>((resolve) => {
        this.#closed = resolve
      })
      this.#send({ close: true })
      await ended
    }
    this.#broken ??= 'the journal is closed'
    await this.#worker.terminate()
    this.#readConnection.close()
  }

  /** One group a turn of the event loop, and one in flight: what arrives meanwhile forms the next. */
  #planFlush(): void {
    if (this.#flushPlanned || this.#committing !== null) return
    this.#flushPlanned = true
    setImmediate(() => {
      this.#flushPlanned = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#committing !== null || this.#waiting.length === 0) return
    this.#committing = this.#waiting
    this.#waiting = []
    this.#send({ group: packGroup(this.#committing.map((waiting) => waiting.commands)) })
  }

  #send(request: JournalRequest): void {
    this.#worker.postMessage(request)
  }

  #receive(answer: JournalAnswer): void {
    if ('closed' in answer) {
      this.#broken = 'the journal is closed'
      this.#closed?.()
      return
    }
    const committed = this.#committing ?? []
    this.#committing = null
    if ('changes' in answer) settle(committed, answer)
    else if ('failed' in answer) {
      for (const waiting of committed) waiting.reject(new JournalUnavailable(answer.failed))
    }
    this.#flush()
  }

  #fail(reason: string): void {
    this.#broken ??= reason
    const lost = [...(this.#committing ?? []), ...this.#waiting]
    this.#committing = null
    this.#waiting = []
    for (const waiting of lost) waiting.reject(new JournalUnavailable(reason))
    this.#closed?.()
  }
}
