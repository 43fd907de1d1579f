import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import { getRequestListener, RequestError } from '@hono/node-server'
import { DomainError } from '../errors.ts'
import { truncatedNetwork } from '../ports/network.ts'
import { workClassOf, type DeclaredWork, type WorkClass } from '../ports/work.ts'
import { BodySeats } from './body-seats.ts'
import { ConnectionQuotas, type ConnectionLimits } from './connection-quotas.ts'
import { OpenAnswers } from './open-answers.ts'
import { refusalOfParserError, refuseSocket, turnAway, type ProblemOf } from './socket-refusals.ts'
import type { Turn, Turns } from './turns.ts'

/** How much of a listener one client may use, and how long. */
export interface ListenerLimits extends ConnectionLimits {
  /** From the connection to the end of the header fields; also the limit of a TLS handshake. */
  readonly headersMilliseconds: number
  /** From its beginning to the end of the request. */
  readonly requestMilliseconds: number
  /** From the first byte of the answer until the client has taken all of it. */
  readonly answerMilliseconds: number
  /** How long a kept-alive connection may be idle. Longer than reverse proxies keep theirs. */
  readonly keepAliveMilliseconds: number
  /** How often these times are checked. */
  readonly lookMilliseconds: number
}

export const defaultLimits: ListenerLimits = {
  headersMilliseconds: 20_000,
  requestMilliseconds: 60_000,
  answerMilliseconds: 120_000,
  keepAliveMilliseconds: 65_000,
  lookMilliseconds: 2_000,
  connections: 2_000,
  connectionsPerAddress: 300,
  connectionsPerNetwork: 600,
}

/** Node's default. It stands here because the API documents it. */
const headerBytesAllowed = 16 * 1_024

/** What a listener tells the service besides the request. */
export interface ListenerBindings {
  /** The address at the other end of the socket. */
  readonly peer: string
  readonly encrypted: boolean
  readonly pkiOnly: boolean
  /** To be called when a valid credential came by this connection. */
  recognised?(): void
}

type Answer = (request: Request, bindings: ListenerBindings) => Response | Promise<Response>

type NodeAnswer = (incoming: IncomingMessage, outgoing: ServerResponse) => void

/** What a request asks for, by its method and the path that was sent. */
type WorkOf = (method: string, path: string) => DeclaredWork

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  /** The setting of the port, for messages. */
  readonly portSetting: 'PORT' | 'PKI_PORT'
  /** The host for requests without one, which HTTP/1.0 allows. */
  readonly hostname: string
  /** Null: plain HTTP. */
  readonly tls: SecureContextOptions | null
  readonly limits: ListenerLimits
  /** Whether a peer is a declared proxy. */
  readonly isProxy: (peer: string) => boolean
  /** The network of the client for which a declared proxy speaks, by the header fields that the proxy sent. */
  readonly networkBehind: (peer: string, header: (name: string) => string | undefined) => string
  /** Shared by all listeners of a process. */
  readonly turns: Turns
  readonly problemOf: ProblemOf
}

/** A request in its turn. */
interface Asking {
  turn: Turn | null
  /** The service works on it, also where its client has left. */
  isAnswering: boolean
}

/** A connection that was admitted. */
interface Held {
  readonly bindings: ListenerBindings
  /** Null for a proxy: each request has its own. */
  readonly network: string | null
  /** Whether a valid credential came by it. With a proxy it says nothing, since many share the connection. */
  isRecognised(): boolean
  takes(incoming: IncomingMessage): void
  answered(incoming: IncomingMessage): void
  /** The request that waits or is being answered. A connection has one at a time. */
  asking: Asking | null
  /** Requests that were sent behind it, before its answer came. */
  readonly behind: [IncomingMessage, ServerResponse][]
}

/** Tells the connections of a listener apart. With TLS, both sockets of one have the same. */
const otherEnd = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

/** How long a kept-alive connection may be idle during a shutdown. A busy client sends its next request sooner. */
const idleMilliseconds = 250

