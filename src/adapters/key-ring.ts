import { Buffer } from 'node:buffer'
import { createSecretKey, hash, hkdfSync, randomFillSync, type KeyObject } from 'node:crypto'
import {
  SealBroken,
  type IndexedColumn,
  type JournalSeals,
  type Keys,
  type Place,
  type Sealer,
  type Sha256,
} from '../ports/keys.ts'
import { indexLength, KeyedIndex, type JournalKeys } from './day-keys.ts'
import { keyIdOf, openWith, sealWith } from './envelope.ts'

/**
 * The key ring. `DATA_KEY` wraps one secret for the main database and one for each month of the journal. Every key in
 * use is derived from these by HKDF-SHA-256 (RFC 5869), one for each purpose. It works on Node and on Workers, whose
 * `node:crypto` takes only bytes; hence the buffers.
 */

/** One secret of the ring, wrapped by `DATA_KEY`. */
export interface RingEntry {
  /** `main`, or `journal-2026-11`. */
  readonly id: string
  readonly wrapped: Uint8Array
}

/** The storage of the ring: a file on Node, a database of its own on Workers. */
export interface RingStorage {
  load(): Promise<readonly RingEntry[]>
  /** Adds an entry unless its id exists. Returns the entry that is stored afterwards. */
  add(entry: RingEntry): Promise<RingEntry>
}

/** The ring cannot be opened: it belongs to another `DATA_KEY`, or is damaged. */
export class KeyRingUnusable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'KeyRingUnusable'
  }
}

const secretLength = 32
/** The length of a whole SHA-256. */
const blindIndexLength = 32

const derive = (secret: Uint8Array, purpose: string): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), Buffer.from(`certbook-v1/${purpose}`), 32)))

