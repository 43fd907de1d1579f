import { lookup as lookUp, type LookupAddress } from 'node:dns'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectPlain, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls, TLSSocket, type ConnectionOptions } from 'node:tls'
import {
  ExchangeFailed,
  type ExchangeFailure,
  type OutgoingAnswer,
  type OutgoingHttps,
  type OutgoingRequest,
} from '../ports/outgoing-https.ts'
import { destinationRefused, type Destinations } from './destinations.ts'

/** Alerts of RFC 8446 section 6.2 by which a server refuses this service's certificate, or its absence. */
const refusesCertificate =
  /_ALERT_(?:BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR)$/

/** Errors of the system, not of the peer's TLS. */
const notReached: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
])
const cutOff: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

/** How long to wait for the server's verdict on this service's certificate before the request is sent. */
const verdictMilliseconds = 250

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/**
 * Outgoing requests from Node. Each has a connection of its own, which is closed afterwards. Nothing is sent before the
 * connection stands and the server is verified. So every earlier failure is certain to have had no effect. The same
 * holds for a later TLS 1.3 alert that refuses this service's certificate: a server that sends it has not taken the
 * request. A name is looked up for each connection, and the connection goes only to addresses that were looked at.
 * `lookup` replaces the system's in tests.
 */
export function createOutgoingHttps(destinations: Destinations, lookup: LookupFunction = lookUp): OutgoingHttps {
  return {
    can: { ownTrustAnchors: true, clientCertificates: true },
    exchange: (request) => exchange(request, destinations, lookup),
  }
}

async function exchange(
  request: OutgoingRequest,
  destinations: Destinations,
  lookup: LookupFunction,
): Promise<OutgoingAnswer> {
  const allowed = (address: string): boolean => destinations.allow(request, address)
  const socket = openSocket(request, allowed, allowedAddresses(allowed, lookup))
  // Errors are handled by whoever waits for the socket. An error while nobody waits must not end the process.
  socket.on('error', () => undefined)
  let sent: 'no' | 'maybe' = 'no'
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ExchangeFailed('timed_out', sent)), request.timeoutMilliseconds)
  })
  try {
    await Promise.race([connected(socket, request), deadline])
    sent = 'maybe'
    return await Promise.race([answered(socket, request), deadline])
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

/** Looks up a name, and returns only addresses that this request may go to. */
const allowedAddresses =
  (isAllowed: (address: string) => boolean, lookup: LookupFunction): LookupFunction =>
  (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const all: readonly LookupAddress[] =
        typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found
      const allowed = error === null ? all.filter(({ address }) => isAllowed(address)) : []
      const [first] = allowed
      if (error !== null) callback(error, [])
      else if (first === undefined) callback(destinationRefused(), [])
      else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })

/** Begins to connect. Throws ExchangeFailed if the destination is not allowed, or TLS cannot use the credentials. */
function openSocket(request: OutgoingRequest, isAllowed: (address: string) => boolean, lookup: LookupFunction): Socket {
  const { protocol, hostname, port } = new URL(request.url)
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !isAllowed(host)) throw destinationRefused()
  if (protocol === 'http:') return connectPlain({ host, port: Number(port || 80), lookup })
  const server = { host, port: Number(port || 443), lookup, ...(isIP(host) === 0 ? { servername: host } : {}) }
  try {
    return connectTls({ ...server, ...credentialsOf(request) })
  } catch (cause) {
    throw new ExchangeFailed('tls_refused', 'no', { cause })
  }
}

