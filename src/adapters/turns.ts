import { workClasses, type WorkClass } from '../ports/work.ts'

/** How many requests run and wait. */
export interface TurnLimits {
  /** At most so many requests of one network run at once. All networks together may run twice as many. */
  readonly atOnce: number
  /** Requests of all networks that wait. */
  readonly waiting: number
}

export const defaultTurnLimits: TurnLimits = { atOnce: 64, waiting: 1_000 }

/** What the turns take of time. */
export interface TurnClock {
  /** In milliseconds, from any beginning. */
  now(): number
  /** The longest delay of the event loop by its own work since the last call, in milliseconds. */
  longestDelay(): number
  /** The part of the time since the last call in which the event loop was busy, from 0 to 1. */
  busyPart(): number
  /** Calls back after this time. Does not keep the process alive. */
  later(milliseconds: number, call: () => void): void
  /** Calls back once what has come by now is read. */
  afterReading(call: () => void): void
}

/** A request that wants its turn. */
export interface Asking {
  readonly network: string
  /** Asked only where the request has to wait. */
  work(): WorkClass
  begin(): void
  /** It is turned away. */
  shed(): void
}

/** A delay of the event loop from which on less is run, in milliseconds. */
const delayAllowed = 50

const lookMilliseconds = 250

/** After so long without a request, what was before says nothing of now. */
const silenceMilliseconds = 1_000

/** Whoever has run for longer waits for something else, such as a CA or another person, and takes nobody's turn. */
const leaseMilliseconds = 100

/** Fewer requests of a network never run at once, however long the delays are. */
const fewestAtOnce = 8

/** Where the event loop is less busy, more may run at once; where it is busier, others only wait longer for it. */
const busyWanted = { least: 0.81, most: 0.92 } as const

/** While all wait, so many turns in a row each class has. Nobody is left without a turn. */
const turnsInARow: Readonly<Record<WorkClass, number>> = {
  dear: 1,
  anonymous: 2,
  enrolment: 2,
  newcomer: 4,
  essential: 8,
}

/** Classes that are turned away while the event loop is slow, one after the other. The others only if too many wait. */
const shedWhileSlow: readonly WorkClass[] = ['dear', 'anonymous', 'enrolment']

const firstWaitsLongest = workClasses.toReversed()

/** The place of a request: from its beginning, or while it waits. */
export interface Turn {
  /** It was answered, or its client has left. Further calls do nothing. */
  over(): void
}

class Place implements Turn {
  readonly asking: Asking
  /** Null while it does not wait. */
  work: WorkClass | null = null
  runsSince = 0
  readonly #leave: (place: Place) => void

  constructor(asking: Asking, leave: (place: Place) => void) {
    this.asking = asking
    this.#leave = leave
  }

  over(): void {
    this.#leave(this)
  }
}

/** Those of one class who wait: the networks in the order of their turns, each with its requests in the order they came. */
class Ring {
  readonly #networks = new Map<string, Set<Place>>()

  get size(): number {
    return this.#networks.size
  }

  add(place: Place): void {
    const { network } = place.asking
    const places = this.#networks.get(network)
    if (places === undefined) this.#networks.set(network, new Set([place]))
    else places.add(place)
  }

  delete(place: Place): void {
    const { network } = place.asking
    const places = this.#networks.get(network)
    places?.delete(place)
    if (places?.size === 0) this.#networks.delete(network)
  }

  /** Takes the first request of the next network that may run. The network goes to the end. */
  take(mayRun: (network: string) => boolean): Place | null {
    for (const [network, places] of this.#networks) {
      if (!mayRun(network)) continue
      this.#networks.delete(network)
      for (const first of places) {
        places.delete(first)
        if (places.size > 0) this.#networks.set(network, places)
        return first
      }
    }
    return null
  }

  /** Takes the newest request of the network that waits with the most. */
  takeOfMost(): Place | null {
    const most = [...this.#networks.values()].reduce<Set<Place>>(
      (largest, places) => (places.size > largest.size ? places : largest),
      new Set(),
    )
    const newest = [...most].at(-1) ?? null
    if (newest !== null) this.delete(newest)
    return newest
  }
}

/**
 * Whose request runs next. A request runs at once while its network has few running; otherwise it waits for its turn,
 * and each network has one turn after the other. So a network that asks for too much waits for itself. While the event
 * loop is slow, fewer run at once, and classes of work are turned away, beginning with the first.
 */
