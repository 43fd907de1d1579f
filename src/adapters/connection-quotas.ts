import { clientLine, truncatedNetwork } from '../ports/network.ts'

/** How many connections a listener has at once, and how many of them one client may hold. */
export interface ConnectionLimits {
  /** Of all clients together. */
  readonly connections: number
  /** Of one IPv4 address, or of one /64 of IPv6. */
  readonly connectionsPerAddress: number
  /** Of one /24 of IPv4, or of one /48 of IPv6. */
  readonly connectionsPerNetwork: number
}

/** A connection as the quotas see it. */
export interface Seated {
  /** Whether a request has come completely, and its answer is not yet taken. */
  isBeingAnswered(): boolean
  close(): void
}

/** The place of a connection that was admitted. */
export interface Seat {
  /** Its client has taken an answer. */
  answered(): void
  /** Somebody with a valid credential is at the other end: the connection leaves the quotas, and is not closed for others. */
  recognised(): void
  /** The connection has ended. */
  leave(): void
}

const countDown = (counts: Map<string, number>, name: string): void => {
  const count = counts.get(name) ?? 0
  if (count > 1) counts.set(name, count - 1)
  else counts.delete(name)
}

/**
 * Shares the connections of a listener among its clients, so that no network takes them all. Recognised connections
 * have a half of their own. If all are taken, one that is not being answered is closed for a new one: the one whose
 * client has taken nothing for the longest time.
 */
export class ConnectionQuotas {
  readonly #limits: ConnectionLimits
  readonly #perAddress = new Map<string, number>()
  readonly #perNetwork = new Map<string, number>()
  /** All that are not recognised; first the one whose client has taken nothing for the longest time. */
  readonly #byAge = new Map<Seat, Seated>()
  #open = 0
  #recognised = 0

  constructor(limits: ConnectionLimits) {
    this.#limits = limits
  }

  /**
   * Admits a connection; null if there is no place for it. A connection of a proxy, which speaks for many clients, is not
   * counted by its address.
   */
  admit(peer: string, isProxy: boolean, seated: Seated): Seat | null {
    const [address, network] = isProxy ? [null, null] : [clientLine(peer), truncatedNetwork(peer)]
    if (address !== null && (this.#perAddress.get(address) ?? 0) >= this.#limits.connectionsPerAddress) return null
    if (network !== null && (this.#perNetwork.get(network) ?? 0) >= this.#limits.connectionsPerNetwork) return null
    if (this.#open >= this.#limits.connections && !this.#evict()) return null
    return this.#seat(address, network, seated)
  }

  #evict(): boolean {
    for (const [seat, seated] of this.#byAge) {
      if (seated.isBeingAnswered()) continue
      seat.leave()
      seated.close()
      return true
    }
    return false
  }

  #seat(address: string | null, network: string | null, seated: Seated): Seat {
    let [recognised, left] = [false, false]
    const count = (): void => {
      if (address !== null) this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
      if (network !== null) this.#perNetwork.set(network, (this.#perNetwork.get(network) ?? 0) + 1)
    }
    const uncount = (): void => {
      if (address !== null) countDown(this.#perAddress, address)
      if (network !== null) countDown(this.#perNetwork, network)
    }
    const seat: Seat = {
      answered: () => {
        if (left || recognised) return
        this.#byAge.delete(seat)
        this.#byAge.set(seat, seated)
      },
      recognised: () => {
        if (left || recognised || this.#recognised >= this.#limits.connections / 2) return
        recognised = true
        this.#recognised += 1
        this.#byAge.delete(seat)
        uncount()
      },
      leave: () => {
        if (left) return
        left = true
        this.#open -= 1
        this.#byAge.delete(seat)
        if (recognised) this.#recognised -= 1
        else uncount()
      },
    }
    count()
    this.#open += 1
    this.#byAge.set(seat, seated)
    return seat
  }
}
