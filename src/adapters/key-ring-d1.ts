import { blob, command, query, text, type Database } from '../ports/database.ts'
import type { Clock } from '../ports/runtime.ts'
import type { RingEntry, RingStorage } from './key-ring.ts'

/** The key ring in a database of its own, for Workers. Its role is `keys`. */
export class KeyRingDatabase implements RingStorage {
  readonly #database: Database
  readonly #clock: Clock

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  load(): Promise<RingEntry[]> {
    return this.#database.all(query({ id: text, wrapped: blob }, `SELECT id, wrapped FROM key_ring ORDER BY id`))
  }

  /** Two isolates may find an entry missing at once. The first insert wins, and both use it. */
  async add(entry: RingEntry): Promise<RingEntry> {
    await this.#database.batch([
      command(
        `INSERT INTO key_ring (id, wrapped, created_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`,
        entry.id,
        entry.wrapped,
        this.#clock(),
      ),
    ])
    const entries = await this.load()
    const present = entries.find((candidate) => candidate.id === entry.id)
    if (present === undefined) throw new Error(`key ring entry ${entry.id} was not kept`)
    return present
  }
}