const createServer = ({ tls, limits }: ListenerOptions): Server | HttpsServer => {
  const options = {
    headersTimeout: limits.headersMilliseconds,
    requestTimeout: limits.requestMilliseconds,
    keepAliveTimeout: limits.keepAliveMilliseconds,
    connectionsCheckingInterval: limits.lookMilliseconds,
    maxHeaderSize: headerBytesAllowed,
    // Node's own refusal has no body.
    requireHostHeader: false,
  }
  if (tls === null) return createHttpServer(options)
  return createHttpsServer({ ...options, ...tls, handshakeTimeout: limits.headersMilliseconds })
}

/** One listening socket for HTTP or HTTPS, with the limits of clients and an orderly shutdown. */
export class HttpListener {
  readonly #server: Server | HttpsServer
  readonly #options: ListenerOptions
  readonly #answers = new OpenAnswers()
  readonly #quotas: ConnectionQuotas
  /** By socket: with TLS, both the one that was accepted and the one that speaks HTTP. */
  readonly #held = new WeakMap<Duplex, Held>()
  /** By the other end, those that were accepted and speak no TLS yet. */
  readonly #handshaking = new Map<string, Held>()
  /** The connections that speak HTTP: with TLS, those after their handshake. */
  readonly #speaking = new WeakSet<Duplex>()
  readonly #refused = new WeakSet<Duplex>()
  readonly #look: NodeJS.Timeout
  readonly #bodies: BodySeats
  #answer: NodeAnswer | null = null
  #workOf: WorkOf = () => 'member'
  /** Requests that came before the service was ready. */
  #early: [IncomingMessage, ServerResponse][] = []
  #dropped = 0
  #cut = 0

