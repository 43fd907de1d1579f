import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { certificatesOfPem } from '../../src/pki/pem.ts'
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts'
import { serveHttp, serveHttps, type OddServer } from '../support/odd-servers.ts'
import { makeTlsPair } from '../support/tls.ts'
import { outgoingHere } from '../support/this-machine.ts'

const pair = await makeTlsPair('a server')
const outgoing = outgoingHere()
const body = JSON.stringify({ long: 'x'.repeat(40_000) })

/** The test instrument itself: what a client and a server see of each fate, in the clear and in each version of TLS. */
describe.each(['http', 'TLSv1.2', 'TLSv1.3'] as const)('a proxy that loses things: %s', (protocol) => {
  let server: OddServer
  let proxy: LossyProxy

  const open = async (): Promise<string> => {
    const answer = (_: unknown, response: { end(text: string): void }): void => response.end(body)
    const tls = {
      cert: pair.certificate,
      key: pair.key,
      maxVersion: protocol === 'http' ? 'TLSv1.3' : protocol,
    } as const
    server = protocol === 'http' ? await serveHttp(answer) : await serveHttps(tls, answer)
    proxy = await startLossyProxy(server.port)
    return `${protocol === 'http' ? 'http' : 'https'}://127.0.0.1:${proxy.port}/`
  }
  afterEach(async () => {
    await proxy.close()
    await server.close()
  })

  const ask = (url: string, timeoutMilliseconds = 30_000): Promise<unknown> =>
    outgoing
      .exchange({
        method: 'POST',
        url,
        headers: {},
        body: new TextEncoder().encode('a request'),
        trustAnchors: certificatesOfPem(pair.certificate) ?? [],
        clientCertificate: null,
        timeoutMilliseconds,
        maxBytes: 1_000_000,
      })
      .then((answer) => ({ status: answer.status, length: answer.body.length }))

  test('each fate, as the client sees it and as the server does', async () => {
    const url = await open()
    expect(await spoken(url)).toBe(protocol)
    const whole = { status: 200, length: body.length }
    expect(await ask(url)).toEqual(whole)
    await proxy.answered(1)

    await proxy.behave('drop-request')
    await expect(ask(url)).rejects.toMatchObject({ failure: 'connection_lost', sent: 'maybe' })
    expect(server.asked()).toBe(1)

    await proxy.behave('drop-answer')
    await expect(ask(url)).rejects.toMatchObject({ failure: 'connection_lost', sent: 'maybe' })
    await proxy.answered(1)
    expect(server.asked()).toBe(2)

    await proxy.behave('half-answer')
    await expect(ask(url)).rejects.toMatchObject({ sent: 'maybe' })
    expect(server.asked()).toBe(3)

    await proxy.behave('hang')
    await expect(ask(url, 300)).rejects.toMatchObject({ failure: 'timed_out', sent: 'maybe' })
    await proxy.answered(1)
    expect(server.asked()).toBe(4)

    await proxy.behave('refuse')
    await expect(ask(url)).rejects.toMatchObject({ failure: 'unreachable', sent: 'no' })
    await proxy.behave((connection) => (connection === 1 ? 'drop-answer' : 'pass'))
    expect(await ask(url)).toEqual(whole)
    await expect(ask(url)).rejects.toMatchObject({ failure: 'connection_lost' })
    expect(await ask(url)).toEqual(whole)
    await proxy.answered(3)
    expect(server.asked()).toBe(7)
  })
})

/** What is really spoken to a proxy. */
const spoken = (url: string): Promise<string | null> =>
  new Promise((resolve, reject) => {
    const { protocol, port } = new URL(url)
    if (protocol === 'http:') return resolve('http')
    const socket = connectTls({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getProtocol())
      socket.destroy()
    })
    socket.once('error', reject)
  })
