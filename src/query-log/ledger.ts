import { isBudgetSpent, timesNamed, type PackedLookup } from '../ports/lookup-log.ts'

/**
 * Counts the addresses that were asked for on one UTC day, in memory: a set of the addresses of each asker, and a
 * count for each scope. Keys are keyed hashes of eight bytes, so they are spread evenly.
 */

/** The two halves of a key of eight bytes. */
const high = (key: Uint8Array, at = 0): number =>
  (((key[at] ?? 0) << 24) | ((key[at + 1] ?? 0) << 16) | ((key[at + 2] ?? 0) << 8) | (key[at + 3] ?? 0)) >>> 0
const low = (key: Uint8Array, at = 0): number => high(key, at + 4)

/** Mixes the bits of a number, so that neighbours become strangers (the end of MurmurHash3). */
const mix = (number: number, seed: number): number => {
  let mixed = number ^ seed
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** The pair that stands in an `AddressSet` for an asker's account and the key at a place; the first is never zero. */
const firstOf = (own: number, keys: Uint8Array, at: number): number =>
  (high(keys, at) ^ mix(own, 0x9e3779b9)) >>> 0 || 1
const secondOf = (own: number, keys: Uint8Array, at: number): number => (low(keys, at) ^ mix(own, 0x7f4a7c15)) >>> 0

/** A part of an `AddressSet` grows by a quarter when it is this full: nine to twelve bytes an address. */
const fullAt = 0.85
const growth = 1.25
const parts = 256

/**
 * A set of pairs of a number and a key, as hashes of 64 bits. It has 256 parts and grows one at a time, so growing
 * never needs a second copy of everything.
 */
class AddressSet {
  readonly #parts: Uint32Array[] = Array.from({ length: parts }, () => new Uint32Array(2 * 16))
  readonly #sizes = new Uint32Array(parts)
  size = 0

  has(first: number, second: number): boolean {
    const part = this.#parts[second % parts]
    return part !== undefined && part[this.#find(part, first, second)] !== 0
  }

  /** Whether it was not in it. Does nothing where it was. */
  add(first: number, second: number): boolean {
    const number = second % parts
    const part = this.#parts[number] ?? new Uint32Array(0)
    const place = this.#find(part, first, second)
    if (part[place] !== 0) return false
    part[place] = first
    part[place + 1] = second
    this.size += 1
    const size = (this.#sizes[number] ?? 0) + 1
    this.#sizes[number] = size
    // Room for the next one, without which no search would end.
    if (size + 1 > fullAt * (part.length / 2)) this.#parts[number] = this.#grown(part)
    return true
  }

  /** Removes a pair, and moves up the pairs that had to stand behind it. */
  remove(first: number, second: number): void {
    const number = second % parts
    const part = this.#parts[number] ?? new Uint32Array(0)
    let hole = this.#find(part, first, second)
    for (let next = this.#after(part, hole); part[next] !== 0; next = this.#after(part, next)) {
      const home = this.#home(part, part[next] ?? 0)
      const staysReachable = hole < next ? home > hole && home <= next : home > hole || home <= next
      if (staysReachable) continue
      part[hole] = part[next] ?? 0
      part[hole + 1] = part[next + 1] ?? 0
      hole = next
    }
    part[hole] = 0
    part[hole + 1] = 0
    this.#sizes[number] = (this.#sizes[number] ?? 0) - 1
    this.size -= 1
  }

  /** The place of the pair, or the empty place for it. */
  #find(part: Uint32Array, first: number, second: number): number {
    let place = this.#home(part, first)
    while (part[place] !== 0 && (part[place] !== first || part[place + 1] !== second)) place = this.#after(part, place)
    return place
  }

  #home(part: Uint32Array, first: number): number {
    return 2 * Math.floor((first / 2 ** 32) * (part.length / 2))
  }

  #after(part: Uint32Array, place: number): number {
    return place + 2 === part.length ? 0 : place + 2
  }

  #grown(part: Uint32Array): Uint32Array {
    const larger = new Uint32Array(2 * Math.ceil((part.length / 2) * growth))
    for (let from = 0; from < part.length; from += 2) {
      const first = part[from] ?? 0
      if (first === 0) continue
      const second = part[from + 1] ?? 0
      const place = this.#find(larger, first, second)
      larger[place] = first
      larger[place + 1] = second
    }
    return larger
  }
}

