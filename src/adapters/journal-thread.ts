import { Worker } from 'node:worker_threads'
import { portError, type Command, type Database, type Outcome, type Query, type Reader } from '../ports/database.ts'
import type { CheckIn, CheckIns } from '../ports/check-ins.ts'
import { JournalUnavailable, type Journal } from '../ports/journal.ts'
import { BudgetSpent, type LookupEntry, type LookupLog } from '../ports/lookup-log.ts'
import type { Clock } from '../ports/runtime.ts'
import {
  packGroup,
  packLookups,
  type CommittedGroup,
  type JournalAnswer,
  type JournalRequest,
  type MemberFailure,
} from './journal-messages.ts'
import type { KeyRing } from './key-ring.ts'
import { journalCacheMegabytes, openSqliteFile, SqliteReader } from './sqlite.ts'
import type SqliteDatabase from 'better-sqlite3'
import { dayMilliseconds, dayNumberOf } from '../ports/time.ts'

/** How many members may wait for the thread. Beyond that the journal refuses work. */
const waitingAllowed = 20_000

interface Waiting<Input, Result> {
  readonly input: Input
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** The members that wait for the thread, or are with it. */
class Group {
  readonly batches: Waiting<readonly Command[], Outcome[]>[] = []
  readonly lookups: Waiting<LookupEntry, void>[] = []
  readonly checkIns: Waiting<CheckIn, void>[] = []

  get size(): number {
    return this.batches.length + this.lookups.length + this.checkIns.length
  }

  reject(error: unknown): void {
    for (const { reject } of [...this.batches, ...this.lookups, ...this.checkIns]) reject(error)
  }

  /** Settles each member of a committed group with its result or its failure. */
  settle({ changes, batchFailures, lookupFailures, checkInFailures, spent }: CommittedGroup): void {
    rejectEach(this.batches, batchFailures, (message) => portError(new Error(message)))
    rejectEach(this.lookups, lookupFailures, (message) => new JournalUnavailable(message))
    rejectEach(this.checkIns, checkInFailures, (message) => new JournalUnavailable(message))
    for (const { index, scopes } of spent) {
      const refused = this.lookups[index]
      refused?.reject(new BudgetSpent(scopes.flatMap((scope) => refused.input.scopes[scope]?.kind ?? [])))
    }
    const failedBatches = new Set(batchFailures.map(({ index }) => index))
    let place = 0
    this.batches.forEach(({ input, resolve }, index) => {
      if (!failedBatches.has(index)) resolve(input.map(() => ({ changes: changes[place++] ?? 0 })))
    })
    // A promise that was rejected stays so.
    for (const { resolve } of this.lookups) resolve()
    for (const { resolve } of this.checkIns) resolve()
  }
}

const rejectEach = (
  members:
    | readonly Waiting<unknown, never>[]
    | readonly Waiting<unknown, Outcome[]>[]
    | readonly Waiting<unknown, void>[],
  failures: readonly MemberFailure[],
  errorOf: (message: string) => unknown,
): void => {
  for (const { index, message } of failures) members[index]?.reject(errorOf(message))
}

interface ThreadOptions {
  readonly keys: KeyRing
  readonly clock: Clock
  /** Whether to read the lookups of the day at the start. A command that makes no lookup does not need them. */
  readonly warm?: boolean
}

/**
 * The journal on Node: one file. One thread writes it with group commit; this side reads through a connection of its
 * own. The file must exist with its schema.
 */
export class JournalThread implements Journal, Database, LookupLog, CheckIns {
  readonly #worker: Worker
  readonly #readConnection: SqliteDatabase.Database
  readonly #reader: SqliteReader
  readonly #keys: KeyRing
  readonly #clock: Clock
  #keysUntil = 0
  #waiting = new Group()
  #committing: Group | null = null
  #flushPlanned = false
  #broken: string | null = null
  #closed: (() => void) | null = null
  #asked: ((faults: readonly string[]) => void)[] = []

