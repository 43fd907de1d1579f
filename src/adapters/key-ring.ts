import { Buffer } from 'node:buffer'
import { createSecretKey, hash, hkdfSync, randomFillSync, timingSafeEqual, type KeyObject } from 'node:crypto'
import {
  SealBroken,
  type IndexedColumn,
  type JournalSeals,
  type KeyedHashes,
  type Keys,
  type Place,
  type Sealer,
  type Sha256,
} from '../ports/keys.ts'
import { indexLength, KeyedIndex, type JournalKeys } from './day-keys.ts'
import { keyIdOf, openWith, sealWith } from './envelope.ts'

/**
 * The key ring. `DATA_KEY` wraps the secrets of the main database and one for each month of the journal. Every key in
 * use is derived from these by HKDF-SHA-256 (RFC 5869), one for each purpose. It works on Node and on Workers, whose
 * `node:crypto` takes only bytes; hence the buffers.
 */

/** One secret of the ring, wrapped by `DATA_KEY`. */
export interface RingEntry {
  /** `main`, later also `main-2`, `main-3` and so on; or `journal-2026-11`. */
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

const firstMain = 'main'

/** The number of a main secret: 1 for `main`, 2 for `main-2`. Null for other entries. */
const mainNumber = (id: string): number | null => {
  if (id === firstMain) return 1
  const digits = /^main-([1-9]\d{0,4})$/.exec(id)?.[1]
  const number = Number(digits)
  return digits !== undefined && number > 1 && number <= largestMainNumber ? number : null
}

/** A keyed hash names its secret in two bytes. */
const largestMainNumber = 0xffff
const numberLength = 2
const macLength = 16
const verifierLength = 32

const numbered = (number: number, hashed: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(numberLength + hashed.length)
  whole[0] = number >> 8
  whole[1] = number & 0xff
  whole.set(hashed, numberLength)
  return whole
}

/** One secret of the main database, with the keys that are derived from it. */
class MainSecret {
  readonly id: string
  readonly #number: number
  readonly #keys: DerivedKeys
  readonly #hashes = new Map<string, KeyedIndex>()

  constructor(id: string, number: number, keys: DerivedKeys) {
    this.id = id
    this.#number = number
    this.#keys = keys
  }

  sealingKey(table: string): KeyObject {
    return this.#keys.get(`seal/${table}`)
  }

  blindIndex(matchingKey: string): Uint8Array {
    return this.#hash('blind-index', blindIndexLength).of(matchingKey)
  }

  mac(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return numbered(this.#number, this.#hash(`mac/${purpose}`, macLength).of(bytes))
  }

  verifier(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return numbered(this.#number, this.#hash(`verifier/${purpose}`, verifierLength).of(bytes))
  }

  #hash(purpose: string, length: number): KeyedIndex {
    const known = this.#hashes.get(purpose)
    if (known !== undefined) return known
    const made = new KeyedIndex(this.#keys.get(purpose).export(), length)
    this.#hashes.set(purpose, made)
    return made
  }
}

/** The secrets of the main database. There is always at least one. */
class MainSecrets implements Sealer, KeyedHashes {
  readonly #byNumber = new Map<number, MainSecret>()
  #newestFirst: [MainSecret, ...MainSecret[]]

  constructor(ring: ReadonlyMap<string, DerivedKeys>) {
    for (const [id, keys] of ring) this.#add(id, keys)
    this.#newestFirst = this.#sorted()
  }

  /** Takes one more secret. Entries that are none of the main database are left alone. */
  keep(id: string, keys: DerivedKeys): void {
    this.#add(id, keys)
    this.#newestFirst = this.#sorted()
  }

  seal(place: Place, plaintext: Uint8Array | string): Uint8Array {
    const [newest] = this.#newestFirst
    return sealWith(newest.sealingKey(place.table), newest.id, place, plaintext)
  }

  open(place: Place, envelope: Uint8Array): Uint8Array {
    const keyId = keyIdOf(place, envelope)
    const secret = this.#byNumber.get(mainNumber(keyId) ?? 0)
    if (secret === undefined) throw new SealBroken(place, `no key ${keyId}`)
    return openWith(secret.sealingKey(place.table), keyId, place, envelope)
  }

  blindIndex(matchingKey: string): Uint8Array {
    return this.#oldest().blindIndex(matchingKey)
  }

  mac(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return this.#newestFirst[0].mac(purpose, bytes)
  }

  macFits(purpose: string, bytes: Uint8Array | string, mac: Uint8Array): boolean {
    if (mac.length !== numberLength + macLength) return false
    const secret = this.#byNumber.get(((mac[0] ?? 0) << 8) | (mac[1] ?? 0))
    return secret !== undefined && timingSafeEqual(Buffer.from(secret.mac(purpose, bytes)), Buffer.from(mac))
  }

  verifiers(purpose: string, bytes: Uint8Array | string): [Uint8Array, ...Uint8Array[]] {
    const [newest, ...older] = this.#newestFirst
    return [newest.verifier(purpose, bytes), ...older.map((secret) => secret.verifier(purpose, bytes))]
  }

  #oldest(): MainSecret {
    return this.#newestFirst.at(-1) ?? this.#newestFirst[0]
  }

  #add(id: string, keys: DerivedKeys): void {
    const number = mainNumber(id)
    if (number !== null) this.#byNumber.set(number, new MainSecret(id, number, keys))
  }

