import type { Database } from './database.ts'

/**
 * Remembers what was read from a database for as long as no row of it changes: any write, of this process or another,
 * empties it. Where the engine cannot tell of changes it remembers nothing. Holds `limit` values at most.
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

  /** Call it once before a series of `get` and the reading that fills in what is missing; its answer goes to `set`. */
  refresh(): number | null {
    const stamp = this.#database.changeStamp()
    if (stamp === null || stamp !== this.#stamp) this.#values.clear()
    this.#stamp = stamp
    return stamp
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  /** Keeps nothing that was read before a write which another call has seen meanwhile. */
  set(stamp: number | null, key: string, value: Value): void {
    if (stamp === null || stamp !== this.#stamp) return
    if (this.#values.size >= this.#limit) this.#values.clear()
    this.#values.set(key, value)
  }
}
