/**
 * The id of a log row is a time: milliseconds since 2026 times 8192, plus a count. One integer serves as row id,
 * order, cursor and limit of deletion. It stays below 2^53 until 2060. It is made here, so a batch can be sent again.
 */
const epoch = Date.UTC(2026, 0, 1)
const idsPerMillisecond = 8_192
/** If the last id is further ahead than this, the clock was set back. */
const aheadMilliseconds = 60_000

/** The lowest id of a time (UTC milliseconds). */
export const lowestIdAt = (at: number): number => Math.max(0, at - epoch) * idsPerMillisecond

/** The time of an id (UTC milliseconds). */
export const timeOfId = (id: number): number => epoch + Math.floor(id / idsPerMillisecond)

/**
 * Makes ids that ascend while the clock does. They begin at a random count, so two writers of one shard rarely meet
 * within a millisecond.
 */
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
