import { Buffer } from 'node:buffer'
import { hash, randomFillSync, type KeyObject } from 'node:crypto'
import {
  SealBroken,
  type IndexedColumn,
  type JournalSeals,
  type Keys,
  type Place,
  type Sealer,
  type Sha256,
} from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { indexLength, KeyedIndex, type JournalKeys } from './day-keys.ts'
import { derive, DerivedKeys } from './derived-keys.ts'
import { keyIdOf, openWith, sealWith } from './envelope.ts'
import { firstMain, mainId, mainNumber, MainSecrets, type MainSecretState } from './main-secrets.ts'
import { dayMilliseconds, dayNameOf } from '../ports/time.ts'

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
  /** UTC milliseconds. */
  readonly createdAt: number
}

/** The storage of the ring: a file on Node, a database of its own on Workers. Each write is atomic. */
export interface RingStorage {
  load(): Promise<readonly RingEntry[]>
  /** The same at once, where the storage can do that. */
  loadNow?(): readonly RingEntry[]
  /**
   * Adds an entry. Adds nothing if its id exists, or if `beside` is not stored as it was read: then the ring was wrapped
   * with another key meanwhile, which `entry` is not.
   */
  add(entry: RingEntry, beside: RingEntry | null): Promise<void>
  /** Replaces all entries. False, and nothing is changed, if the ring is not `from` any more. */
  replace(from: readonly RingEntry[], to: readonly RingEntry[]): Promise<boolean>
}

/** The ring cannot be opened: it belongs to another `DATA_KEY`, or is damaged. */
export class KeyRingUnusable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'KeyRingUnusable'
  }
}

const secretLength = 32
const monthOf = (at: number): string => new Date(at).toISOString().slice(0, 7)

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
    const day = dayNameOf(at)
    this.#keyId = `${day}.${this.#writer}`
    this.#indexes.clear()
    this.#preparedUntil = Date.parse(day) + dayMilliseconds
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

interface RingParts {
  readonly dataKey: Uint8Array
  readonly storage: RingStorage
  readonly clock: Clock
  readonly otherKeys: () => readonly Uint8Array[]
}

/** How often a write to the ring is tried when others write to it too. */
const attempts = 5

/** How long a ring may be used before it is read again. It is asked each minute, or at each request. */
const freshMilliseconds = 30_000

/** The opened ring. Make it with `openKeyRing`. */
export class KeyRing implements Keys {
  readonly journal: JournalSealer
  readonly #storage: RingStorage
  readonly #clock: Clock
  readonly #dataKeys: () => readonly Uint8Array[]
  readonly #derived = new Map<string, DerivedKeys>()
  readonly #main: MainSecrets
  #wrappingKey: KeyObject
  #readAt: number
  #isOutdated = false

