import { once } from 'node:events'
import { Agent, request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'

/** How one request ended, as the client's socket saw it. */
export type Outcome =
  | { readonly kind: 'answered'; readonly status: number; readonly body: string }
  /** A part of an answer came, and then the end. */
  | { readonly kind: 'cut'; readonly reason: string }
  /** Not one byte of an answer came. `reused`: the connection had served requests before. */
  | { readonly kind: 'unanswered'; readonly reason: string; readonly reused: boolean }

const reasonOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : error.message

const readWhole = async (incoming: IncomingMessage): Promise<Outcome> => {
  try {
    const chunks: Buffer[] = await incoming.toArray()
    const body = Buffer.concat(chunks)
    const length = Number(incoming.headers['content-length'])
    if (!incoming.complete || body.length !== length) {
      return { kind: 'cut', reason: `${body.length} bytes of ${length} came` }
    }
    return { kind: 'answered', status: incoming.statusCode ?? 0, body: body.toString('utf8') }
  } catch (error) {
    return { kind: 'cut', reason: error instanceof Error ? reasonOf(error) : 'unknown' }
  }
}

/**
 * Clients that keep their connections alive, send nothing twice, and tell what became of each request. `fetch` will
 * not do here: it does not say whether a connection was new, nor whether a byte had come.
 */
export class Clients {
  readonly #agent = new Agent({ keepAlive: true })
  readonly #base: string

  constructor(base: string) {
    this.#base = base
  }

  post(path: string, body: unknown, credential: string): Promise<Outcome> {
    const text = JSON.stringify(body)
    const { outgoing, outcome } = this.#begin(path, text, credential)
    outgoing.end(text)
    return outcome
  }

  /** Sends half of a request; resolves, once the service has accepted it, to what sends the rest. */
  async postSlowly(path: string, body: unknown, credential: string): Promise<() => Promise<Outcome>> {
    const text = JSON.stringify(body)
    const { outgoing, outcome } = this.#begin(path, text, credential, { Expect: '100-continue' })
    outgoing.flushHeaders()
    await once(outgoing, 'continue')
    outgoing.write(text.slice(0, text.length / 2))
    return () => {
      outgoing.end(text.slice(text.length / 2))
      return outcome
    }
  }

  #begin(path: string, text: string, credential: string, headers: OutgoingHttpHeaders = {}) {
    const outgoing = request(this.#base + path, {
      method: 'POST',
      agent: this.#agent,
      headers: {
        Authorization: `Bearer ${credential}`,
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text),
        ...headers,
      },
    })
    const outcome = new Promise<Outcome>((resolve) => {
      let receivedBefore = 0
      let socket: Socket | null = null
      outgoing.on('socket', (taken) => {
        socket = taken
        receivedBefore = taken.bytesRead
      })
      outgoing.on('response', (incoming) => void readWhole(incoming).then(resolve))
      outgoing.on('error', (error) => {
        const partly = socket !== null && socket.bytesRead > receivedBefore
        const reason = reasonOf(error)
        resolve(partly ? { kind: 'cut', reason } : { kind: 'unanswered', reason, reused: outgoing.reusedSocket })
      })
    })
    return { outgoing, outcome }
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Takes the answers that came over one connection apart; what is left at the end is a part of one. */
export function splitAnswers(received: Buffer): { bodies: string[]; rest: number } {
  const bodies: string[] = []
  let place = 0
  for (;;) {
    const end = received.indexOf('\r\n\r\n', place)
    if (end < 0) break
    const head = received.toString('latin1', place, end)
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1])
    const next = end + 4 + length
    if (!head.startsWith('HTTP/1.1 200 ') || !(next <= received.length)) break
    bodies.push(received.toString('utf8', end + 4, next))
    place = next
  }
  return { bodies, rest: received.length - place }
}
