/** Beyond this many addresses the memory is emptied. Each address then costs one read. */
const addressesRemembered = 50_000

/**
 * Addresses that are known to be counted for one asker on one day. They stay counted for the day and need no read. An
 * address that is not known may be counted too.
 */
export class CountedAddresses {
  readonly #byAsker = new Map<string, Set<string>>()
  #day = 0
  #size = 0

  /** The addresses that are not known to be counted. */
  unknown(day: number, asker: string, matchingKeys: readonly string[]): readonly string[] {
    const counted = day === this.#day ? this.#byAsker.get(asker) : undefined
    return counted === undefined ? matchingKeys : matchingKeys.filter((key) => !counted.has(key))
  }

  add(day: number, asker: string, matchingKeys: readonly string[]): void {
    if (day !== this.#day || this.#size > addressesRemembered) {
      this.#byAsker.clear()
      this.#size = 0
      this.#day = day
    }
    const counted = this.#byAsker.get(asker) ?? new Set()
    this.#byAsker.set(asker, counted)
    this.#size += matchingKeys.length
    for (const key of matchingKeys) counted.add(key)
  }
}

/** Beyond this many askers the memory is emptied, and each begins at zero. */
const askersRemembered = 100_000

/** How many addresses each asker has named on one day, repeats included. Counts only this process. */
export class NamedAddresses {
  readonly #byAsker = new Map<string, number>()
  #day = 0

  of(day: number, asker: string): number {
    return day === this.#day ? (this.#byAsker.get(asker) ?? 0) : 0
  }

  add(day: number, asker: string, addresses: number): void {
    if (day !== this.#day || this.#byAsker.size > askersRemembered) {
      this.#byAsker.clear()
      this.#day = day
    }
    this.#byAsker.set(asker, this.of(day, asker) + addresses)
  }
}
