import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import { getRequestListener, RequestError } from '@hono/node-server'
import { DomainError } from '../errors.ts'
import { OpenAnswers } from './open-answers.ts'
import { refusalOfParserError, refuseSocket, type ProblemOf } from './socket-refusals.ts'

/** How much of a listener one client may have, and for how long. */
export interface ListenerLimits {
  /** Until the header fields are there, and for a TLS handshake. */
  readonly headersMilliseconds: number
  /** Until the whole request is there. */
  readonly requestMilliseconds: number
  /** Until the whole answer is taken, from its first byte. */
  readonly answerMilliseconds: number
  /** How long a kept-alive connection may be idle; longer than reverse proxies keep theirs. */
  readonly keepAliveMilliseconds: number
  /** How often the times are looked at. */
  readonly lookMilliseconds: number
  /** Connections at once; more are closed as they come. */
  readonly connections: number
}

export const defaultLimits: ListenerLimits = {
  headersMilliseconds: 20_000,
  requestMilliseconds: 60_000,
  answerMilliseconds: 120_000,
  keepAliveMilliseconds: 65_000,
  lookMilliseconds: 2_000,
  connections: 2_000,
}

/** Node's own default, said aloud because the API documents it. */
const headerBytesAllowed = 16 * 1_024

/** What a listener tells the service beside the request. */
export interface ListenerBindings {
  /** The address at the other end of the socket. */
  readonly peer: string
  readonly encrypted: boolean
  readonly pkiOnly: boolean
}

type Answer = (request: Request, bindings: ListenerBindings) => Response | Promise<Response>

interface ListenerOptions {
  readonly host: string
  readonly port: number
  /** The setting that the port comes from, for the words of a refusal. */
  readonly portSetting: 'PORT' | 'PKI_PORT'
  /** The host of requests that name none, as HTTP/1.0 allows. */
  readonly hostname: string
  /** Null: plain HTTP. */
  readonly tls: SecureContextOptions | null
  readonly limits: ListenerLimits
  readonly problemOf: ProblemOf
}

/** How long a kept-alive connection may stay idle in a shutdown: a busy client's next request comes within it. */
const idleMilliseconds = 250

const createServer = ({ tls, limits }: ListenerOptions): Server | HttpsServer => {
  const options = {
    headersTimeout: limits.headersMilliseconds,
    requestTimeout: limits.requestMilliseconds,
    keepAliveTimeout: limits.keepAliveMilliseconds,
    connectionsCheckingInterval: limits.lookMilliseconds,
    maxHeaderSize: headerBytesAllowed,
    // Node's own refusal would have no body.
    requireHostHeader: false,
  }
  if (tls === null) return createHttpServer(options)
  return createHttpsServer({ ...options, ...tls, handshakeTimeout: limits.headersMilliseconds })
}

/** One socket that listens for HTTP, or HTTPS, with the limits and the shutdown that clients meet. */
export class HttpListener {
  readonly #server: Server | HttpsServer
  readonly #options: ListenerOptions
  readonly #answers = new OpenAnswers()
  /** Connections on which HTTP is spoken: with TLS, those whose handshake is done. */
  readonly #speaking = new WeakSet<Duplex>()
  readonly #refused = new WeakSet<Duplex>()
  readonly #look: NodeJS.Timeout
  #answer: ((incoming: IncomingMessage, outgoing: ServerResponse) => void) | null = null
  /** Requests that came before the service was ready. */
  #early: [IncomingMessage, ServerResponse][] = []
  #dropped = 0
  #cut = 0

  private constructor(options: ListenerOptions) {
    this.#options = options
    const server = createServer(options)
    this.#server = server
    server.maxConnections = options.limits.connections
    // Bounded by their bytes alone: of what comes beyond a number Node says nothing, and a forwarding header that a
    // proxy adds stands at the end.
    server.maxHeadersCount = 0
    server.on('request', (incoming, outgoing) => this.#take(incoming, outgoing))
    // RFC 9110 10.1.1: an expectation that is not known may be ignored.
    server.on('checkExpectation', (incoming, outgoing) => this.#take(incoming, outgoing))
    server.on(options.tls === null ? 'connection' : 'secureConnection', (socket: Duplex) => this.#speaking.add(socket))
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#refuse(error, socket))
    server.on('drop', () => (this.#dropped += 1))
    this.#look = setInterval(() => {
      this.#cut += this.#answers.cutSlow(performance.now(), options.limits.answerMilliseconds)
    }, options.limits.lookMilliseconds)
    this.#look.unref()
  }

  /** Binds the port. Rejects with what to set where it is taken. Requests wait until `answerWith`. */
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

  /** Where it listens, without a slash at the end. */
  get url(): string {
    const { family, address, port } = this.#address()
    const scheme = this.#options.tls === null ? 'http' : 'https'
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  }

  /** What was refused since the last call: connections beyond the limit, and readers that took too long. */
  takeRefused(): { connections: number; readers: number } {
    const refused = { connections: this.#dropped, readers: this.#cut }
    this.#dropped = 0
    this.#cut = 0
    return refused
  }

  /** Answers what comes, and what has come. */
  answerWith(answer: Answer): void {
    const { hostname, portSetting, problemOf, tls } = this.#options
    const facts = { encrypted: tls !== null, pkiOnly: portSetting === 'PKI_PORT' }
    const listener = getRequestListener(
      (request, { incoming }) => answer(request, { peer: incoming.socket.remoteAddress ?? '', ...facts }),
      { hostname, errorHandler: (error) => problemOf(toRefusal(error), '/') },
    )
    this.#answer = (incoming, outgoing) => void listener(incoming, outgoing)
    for (const [incoming, outgoing] of this.#early.splice(0)) this.#take(incoming, outgoing)
  }

  /** New connections get this certificate; those that are open keep theirs. */
  replaceCertificate(tls: SecureContextOptions): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(tls)
  }

  /**
   * Stops accepting and resolves when every connection has ended: the busy ones after an answer that says so, the idle
   * ones after a moment, all of them after `withinMilliseconds`.
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

  /** Closes at once, whatever is under way: for a start that fails. */
  async abandon(): Promise<void> {
    const closed = this.#stopAccepting()
    this.#server.closeAllConnections()
    clearInterval(this.#look)
    await closed
  }

  #stopAccepting(): Promise<void> {
    return new Promise((resolve) => {
      // Not the close() of the HTTP server: that one closes idle connections at once, with what is being sent on them.
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
        // A connection that the system could not hand over is one that was dropped, and no end of the service.
        this.#server.on('error', () => (this.#dropped += 1))
        resolve()
      })
    })
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const answer = this.#answer
    if (answer === null) {
      this.#early.push([incoming, outgoing])
      return
    }
    // RFC 9112 3.2: without a Host there is no HTTP/1.1 request. HTTP/1.0 had none.
    if (incoming.headers.host === undefined && incoming.httpVersion === '1.1') {
      this.#refuse(new Error('no Host'), incoming.socket)
      return
    }
    this.#answers.handle(incoming, outgoing, answer)
  }

  /** What to tell a client whose bytes make no request, or none in time (RFC 9112, 9.5). */
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

/** A connection on which nothing has come is closed without a word: nothing was asked. */
const isSilent = (socket: Duplex & Partial<Pick<Socket, 'bytesRead'>>): boolean => socket.bytesRead === 0

/** What the request's URL is refused for before the service sees it. */
const toRefusal = (error: unknown): unknown =>
  error instanceof RequestError
    ? new DomainError('malformed_http', 'Send a path and a Host that make a URL.', { cause: error })
    : error