  constructor({ dataKey, storage, clock, otherKeys }: RingParts, entries: readonly RingEntry[]) {
    this.#wrappingKey = wrappingKeyOf(dataKey)
    this.#storage = storage
    this.#clock = clock
    // The key of the settings may be the one that another isolate is wrapping the ring with.
    this.#dataKeys = () => [dataKey, ...otherKeys()]
    this.#main = new MainSecrets(clock, () => this.#readNow())
    this.#readAt = clock()
    this.#take(entries)
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

  /** The secrets of the main database, the newest first. */
  mainSecrets(): MainSecretState[] {
    return this.#main.states()
  }

  /** Whether the stored ring was wrapped with a data key that is not to be had here. What is known here still works. */
  get isOutdated(): boolean {
    return this.#isOutdated
  }

  /**
   * Makes the secret of an entry if there is none, here or with another writer. The ring is read again first: if an
   * entry is missing here, other writers may have made it and more.
   */
  async ensure(id: string): Promise<void> {
    if (this.#derived.has(id)) return
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const [first] = await this.#read()
      if (this.#derived.has(id)) return
      await this.#storage.add(wrapNewSecret(this.#wrappingKey, id, this.#clock()), first ?? null)
    }
    await this.#read()
    if (!this.#derived.has(id)) throw new KeyRingUnusable(`the key ring did not take the entry ${id}`)
  }

  /** Reads the ring again, if that was not done just now. Another process may have rotated a key. */
  async refresh(): Promise<void> {
    if (this.#clock() - this.#readAt >= freshMilliseconds) await this.#read()
  }

  /**
   * Makes one more secret for the main database. It seals in five minutes, when every process has read the ring again.
   * Those that are there go on opening. Two calls at once make one secret.
   */
  async rotateMain(): Promise<MainSecretState> {
    await this.#read()
    const numbers = Array.from(this.#derived.keys(), (id) => mainNumber(id) ?? 0)
    const id = mainId(Math.max(...numbers) + 1)
    await this.ensure(id)
    const made = this.mainSecrets().find((secret) => secret.id === id)
    if (made === undefined) throw new KeyRingUnusable(`the key ring has no room for ${id}`)
    return made
  }

  /**
   * Wraps all secrets with another data key, in one write. From then on the present one opens nothing. False if the ring
   * was wrapped with that key already. Throws `KeyRingUnusable`.
   */
  async wrapWith(dataKey: Uint8Array): Promise<boolean> {
    const wrappingKey = wrappingKeyOf(dataKey)
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      if (await this.isWrappedWith(dataKey)) return false
      const from = await this.#read()
      const to = from.map((entry) => ({ ...entry, wrapped: wrap(wrappingKey, entry.id, this.#unwrap(entry)) }))
      if (await this.#storage.replace(from, to)) {
        this.#wrappingKey = wrappingKey
        return true
      }
    }
    throw new KeyRingUnusable('the key ring changes all the time: try again')
  }

  /** Whether that data key opens the stored ring. */
  async isWrappedWith(dataKey: Uint8Array): Promise<boolean> {
    const wrappingKey = wrappingKeyOf(dataKey)
    return (await this.#read()).every((entry) => opens(wrappingKey, entry))
  }

  async #read(): Promise<readonly RingEntry[]> {
    const entries = await this.#storage.load()
    this.#take(entries)
    this.#readAt = this.#clock()
    return entries
  }

  /** What cannot be read again is unknown, as it was before. */
  #readNow(): void {
    try {
      this.#take(this.#storage.loadNow?.() ?? [])
    } catch (error) {
      if (!(error instanceof KeyRingUnusable)) throw error
    }
  }

  #take(entries: readonly RingEntry[]): void {
    this.#followDataKey(entries)
    for (const entry of entries) {
      if (this.#derived.has(entry.id)) continue
      const keys = new DerivedKeys(this.#unwrap(entry))
      this.#derived.set(entry.id, keys)
      this.#main.keep(entry.id, entry.createdAt, keys)
    }
  }

  /** If the ring was wrapped with another data key, looks for that key where this one came from. */
  #followDataKey(entries: readonly RingEntry[]): void {
    const fits = (key: KeyObject): boolean => entries.length === 0 || entries.some((entry) => opens(key, entry))
    const key = fits(this.#wrappingKey) ? this.#wrappingKey : this.#dataKeys().map(wrappingKeyOf).find(fits)
    this.#isOutdated = key === undefined
    if (key === undefined) {
      throw new KeyRingUnusable(
        'DATA_KEY does not open the key ring: it is neither the key that made it nor the one that replaced that',
      )
    }
    this.#wrappingKey = key
  }

  #unwrap(entry: RingEntry): Uint8Array {
    return unwrap(this.#wrappingKey, entry)
  }
}

const wrappingPlace = (id: string): Place => ({ table: 'key_ring', column: 'wrapped', row: id })

/** Throws `KeyRingUnusable` for a key of another length. */
const wrappingKeyOf = (dataKey: Uint8Array): KeyObject => {
  if (dataKey.length !== secretLength) throw new KeyRingUnusable('DATA_KEY is not 32 bytes long')
  return derive(dataKey, 'wrap')
}

const wrap = (wrappingKey: KeyObject, id: string, secret: Uint8Array): Uint8Array =>
  sealWith(wrappingKey, 'data-key', wrappingPlace(id), secret)

const wrapNewSecret = (wrappingKey: KeyObject, id: string, createdAt: number): RingEntry => ({
  id,
  wrapped: wrap(wrappingKey, id, randomFillSync(new Uint8Array(secretLength))),
  createdAt,
})

const unwrap = (wrappingKey: KeyObject, entry: RingEntry): Uint8Array => {
  try {
    return openWith(wrappingKey, 'data-key', wrappingPlace(entry.id), entry.wrapped)
  } catch (cause) {
    throw new KeyRingUnusable(
      `DATA_KEY does not open the key ring (entry ${entry.id}): it is not the key that made it`,
      { cause },
    )
  }
}

const opens = (wrappingKey: KeyObject, entry: RingEntry): boolean => {
  try {
    unwrap(wrappingKey, entry)
    return true
  } catch (error) {
    if (error instanceof KeyRingUnusable) return false
    throw error
  }
}

/**
 * Opens the ring with `dataKey` (32 bytes). `mayCreate`: no database exists yet, so an empty ring may be filled. A new
 * ring beside old data would make the data unreadable for good. `otherKeys` reads again where the data key stands: after
 * a rotation one of them may open the ring, now or later. Throws `KeyRingUnusable`.
 */
export async function openKeyRing(options: {
  dataKey: Uint8Array
  storage: RingStorage
  mayCreate: boolean
  otherKeys?: () => readonly Uint8Array[]
  clock?: Clock
}): Promise<KeyRing> {
  const { dataKey, storage, otherKeys = () => [], clock = Date.now } = options
  const wrappingKey = wrappingKeyOf(dataKey)
  let entries = await storage.load()
  if (!entries.some((entry) => mainNumber(entry.id) !== null)) {
    if (!options.mayCreate) {
      throw new KeyRingUnusable(
        'the key ring is missing although a database exists: put the ring back from a backup; without it the data cannot be read',
      )
    }
    await storage.add(wrapNewSecret(wrappingKey, firstMain, clock()), entries[0] ?? null)
    entries = await storage.load()
  }
  return new KeyRing({ dataKey, storage, clock, otherKeys }, entries)
}

export const sha256: Sha256 = (bytes) => new Uint8Array(hash('sha256', bytes, 'buffer'))