/** Derived keys by purpose. Purposes are tables of the schema, or a writer and a day, so their number is bounded. */
class DerivedKeys {
  readonly #secret: Uint8Array
  readonly #byPurpose = new Map<string, KeyObject>()

  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  get(purpose: string): KeyObject {
    let key = this.#byPurpose.get(purpose)
    if (key === undefined) {
      if (this.#byPurpose.size >= 2_000) this.#byPurpose.clear()
      key = derive(this.#secret, purpose)
      this.#byPurpose.set(purpose, key)
    }
    return key
  }
}

const mainEntry = 'main'

class MainSealer implements Sealer {
  readonly #keys: DerivedKeys

  constructor(keys: DerivedKeys) {
    this.#keys = keys
  }

  seal(place: Place, plaintext: Uint8Array | string): Uint8Array {
    return sealWith(this.#keys.get(`seal/${place.table}`), mainEntry, place, plaintext)
  }

  open(place: Place, envelope: Uint8Array): Uint8Array {
    const keyId = keyIdOf(place, envelope)
    if (keyId !== mainEntry) throw new SealBroken(place, `no key ${keyId}`)
    return openWith(this.#keys.get(`seal/${place.table}`), keyId, place, envelope)
  }
}

const monthOf = (at: number): string => new Date(at).toISOString().slice(0, 7)
const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

/** Seals the journal. A key id is `2026-11-21.<writer>`: the month finds the secret, and all of it derives the key. */
class JournalSealer implements JournalSeals {
  readonly #ring: KeyRing
  readonly #writer: string
  readonly #indexes = new Map<IndexedColumn, KeyedIndex>()
  #keyId = ''
  #preparedUntil = 0

  constructor(ring: KeyRing, writer: string) {
    this.#ring = ring
    this.#writer = writer
  }

  async prepare(at: number): Promise<void> {
    if (at < this.#preparedUntil) return
    await this.#ring.ensure(`journal-${monthOf(at)}`)
    const day = dayOf(at)
    this.#keyId = `${day}.${this.#writer}`
    this.#indexes.clear()
    this.#preparedUntil = Date.parse(day) + 86_400_000
  }

  seal(place: Place, plaintext: Uint8Array | string): Uint8Array {
    return sealWith(this.#keyFor(place, this.#keyId), this.#keyId, place, plaintext)
  }

  open(place: Place, envelope: Uint8Array): Uint8Array {
    const keyId = keyIdOf(place, envelope)
    return openWith(this.#keyFor(place, keyId), keyId, place, envelope)
  }

  index(column: IndexedColumn, value: string): Uint8Array {
    const known = this.#indexes.get(column)
    if (known !== undefined) return known.of(value)
    const index = new KeyedIndex(this.#indexKey(column).export(), indexLength)
    this.#indexes.set(column, index)
    return index.of(value)
  }

  /** The keys with which another thread can write as this sealer. Call `prepare` before. */
  keysOfDay(): JournalKeys {
    const sealing = (table: string): KeyObject => this.#keyFor({ table, column: '', row: '' }, this.#keyId)
    return {
      keyId: this.#keyId,
      sealing: { query_log: sealing('query_log'), check_ins: sealing('check_ins') },
      indexing: {
        'query_log.address_key': this.#indexKey('query_log.address_key').export(),
        'lookup_payers.scopes': this.#indexKey('lookup_payers.scopes').export(),
        'check_ins.facts_key': this.#indexKey('check_ins.facts_key').export(),
      },
    }
  }

  #indexKey(column: IndexedColumn): KeyObject {
    const keys = this.#ring.derived(`journal-${this.#keyId.slice(0, 7)}`)
    if (keys === undefined) throw new Error('the key of the month is not prepared')
    return keys.get(`index/${column}`)
  }

  #keyFor(place: Place, keyId: string): KeyObject {
    const keys = this.#ring.derived(`journal-${keyId.slice(0, 7)}`)
    if (keys === undefined) throw new SealBroken(place, `no key ${keyId}`)
    return keys.get(`seal/${place.table}/${keyId}`)
  }
}

/** The opened ring. Make it with `openKeyRing`. */
export class KeyRing implements Keys {
  readonly main: Sealer
  readonly journal: JournalSealer
  readonly #wrappingKey: KeyObject
  readonly #storage: RingStorage
  readonly #derived: Map<string, DerivedKeys>
  readonly #blindIndexes: KeyedIndex

  constructor(wrappingKey: KeyObject, storage: RingStorage, secrets: ReadonlyMap<string, Uint8Array>) {
    const mainSecret = secrets.get(mainEntry)
    if (mainSecret === undefined) throw new KeyRingUnusable('the key ring has no entry for the main database')
    this.#wrappingKey = wrappingKey
    this.#storage = storage
    this.#derived = new Map([...secrets].map(([id, secret]) => [id, new DerivedKeys(secret)]))
    this.#blindIndexes = new KeyedIndex(derive(mainSecret, 'blind-index').export(), blindIndexLength)
    this.main = new MainSealer(new DerivedKeys(mainSecret))
    const writer = Buffer.from(randomFillSync(new Uint8Array(6))).toString('base64url')
    this.journal = new JournalSealer(this, writer)
  }

  blindIndex(matchingKey: string): Uint8Array {
    return this.#blindIndexes.of(matchingKey)
  }

  derived(id: string): DerivedKeys | undefined {
    return this.#derived.get(id)
  }

  /** The sealer that made an envelope, and the month of its key if it is the journal's. Throws `SealBroken`. */
  sealerOf(place: Place, envelope: Uint8Array): { sealer: Sealer; month: string | null } {
    const keyId = keyIdOf(place, envelope)
    return keyId === mainEntry
      ? { sealer: this.main, month: null }
      : { sealer: this.journal, month: keyId.slice(0, 'yyyy-mm'.length) }
  }

  /** The months for which the journal has a key, oldest first. */
  months(): string[] {
    return Array.from(this.#derived.keys(), (id) => /^journal-(.+)$/.exec(id)?.[1])
      .filter((month) => month !== undefined)
      .toSorted()
  }

  /**
   * Makes the secret of an entry if there is none, here or with another writer. The ring is read again first: if an
   * entry is missing here, other writers may have made it and more.
   */
  async ensure(id: string): Promise<void> {
    if (this.#derived.has(id)) return
    for (const entry of await this.#storage.load()) this.#keep(entry)
    if (!this.#derived.has(id)) this.#keep(await this.#storage.add(wrapNewSecret(this.#wrappingKey, id)))
  }

  #keep(entry: RingEntry): void {
    if (!this.#derived.has(entry.id)) this.#derived.set(entry.id, new DerivedKeys(unwrap(this.#wrappingKey, entry)))
  }
}

const wrappingPlace = (id: string): Place => ({ table: 'key_ring', column: 'wrapped', row: id })

const wrapNewSecret = (wrappingKey: KeyObject, id: string): RingEntry => ({
  id,
  wrapped: sealWith(wrappingKey, 'data-key', wrappingPlace(id), randomFillSync(new Uint8Array(secretLength))),
})

const unwrap = (wrappingKey: KeyObject, entry: RingEntry): Uint8Array => {
  try {
    return openWith(wrappingKey, 'data-key', wrappingPlace(entry.id), entry.wrapped)
  } catch (cause) {
    throw new KeyRingUnusable(
      `DATA_KEY does not open the key ring (entry ${entry.id}): it is not the key that made it`,
      {
        cause,
      },
    )
  }
}

/**
 * Opens the ring with `dataKey` (32 bytes). `mayCreate`: no database exists yet, so an empty ring may be filled. A new
 * ring beside old data would make the data unreadable for good. Throws `KeyRingUnusable`.
 */
export async function openKeyRing(options: {
  dataKey: Uint8Array
  storage: RingStorage
  mayCreate: boolean
}): Promise<KeyRing> {
  if (options.dataKey.length !== secretLength) throw new KeyRingUnusable('DATA_KEY is not 32 bytes long')
  const wrappingKey = derive(options.dataKey, 'wrap')
  let entries = await options.storage.load()
  if (!entries.some((entry) => entry.id === mainEntry)) {
    if (!options.mayCreate) {
      throw new KeyRingUnusable(
        'the key ring is missing although a database exists: put the ring back from a backup; without it the data cannot be read',
      )
    }
    entries = [...entries, await options.storage.add(wrapNewSecret(wrappingKey, mainEntry))]
  }
  const secrets = new Map(entries.map((entry) => [entry.id, unwrap(wrappingKey, entry)]))
  return new KeyRing(wrappingKey, options.storage, secrets)
}

export const sha256: Sha256 = (bytes) => new Uint8Array(hash('sha256', bytes, 'buffer'))
