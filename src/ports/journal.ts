import type { Database } from './database.ts'

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
