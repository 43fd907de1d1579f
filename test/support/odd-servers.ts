import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import { createServer as createSocketServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A server of this machine that a test ends. */
export interface OddServer {
  readonly port: number
  /** With the scheme that it speaks, at 127.0.0.1. */
  readonly url: string
  /** How many requests, or connections of a server that speaks no HTTP, there were. */
  readonly asked: () => number
  close(): Promise<void>
}

async function listening(
  server: Server | HttpServer,
  scheme: 'http' | 'https',
  event: 'request' | 'connection',
): Promise<OddServer> {
  const sockets = new Set<Socket>()
  let asked = 0
  server.on(event, () => asked++)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `${scheme}://127.0.0.1:${port}`,
    asked: () => asked,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Answers over HTTP as the listener says. */
export const serveHttp = (listener: RequestListener): Promise<OddServer> =>
  listening(createHttpServer(listener), 'http', 'request')

/** Answers over HTTPS as the listener says. */
export const serveHttps = (options: ServerOptions, listener: RequestListener): Promise<OddServer> =>
  listening(createHttpsServer(options, listener), 'https', 'request')

/** Does with each connection what it is told, without any protocol. */
export const serveBytes = (scheme: 'http' | 'https', speak: (socket: Socket) => void): Promise<OddServer> =>
  listening(createSocketServer(speak), scheme, 'connection')

/** Answers what it gets, whatever that is, with the bytes given. */
export const answerBytes = (bytes: string, then: 'end' | 'reset' | 'stay' = 'end'): Promise<OddServer> =>
  serveBytes('http', (socket) => {
    socket.once('data', () => {
      if (then === 'end') socket.end(bytes)
      else if (then === 'stay') socket.write(bytes)
      else socket.write(bytes, () => socket.resetAndDestroy())
    })
  })

/** A port at which nothing listens. */
export async function freePort(): Promise<number> {
  const server = await serveBytes('http', (socket) => socket.destroy())
  await server.close()
  return server.port
}