export class Turns {
  readonly #limits: TurnLimits
  readonly #clock: TurnClock
  readonly #rings: Readonly<Record<WorkClass, Ring>> = {
    dear: new Ring(),
    anonymous: new Ring(),
    enrolment: new Ring(),
    newcomer: new Ring(),
    essential: new Ring(),
  }
  readonly #left = { ...turnsInARow }
  /** First the one that has run longest. */
  readonly #running = new Set<Place>()
  readonly #runningOf = new Map<string, number>()
  readonly #shed: Record<WorkClass, number> = { dear: 0, anonymous: 0, enrolment: 0, newcomer: 0, essential: 0 }
  #waiting = 0
  #atOnce: number
  /** How many of the classes are turned away now. */
  #slowness = 0
  #lookedAt: number
  #someoneWaited = false
  #continues = false
  #reminds = false

  constructor(limits: TurnLimits, clock: TurnClock) {
    this.#limits = limits
    this.#clock = clock
    this.#atOnce = limits.atOnce
    this.#lookedAt = clock.now()
  }

  /** Whether others wait, or the event loop is slow: then whoever comes now waits too, and may be turned away. */
  get arePressed(): boolean {
    return this.#waiting > 0 || this.#slowness > 0
  }

  /** How many requests of each class were turned away since the last call. */
  takeShed(): Record<WorkClass, number> {
    const shed = { ...this.#shed }
    for (const work of workClasses) this.#shed[work] = 0
    return shed
  }

  /** Begins the request, has it wait, or turns it away. */
  enter(asking: Asking): Turn {
    const place = new Place(asking, (left) => this.#leave(left))
    const now = this.#clock.now()
    if (now - this.#lookedAt >= lookMilliseconds) this.#look(now)
    if (!this.arePressed && this.#mayRun(asking.network)) this.#begin(place, now)
    else this.#wait(place)
    return place
  }

  #mayRun(network: string): boolean {
    return this.#running.size < 2 * this.#atOnce && (this.#runningOf.get(network) ?? 0) < this.#atOnce
  }

  #begin(place: Place, now: number): void {
    const { network } = place.asking
    place.runsSince = now
    this.#running.add(place)
    this.#runningOf.set(network, (this.#runningOf.get(network) ?? 0) + 1)
    place.asking.begin()
  }

  #wait(place: Place): void {
    const work = place.asking.work()
    if (shedWhileSlow.slice(0, this.#slowness).includes(work)) {
      this.#turnAway(place, work)
      return
    }
    place.work = work
    this.#rings[work].add(place)
    this.#waiting += 1
    this.#someoneWaited = true
    if (this.#waiting > this.#limits.waiting) this.#turnAwayOne()
    this.#continueSoon()
    this.#remind()
  }

  #turnAway(place: Place, work: WorkClass): void {
    this.#shed[work] += 1
    place.asking.shed()
  }

  /** Too many wait. */
  #turnAwayOne(): void {
    for (const work of workClasses) if (this.#turnAwayOneOf(work)) return
  }

  #turnAwayOneOf(work: WorkClass): boolean {
    const place = this.#rings[work].takeOfMost()
    if (place === null) return false
    this.#waiting -= 1
    place.work = null
    this.#turnAway(place, work)
    return true
  }

  #leave(place: Place): void {
    if (place.work !== null) {
      this.#rings[place.work].delete(place)
      this.#waiting -= 1
      place.work = null
    } else if (this.#running.has(place)) {
      this.#stopCounting(place)
      if (this.#waiting > 0) this.#continueSoon()
    }
  }

  #stopCounting(place: Place): void {
    const { network } = place.asking
    this.#running.delete(place)
    const left = (this.#runningOf.get(network) ?? 1) - 1
    if (left === 0) this.#runningOf.delete(network)
    else this.#runningOf.set(network, left)
  }

  /** Answers that are ready go out first. */
  #continueSoon(): void {
    if (this.#continues) return
    this.#continues = true
    this.#clock.afterReading(() => {
      this.#continues = false
      this.#continue()
    })
  }

  /** Those who wait go on even if nobody comes and nothing ends. */
  #remind(): void {
    if (this.#reminds) return
    this.#reminds = true
    this.#clock.later(leaseMilliseconds, () => {
      this.#reminds = false
      this.#continue()
      if (this.#waiting > 0) this.#remind()
    })
  }

  #continue(): void {
    const now = this.#clock.now()
    if (now - this.#lookedAt >= lookMilliseconds) this.#look(now)
    for (const place of this.#running) {
      if (now - place.runsSince < leaseMilliseconds) break
      this.#stopCounting(place)
    }
    for (let place = this.#next(); place !== null; place = this.#next()) this.#begin(place, now)
  }

  #next(): Place | null {
    if (this.#waiting === 0 || this.#running.size >= 2 * this.#atOnce) return null
    return this.#nextWithTurnsLeft() ?? this.#nextOfNewRound()
  }

  #nextOfNewRound(): Place | null {
    Object.assign(this.#left, turnsInARow)
    return this.#nextWithTurnsLeft()
  }

  #nextWithTurnsLeft(): Place | null {
    for (const work of firstWaitsLongest) {
      if (this.#left[work] === 0) continue
      const place = this.#rings[work].take((network) => this.#mayRun(network))
      if (place === null) continue
      this.#left[work] -= 1
      this.#waiting -= 1
      place.work = null
      return place
    }
    return null
  }

  /** While nobody waits, it is unknown whether fewer would do. */
  #stepOf(busyPart: number): number {
    if (busyPart < busyWanted.least) return 1.5
    return busyPart > busyWanted.most && this.#someoneWaited ? 0.7 : 1
  }

  #look(now: number): void {
    const [passed, delay, step] = [
      now - this.#lookedAt,
      this.#clock.longestDelay(),
      this.#stepOf(this.#clock.busyPart()),
    ]
    this.#lookedAt = now
    if (passed - delay >= silenceMilliseconds && this.#waiting === 0) {
      this.#slowness = 0
      this.#someoneWaited = false
      return
    }
    const slow = delay > delayAllowed
    const wanted = this.#atOnce * (slow ? 0.5 : step)
    this.#atOnce = Math.min(this.#limits.atOnce, Math.max(fewestAtOnce, Math.floor(wanted)))
    if (!slow) this.#slowness = Math.max(this.#slowness - 1, 0)
    else if (this.#someoneWaited) this.#slowness = Math.min(this.#slowness + 1, shedWhileSlow.length)
    for (const work of shedWhileSlow.slice(0, this.#slowness)) while (this.#turnAwayOneOf(work));
    this.#someoneWaited = this.#waiting > 0
  }
}
