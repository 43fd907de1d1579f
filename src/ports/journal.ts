import type { Command, Database, Query } from './database.ts'
import type { IndexedColumn, Place } from './keys.ts'

/**
 * The journal: one database on Node, several on D1. A `batch` on a shard resolves when it is durable. On Node a thread
 * of its own commits concurrent batches as one group.
 */
export interface Journal {
  /** The shard of an asker. The same asker always has the same shard. */
  shard(asker: string): Database
  shards(): readonly Database[]
}

/** A journal batch was not written, or nobody knows whether it was. */
export class JournalUnavailable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`the journal cannot be written: ${reason}`, options)
    this.name = 'JournalUnavailable'
  }
}

/** How code in the journal's thread writes. All calls are synchronous. */
export interface JournalWriting {
  /** Runs one command of the open transaction. */
  run(command: Command): void
  /** Reads row by row. Nothing else may run before the last row. */
  each<T>(query: Query<T>): Iterable<T>
  /** Seals with the key of the day. */
  seal(place: Place, plaintext: string): Uint8Array
  /** The first eight bytes of an HMAC-SHA-256 under the month's key of that column. */
  index(column: IndexedColumn, value: string): Uint8Array
}
