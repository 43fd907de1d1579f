import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => void

interface Open {
  readonly incoming: IncomingMessage
  readonly socket: Duplex
  /** When it was first seen on its way out, by `performance.now()`. */
  goingOutSince: number | null
}

/** The answers that a server is sending. A shutdown must not cut them, and a slow reader must not hold them forever. */
export class OpenAnswers {
  readonly #open = new Map<ServerResponse, Open>()
  /** Connections whose last answer is being sent. */
  readonly #ending = new WeakSet<Duplex>()
  #last = false

  /** `ended` is called when the client has taken the answer, or has left. */
  handle(incoming: IncomingMessage, outgoing: ServerResponse, answer: Answer, ended: () => void): void {
    const { socket } = incoming
    // A request that was pipelined behind the last answer must not be processed (RFC 9112, 9.6).
    if (this.#ending.has(socket)) return
    this.#open.set(outgoing, { incoming, socket, goingOutSince: null })
    outgoing.once('close', () => {
      this.#open.delete(outgoing)
      ended()
    })
    if (this.#last) this.#end(outgoing, socket)
    answer(incoming, outgoing)
  }

  /** From now on the next answer of each connection is its last, and its headers say so. */
  sayLast(): void {
    this.#last = true
    const newest = new Map(Array.from(this.#open, ([outgoing, { socket }]) => [socket, outgoing]))
    for (const [socket, outgoing] of newest) if (!outgoing.headersSent) this.#end(outgoing, socket)
  }

  /** Whether an answer is written but not yet handed to the system. Node calls such a connection idle. */
  unsent(): boolean {
    return Array.from(this.#open.keys()).some((outgoing) => outgoing.writableEnded && !outgoing.writableFinished)
  }

  /**
   * What a connection waits for. `request`: a request has not come completely, and no answer has begun. `answer`: an
   * answer is on its way.
   */
  waitingFor(socket: Duplex): 'nothing' | 'request' | 'answer' {
    const open = this.#of(socket)
    if (open.length === 0) return 'nothing'
    return open.length === 1 && open.every(([outgoing, { incoming }]) => !incoming.complete && !outgoing.headersSent)
      ? 'request'
      : 'answer'
  }

  /** Ends a connection that cannot be read further, after its answer is sent. */
  endAfter(socket: Duplex): void {
    const newest = this.#of(socket).at(-1)?.[0]
    if (newest === undefined) socket.destroy()
    else if (newest.headersSent) newest.once('close', () => socket.destroy())
    else this.#end(newest, socket)
  }

  /** Cuts connections whose reader has not taken an answer in time. Returns how many. */
  cutSlow(now: number, allowedMilliseconds: number): number {
    const seen = new Set<Duplex>()
    let cut = 0
    for (const [outgoing, open] of this.#open) {
      // Only the first answer of a connection is being sent. The others wait for it.
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
