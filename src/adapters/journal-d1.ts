import type { Database } from '../ports/database.ts'
import type { Journal } from '../ports/journal.ts'
import type { Sha256 } from '../ports/keys.ts'

const encoder = new TextEncoder()

/** The journal on D1: several databases, chosen by a hash of the asker. */
export class JournalShards implements Journal {
  readonly #shards: readonly Database[]
  readonly #sha256: Sha256

  constructor(shards: readonly Database[], sha256: Sha256) {
    if (shards.length === 0) throw new RangeError('the journal needs at least one database')
    this.#shards = shards
    this.#sha256 = sha256
  }

  /** The number of shards must stay: after a change, lookups that were logged before are not found. */
  shard(asker: string): Database {
    const digest = this.#sha256(encoder.encode(asker))
    const number = new DataView(digest.buffer, digest.byteOffset).getUint32(0)
    const shard = this.#shards[number % this.#shards.length]
    if (shard === undefined) throw new RangeError('no such shard')
    return shard
  }

  shards(): readonly Database[] {
    return this.#shards
  }
}
