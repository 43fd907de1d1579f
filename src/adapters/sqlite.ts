import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import SqliteDatabase from 'better-sqlite3'
import { portError, type Command, type Database, type Outcome, type Query, type Reader } from '../ports/database.ts'

export type SqliteConnection = SqliteDatabase.Database

/** How many prepared statements a connection keeps. The stores have far fewer texts. */
const preparedStatementsKept = 500

/** One connection's prepared statements, by text. */
class PreparedStatements {
  readonly #connection: SqliteDatabase.Database
  readonly #byText = new Map<string, SqliteDatabase.Statement>()

  constructor(connection: SqliteDatabase.Database) {
    this.#connection = connection
  }

  get(text: string): SqliteDatabase.Statement {
    let statement = this.#byText.get(text)
    if (statement === undefined) {
      if (this.#byText.size >= preparedStatementsKept) this.#byText.clear()
      statement = this.#connection.prepare(text)
      this.#byText.set(text, statement)
    }
    return statement
  }
}

const runCommand = (statements: PreparedStatements, command: Command): Outcome => ({
  changes: statements.get(command.text).run(...command.values).changes,
})

const isRow = (row: unknown): row is Readonly<Record<string, unknown>> => typeof row === 'object' && row !== null

/** How long another process may hold the write lock before a batch fails. */
const lockMilliseconds = 5_000
/** How often the main thread looks whether the lock is free. It does other work between the looks. */
const lookMilliseconds = 10

/** For each of the journal's two connections: it is written at its end, and read page after page. */
export const journalCacheMegabytes = 8

/**
 * Lets only the owner read a database. SQLite gives the files beside it the same rights. An existing file is not opened
 * here: to close it would free the locks that this process has on it.
 */
function keepPrivate(path: string): void {
  if (!existsSync(path)) writeFileSync(path, '', { mode: 0o600 })
  chmodSync(path, 0o600)
}

/**
 * Opens one SQLite file for the service: for its owner only, WAL, durable before it answers, with foreign keys, and with
 * deleted content overwritten. `':memory:'` is for tests.
 */
export function openSqliteFile(
  path: string,
  options: { readonly?: boolean; cacheMegabytes?: number } = {},
): SqliteDatabase.Database {
  if (options.readonly !== true && path !== ':memory:') keepPrivate(path)
  const connection = new SqliteDatabase(path, { timeout: lockMilliseconds, readonly: options.readonly ?? false })
  if (options.readonly !== true) {
    connection.pragma('journal_mode = WAL')
    connection.pragma('synchronous = FULL')
    connection.pragma('secure_delete = ON')
  }
  connection.pragma('temp_store = MEMORY')
  connection.pragma('foreign_keys = ON')
  connection.pragma('trusted_schema = OFF')
  connection.pragma(`cache_size = -${(options.cacheMegabytes ?? 12) * 1_024}`)
  return connection
}

/**
 * Runs commands in transactions: one for each batch in the main database, one for a group of members in the journal's
 * thread.
 */
export class SqliteBatchRunner {
  readonly #connection: SqliteDatabase.Database
  readonly #statements: PreparedStatements

  constructor(connection: SqliteDatabase.Database) {
    this.#connection = connection
    this.#statements = new PreparedStatements(connection)
  }

  /** Runs the commands in an IMMEDIATE transaction of their own. Throws the port's errors. */
  transaction(commands: readonly Command[]): Outcome[] {
    if (commands.length === 0) throw new RangeError('an empty batch')
    return this.atomically(() => commands.map((command) => this.run(command)))
  }

