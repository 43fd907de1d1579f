import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startProgram } from '../support/processes.ts'
import { ExchangeFailed, type ClientCertificate } from '../../src/ports/outgoing-https.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { toPem } from '../support/pem.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { requireProgram } from './programs.ts'
import { outgoingHere } from '../support/this-machine.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let ca: TestCa
let other: TestCa
const running: ChildProcess[] = []

beforeAll(async () => {
  await requireProgram('openssl', 'openssl')
  folder = await temporaryFolder()
  ;[ca, other] = await Promise.all([makeTestCa(), makeTestCa('Other')])
  const { certificate, key } = await ca.issueForTls('server')
  await writeFile(join(folder.path, 'server.pem'), `${certificate}\n${key}`)
  await writeFile(join(folder.path, 'ca.pem'), toPem('CERTIFICATE', ca.root))
})
afterEach(async () => {
  for (const server of running.splice(0)) {
    const ended = once(server, 'exit')
    server.kill()
    await ended
  }
})
afterAll(() => folder.remove())

/** `openssl s_server`, which answers every GET with a page and wants a certificate of `ca`; resolves to its URL. */
async function startServer(...options: readonly string[]): Promise<string> {
  const usual = [
    '-accept',
    '127.0.0.1:0',
    '-cert',
    'server.pem',
    '-cert_chain',
    'server.pem',
    '-CAfile',
    'ca.pem',
    '-www',
  ]
  // Its standard input stays open: openssl ends with it.
  const server = startProgram('openssl', ['s_server', ...usual, ...options], { cwd: folder.path })
  running.push(server)
  let output = ''
  for await (const chunk of server.stdout as AsyncIterable<Buffer>) {
    output += chunk.toString()
    const [, port] = /^ACCEPT 127\.0\.0\.1:(\d+)$/m.exec(output) ?? []
    if (port === undefined) continue
    server.stdout.resume()
    return `https://127.0.0.1:${port}/`
  }
  throw new Error(`openssl s_server ended: ${output}`)
}

const outgoing = outgoingHere()
const ask = async (url: string, clientCertificate: ClientCertificate | null): Promise<string> => {
  try {
    const answer = await outgoing.exchange({
      method: 'GET',
      url,
      headers: {},
      body: null,
      trustAnchors: [ca.root],
      clientCertificate,
      timeoutMilliseconds: 20_000,
      maxBytes: 1_048_576,
    })
    return `${answer.status}`
  } catch (error) {
    if (error instanceof ExchangeFailed) return `${error.failure}, ${error.sent}`
    throw error
  }
}

describe.each([
  ['TLS 1.3', ['-tls1_3']],
  ['TLS 1.3 without tickets', ['-tls1_3', '-num_tickets', '0']],
  ['TLS 1.2', ['-tls1_2']],
] as const)('a server of OpenSSL that wants a client certificate: %s', (_name, version) => {
  const wanting = ['-Verify', '3', '-verify_return_error'] as const

  test('gets the one that it wants', async () => {
    const url = await startServer(...version, ...wanting)
    expect(await ask(url, await ca.issueForTls('client'))).toBe('200')
  })

  test('gets none, and says so: nothing was done', async () => {
    const url = await startServer(...version, ...wanting)
    expect(await ask(url, null)).toBe('tls_refused, no')
  })

  test('gets the one of another CA, and says so: nothing was done', async () => {
    const url = await startServer(...version, ...wanting)
    expect(await ask(url, await other.issueForTls('client'))).toBe('tls_refused, no')
  })

  test('is asked for nothing where it would take any', async () => {
    const url = await startServer(...version)
    expect(await ask(url, await ca.issueForTls('client'))).toBe('200')
  })
})
