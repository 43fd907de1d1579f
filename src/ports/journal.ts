import type { Command, Database, Query } from './database.ts'
import type { IndexedColumn, Place } from './keys.ts'

/**
 * The journal: one database on Node, a list of databases on D1. A `batch` on a shard is durable before
 * it resolves; on Node a thread of its own commits concurrent batches in one group.
 */
export interface Journal {
  /** The shard of an asker. The same asker always has the same shard. */
  shard(asker: string): Database
  shards(): readonly Database[]
}

/** A journal batch was not written, or it is not known to be. */
export class JournalUnavailable extends Error {
  constructor(reason: string, options?: ErrorOptions) {
    super(`the journal cannot be written: ${reason}`, options)
    this.name = 'JournalUnavailable'
  }
}

/** What writes the journal in the thread that holds its file: everything at once, nothing waits. */
export interface JournalWriting {
  /** Runs one command of the open transaction. */
  run(command: Command): void
  /** Reads row by row; nothing else may be run meanwhile. */
  each<T>(query: Query<T>): Iterable<T>
  /** Seals with the key of the day. */
  seal(place: Place, plaintext: string): Uint8Array
  /** The first eight bytes of an HMAC-SHA-256 under the month's key of that column. */
  index(column: IndexedColumn, value: string): Uint8Array
}