  /** Runs one command of the open transaction. */
  run(command: Command): Outcome {
    return runCommand(this.#statements, command)
  }

  /** Reads row by row. Nothing else may run before the last row. */
  *each<T>(query: Query<T>): Iterable<T> {
    for (const row of this.#statements.get(query.text).iterate(...query.values)) if (isRow(row)) yield query.read(row)
  }

  /** Runs `work` in an IMMEDIATE transaction. If nothing was committed, it throws the port's error. */
  atomically<T>(work: () => T): T {
    this.#statements.get('BEGIN IMMEDIATE').run()
    try {
      const result = work()
      this.#statements.get('COMMIT').run()
      return result
    } catch (error) {
      this.#rollBack()
      throw portError(error)
    }
  }

  /** Runs one batch as a member of the open transaction. */
  nested(commands: readonly Command[]): Outcome[] | Error {
    // A single statement is atomic without a savepoint.
    const work = (): Outcome[] => commands.map((command) => this.run(command))
    return commands.length > 1 ? this.apart(work) : this.#attempt(work)
  }

  /**
   * Runs `work` as a member of the open transaction. Its failure is undone alone and leaves the other members. Throws
   * if the whole transaction is lost.
   */
  apart<T>(work: () => T): T | Error {
    this.#statements.get('SAVEPOINT member').run()
    const result = this.#attempt(work)
    if (result instanceof Error) this.#statements.get('ROLLBACK TO member').run()
    this.#statements.get('RELEASE member').run()
    return result
  }

  /** After a full disk or an I/O error the whole transaction has ended: all of it failed, not one member. */
  #attempt<T>(work: () => T): T | Error {
    try {
      return work()
    } catch (error) {
      if (!this.#connection.inTransaction) throw error
      const cause = portError(error)
      return cause instanceof Error ? cause : new Error('unknown failure', { cause })
    }
  }

  /** Whether the transaction is still open after a failure. */
  get inTransaction(): boolean {
    return this.#connection.inTransaction
  }

  #rollBack(): void {
    if (this.#connection.inTransaction) this.#statements.get('ROLLBACK').run()
  }
}

/** Reads rows of one connection. */
export class SqliteReader implements Reader {
  readonly #statements: PreparedStatements

  constructor(connection: SqliteDatabase.Database) {
    this.#statements = new PreparedStatements(connection)
  }

  async first<T>(query: Query<T>): Promise<T | null> {
    const row = this.#statements.get(query.text).get(...query.values)
    return isRow(row) ? query.read(row) : null
  }

  async all<T>(query: Query<T>): Promise<T[]> {
    return this.#statements
      .get(query.text)
      .all(...query.values)
      .filter(isRow)
      .map((row) => query.read(row))
  }
}

const isLocked = (error: unknown): boolean =>
  error instanceof SqliteDatabase.SqliteError && error.code === 'SQLITE_BUSY'

/** A batch that waits for the commit of its group. */
interface WaitingBatch {
  readonly commands: readonly Command[]
  readonly resolve: (outcomes: Outcome[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * The SQL port over one better-sqlite3 connection, in the calling thread. The batches of one turn of the event loop
 * are committed together: each is atomic by itself, and one write to the disk makes all of them durable.
 */
export class Sqlite implements Database {
  readonly #connection: SqliteDatabase.Database
  readonly #reader: SqliteReader
  readonly #runner: SqliteBatchRunner
  readonly #dataVersion: SqliteDatabase.Statement
  #ownWrites = 0
  #waiting: WaitingBatch[] = []
  /** Since when another process has held the write lock, by `performance.now()`. */
  #lockedSince: number | null = null
  /** Whether a batch was given up for that lock, and none was committed since. */
  #lockedOut = false
  readonly #patience: number

  /** `patienceMilliseconds`: how long a batch waits for another process. */
  constructor(connection: SqliteDatabase.Database, options: { patienceMilliseconds?: number } = {}) {
    this.#connection = connection
    this.#patience = options.patienceMilliseconds ?? lockMilliseconds
    this.#reader = new SqliteReader(connection)
    this.#runner = new SqliteBatchRunner(connection)
    this.#dataVersion = connection.prepare('PRAGMA data_version').pluck()
  }

  first<T>(query: Query<T>): Promise<T | null> {
    return this.#reader.first(query)
  }

  all<T>(query: Query<T>): Promise<T[]> {
    return this.#reader.all(query)
  }

  batch(commands: readonly Command[]): Promise<Outcome[]> {
    return new Promise((resolve, reject) => {
      if (commands.length === 0) throw new RangeError('an empty batch')
      this.#waiting.push({ commands, resolve, reject })
      if (this.#waiting.length === 1) setImmediate(() => this.#commitAtOnce())
    })
  }

  async batchUnlessLocked(commands: readonly Command[]): Promise<Outcome[] | null> {
    try {
      const outcomes = this.#withoutWaiting(() => this.#runner.transaction(commands))
      this.#committed([outcomes])
      return outcomes
    } catch (error) {
      if (isLocked(error) && !this.#lockedOut) return null
      throw error
    }
  }

  #mayWait(): boolean {
    const now = performance.now()
    this.#lockedSince ??= now
    return now - this.#lockedSince < this.#patience
  }

  /** The thread does not stand still where another process has the lock: `work` fails at once. */
  #withoutWaiting<T>(work: () => T): T {
    this.#connection.pragma('busy_timeout = 0')
    try {
      return work()
    } finally {
      this.#connection.pragma(`busy_timeout = ${lockMilliseconds}`)
    }
  }

  #commitAtOnce(): void {
    if (this.#connection.open) this.#withoutWaiting(() => this.#commitWaiting())
  }

  #commitWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length === 0) return
    let results: readonly (Outcome[] | Error)[]
    try {
      results = this.#commitGroup(waiting.map(({ commands }) => commands))
    } catch (error) {
      if (isLocked(error) && this.#mayWait()) {
        this.#waiting = waiting
        setTimeout(() => this.#commitAtOnce(), lookMilliseconds)
        return
      }
      this.#lockedSince = null
      this.#lockedOut = isLocked(error)
      for (const { reject } of waiting) reject(error)
      return
    }
    this.#committed(results)
    for (const [position, { resolve, reject }] of waiting.entries()) {
      const result = results[position]
      if (result === undefined || result instanceof Error) reject(result)
      else resolve(result)
    }
  }

  #committed(results: readonly (Outcome[] | Error)[]): void {
    this.#lockedSince = null
    this.#lockedOut = false
    // A batch without changed rows does not make any cache stale.
    const isWrite = results.some((result) => !(result instanceof Error) && result.some(({ changes }) => changes > 0))
    if (isWrite) this.#ownWrites += 1
  }

  /** Commits a group. A broken batch does not affect the others. */
  #commitGroup(batches: readonly (readonly Command[])[]): readonly (Outcome[] | Error)[] {
    const [first, second] = batches
    if (first !== undefined && second === undefined) return [this.#runner.transaction(first)]
    return this.#runner.atomically(() => batches.map((commands) => this.#runner.nested(commands)))
  }

  reading(): Reader {
    return this.#reader
  }

  /** `data_version` counts only the commits of other connections, so this one's own are counted here. */
  changeStamp(): number {
    const others = this.#dataVersion.get()
    if (typeof others !== 'number') throw new TypeError('data_version is not a number')
    return others * 2 ** 26 + (this.#ownWrites % 2 ** 26)
  }

  /** Commits what waits, moves the WAL into the file, and closes. */
  close(): void {
    // What waits is committed now or fails: nothing looks again after the end.
    this.#lockedSince = Number.NEGATIVE_INFINITY
    this.#commitWaiting()
    this.#connection.pragma('wal_checkpoint(TRUNCATE)')
    this.#connection.close()
  }
}
