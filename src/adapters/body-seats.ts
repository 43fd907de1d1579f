import type { IncomingMessage } from 'node:http'
import type { Turn } from './turns.ts'

/** So many requests of one network are begun although their bodies have not come: many are refused by their headers. */
const seatsOfNetwork = 16

/** A request whose body has not come. */
interface Incomplete {
  begin(): void
  /** Takes its turn. */
  whenComplete(): Turn
}

/**
 * Keeps requests whose bodies are slow apart from the turns. A network that has too many waits for its own bodies. So does
 * everybody while the turns are pressed: a late body must pass by nobody who waits.
 */
export class BodySeats {
  readonly #taken = new Map<string, number>()
  readonly #turns: { readonly arePressed: boolean }

  constructor(turns: { readonly arePressed: boolean }) {
    this.#turns = turns
  }

  /** Begins the request if its network has a seat and the turns are not pressed. Otherwise it takes its turn when it is whole. */
  enter(incoming: IncomingMessage, network: string, incomplete: Incomplete): Turn {
    const taken = this.#taken.get(network) ?? 0
    if (taken >= seatsOfNetwork || this.#turns.arePressed)
      return untilComplete(incoming, () => incomplete.whenComplete())
    this.#taken.set(network, taken + 1)
    let isOver = false
    const over = (): void => {
      if (isOver) return
      isOver = true
      this.#free(network)
    }
    incomplete.begin()
    return { over }
  }

  #free(network: string): void {
    const left = (this.#taken.get(network) ?? 1) - 1
    if (left === 0) this.#taken.delete(network)
    else this.#taken.set(network, left)
  }
}

function untilComplete(incoming: IncomingMessage, whenComplete: () => Turn): Turn {
  let turn: Turn | null = null
  const look = (): void => {
    // A body beyond what the stream keeps never completes unread; then its route refuses or reads it.
    if (!incoming.complete && incoming.readableLength < incoming.readableHighWaterMark) return
    incoming.off('readable', look)
    turn = whenComplete()
  }
  incoming.on('readable', look)
  return {
    over: () => {
      incoming.off('readable', look)
      turn?.over()
    },
  }
}