  private constructor(worker: Worker, readConnection: SqliteDatabase.Database, options: ThreadOptions) {
    this.#worker = worker
    this.#readConnection = readConnection
    this.#reader = new SqliteReader(readConnection)
    this.#keys = options.keys
    this.#clock = options.clock
    worker.on('message', (answer: JournalAnswer) => this.#receive(answer))
    worker.on('error', (error) => this.#fail(error instanceof Error ? error.message : 'the thread failed'))
    worker.on('exit', () => this.#fail('the thread has ended'))
  }

  /** Starts the thread and resolves once it has opened the file. */
  static async start(file: string, options: ThreadOptions): Promise<JournalThread> {
    const worker = new Worker(new URL('../journal-thread.ts', import.meta.url), {
      workerData: file,
      resourceLimits: { maxYoungGenerationSizeMb: 12 },
    })
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve())
      worker.once('error', reject)
    })
    if (options.warm === true) worker.postMessage({ warm: options.clock() } satisfies JournalRequest)
    return new JournalThread(
      worker,
      openSqliteFile(file, { readonly: true, cacheMegabytes: journalCacheMegabytes }),
      options,
    )
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
    return this.#join((resolve, reject) => this.#waiting.batches.push({ input: commands, resolve, reject }))
  }

  /** What waits for a lock is the thread. Nothing here can tell. */
  batchUnlessLocked(commands: readonly Command[]): Promise<Outcome[]> {
    return this.batch(commands)
  }

  record(entry: LookupEntry): Promise<void> {
    return this.#join((resolve, reject) => this.#waiting.lookups.push({ input: entry, resolve, reject }))
  }

  keep(checkIn: CheckIn): Promise<void> {
    return this.#join((resolve, reject) => this.#waiting.checkIns.push({ input: checkIn, resolve, reject }))
  }

  faults(): Promise<readonly string[]> {
    if (this.#broken !== null) return Promise.reject(new JournalUnavailable(this.#broken))
    return new Promise((resolve) => {
      this.#asked.push(resolve)
      this.#send({ faultsAt: this.#clock() })
    })
  }

  /** Commits what is waiting, ends the thread and closes the file. */
  async close(): Promise<void> {
    while (this.#waiting.size > 0 || this.#committing !== null) {
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

  #join<T>(add: (resolve: (result: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    if (this.#broken !== null) return Promise.reject(new JournalUnavailable(this.#broken))
    if (this.#waiting.size >= waitingAllowed) {
      return Promise.reject(new JournalUnavailable('too much is waiting to be written'))
    }
    this.#planFlush()
    return new Promise(add)
  }

  /** At most one group each turn of the event loop, and one in flight. What comes meanwhile forms the next group. */
  #planFlush(): void {
    if (this.#flushPlanned || this.#committing !== null) return
    this.#flushPlanned = true
    setImmediate(() => {
      this.#flushPlanned = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#committing !== null || this.#waiting.size === 0) return
    const group = this.#waiting
    this.#committing = group
    this.#waiting = new Group()
    const at = this.#clock()
    const needsKeys = group.lookups.length > 0 || group.checkIns.length > 0
    if (needsKeys && (at >= this.#keysUntil || at < this.#keysUntil - dayMilliseconds))
      void this.#sendWithKeys(group, at)
    else this.#sendGroup(group, at)
  }

  #sendGroup({ batches, lookups, checkIns }: Group, at: number): void {
    this.#send({
      group: {
        at,
        batches: packGroup(batches.map(({ input }) => input)),
        lookups: packLookups(lookups.map(({ input }) => input)),
        checkIns: checkIns.flatMap(({ input: { device, subscriber, facts } }) => [device, subscriber, facts]),
      },
    })
  }

  async #sendWithKeys(group: Group, at: number): Promise<void> {
    try {
      await this.#keys.journal.prepare(at)
      this.#send({ keys: this.#keys.journal.keysOfDay() })
      this.#keysUntil = (dayNumberOf(at) + 1) * dayMilliseconds
      this.#sendGroup(group, at)
    } catch (cause) {
      this.#committing = null
      group.reject(new JournalUnavailable('the key of the day cannot be made', { cause }))
      this.#flush()
    }
  }

  #send(request: JournalRequest): void {
    this.#worker.postMessage(request)
  }

  #receive(answer: JournalAnswer): void {
    if ('closed' in answer) {
      this.#broken = 'the journal is closed'
      this.#closed?.()
    } else if ('faults' in answer) this.#asked.shift()?.(answer.faults)
    else if ('changes' in answer) this.#committed((group) => group.settle(answer))
    else if ('failed' in answer) this.#committed((group) => group.reject(new JournalUnavailable(answer.failed)))
  }

  #committed(tell: (group: Group) => void): void {
    const group = this.#committing
    this.#committing = null
    if (group !== null) tell(group)
    this.#flush()
  }

  #fail(reason: string): void {
    this.#broken ??= reason
    const lost = [this.#committing, this.#waiting]
    this.#committing = null
    this.#waiting = new Group()
    for (const group of lost) group?.reject(new JournalUnavailable(reason))
    for (const answer of this.#asked.splice(0)) answer([reason])
    this.#closed?.()
  }
}