  private constructor(options: ListenerOptions) {
    this.#options = options
    const server = createServer(options)
    this.#server = server
    this.#quotas = new ConnectionQuotas(options.limits)
    this.#bodies = new BodySeats(options.turns)
    // Only the bytes of headers are limited. Node silently drops headers beyond a number, and the forwarding header of
    // a proxy is the last one.
    server.maxHeadersCount = 0
    server.on('request', (incoming, outgoing) => this.#take(incoming, outgoing))
    // RFC 9110 10.1.1: an unknown expectation may be ignored.
    server.on('checkExpectation', (incoming, outgoing) => this.#take(incoming, outgoing))
    server.prependListener('connection', (socket: Socket) => this.#admit(socket))
    if (options.tls === null) server.on('connection', (socket: Socket) => this.#speaking.add(socket))
    else server.on('secureConnection', (socket: TLSSocket) => this.#secured(socket))
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#refuse(error, socket))
    this.#look = setInterval(() => {
      this.#cut += this.#answers.cutSlow(performance.now(), options.limits.answerMilliseconds)
    }, options.limits.lookMilliseconds)
    this.#look.unref()
  }

  /** Binds the port. Rejects with what to set if it is taken. Requests wait until `answerWith`. */
  static async open(options: ListenerOptions): Promise<HttpListener> {
    const listener = new HttpListener(options)
    try {
      await listener.#listen()
    } catch (error) {
      clearInterval(listener.#look)
      throw error
    }
    return listener
  }

  get port(): number {
    return this.#address().port
  }

  /** Its URL, without a slash at the end. */
  get url(): string {
    const { family, address, port } = this.#address()
    const scheme = this.#options.tls === null ? 'http' : 'https'
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  /** Counts since the last call: connections beyond the limit, and readers that were too slow. */
  takeRefused(): { connections: number; readers: number } {
    const refused = { connections: this.#dropped, readers: this.#cut }
    this.#dropped = 0
    this.#cut = 0
    return refused
  }

  /** Answers all requests, including those that have already come, each in its turn. */
  answerWith(answer: Answer, workOf: WorkOf): void {
    const { hostname, problemOf } = this.#options
    const listener = getRequestListener(
      async (request, { incoming }) => {
        const { bindings, asking } = this.#of(incoming.socket)
        if (asking !== null) asking.isAnswering = true
        try {
          return await answer(request, bindings)
        } finally {
          // From here on it waits for its reader only, who may be slow.
          asking?.turn?.over()
        }
      },
      {
        hostname,
        errorHandler: (error) => problemOf(toRefusal(error), '/'),
      },
    )
    this.#workOf = workOf
    this.#answer = (incoming, outgoing) => void listener(incoming, outgoing)
    for (const [incoming, outgoing] of this.#early.splice(0)) this.#take(incoming, outgoing)
  }

  /** Uses this certificate for new connections. Open ones keep theirs. */
  replaceCertificate(tls: SecureContextOptions): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(tls)
  }

  /**
   * Stops accepting. Resolves when every connection has ended: busy ones after an answer that says so, idle ones after
   * a moment, all others after `withinMilliseconds`.
   */
  async drain(withinMilliseconds: number): Promise<void> {
    const closed = this.#stopAccepting()
    this.#answers.sayLast()
    const idleFrom = performance.now() + idleMilliseconds
    const idle = setInterval(() => {
      if (performance.now() >= idleFrom && !this.#answers.unsent()) this.#server.closeIdleConnections()
    }, 20)
    const deadline = setTimeout(() => this.#server.closeAllConnections(), withinMilliseconds)
    await closed
    clearInterval(idle)
    clearTimeout(deadline)
    clearInterval(this.#look)
  }

  /** Closes everything at once, when the start fails. */
  async abandon(): Promise<void> {
    const closed = this.#stopAccepting()
    this.#server.closeAllConnections()
    clearInterval(this.#look)
    await closed
  }

  #stopAccepting(): Promise<void> {
    return new Promise((resolve) => {
      // The close() of the HTTP server would close idle connections at once, and lose what is being sent on them.
      NetServer.prototype.close.call(this.#server, () => resolve())
    })
  }

  #address(): AddressInfo {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the server has no TCP address')
    return address
  }

  #listen(): Promise<void> {
    const { host, port, portSetting } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const taken = `port ${port} on ${host} is taken; set ${portSetting} to another one`
        reject(cause.code === 'EADDRINUSE' ? new Error(taken, { cause }) : cause)
      })
      this.#server.listen(port, host, () => {
        // A connection that the system could not hand over is one dropped connection. The service goes on.
        this.#server.on('error', () => (this.#dropped += 1))
        resolve()
      })
    })
  }

  #admit(socket: Socket): void {
    const { isProxy, portSetting, tls } = this.#options
    const peer = socket.remoteAddress ?? ''
    let newest: IncomingMessage | null = null
    let recognised = false
    const speaksForMany = isProxy(peer)
    const seat = this.#quotas.admit(peer, speaksForMany, {
      isBeingAnswered: () => newest?.complete === true,
      close: () => {
        this.#dropped += 1
        socket.destroy()
      },
    })
    if (seat === null) {
      this.#dropped += 1
      socket.destroy()
      return
    }
    const held: Held = {
      bindings: {
        peer,
        encrypted: tls !== null,
        pkiOnly: portSetting === 'PKI_PORT',
        recognised: () => {
          recognised = true
          seat.recognised()
        },
      },
      network: speaksForMany ? null : truncatedNetwork(peer),
      isRecognised: () => recognised && !speaksForMany,
      asking: null,
      behind: [],
      takes: (incoming) => (newest = incoming),
      answered: (incoming) => {
        if (newest === incoming) newest = null
        seat.answered()
      },
    }
    this.#held.set(socket, held)
    const end = otherEnd(socket)
    if (tls !== null) this.#handshaking.set(end, held)
    socket.once('close', () => {
      seat.leave()
      this.#handshaking.delete(end)
    })
  }

  #secured(socket: TLSSocket): void {
    const end = otherEnd(socket)
    const held = this.#handshaking.get(end)
    this.#handshaking.delete(end)
    if (held !== undefined) this.#held.set(socket, held)
    this.#speaking.add(socket)
  }

  #of(socket: Duplex): Held {
    const held = this.#held.get(socket)
    if (held === undefined) throw new Error('a request came by a connection that was not admitted')
    return held
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const answer = this.#answer
    if (answer === null) {
      this.#early.push([incoming, outgoing])
      return
    }
    // RFC 9112 3.2: an HTTP/1.1 request has one Host. HTTP/1.0 had none.
    const hosts = countHosts(incoming)
    if (hosts > 1 || (hosts === 0 && incoming.httpVersion === '1.1')) {
      this.#refuse(new Error(`${hosts} Hosts`), incoming.socket)
      return
    }
    const held = this.#of(incoming.socket)
    if (held.asking !== null) {
      // Its client sent it before the answer to the one before. What comes further is not even read.
      held.behind.push([incoming, outgoing])
      incoming.socket.pause()
      return
    }
    held.takes(incoming)
    this.#answers.handle(
      incoming,
      outgoing,
      () => this.#takeTurn(held, incoming, outgoing, answer),
      () => this.#ended(held, incoming),
    )
  }

  #ended(held: Held, incoming: IncomingMessage): void {
    // Work that goes on without a reader still takes its turn.
    if (held.asking?.isAnswering === false) held.asking.turn?.over()
    held.asking = null
    held.answered(incoming)
    if (incoming.socket.destroyed) held.behind.length = 0
    const next = held.behind.shift()
    if (next === undefined) return
    if (held.behind.length === 0) incoming.socket.resume()
    this.#take(...next)
  }

  /** A request whose body has not come must not take the turn of others. */
  #takeTurn(held: Held, incoming: IncomingMessage, outgoing: ServerResponse, answer: NodeAnswer): void {
    const network = held.network ?? this.#options.networkBehind(held.bindings.peer, (name) => headerOf(incoming, name))
    const asking: Asking = { turn: null, isAnswering: false }
    held.asking = asking
    const begin = (): void => answer(incoming, outgoing)
    const enter = (): Turn =>
      this.#options.turns.enter({
        network,
        work: () => this.#classOf(held, incoming),
        begin,
        shed: () => void turnAway(outgoing, this.#options.problemOf),
      })
    if (!hasBody(incoming)) {
      asking.turn = enter()
      return
    }
    // The rest of what was read with the header fields is looked at first.
    process.nextTick(() => {
      if (outgoing.closed) return
      asking.turn = incoming.complete ? enter() : this.#bodies.enter(incoming, network, { begin, whenComplete: enter })
    })
  }

  #classOf(held: Held, { method = '', url = '', headers }: IncomingMessage): WorkClass {
    return workClassOf(this.#workOf(method, url.replace(/[?#].*$/s, '')), {
      namesCredential: headers.authorization !== undefined,
      recognised: held.isRecognised(),
    })
  }

  /** Answers a client whose bytes are no request, or came too late (RFC 9112, 9.5). */
  #refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (this.#refused.has(socket)) return
    this.#refused.add(socket)
    const spoke = this.#speaking.has(socket) && socket.writable && error.code !== 'ECONNRESET'
    const waitingFor = this.#answers.waitingFor(socket)
    if (!spoke || (waitingFor === 'nothing' && isSilent(socket))) socket.destroy()
    else if (waitingFor === 'answer') this.#answers.endAfter(socket)
    else void refuseSocket(socket, refusalOfParserError(error.code), this.#options.problemOf)
  }
}

const headerOf = ({ headers }: IncomingMessage, name: string): string | undefined => {
  const value = headers[name.toLowerCase()]
  return Array.isArray(value) ? value.join(', ') : value
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

/** Node shows only the first one among the parsed fields. */
const countHosts = ({ rawHeaders }: IncomingMessage): number => {
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (/^host$/i.test(rawHeaders[at] ?? '')) count += 1
  return count
}

/** A connection without any bytes is closed without an answer. */
const isSilent = (socket: Duplex & Partial<Pick<Socket, 'bytesRead'>>): boolean => socket.bytesRead === 0

/** The refusal of a URL that the service never sees. */
const toRefusal = (error: unknown): unknown =>
  error instanceof RequestError
    ? new DomainError('malformed_http', 'Send a path and a Host that make a URL.', { cause: error })
    : error