const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`

function credentialsOf({ trustAnchors, clientCertificate }: OutgoingRequest): ConnectionOptions {
  const asPem = (certificate: Uint8Array): string => pem('CERTIFICATE', certificate)
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    // An anchor need not be a root: an operator may name only the certificate above the server's.
    ...(trustAnchors.length === 0 ? {} : { ca: trustAnchors.map(asPem), allowPartialTrustChain: true }),
    ...(clientCertificate === null
      ? {}
      : {
          cert: clientCertificate.chain.map(asPem).join(''),
          key: pem('PRIVATE KEY', clientCertificate.privateKey),
        }),
  }
}

/** Resolves when the request may be sent. Rejects with ExchangeFailed; nothing was sent then. */
function connected(socket: Socket, request: OutgoingRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    let reached = false
    socket.once('connect', () => {
      reached = true
    })
    socket.once('error', (cause) => reject(new ExchangeFailed(failureToConnect(cause, reached), 'no', { cause })))
    socket.once('close', () => reject(new ExchangeFailed('connection_lost', 'no')))
    if (!(socket instanceof TLSSocket)) return void socket.once('connect', () => resolve())
    // A server sends session tickets after it has verified the client (RFC 8446 section 4.6.1).
    const ticket = new Promise<void>((seen) => socket.once('session', () => seen()))
    socket.once('secureConnect', () => {
      if (request.clientCertificate === null || socket.getProtocol() !== 'TLSv1.3') return resolve()
      // In TLS 1.3 the client is ready before the server has checked its certificate.
      const timer = setTimeout(resolve, verdictMilliseconds)
      // Not at once: bytes that are written while OpenSSL still reports the ticket get stuck.
      void ticket.then(() => setImmediate(resolve))
      socket.once('close', () => clearTimeout(timer))
    })
  })
}

function failureToConnect(cause: unknown, reached: boolean): ExchangeFailure {
  if (cause instanceof ExchangeFailed) return cause.failure
  const code = codeOf(cause)
  if (!reached || notReached.has(code)) return 'unreachable'
  return cutOff.has(code) ? 'connection_lost' : 'tls_refused'
}

/** Sends the request and reads the answer. Rejects with ExchangeFailed. */
function answered(socket: Socket, request: OutgoingRequest): Promise<OutgoingAnswer> {
  return new Promise((resolve, reject) => {
    const { host, pathname, search } = new URL(request.url)
    let begun = false
    const fail = (cause: unknown): void => reject(failureOfAnswer(cause, begun))
    const outgoing = httpRequest({
      createConnection: () => socket,
      setHost: false,
      method: request.method,
      path: pathname + search,
      headers: {
        ...request.headers,
        host,
        connection: 'close',
        'accept-encoding': 'identity',
        ...(request.body === null ? {} : { 'content-length': request.body.length }),
      },
    })
    outgoing.once('response', (incoming) => {
      begun = true
      bodyOf(incoming, request.maxBytes).then((body) => resolve(answerOf(incoming, body)), fail)
    })
    outgoing.on('error', fail)
    outgoing.once('close', () => {
      // An answer that has begun is read to its end, which may come after the end of the connection.
      if (!begun) reject(new ExchangeFailed('connection_lost', 'maybe'))
    })
    outgoing.end(request.body ?? undefined)
  })
}

async function bodyOf(incoming: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of incoming as AsyncIterable<Uint8Array>) {
    length += piece.length
    if (length > maxBytes) throw new ExchangeFailed('answer_too_large', 'maybe')
    pieces.push(piece)
  }
  // No copy: a revocation list is long.
  const { buffer, byteOffset, byteLength } = Buffer.concat(pieces)
  return new Uint8Array(buffer, byteOffset, byteLength)
}

const answerOf = (incoming: IncomingMessage, body: Uint8Array): OutgoingAnswer => ({
  status: incoming.statusCode ?? 0,
  headers: Object.fromEntries(
    Object.entries(incoming.headersDistinct).map(([name, values = []]) => [name, values.join(', ')]),
  ),
  body,
})

/** The meaning of a failure after the request was sent. `begun`: part of an answer had come. */
function failureOfAnswer(cause: unknown, begun: boolean): ExchangeFailed {
  if (cause instanceof ExchangeFailed) return cause
  const code = codeOf(cause)
  if (!begun && refusesCertificate.test(code)) return new ExchangeFailed('tls_refused', 'no', { cause })
  return new ExchangeFailed(failureToRead(code), 'maybe', { cause })
}

function failureToRead(code: string): ExchangeFailure {
  if (code === 'HPE_HEADER_OVERFLOW') return 'answer_too_large'
  if (code === 'HPE_INVALID_EOF_STATE') return 'connection_lost'
  return code.startsWith('HPE_') ? 'answer_malformed' : 'connection_lost'
}
