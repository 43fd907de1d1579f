import { Buffer } from 'node:buffer'
import { timingSafeEqual, type KeyObject } from 'node:crypto'
import { SealBroken, type KeyedHashes, type Place, type Sealer } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { KeyedIndex } from './day-keys.ts'
import type { DerivedKeys } from './derived-keys.ts'
import { keyIdOf, openWith, sealWith } from './envelope.ts'

export const firstMain = 'main'

/** The number of a main secret: 1 for `main`, 2 for `main-2`. Null for other entries. */
export const mainNumber = (id: string): number | null => {
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

/** The id of a main secret with a number above 1. */
export const mainId = (number: number): string => `${firstMain}-${number}`

/** The length of a whole SHA-256. */
const blindIndexLength = 32

/**
 * How long a new secret only opens before it also seals. Every process reads the ring again within a minute. So all of
 * them know a secret before they meet what it sealed, and before they look a value up by what it hashed.
 */
export const settleMilliseconds = 5 * 60_000

/** One secret of the main database, with the keys that are derived from it. */
class MainSecret {
  readonly id: string
  readonly number: number
  /** From when on it seals, in UTC milliseconds. */
  readonly sealsFrom: number
  readonly #keys: DerivedKeys
  readonly #hashes = new Map<string, KeyedIndex>()

  constructor({ id, number, createdAt, keys }: { id: string; number: number; createdAt: number; keys: DerivedKeys }) {
    this.id = id
    this.number = number
    this.sealsFrom = number === 1 ? 0 : createdAt + settleMilliseconds
    this.#keys = keys
  }

  sealingKey(table: string): KeyObject {
    return this.#keys.get(`seal/${table}`)
  }

  blindIndex(matchingKey: string): Uint8Array {
    return this.#hash('blind-index', blindIndexLength).of(matchingKey)
  }

  mac(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return numbered(this.number, this.#hash(`mac/${purpose}`, macLength).of(bytes))
  }

  verifier(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return numbered(this.number, this.#hash(`verifier/${purpose}`, verifierLength).of(bytes))
  }

  #hash(purpose: string, length: number): KeyedIndex {
    const known = this.#hashes.get(purpose)
    if (known !== undefined) return known
    const made = new KeyedIndex(this.#keys.get(purpose).export(), length)
    this.#hashes.set(purpose, made)
    return made
  }
}

/** What a secret of the main database does now. */
export interface MainSecretState {
  readonly id: string
  /** `waits`: it will seal, once every process knows it. `opens`: a newer one seals. */
  readonly does: 'seals' | 'waits' | 'opens'
  /** From when on it seals, or has sealed. Null for the first one. */
  readonly since: number | null
}

/** The secrets of the main database. There is always at least one, and exactly one of them seals. */
export class MainSecrets implements Sealer, KeyedHashes {
  readonly #clock: Clock
  readonly #readAgain: () => void
  readonly #byNumber = new Map<number, MainSecret>()
  /** The one that seals, then the others, the newest first. */
  #ordered: [MainSecret, ...MainSecret[]] | null = null
  /** When the next one begins to seal. */
  #orderedUntil = Number.POSITIVE_INFINITY

  /** `readAgain` adds what the stored ring has more. It is called for a secret that is not known here. */
  constructor(clock: Clock, readAgain: () => void) {
    this.#clock = clock
    this.#readAgain = readAgain
  }

  /** Takes a secret. An entry of the ring that is none of the main database is left alone. */
  keep(id: string, createdAt: number, keys: DerivedKeys): void {
    const number = mainNumber(id)
    if (number === null) return
    this.#byNumber.set(number, new MainSecret({ id, number, createdAt, keys }))
    this.#ordered = null
  }

  seal(place: Place, plaintext: Uint8Array | string): Uint8Array {
    const [sealing] = this.#inOrder()
    return sealWith(sealing.sealingKey(place.table), sealing.id, place, plaintext)
  }

  open(place: Place, envelope: Uint8Array): Uint8Array {
    const keyId = keyIdOf(place, envelope)
    const secret = this.#numbered(mainNumber(keyId))
    if (secret === undefined) throw new SealBroken(place, `no key ${keyId}`)
    return openWith(secret.sealingKey(place.table), keyId, place, envelope)
  }

  /** Indexes stay under the oldest secret, as rows are found by them. */
  blindIndex(matchingKey: string): Uint8Array {
    const [sealing, ...others] = this.#inOrder()
    let oldest = sealing
    for (const other of others) if (other.number < oldest.number) oldest = other
    return oldest.blindIndex(matchingKey)
  }

  mac(purpose: string, bytes: Uint8Array | string): Uint8Array {
    return this.#inOrder()[0].mac(purpose, bytes)
  }

  macFits(purpose: string, bytes: Uint8Array | string, mac: Uint8Array): boolean {
    if (mac.length !== numberLength + macLength) return false
    const secret = this.#numbered(((mac[0] ?? 0) << 8) | (mac[1] ?? 0))
    return secret !== undefined && timingSafeEqual(Buffer.from(secret.mac(purpose, bytes)), Buffer.from(mac))
  }

  verifiers(purpose: string, bytes: Uint8Array | string): [Uint8Array, ...Uint8Array[]] {
    const [sealing, ...others] = this.#inOrder()
    return [sealing.verifier(purpose, bytes), ...others.map((secret) => secret.verifier(purpose, bytes))]
  }

  /** All secrets, the newest first. */
  states(): MainSecretState[] {
    const [sealing] = this.#inOrder()
    return this.#newestFirst().map((secret) => {
      const does = secret === sealing ? 'seals' : secret.number > sealing.number ? 'waits' : 'opens'
      return { id: secret.id, does, since: secret.number === 1 ? null : secret.sealsFrom }
    })
  }

  #numbered(number: number | null): MainSecret | undefined {
    if (number === null || number === 0) return undefined
    if (!this.#byNumber.has(number)) this.#readAgain()
    return this.#byNumber.get(number)
  }

  #newestFirst(): MainSecret[] {
    return [...this.#byNumber.values()].toSorted((a, b) => b.number - a.number)
  }

  #inOrder(): [MainSecret, ...MainSecret[]] {
    const isCurrent = this.#orderedUntil === Number.POSITIVE_INFINITY || this.#clock() < this.#orderedUntil
    if (this.#ordered !== null && isCurrent) return this.#ordered
    const now = this.#clock()
    const newestFirst = this.#newestFirst()
    const sealing = newestFirst.find(({ sealsFrom }) => sealsFrom <= now) ?? newestFirst.at(-1)
    if (sealing === undefined) throw new Error('the ring has no secret for the main database')
    const waiting = newestFirst.filter(({ number }) => number > sealing.number)
    this.#orderedUntil = Math.min(...waiting.map(({ sealsFrom }) => sealsFrom))
    this.#ordered = [sealing, ...newestFirst.filter((secret) => secret !== sealing)]
    return this.#ordered
  }
}
