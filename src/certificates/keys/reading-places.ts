import type { KeyProver } from '../../ports/key-prover.ts'
import type { Clock } from '../../ports/runtime.ts'

/** One network never holds more places than this, and one of the reserved ones. */
const placesPerNetwork = 2

/** How long the keys of one network may be computed on within a minute. */
const millisecondsPerNetwork = 2_000
const minuteMilliseconds = 60_000

/** A place that was held this long belongs to a request that was cancelled, as happens on Workers. */
const heldMilliseconds = 10_000

interface Place {
  readonly network: string
  readonly reserved: boolean
  readonly begun: number
}

type Bounds = Pick<KeyProver, 'places' | 'reservedPlaces'>

/** Who may have a key read now: so many at a time, so many of one network, and so much of its time. */
export class ReadingPlaces {
  readonly #bounds: Bounds
  readonly #clock: Clock
  readonly #held = new Set<Place>()
  #spent = new Map<string, number>()
  #minute = 0

  constructor(bounds: Bounds, clock: Clock) {
    this.#bounds = bounds
    this.#clock = clock
  }

  /** A place. Null if all are taken, or the network has had its share. */
  take(network: string): Place | null {
    this.#forget()
    if ((this.#spent.get(network) ?? 0) >= millisecondsPerNetwork) return null
    return this.#hold(network, false, this.#bounds.places, placesPerNetwork)
  }

  /** A place that is kept for keys of which the public part is known here. Its network need not have time left. */
  takeReserved(network: string): Place | null {
    this.#forget()
    return this.#hold(network, true, this.#bounds.reservedPlaces, 1)
  }

  /** Gives a place back, after so much time of computing. */
  giveBack(place: Place, milliseconds: number): void {
    this.#held.delete(place)
    this.#spent.set(place.network, (this.#spent.get(place.network) ?? 0) + milliseconds)
  }

  #hold(network: string, reserved: boolean, most: number, mostOfNetwork: number): Place | null {
    const alike = [...this.#held].filter((place) => place.reserved === reserved)
    if (alike.length >= most || alike.filter((place) => place.network === network).length >= mostOfNetwork) return null
    const place = { network, reserved, begun: this.#clock() }
    this.#held.add(place)
    return place
  }

  #forget(): void {
    const now = this.#clock()
    for (const place of this.#held) if (place.begun < now - heldMilliseconds) this.#held.delete(place)
    const minute = Math.floor(now / minuteMilliseconds)
    if (minute !== this.#minute) this.#spent = new Map()
    this.#minute = minute
  }
}
