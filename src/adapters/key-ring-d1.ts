import {
  blob,
  command,
  commitUnlessTaken,
  integer,
  query,
  requireNoRow,
  requireOneChange,
  text,
  type Database,
} from '../ports/database.ts'
import type { RingEntry, RingStorage } from './key-ring.ts'

/** The key ring in a database of its own, for Workers. Its role is `keys`. */
export class KeyRingDatabase implements RingStorage {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  load(): Promise<RingEntry[]> {
    return this.#database.all(
      query(
        { id: text, wrapped: blob, createdAt: integer },
        `SELECT id, wrapped, created_at AS createdAt FROM key_ring ORDER BY created_at, id`,
      ),
    )
  }

  async add({ id, wrapped, createdAt }: RingEntry, beside: RingEntry | null): Promise<void> {
    const inserted = `INSERT INTO key_ring (id, wrapped, created_at) SELECT ?, ?, ?`
    const insert =
      beside === null
        ? command(`${inserted} WHERE true ON CONFLICT (id) DO NOTHING`, id, wrapped, createdAt)
        : command(
            `${inserted} WHERE EXISTS (SELECT 1 FROM key_ring WHERE id = ? AND wrapped = ?) ON CONFLICT (id) DO NOTHING`,
            id,
            wrapped,
            createdAt,
            beside.id,
            beside.wrapped,
          )
    await this.#database.batch([insert])
  }

  replace(from: readonly RingEntry[], to: readonly RingEntry[]): Promise<boolean> {
    const code = 'ring_changed'
    const read = new Map(from.map(({ id, wrapped }) => [id, wrapped]))
    const count = query(
      { entries: integer },
      `SELECT entries FROM (SELECT COUNT(*) AS entries FROM key_ring) WHERE entries <> ?`,
      from.length,
    )
    return commitUnlessTaken(this.#database, [
      requireNoRow(code, count),
      ...to.flatMap(({ id, wrapped }) => [
        command(`UPDATE key_ring SET wrapped = ? WHERE id = ? AND wrapped = ?`, wrapped, id, read.get(id) ?? null),
        requireOneChange(code),
      ]),
    ])
  }
}
