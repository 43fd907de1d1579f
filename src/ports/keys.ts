/** The place of a sealed value. It is authenticated with the value, so nobody can move the value to another row. */
export interface Place {
  readonly table: string
  readonly column: string
  readonly row: string | number
}

/**
 * Seals values that name a mailbox, with AES-256-GCM. An envelope is: version (1 byte), length of the
 * key id (1 byte), key id, nonce (12 bytes), ciphertext, tag (16 bytes).
 */
export interface Sealer {
  /** A string is sealed as its UTF-8. */
  seal(place: Place, plaintext: Uint8Array | string): Uint8Array
  /** Throws `SealBroken` if the envelope belongs to another place, was altered, or its key is gone. */
  open(place: Place, envelope: Uint8Array): Uint8Array
}

/** The envelope cannot be opened here. */
export class SealBroken extends Error {
  constructor(place: Place, reason: string, options?: ErrorOptions) {
    super(`cannot open ${place.table}.${place.column}: ${reason}`, options)
    this.name = 'SealBroken'
  }
}

/** The columns of the journal that are found by a keyed hash. */
export type IndexedColumn = 'query_log.address_key' | 'lookup_payers.scopes' | 'check_ins.facts_key'

/**
 * Seals the journal. Each writer has one key a day, derived from the month's secret. Dropping that secret makes the
 * month unreadable.
 */
export interface JournalSeals extends Sealer {
  /**
   * Prepares the month of `at` (UTC milliseconds): makes its secret if it is missing, and selects the key of the day.
   */
  prepare(at: number): Promise<void>
  /** The first eight bytes of an HMAC-SHA-256 under the prepared month's key of that column. */
  index(column: IndexedColumn, value: string): Uint8Array
}

/**
 * Keyed hashes of what stands in the main database. There is one key for each purpose, derived from a main secret of the
 * ring. A hash begins with the number of that secret (2 bytes). A purpose is a word of the program, such as a table.
 */
export interface KeyedHashes {
  /** Authenticates bytes under the newest secret: 18 bytes, of which 16 are of an HMAC-SHA-256. */
  mac(purpose: string, bytes: Uint8Array | string): Uint8Array
  /** Whether `mac` gave this hash, now or before a rotation. False if the secret is gone. Compares in constant time. */
  macFits(purpose: string, bytes: Uint8Array | string, mac: Uint8Array): boolean
  /**
   * What a value is looked up by: 34 bytes under each secret, the newest first. Write the first, look up all. No MAC
   * equals a verifier, even with the same purpose.
   */
  verifiers(purpose: string, bytes: Uint8Array | string): [Uint8Array, ...Uint8Array[]]
}

/** The key ring. All calls but `prepare` are synchronous, because lookups need them. */
export interface Keys extends KeyedHashes {
  /** For the main database. The newest secret seals, and all of them open. */
  readonly main: Sealer
  readonly journal: JournalSeals
  /** The blind index of an address: HMAC-SHA-256 of its matching key, 32 bytes. */
  blindIndex(matchingKey: string): Uint8Array
}

/** SHA-256, synchronously. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Seals a text as UTF-8. */
export const sealText = (sealer: Sealer, place: Place, plaintext: string): Uint8Array => sealer.seal(place, plaintext)

/** Opens what `sealText` sealed. */
export const openText = (sealer: Sealer, place: Place, envelope: Uint8Array): string =>
  decoder.decode(sealer.open(place, envelope))
