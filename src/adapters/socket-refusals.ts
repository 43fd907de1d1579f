import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { DomainError } from '../errors.ts'

/** Makes the answer to an error. */
export type ProblemOf = (error: unknown, instance: string) => Response

/** How long a refused client may read the reason before its connection is cut. */
const lingerMilliseconds = 500

/** The refusal of bytes that Node could not parse as a request. */
export const refusalOfParserError = (code: string | undefined): DomainError => {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new DomainError('request_timeout', 'The request did not come in full within the time for it. Send it again.')
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new DomainError('headers_too_large', 'Send fewer or shorter header fields.')
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return new DomainError('payload_too_large', 'Send chunks without extensions.')
  }
  return new DomainError('malformed_http', 'Send one HTTP/1.1 request as RFC 9112 has it.')
}

/** When somebody who was turned away may ask again. */
const turnedAwaySeconds = 2

/** Writes an answer to a socket that has no request, and ends the connection. */
export async function refuseSocket(socket: Duplex, error: DomainError, problemOf: ProblemOf): Promise<void> {
  const answer = problemOf(error, '/')
  const body = Buffer.from(await answer.arrayBuffer())
  const headers = [...answer.headers, ['Content-Length', String(body.length)], ['Connection', 'close']]
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ]
  if (!socket.writable) {
    socket.destroy()
    return
  }
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]))
  const cut = setTimeout(() => socket.destroy(), lingerMilliseconds)
  socket.once('close', () => clearTimeout(cut))
}

/** Answers a request that is not processed now. Its client keeps the connection, and may ask again. */
export async function turnAway(outgoing: ServerResponse, problemOf: ProblemOf): Promise<void> {
  const answer = problemOf(
    new DomainError('overloaded', 'The service has too much to do at the moment. Ask again.', {
      retryAfterSeconds: turnedAwaySeconds,
    }),
    '/',
  )
  const body = Buffer.from(await answer.arrayBuffer())
  if (outgoing.closed) return
  outgoing.writeHead(answer.status, { ...Object.fromEntries(answer.headers), 'Content-Length': String(body.length) })
  outgoing.end(body)
}
