import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * What becomes of one connection.
 * - `pass`: as if nothing were between
 * - `drop-request`: the connection ends when the request arrives, and the server never sees it
 * - `drop-answer`: the server gets the request and answers; the connection ends without a byte of the answer
 * - `half-answer`: the same, after the first half of the answer
 * - `hang`: the server gets the request and answers; the client hears nothing, and its connection stays open
 */
export type ConnectionFate = 'pass' | 'drop-request' | 'drop-answer' | 'half-answer' | 'hang'

/** `refuse`: nobody listens. */
export type Behaviour = ConnectionFate | 'refuse'

/** A TCP proxy on 127.0.0.1 before a server; it sees through TLS 1.2 and 1.3 as far as it must, without keys. */
export interface LossyProxy {
  readonly port: number
  /** For all connections from now on, or for each by its number, from 0 and counted since this call. */
  behave(how: Behaviour | ((connection: number) => ConnectionFate)): Promise<void>
  /** Resolves when the server has answered so many requests in full since `behave`, whatever became of the answers. */
  answered(count: number): Promise<void>
  /** Ends every connection. */
  close(): Promise<void>
}

/** Counts from the last change of behaviour. */
interface Count {
  connections: number
  answers: number
  readonly waiting: { readonly count: number; readonly resolve: () => void }[]
}

const newCount = (): Count => ({ connections: 0, answers: 0, waiting: [] })

/**
 * Starts one before a server on 127.0.0.1. An answer is complete when the server closes the connection, so clients ask
 * for that (`Connection: close`). A connection to a server that is down is reset; what finds nobody at all is `refuse`.
 */
export async function startLossyProxy(upstreamPort: number): Promise<LossyProxy> {
  let fateOf: (connection: number) => ConnectionFate = () => 'pass'
  let count = newCount()
  const sockets = new Set<Socket>()
  const keep = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  }

  const server = createServer({ noDelay: true }, (client) => {
    const counted = count
    const fate = fateOf(counted.connections)
    counted.connections += 1
    const upstream = connect({ host: '127.0.0.1', port: upstreamPort, noDelay: true })
    keep(client)
    keep(upstream)
    relay(client, upstream, fate, () => {
      counted.answers += 1
      for (const { count: wanted, resolve } of counted.waiting) if (wanted <= counted.answers) resolve()
    })
  })
  const listen = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address() as AddressInfo

  return {
    port,
    async behave(how) {
      count = newCount()
      if (how === 'refuse') {
        server.close()
        return
      }
      fateOf = typeof how === 'function' ? how : () => how
      if (!server.listening) await listen(port)
    },
    async answered(wanted) {
      const { answers, waiting } = count
      if (answers < wanted) await new Promise<void>((resolve) => waiting.push({ count: wanted, resolve }))
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

function relay(client: Socket, upstream: Socket, fate: ConnectionFate, onAnswer: () => void): void {
  const fromClient = pieces()
  const fromServer = pieces()
  const answer: Buffer[] = []
  let asked = false
  client.on('data', (chunk: Buffer) => {
    for (const { bytes, isContent } of fromClient(chunk)) {
      asked ||= isContent
      if (asked && fate === 'drop-request') {
        upstream.destroy()
        client.destroy()
        return
      }
      upstream.write(bytes)
    }
  })
  upstream.on('data', (chunk: Buffer) => {
    for (const { bytes, isContent } of fromServer(chunk)) {
      if (asked && isContent) answer.push(bytes)
      // With the answer comes the alert that ends a connection of TLS.
      if (!asked || fate === 'pass') client.write(bytes)
    }
  })
  upstream.once('close', () => {
    if (answer.length > 0) onAnswer()
    if (fate === 'hang') return
    if (answer.length === 0) client.resetAndDestroy()
    else if (fate === 'pass') client.end()
    else if (fate === 'half-answer') {
      const whole = Buffer.concat(answer)
      client.end(whole.subarray(0, whole.length / 2))
    } else client.destroy()
  })
  // A server that has the request is let finish, as a real one would not notice.
  client.once('close', () => {
    if (!asked || fate === 'pass') upstream.destroy()
  })
}

interface Piece {
  readonly bytes: Buffer
  /** Of the request or the answer, rather than of the handshake of TLS. */
  readonly isContent: boolean
}

/** RFC 8446 section 5.1: content types, the length of a record's header, and where its own length stands. */
const handshake = 22
const applicationData = 23
const headerLength = 5
const lengthAt = 3

/**
 * Cuts one direction of a connection into records of TLS, or takes it as it comes where it is none. In TLS 1.3 the
 * client's last message of the handshake looks like content, and so does what the server sends after it (tickets, the
 * answer); what the server sends of the handshake comes before that.
 */
function pieces(): (chunk: Buffer) => Piece[] {
  let rest: Buffer = Buffer.alloc(0)
  let isTls: boolean | null = null
  return (chunk) => {
    isTls ??= chunk[0] === handshake
    if (!isTls) return [{ bytes: chunk, isContent: true }]
    const found: Piece[] = []
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= headerLength) {
      const end = headerLength + rest.readUInt16BE(lengthAt)
      if (rest.length < end) break
      found.push({ bytes: rest.subarray(0, end), isContent: rest[0] === applicationData })
      rest = rest.subarray(end)
    }
    return found
  }
}