/** A compact list of numbers. */
class Numbers {
  #values = new Uint32Array(64)
  length = 0

  get(index: number): number {
    return this.#values[index] ?? 0
  }

  /** Sets the number at an index, also beyond the end. */
  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const larger = new Uint32Array(Math.ceil((index + 1) * 1.5))
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values[index] = value
    this.length = Math.max(this.length, index + 1)
  }
}

/** Numbers above zero by keys of 64 bits. */
class NumbersByKey {
  readonly #highs = new Numbers()
  readonly #lows = new Numbers()
  #slots = new Uint32Array(128)
  #size = 0

  /** Zero if the key has none. */
  find(first: number, second: number): number {
    return this.#slots[this.#place(first, second)] ?? 0
  }

  put(first: number, second: number, number: number): void {
    this.#highs.set(number, first)
    this.#lows.set(number, second)
    this.#size += 1
    if (this.#size * 2 > this.#slots.length) this.#grow()
    this.#slots[this.#place(first, second)] = number
  }

  keyOf(number: number): string {
    return `${this.#highs.get(number)}.${this.#lows.get(number)}`
  }

  #place(first: number, second: number): number {
    const last = this.#slots.length - 1
    let place = first & last
    for (;;) {
      const number = this.#slots[place] ?? 0
      if (number === 0 || (this.#highs.get(number) === first && this.#lows.get(number) === second)) return place
      place = (place + 1) & last
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Uint32Array(2 * old.length)
    for (const number of old) {
      if (number !== 0) this.#slots[this.#place(this.#highs.get(number), this.#lows.get(number))] = number
    }
  }
}

/** Who pays: the accounts of the scopes, the asker's own first. */
export interface Payer {
  /** Its number within the day. */
  readonly number: number
  readonly accounts: readonly number[]
}

/** What a lookup was charged, to give it back if it is not written. */
export interface Charge {
  readonly payer: Payer
  readonly fresh: number
  readonly named: number
  /** The pairs that were added to the set of addresses. */
  readonly remembered: readonly number[]
}

/** The bytes of a key. */
export const keyBytes = 8

/** The limit of remembered addresses a day; they take about 90 MB. Beyond it each address counts as new every time. */
const addressesRemembered = 8_000_000

/** The counts of one UTC day. */
export class Ledger {
  readonly day: number
  readonly #capacity: number
  readonly #addresses = new AddressSet()
  readonly #accounts = new NumbersByKey()
  readonly #used = new Numbers()
  readonly #named = new Numbers()
  readonly #payers = new NumbersByKey()
  #accountsMade = 0
  #lastPayer = 0

  constructor(day: number, capacity: number = addressesRemembered) {
    this.day = day
    this.#capacity = capacity
  }

  /** The addresses that are remembered. */
  get size(): number {
    return this.#addresses.size
  }

  /**
   * Finds the payer of scopes, given as their keys, one after the other. A new payer gets `number`, or the next one.
   * Also says whether the payer is new.
   */
  payerOf(scopes: Uint8Array, number?: number): { payer: Payer; isNew: boolean } {
    const accounts: number[] = []
    let [first, second] = [scopes.length, 0]
    for (let at = 0; at < scopes.length; at += keyBytes) {
      accounts.push(this.#accountOf(high(scopes, at), low(scopes, at)))
      first = mix(first ^ high(scopes, at), second)
      second = mix(second ^ low(scopes, at), first)
    }
    const known = this.#payers.find(first, second)
    if (known !== 0) return { payer: { number: known, accounts }, isNew: false }
    const given = number ?? this.#lastPayer + 1
    this.#lastPayer = Math.max(this.#lastPayer, given)
    this.#payers.put(first, second, given)
    return { payer: { number: given, accounts }, isNew: true }
  }

  #accountOf(first: number, second: number): number {
    const known = this.#accounts.find(first, second)
    if (known !== 0) return known
    this.#accountsMade += 1
    this.#accounts.put(first, second, this.#accountsMade)
    return this.#accountsMade
  }

  /**
   * Charges distinct addresses, given by their keys. `limits` are in the order of the payer's accounts. If the
   * addresses pass limits, it charges nothing and returns the indexes of these limits.
   */
  charge(
    payer: Payer,
    { limits, ownScopeCount }: Pick<PackedLookup, 'limits' | 'ownScopeCount'>,
    keys: readonly Uint8Array[],
  ): Charge | { spent: number[] } {
    const fresh = this.#freshOf(payer, keys)
    const spent: number[] = []
    const counted = fresh.length / 2
    const [own = 0] = payer.accounts
    const ofAsker = this.#used.get(own) + counted
    payer.accounts.forEach((account, index) => {
      const limit = limits[index] ?? 0
      const namedTooOften = index === 0 && this.#named.get(account) + keys.length > timesNamed * limit
      const used = this.#used.get(account) + counted
      const isSpent = counted > 0 && isBudgetSpent(limit, index < ownScopeCount, used, ofAsker)
      if (namedTooOften || isSpent) spent.push(index)
    })
    return spent.length > 0 ? { spent } : this.#book(payer, fresh, keys.length)
  }

  /** Counts one address that was logged before, without a limit: its key stands at a place of `keys`. */
  replay(payer: Payer, keys: Uint8Array, at: number): void {
    const [own = 0] = payer.accounts
    const [first, second] = [firstOf(own, keys, at), secondOf(own, keys, at)]
    const hasRoom = this.#addresses.size < this.#capacity
    const isFresh = hasRoom ? this.#addresses.add(first, second) : !this.#addresses.has(first, second)
    this.#count(payer, isFresh ? 1 : 0, 1)
  }

  giveBack({ payer, fresh, named, remembered }: Charge): void {
    for (let at = 0; at < remembered.length; at += 2) {
      this.#addresses.remove(remembered[at] ?? 0, remembered[at + 1] ?? 0)
    }
    this.#count(payer, -fresh, -named)
  }

  /** Every account with a count, as text, in a fixed order. Two ledgers that agree give the same. */
  *balances(): Iterable<string> {
    for (let account = 1; account <= this.#accountsMade; account += 1) {
      const [used, named] = [this.#used.get(account), this.#named.get(account)]
      if (used > 0 || named > 0) yield `${this.#accounts.keyOf(account)} ${used} ${named}`
    }
  }

  /** The addresses that are new for the asker, as pairs. */
  #freshOf({ accounts: [own = 0] }: Payer, keys: readonly Uint8Array[]): number[] {
    const fresh: number[] = []
    for (const key of keys) {
      const [first, second] = [firstOf(own, key, 0), secondOf(own, key, 0)]
      if (!this.#addresses.has(first, second)) fresh.push(first, second)
    }
    return fresh
  }

  #book(payer: Payer, fresh: readonly number[], named: number): Charge {
    const remembered = this.#addresses.size + fresh.length / 2 > this.#capacity ? [] : fresh
    for (let at = 0; at < remembered.length; at += 2) {
      this.#addresses.add(remembered[at] ?? 0, remembered[at + 1] ?? 0)
    }
    this.#count(payer, fresh.length / 2, named)
    return { payer, fresh: fresh.length / 2, named, remembered }
  }

  #count({ accounts }: Payer, fresh: number, named: number): void {
    if (fresh !== 0) for (const account of accounts) this.#used.set(account, this.#used.get(account) + fresh)
    const [own = 0] = accounts
    this.#named.set(own, this.#named.get(own) + named)
  }
}
