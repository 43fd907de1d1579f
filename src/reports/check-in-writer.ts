import type { CheckIn } from '../ports/check-ins.ts'
import type { JournalWriting } from '../ports/journal.ts'
import { factsKeyText, factsPlace, isDue, mixOf } from './check-in.ts'
import { checkInOf, putCheckIn } from './store.ts'
import { hourMilliseconds, hourOf } from '../ports/time.ts'

/** How many devices can be remembered: 20 bytes each. The system gives the memory only when it is used. */
const devicesRemembered = 2 ** 20
/** A device can be in any of so many places. If all are taken, the one that was seen longest ago gives way. */
const places = 8

/** The key and the hour of each device's last report. A forgotten device costs one read. */
class LastReports {
  /** For each place: two hashes of the device, and the two halves of the report's key. */
  readonly #words = new Uint32Array(devicesRemembered * 4)
  /** Hours since 1970. */
  readonly #hours = new Uint32Array(devicesRemembered)

  /** When this report was kept (milliseconds), if it is the device's last one. Null if it is not, or not known. */
  seenAt(device: string, factsKey: Uint8Array): number | null {
    const place = this.#find(device)
    if (place === null) return null
    const key = new DataView(factsKey.buffer, factsKey.byteOffset)
    const isLast = this.#words[place * 4 + 2] === key.getUint32(0) && this.#words[place * 4 + 3] === key.getUint32(4)
    return isLast ? (this.#hours[place] ?? 0) * hourMilliseconds : null
  }

  remember(device: string, factsKey: Uint8Array, seenAt: number): void {
    const place = this.#find(device) ?? this.#oldest(device)
    const key = new DataView(factsKey.buffer, factsKey.byteOffset)
    this.#words.set([mixOf(device, 1), mixOf(device, 2), key.getUint32(0), key.getUint32(4)], place * 4)
    this.#hours[place] = seenAt / hourMilliseconds
  }

  forget(device: string): void {
    const place = this.#find(device)
    if (place === null) return
    this.#words.fill(0, place * 4, place * 4 + 4)
    this.#hours[place] = 0
  }

  #find(device: string): number | null {
    const [first, second] = [mixOf(device, 1), mixOf(device, 2)]
    const start = first % (devicesRemembered - places)
    for (let place = start; place < start + places; place += 1) {
      if (this.#words[place * 4] === first && this.#words[place * 4 + 1] === second) return place
    }
    return null
  }

  #oldest(device: string): number {
    const start = mixOf(device, 1) % (devicesRemembered - places)
    let oldest = start
    for (let place = start; place < start + places; place += 1) {
      if ((this.#hours[place] ?? 0) < (this.#hours[oldest] ?? 0)) oldest = place
    }
    return oldest
  }
}

/** Keeps check-ins in the thread that holds the journal's file. */
export class CheckInWriter {
  readonly #journal: JournalWriting
  readonly #last = new LastReports()
  /** What the open transaction has written. */
  #written: string[] = []

  constructor(journal: JournalWriting) {
    this.#journal = journal
  }

  begin(): void {
    this.#written = []
  }

  /** Writes a check-in if it is due. An error of a statement goes through: then call `rollBack`. */
  write(at: number, { device, subscriber, facts }: CheckIn): void {
    const factsKey = this.#journal.index('check_ins.facts_key', factsKeyText(device, facts))
    const seenAt = this.#last.seenAt(device, factsKey) ?? this.#readSeenAt(device, factsKey)
    if (seenAt !== null && !isDue(device, seenAt, at)) return
    const factsSealed = this.#journal.seal(factsPlace(device), facts)
    this.#written.push(device)
    this.#journal.run(putCheckIn({ device, subscriber, seenAt: hourOf(at), factsKey, factsSealed }))
    this.#last.remember(device, factsKey, hourOf(at))
  }

  /** Forgets what the open transaction has written. It will be read again. */
  rollBack(): void {
    for (const device of this.#written.splice(0)) this.#last.forget(device)
  }

  #readSeenAt(device: string, factsKey: Uint8Array): number | null {
    for (const kept of this.#journal.each(checkInOf(device))) {
      if (!kept.factsKey.every((byte, at) => byte === factsKey[at])) return null
      this.#last.remember(device, factsKey, kept.seenAt)
      return kept.seenAt
    }
    return null
  }
}
