import { portError, type Command, type Database, type Outcome, type Query, type Reader } from '../ports/database.ts'

/** The part of Cloudflare's D1 binding that is used here. */
interface D1Statement {
  bind(...values: readonly unknown[]): D1Statement
  all(): Promise<{ results: Record<string, unknown>[] }>
}
interface D1Session {
  prepare(text: string): D1Statement
}
export interface D1Binding extends D1Session {
  batch(statements: D1Statement[]): Promise<{ meta: { changes: number } }[]>
  withSession(constraint: 'first-primary' | 'first-unconstrained'): D1Session
}

/** D1 returns blobs as arrays of numbers. */
const normalise = (row: Record<string, unknown>): Readonly<Record<string, unknown>> => {
  const result: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(row)) {
    if (Array.isArray(value)) result[name] = Uint8Array.from(value)
    else result[name] = value instanceof ArrayBuffer ? new Uint8Array(value) : value
  }
  return result
}

class D1Reader implements Reader {
  readonly #session: D1Session

  constructor(session: D1Session) {
    this.#session = session
  }

  async first<T>(query: Query<T>): Promise<T | null> {
    const rows = await this.all(query)
    return rows[0] ?? null
  }

  async all<T>(query: Query<T>): Promise<T[]> {
    try {
      const { results } = await this.#session
        .prepare(query.text)
        .bind(...query.values)
        .all()
      return results.map((row) => query.read(normalise(row)))
    } catch (error) {
      throw portError(error)
    }
  }
}

/** The SQL port over one D1 database. */
export class D1 implements Database {
  readonly #binding: D1Binding
  readonly #primary: Reader

  constructor(binding: D1Binding) {
    this.#binding = binding
    this.#primary = new D1Reader(binding)
  }

  first<T>(query: Query<T>): Promise<T | null> {
    return this.#primary.first(query)
  }

  all<T>(query: Query<T>): Promise<T[]> {
    return this.#primary.all(query)
  }

  async batch(commands: readonly Command[]): Promise<Outcome[]> {
    if (commands.length === 0) throw new RangeError('an empty batch')
    try {
      const results = await this.#binding.batch(
        commands.map((command) => this.#binding.prepare(command.text).bind(...command.values)),
      )
      return results.map((result) => ({ changes: result.meta.changes }))
    } catch (error) {
      throw portError(error)
    }
  }

  batchUnlessLocked(commands: readonly Command[]): Promise<Outcome[]> {
    return this.batch(commands)
  }

  reading(where: 'primary' | 'nearest'): Reader {
    return where === 'primary' ? this.#primary : new D1Reader(this.#binding.withSession('first-unconstrained'))
  }

  /** An isolate cannot know of the writes of another one. */
  changeStamp(): null {
    return null
  }
}
