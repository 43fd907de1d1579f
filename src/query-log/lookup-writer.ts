import type { JournalWriting } from '../ports/journal.ts'
import { readPayerText, type LookedUpAddress, type PackedLookup } from '../ports/lookup-log.ts'
import { keyBytes, Ledger, type Charge, type Payer } from './ledger.ts'
import { LogIds, lowestIdAt } from './log-ids.ts'
import { logPlace } from './log-place.ts'
import { insertPayer, insertRecent, movedAndPaid, payersOf, recentAndPaid } from './store.ts'
import { dayMilliseconds, dayNumberOf } from '../ports/time.ts'

/** An asker with a device, and their payer. */
interface KnownPayer {
  readonly asker: string
  readonly device: string | null
  readonly scopes: Uint8Array
  readonly payer: Payer
}

/** Of a payer's number, where rows are read together. */
const payerBytes = 4

/** Beyond this many the texts are forgotten. The next lookup of each then costs a keyed hash for each scope. */
const payersKnown = 20_000

/**
 * Writes the query log in the thread that holds its file, and counts its budgets in memory. The counts always agree
 * with the rows. They are read from the rows at the start of the process and of a day. A charge is given back if its
 * row is not written.
 */
export class LookupWriter {
  readonly #journal: JournalWriting
  readonly #ids: LogIds
  readonly #known = new Map<string, KnownPayer>()
  /** Payers with a number, but without a row yet. */
  readonly #unwritten = new Set<number>()
  #ledger: Ledger | null = null
  /** What the open transaction has charged, and the payers it has written. */
  #charges: Charge[] = []
  #payersWritten: number[] = []

  constructor(journal: JournalWriting, randomOffset: () => number) {
    this.#journal = journal
    this.#ids = new LogIds(randomOffset)
  }

  /** Begins a transaction. Earlier charges stay. */
  begin(): void {
    this.#charges = []
    this.#payersWritten = []
  }

  /** Reads the rows of a day that is not in memory. A million rows take some seconds. */
  remember(at: number): Ledger {
    const day = dayNumberOf(at)
    if (this.#ledger?.day === day) return this.#ledger
    this.#ledger = this.#read(day)
    this.#known.clear()
    this.#unwritten.clear()
    return this.#ledger
  }

  /**
   * Charges a lookup and writes its rows. Returns the indexes of the scopes that have too little left: then nothing is
   * charged or written. An error of a statement goes through: then call `rollBack`.
   */
  write(at: number, { payer: text, limits, ownScopeCount, addresses }: PackedLookup): readonly number[] {
    const ledger = this.remember(at)
    const known = this.#knownPayer(ledger, text)
    const keys = addresses.map(({ matchingKey }) => this.#journal.index('query_log.address_key', matchingKey))
    const charge = ledger.charge(known.payer, { limits, ownScopeCount }, keys)
    if ('spent' in charge) return charge.spent
    this.#charges.push(charge)
    if (this.#unwritten.delete(known.payer.number)) {
      this.#payersWritten.push(known.payer.number)
      this.#journal.run(insertPayer(ledger.day, known.payer.number, known.scopes))
    }
    for (let index = 0; index < addresses.length; index += 1) {
      this.#insert(at, known, addresses[index], keys[index])
    }
    return []
  }

  #insert(at: number, known: KnownPayer, asked?: LookedUpAddress, addressKey?: Uint8Array): void {
    if (asked === undefined || addressKey === undefined) return
    const id = this.#ids.next(at)
    this.#journal.run(
      insertRecent({
        id,
        at,
        asker: known.asker,
        device: known.device,
        status: asked.status,
        addressKey,
        payer: known.payer.number,
        addressSealed: this.#journal.seal(logPlace(id), asked.address),
      }),
    )
  }

  /** How far the open transaction is. `rollBack` can return to it. */
  mark(): { charges: number; payers: number } {
    return { charges: this.#charges.length, payers: this.#payersWritten.length }
  }

  /** Gives back the charges since the mark, or since the transaction began. */
  rollBack(mark: { charges: number; payers: number } = { charges: 0, payers: 0 }): void {
    for (const charge of this.#charges.splice(mark.charges).toReversed()) this.#ledger?.giveBack(charge)
    for (const payer of this.#payersWritten.splice(mark.payers)) this.#unwritten.add(payer)
  }

  /** Faults, in words: counts that do not agree with the rows of that day. */
  faults(at: number): string[] {
    const counted = new Set(this.remember(at).balances())
    const logged = new Set(this.#read(dayNumberOf(at)).balances())
    const wrong = [...counted].filter((balance) => !logged.has(balance)).length
    const missing = [...logged].filter((balance) => !counted.has(balance)).length
    return wrong + missing === 0
      ? []
      : [`${wrong} counts are not what the log of today says, which has ${missing} others`]
  }

  #read(day: number): Ledger {
    const ledger = new Ledger(day)
    const payers: Payer[] = []
    for (const { number, scopes } of this.#journal.each(payersOf(day))) {
      payers[number] = ledger.payerOf(scopes, number).payer
    }
    const start = day * dayMilliseconds
    for (const page of [movedAndPaid, recentAndPaid]) {
      let last: number | null = lowestIdAt(start) - 1
      while (last !== null) last = this.#replay(ledger, payers, page(last, start, start + dayMilliseconds))
    }
    return ledger
  }

  /** Counts a page of rows; the last id of it, or null. */
  #replay(ledger: Ledger, payers: readonly Payer[], page: ReturnType<typeof movedAndPaid>): number | null {
    for (const { last, paid } of this.#journal.each(page)) {
      if (paid === null) return null
      const view = new DataView(paid.buffer, paid.byteOffset)
      for (let at = 0; at < paid.length; at += payerBytes + keyBytes) {
        const payer = payers[view.getUint32(at)]
        if (payer !== undefined) ledger.replay(payer, paid, at + payerBytes)
      }
      return last
    }
    return null
  }

  #knownPayer(ledger: Ledger, text: string): KnownPayer {
    const before = this.#known.get(text)
    if (before !== undefined) return before
    if (this.#known.size >= payersKnown) this.#known.clear()
    const { asker, device, scopes: names } = readPayerText(text)
    const scopes = new Uint8Array(names.length * keyBytes)
    names.forEach((name, index) => {
      scopes.set(this.#journal.index('lookup_payers.scopes', `${ledger.day}\0${name}`), index * keyBytes)
    })
    const { payer, isNew } = ledger.payerOf(scopes)
    if (isNew) this.#unwritten.add(payer.number)
    const known = { asker, device, scopes, payer }
    this.#known.set(text, known)
    return known
  }
}
