import type { Command, SqlValue } from '../ports/database.ts'
import {
  countOwnScopes,
  payerText,
  type LookedUpAddress,
  type LookupEntry,
  type PackedLookup,
} from '../ports/lookup-log.ts'
import type { JournalKeys } from './day-keys.ts'

/**
 * The messages between the main thread and the journal's thread. They are a few flat lists: structured clone of the
 * same content as nested commands costs four times as much (3.9 instead of 0.9 µs a lookup). A blob that is a view on
 * a shared buffer would copy the whole buffer.
 */

/** A group of batches, packed by `packGroup`. */
export interface PackedGroup {
  /** Each statement once. */
  readonly texts: readonly string[]
  /**
   * For each batch: the number of its commands; for each command: the index of its text and the number of its values.
   */
  readonly layout: readonly number[]
  /** The values of all commands; `undefined` stands for the next blob. */
  readonly values: readonly (Exclude<SqlValue, Uint8Array> | undefined)[]
  readonly blobLengths: readonly number[]
  /** All blobs, one after the other. */
  readonly blobs: Uint8Array
}

/** Lookups, packed by `packLookups`. */
export interface PackedLookups {
  /**
   * For each lookup: its payer; for each of its addresses: the address and the matching key (empty if it is the same).
   */
  readonly texts: readonly string[]
  /**
   * For each lookup: the number of its limits, how many of them are of the asker alone, the limits, the number of its
   * addresses, and for each address 1 if it
   * was found.
   */
  readonly numbers: readonly number[]
}

/** What one transaction writes: batches of commands, then lookups, then check-ins, all at one time. */
export interface JournalGroup {
  /** UTC milliseconds. */
  readonly at: number
  readonly batches: PackedGroup
  readonly lookups: PackedLookups
  /** Device, subscriber and facts of each. */
  readonly checkIns: readonly string[]
}

/** From the main thread. */
export type JournalRequest =
  | { readonly group: JournalGroup }
  /** The keys of the day. They come before the first group of that day with a lookup or a check-in. */
  | { readonly keys: JournalKeys }
  /** Asks the thread to read the lookups of this day before one comes. */
  | { readonly warm: number }
  /** Asks for the faults of the budgets on this day. */
  | { readonly faultsAt: number }
  | { readonly close: true }

/** A member that was not written, by its index among those of its kind. */
export interface MemberFailure {
  readonly index: number
  readonly message: string
}

/** The results of a committed group. */
export interface CommittedGroup {
  /** The number of changed rows of each command, in order, without the batches that failed. */
  readonly changes: readonly number[]
  readonly batchFailures: readonly MemberFailure[]
  readonly lookupFailures: readonly MemberFailure[]
  readonly checkInFailures: readonly MemberFailure[]
  /** Lookups beyond a budget, and the indexes of their spent scopes. */
  readonly spent: readonly { readonly index: number; readonly scopes: readonly number[] }[]
}

/** To the main thread. */
export type JournalAnswer =
  | { readonly ready: true }
  | CommittedGroup
  /** Nothing of the group was committed. */
  | { readonly failed: string }
  | { readonly faults: readonly string[] }
  | { readonly closed: true }

export function packLookups(entries: readonly LookupEntry[]): PackedLookups {
  const texts: string[] = []
  const numbers: number[] = []
  for (const entry of entries) {
    texts.push(payerText(entry))
    numbers.push(entry.scopes.length, countOwnScopes(entry.scopes))
    for (const { limit } of entry.scopes) numbers.push(limit)
    numbers.push(entry.addresses.length)
    for (const { address, matchingKey, status } of entry.addresses) {
      texts.push(address, address === matchingKey ? '' : matchingKey)
      numbers.push(status === 'found' ? 1 : 0)
    }
  }
  return { texts, numbers }
}

/** The lookups that were packed, in order. */
export function unpackLookups({ texts, numbers }: PackedLookups): PackedLookup[] {
  const lookups: PackedLookup[] = []
  let [text, place] = [0, 0]
  while (place < numbers.length) {
    const payer = texts[text++] ?? ''
    const ofLimits = numbers[place++] ?? 0
    const ownScopeCount = numbers[place++] ?? 0
    const limits = numbers.slice(place, place + ofLimits)
    place += ofLimits
    const addresses: LookedUpAddress[] = []
    for (let left = numbers[place++] ?? 0; left > 0; left -= 1) {
      const address = texts[text++] ?? ''
      const status = numbers[place++] === 1 ? 'found' : 'not_found'
      addresses.push({ address, matchingKey: texts[text++] || address, status })
    }
    lookups.push({ payer, limits, ownScopeCount, addresses })
  }
  return lookups
}

const concat = (blobs: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(blobs.reduce((length, blob) => length + blob.length, 0))
  let offset = 0
  for (const blob of blobs) {
    whole.set(blob, offset)
    offset += blob.length
  }
  return whole
}

export function packGroup(batches: readonly (readonly Command[])[]): PackedGroup {
  const textIndexes = new Map<string, number>()
  const layout: number[] = []
  const values: (Exclude<SqlValue, Uint8Array> | undefined)[] = []
  const blobs: Uint8Array[] = []
  const indexOf = (text: string): number => {
    const known = textIndexes.get(text)
    if (known !== undefined) return known
    textIndexes.set(text, textIndexes.size)
    return textIndexes.size - 1
  }
  for (const commands of batches) {
    layout.push(commands.length)
    for (const command of commands) {
      layout.push(indexOf(command.text), command.values.length)
      for (const value of command.values) {
        if (value instanceof Uint8Array) {
          blobs.push(value)
          values.push(undefined)
        } else values.push(value)
      }
    }
  }
  return {
    texts: [...textIndexes.keys()],
    layout,
    values,
    blobLengths: blobs.map((blob) => blob.length),
    blobs: concat(blobs),
  }
}

/** Reads a packed group from start to end. Plain loops, because this runs for every logged value. */
class Unpacking {
  readonly #packed: PackedGroup
  #place = 0
  #value = 0
  #blob = 0
  #offset = 0

  constructor(packed: PackedGroup) {
    this.#packed = packed
  }

  atEnd(): boolean {
    return this.#place >= this.#packed.layout.length
  }

  batch(): Command[] {
    const commands: Command[] = []
    for (let left = this.#number(); left > 0; left -= 1) commands.push(this.#command())
    return commands
  }

  #command(): Command {
    const text = this.#packed.texts[this.#number()] ?? ''
    const values: SqlValue[] = []
    for (let left = this.#number(); left > 0; left -= 1) {
      const value = this.#packed.values[this.#value++]
      values.push(value === undefined ? this.#nextBlob() : value)
    }
    return { text, values }
  }

  #number(): number {
    return this.#packed.layout[this.#place++] ?? 0
  }

  #nextBlob(): Uint8Array {
    const start = this.#offset
    this.#offset += this.#packed.blobLengths[this.#blob++] ?? 0
    return this.#packed.blobs.subarray(start, this.#offset)
  }
}

/** Unpacks batches. Their blobs are views on the message. */
export function unpackGroup(packed: PackedGroup): Command[][] {
  const unpacking = new Unpacking(packed)
  const batches: Command[][] = []
  while (!unpacking.atEnd()) batches.push(unpacking.batch())
  return batches
}
