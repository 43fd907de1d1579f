import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { text as wholeText } from 'node:stream/consumers'
import { toPem } from './pem.ts'

/** What was sent to the server, in order. */
interface Asked {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface SmallCa {
  readonly url: string
  readonly asked: Asked[]
  stop(): Promise<void>
}

/**
 * A server that answers as CFSSL does to a look that issues nothing: `info` with the certificate and usages that it is given,
 * and to whatever is to be signed that it is no request.
 */
export async function startSmallCa(
  issuer: Uint8Array,
  usages: readonly string[] = ['email protection'],
): Promise<SmallCa> {
  const asked: Asked[] = []
  const info = { certificate: toPem('CERTIFICATE', issuer), usages, expiry: '2160h' }
  const answerTo = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await wholeText(request)
    const path = request.url ?? ''
    asked.push({ path, headers: request.headers, body })
    const isInfo = path === '/api/v1/cfssl/info'
    response.writeHead(isInfo ? 200 : 400, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify(
        isInfo
          ? { success: true, result: info, errors: [], messages: [] }
          : { success: false, result: null, errors: [{ code: 9002, message: 'no request' }], messages: [] },
      ),
    )
  }
  const server = createServer((request, response) => void answerTo(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
