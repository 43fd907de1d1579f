import type { Database } from './database.ts'

/**
 * Remembers what was read from a database until any row of it changes. A write of this process or of another empties
 * it. If the engine cannot tell of changes, it remembers nothing. Holds at most `limit` values.
 */
export class StateCache<Value> {
  readonly #database: Database
  readonly #limit: number
  readonly #values = new Map<string, Value>()
  #stamp: number | null = null

  constructor(database: Database, limit: number) {
    this.#database = database
    this.#limit = limit
  }

  /** Call it before a series of `get` and before reading what is missing. Hand its answer to `set`. */
  refresh(): number | null {
    const stamp = this.#database.changeStamp()
    if (stamp === null || stamp !== this.#stamp) this.#values.clear()
    this.#stamp = stamp
    return stamp
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  /** Stores nothing that was read before a write that another call has already seen. */
  set(stamp: number | null, key: string, value: Value): void {
    if (stamp === null || stamp !== this.#stamp) return
    if (this.#values.size >= this.#limit) this.#values.clear()
    this.#values.set(key, value)
  }
}