  #sorted(): [MainSecret, ...MainSecret[]] {
    const [newest, ...older] = [...this.#byNumber].toSorted(([a], [b]) => b - a).map(([, secret]) => secret)
    if (newest === undefined) throw new KeyRingUnusable('the key ring has no entry for the main database')
    return [newest, ...older]
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
  readonly journal: JournalSealer
  readonly #wrappingKey: KeyObject
  readonly #storage: RingStorage
  readonly #derived: Map<string, DerivedKeys>
  readonly #main: MainSecrets

  constructor(wrappingKey: KeyObject, storage: RingStorage, secrets: ReadonlyMap<string, Uint8Array>) {
    this.#wrappingKey = wrappingKey
    this.#storage = storage
    this.#derived = new Map([...secrets].map(([id, secret]) => [id, new DerivedKeys(secret)]))
    this.#main = new MainSecrets(this.#derived)
    const writer = Buffer.from(randomFillSync(new Uint8Array(6))).toString('base64url')
    this.journal = new JournalSealer(this, writer)
  }

  get main(): Sealer {
    return this.#main
  }

  blindIndex(matchingKey: string): Uint8Array {
    return this.#main.blindIndex(matchingKey)
  }

  mac(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return this.#main.mac(purpose, bytes)
  }

  macFits(purpose: string, bytes: Uint8Array | string, mac: Uint8Array): boolean {
    return this.#main.macFits(purpose, bytes, mac)
  }

  verifiers(purpose: string, bytes: Uint8Array | string): [Uint8Array, ...Uint8Array[]] {
    return this.#main.verifiers(purpose, bytes)
  }

  derived(id: string): DerivedKeys | undefined {
    return this.#derived.get(id)
  }

  /** The sealer that made an envelope, and the month of its key if it is the journal's. Throws `SealBroken`. */
  sealerOf(place: Place, envelope: Uint8Array): { sealer: Sealer; month: string | null } {
    const keyId = keyIdOf(place, envelope)
    return mainNumber(keyId) === null
      ? { sealer: this.journal, month: keyId.slice(0, 'yyyy-mm'.length) }
      : { sealer: this.main, month: null }
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
    if (this.#derived.has(entry.id)) return
    const keys = new DerivedKeys(unwrap(this.#wrappingKey, entry))
    this.#derived.set(entry.id, keys)
    this.#main.keep(entry.id, keys)
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
  if (!entries.some((entry) => mainNumber(entry.id) !== null)) {
    if (!options.mayCreate) {
      throw new KeyRingUnusable(
        'the key ring is missing although a database exists: put the ring back from a backup; without it the data cannot be read',
      )
    }
    entries = [...entries, await options.storage.add(wrapNewSecret(wrappingKey, firstMain))]
  }
  const secrets = new Map(entries.map((entry) => [entry.id, unwrap(wrappingKey, entry)]))
  return new KeyRing(wrappingKey, options.storage, secrets)
}

export const sha256: Sha256 = (bytes) => new Uint8Array(hash('sha256', bytes, 'buffer'))
