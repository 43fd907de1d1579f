/**
 * A log row's id is its place in time: milliseconds since 2026 times 8192, plus a count. One integer serves as row id,
 * order, cursor and pruning key, stays below 2^53 until 2060, and is made here, so that a batch can be sent again.
 */
const epoch = Date.UTC(2026, 0, 1)
const idsPerMillisecond = 8_192
/** Further ahead than this the last id is not of a busy moment, but of a clock that has been set back since. */
const aheadMilliseconds = 60_000

/** The lowest id of a time (UTC milliseconds). */
export const lowestIdAt = (at: number): number => Math.max(0, at - epoch) * idsPerMillisecond

/** Makes ids that ascend for as long as the clock does. The random start keeps two writers of one shard apart within a millisecond. */
export class LogIds {
  readonly #randomOffset: () => number
  #last = 0

  constructor(randomOffset: () => number) {
    this.#randomOffset = randomOffset
  }

  next(at: number): number {
    const earliest = lowestIdAt(at)
    const ahead = this.#last - earliest
    this.#last =
      ahead >= 0 && ahead < aheadMilliseconds * idsPerMillisecond
        ? this.#last + 1
        : earliest + (this.#randomOffset() % (idsPerMillisecond / 2))
    return this.#last
  }
}
