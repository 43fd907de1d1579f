import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => void

/** One answer under way. */
interface Open {
  readonly incoming: IncomingMessage
  readonly socket: Duplex
  /** When it was first seen going out, as `performance.now()`. */
  goingOutSince: number | null
}

/** The answers that are under way on a server, so that a shutdown cuts none of them, and a slow reader holds none. */
export class OpenAnswers {
  readonly #open = new Map<ServerResponse, Open>()
  /** Connections of which the last answer is under way. */
  readonly #ending = new WeakSet<Duplex>()
  #last = false

  handle(incoming: IncomingMessage, outgoing: ServerResponse, answer: Answer): void {
    const { socket } = incoming
    // What was pipelined behind a last answer must not be processed (RFC 9112, 9.6).
    if (this.#ending.has(socket)) return
    this.#open.set(outgoing, { incoming, socket, goingOutSince: null })
    outgoing.once('close', () => this.#open.delete(outgoing))
    if (this.#last) this.#end(outgoing, socket)
    answer(incoming, outgoing)
  }

  /** From now on the next answer of each connection is its last, and says so. */
  sayLast(): void {
    this.#last = true
    const newest = new Map(Array.from(this.#open, ([outgoing, { socket }]) => [socket, outgoing]))
    for (const [socket, outgoing] of newest) if (!outgoing.headersSent) this.#end(outgoing, socket)
  }

  /** Whether an answer is written but not yet handed to the system: to Node such a connection is idle. */
  unsent(): boolean {
    return Array.from(this.#open.keys()).some((outgoing) => outgoing.writableEnded && !outgoing.writableFinished)
  }

  /**
   * What a connection waits for: `nothing`, `request` (one that has not come in full, with no answer begun), or
   * `answer`.
   */
  waitingFor(socket: Duplex): 'nothing' | 'request' | 'answer' {
    const open = this.#of(socket)
    if (open.length === 0) return 'nothing'
    return open.length === 1 && open.every(([outgoing, { incoming }]) => !incoming.complete && !outgoing.headersSent)
      ? 'request'
      : 'answer'
  }

  /** Ends a connection that can be read no further once what it waits for is answered. */
  endAfter(socket: Duplex): void {
    const newest = this.#of(socket).at(-1)?.[0]
    if (newest === undefined) socket.destroy()
    else if (newest.headersSent) newest.once('close', () => socket.destroy())
    else this.#end(newest, socket)
  }

  /** Cuts the connections whose reader has not taken an answer within the time, and returns how many. */
  cutSlow(now: number, allowedMilliseconds: number): number {
    const seen = new Set<Duplex>()
    let cut = 0
    for (const [outgoing, open] of this.#open) {
      // Behind the first answer of a connection others wait for their turn.
      if (seen.has(open.socket) || !outgoing.headersSent) continue
      seen.add(open.socket)
      open.goingOutSince ??= now
      if (now - open.goingOutSince <= allowedMilliseconds) continue
      cut += 1
      open.socket.destroy()
    }
    return cut
  }

  #of(socket: Duplex): [ServerResponse, Open][] {
    return Array.from(this.#open).filter(([, open]) => open.socket === socket)
  }

  #end(outgoing: ServerResponse, socket: Duplex): void {
    outgoing.setHeader('Connection', 'close')
    this.#ending.add(socket)
  }
}
