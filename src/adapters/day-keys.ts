import { Buffer } from 'node:buffer'
import { hash, type KeyObject } from 'node:crypto'
import type { IndexedColumn, Place } from '../ports/keys.ts'
import { sealWith } from './envelope.ts'

const blockLength = 64

/** How many bytes of a keyed hash the journal keeps. */
export const indexLength = 8

/**
 * Keyed hashes of texts and bytes: the first bytes of HMAC-SHA-256 (RFC 2104). Two one-shot hashes over prepared blocks cost
 * less than one HMAC object.
 */
export class KeyedIndex {
  readonly #inner = Buffer.alloc(blockLength + 1_024)
  readonly #outer = Buffer.alloc(blockLength + 32)
  readonly #length: number

  /** `key` is at most one block long. `length` bytes of each hash are kept. */
  constructor(key: Uint8Array, length: number) {
    this.#length = length
    for (let at = 0; at < blockLength; at += 1) {
      this.#inner[at] = (key[at] ?? 0) ^ 0x36
      this.#outer[at] = (key[at] ?? 0) ^ 0x5c
    }
  }

  of(value: Uint8Array | string): Uint8Array {
    this.#outer.write(hash('sha256', this.#block(value), 'binary'), blockLength, 'latin1')
    const hashed = hash('sha256', this.#outer, 'binary')
    const kept = new Uint8Array(this.#length)
    for (let at = 0; at < kept.length; at += 1) kept[at] = hashed.charCodeAt(at)
    return kept
  }

  #block(value: Uint8Array | string): Buffer {
    // A UTF-16 unit of a string takes at most three bytes.
    if (value.length * 3 > this.#inner.length - blockLength) {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      return Buffer.concat([this.#inner.subarray(0, blockLength), bytes])
    }
    if (typeof value === 'string') return this.#inner.subarray(0, blockLength + this.#inner.write(value, blockLength))
    this.#inner.set(value, blockLength)
    return this.#inner.subarray(0, blockLength + value.length)
  }
}

/** The keys of one writer's day of the journal, for another thread. */
export interface JournalKeys {
  readonly keyId: string
  /** By table. */
  readonly sealing: Readonly<Record<'query_log' | 'check_ins', KeyObject>>
  readonly indexing: Readonly<Record<IndexedColumn, Uint8Array>>
}

/** Seals and indexes with keys that the ring in another thread has derived. */
export class DayKeys {
  #keys: JournalKeys | null = null
  #indexes = new Map<IndexedColumn, KeyedIndex>()

  use(keys: JournalKeys): void {
    this.#keys = keys
    this.#indexes = new Map()
  }

  seal(place: Place, plaintext: string): Uint8Array {
    const { sealing, keyId } = this.#given()
    const key = place.table === 'check_ins' ? sealing.check_ins : sealing.query_log
    return sealWith(key, keyId, place, plaintext)
  }

  index(column: IndexedColumn, value: string): Uint8Array {
    const index = this.#indexes.get(column) ?? new KeyedIndex(this.#given().indexing[column], indexLength)
    this.#indexes.set(column, index)
    return index.of(value)
  }

  #given(): JournalKeys {
    if (this.#keys === null) throw new Error('the keys of the day were not given')
    return this.#keys
  }
}
