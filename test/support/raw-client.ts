import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A client that writes bytes as they are, and keeps what comes back. */
export class RawClient {
  readonly socket: Socket
  readonly #pieces: Buffer[] = []
  readonly #closed: Promise<unknown>

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (piece: Buffer) => this.#pieces.push(piece))
    // A connection that is reset has ended, too; what came before it counts.
    socket.on('error', () => undefined)
    this.#closed = once(socket, 'close')
  }

  /** `from`: the address of this machine that the service sees. */
  static async open(url: string, host = new URL(url).hostname, from?: string): Promise<RawClient> {
    const socket = connect({
      host,
      port: Number(new URL(url).port),
      ...(from === undefined ? {} : { localAddress: from }),
    })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  get received(): string {
    return Buffer.concat(this.#pieces).toString('latin1')
  }

  /** Resolves with everything that came once it fulfils a condition. */
  async until(condition: (received: string) => boolean): Promise<string> {
    while (!condition(this.received)) {
      if (this.socket.destroyed) throw new Error(`the connection ended with: ${this.received}`)
      await Promise.race([once(this.socket, 'data'), this.#closed])
    }
    return this.received
  }

  /** Resolves with everything that came once the server has ended the connection. */
  async ended(): Promise<string> {
    await this.#closed
    return this.received
  }

  close(): void {
    this.socket.destroy()
  }
}

/** The status, fields and JSON body of the last answer in what came. */
export function lastAnswer(received: string): { status: number; head: string; body: unknown } {
  const last = received.split(/(?=HTTP\/1\.1 \d{3} )/).at(-1) ?? ''
  const [head = '', body = ''] = last.split('\r\n\r\n')
  return { status: Number(head.slice(9, 12)), head, body: body === '' ? null : JSON.parse(body) }
}
