import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { Agent, request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serveNode, type NodeOptions, type RunningServer } from '../../src/node.ts'
import { Api } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig } from '../support/node-process.ts'
import { lastAnswer, RawClient } from '../support/raw-client.ts'
import { lookUp, register } from '../support/story.ts'
import { fetchTrusting, makeTlsPair, shownName, tlsFolder, type TlsFolder, type TlsPair } from '../support/tls.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let pair: TlsPair
let files: TlsFolder
let log: string[]
const opened: (() => Promise<void> | void)[] = []

beforeEach(async () => {
  folder = await temporaryFolder()
  pair = await makeTlsPair('first')
  files = await tlsFolder(folder.path, pair)
  log = []
})
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
  await folder.remove()
})

const dataDir = (): string => join(folder.path, 'data')

const serve = async (settings: Readonly<Record<string, string>>, options: NodeOptions = {}): Promise<RunningServer> => {
  const server = await serveNode(testConfig(dataDir(), settings), { writeLog: (line) => log.push(line), ...options })
  opened.push(() => server.stop('the test is over'))
  return server
}

const serveTls = (options: NodeOptions = {}, settings: Readonly<Record<string, string>> = {}): Promise<RunningServer> =>
  serve({ ...files.settings, PKI_PORT: '0', ...settings }, { tlsLookMilliseconds: 20, ...options })

const events = (name: string): string[] => log.filter((line) => line.includes(`"event":"${name}"`))

test('over TLS of its own the service does its job, and certificates point to the plain port', async () => {
  const server = await serveTls()
  const ask = fetchTrusting(pair.certificate)
  const mails = await watchOutbox(join(dataDir(), 'outbox'))
  opened.push(() => mails.close())
  const api = new Api((path, init) =>
    ask(server.url + path, {
      method: init?.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init?.headers)),
      ...(typeof init?.body === 'string' ? { body: init.body } : {}),
    }),
  )
  const alice = await register(api, mails, 'alice@example.com')
  await lookUp(alice, ['nobody@example.com'])
  const policy = await ask(`${server.url}/v1/policy`)
  expect(policy.headers.get('Strict-Transport-Security')).toBe('max-age=31536000')
  expect(await (await ask(`${server.url}/readyz`)).json()).toEqual({ status: 'ready', unusable: [], warnings: [] })
  expect(await (await ask(`${server.url}/openapi.json`)).json()).toMatchObject({ servers: [{ url: server.url }] })

  expect(server.node.service.namedPkiUrl).toBe(server.pkiUrl)
  expect(events('pki_url_changed')).toEqual([])
  for (const url of [server.pkiUrl ?? '', server.url]) {
    expect((await ask(`${server.url}/ocsp/nobody/AAAA`)).status).toBe(200)
    expect([url, await (url === server.url ? ask : fetch)(`${url}/v1/policy`).then(({ status }) => status)]).toEqual([
      url,
      url === server.url ? 200 : 404,
    ])
  }
  expect((await fetch(`${server.pkiUrl}/ocsp/nobody/AAAA`)).status).toBe(200)
})

describe('a certificate that cannot be used stops the start, by the name of its setting, and frees the ports', () => {
  test.each([
    ['TLS_CERT_FILE', { TLS_CERT_FILE: '/nowhere/certificate.pem' }],
    ['TLS_KEY_FILE', { TLS_KEY_FILE: '/nowhere/key.pem' }],
  ])('a missing %s', async (setting, settings) => {
    await expect(serveTls({}, settings)).rejects.toThrow(`${setting}: `)
  })

  test('a key of another certificate', async () => {
    await files.put({ ...pair, key: (await makeTlsPair('other')).key })
    await expect(serveTls()).rejects.toThrow('TLS_KEY_FILE: is not the key')
  })

  test('a PKI_PORT that is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    opened.push(() => void taken.close())
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    await expect(serveTls({}, { PKI_PORT: String(port) })).rejects.toThrow('set PKI_PORT to another one')
    await serveTls()
  })
})

/** Requests on kept-alive and on new connections, one after the other, until told to end. */
function keepAsking(url: string): { answered: () => number; faults: string[]; end(): Promise<void> } {
  const kept = new Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 4 })
  const faults: string[] = []
  let answered = 0
  const ending = new AbortController()
  const askOnce = (agent: Agent | false): Promise<void> =>
    new Promise((resolve) => {
      const outgoing = httpsRequest(`${url}/v1/policy`, { agent, rejectUnauthorized: false }, (incoming) => {
        if (incoming.statusCode === 200) answered += 1
        else faults.push(`status ${incoming.statusCode}`)
        incoming.once('error', (error) => faults.push(error.message))
        incoming.once('close', resolve)
        incoming.resume()
      })
      outgoing.once('error', (error) => {
        faults.push(error.message)
        resolve()
      })
      outgoing.end()
    })
  const work = async (agent: Agent | false): Promise<void> => {
    while (!ending.signal.aborted) await askOnce(agent)
  }
  const working = [kept, kept, kept, false as const, false as const].map(work)
  return {
    answered: () => answered,
    faults,
    end: async () => {
      ending.abort()
      await Promise.all(working)
      kept.destroy()
    },
  }
}

describe('a certificate that changes', () => {
  test('is taken into use while requests run, without one dropped', async () => {
    const server = await serveTls()
    const load = keepAsking(server.url)
    for (const name of ['second', 'third', 'fourth']) {
      const before = load.answered()
      await files.put(await makeTlsPair(name))
      await expect.poll(() => shownName(server.url), { interval: 10 }).toBe(name)
      await expect.poll(load.answered, { interval: 10 }).toBeGreaterThan(before + 20)
    }
    await load.end()
    expect(load.faults).toEqual([])
    expect(load.answered()).toBeGreaterThan(60)
  })

  test('to one that does not fit leaves the old one in use, and says so', async () => {
    const server = await serveTls({}, { LOG_LEVEL: 'info' })
    await files.put({ ...pair, key: (await makeTlsPair('other')).key })
    await expect.poll(() => events('tls_certificate_refused'), { interval: 10 }).toHaveLength(1)
    expect(events('tls_certificate_refused')[0]).toContain('TLS_KEY_FILE: is not the key')
    expect(await shownName(server.url)).toBe('first')
    await files.put(await makeTlsPair('second'))
    await expect.poll(() => shownName(server.url), { interval: 10 }).toBe('second')
    expect(events('tls_certificate_loaded').length).toBeGreaterThanOrEqual(1)
  })

  test('is read at once on SIGHUP, which ends nothing', async () => {
    const settings = { ...files.settings, PKI_PORT: '0' }
    const service = await startProcess(dataDir(), { settings })
    opened.push(async () => void (await service.end('SIGKILL')))
    await files.put(await makeTlsPair('second'))
    service.child.kill('SIGHUP')
    await expect.poll(() => shownName(service.url), { timeout: 4_000, interval: 10 }).toBe('second')
    expect(await service.end('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  test('and is soon at its end is a warning in /readyz, which stays ready', async () => {
    const server = await serveTls({ clock: () => Date.now() + 80 * 86_400_000 })
    const ready = await fetchTrusting(pair.certificate)(`${server.url}/readyz`)
    expect([ready.status, await ready.json()]).toMatchObject([
      200,
      { warnings: [expect.stringContaining('TLS_CERT_FILE expires at')] },
    ])
  })
})

describe('over plain HTTP from this machine', () => {
  const ask = async (server: RunningServer, headers: Record<string, string>): Promise<unknown> => {
    const answer = await fetch(`${server.url}/v1/policy`, { headers })
    const body: { code?: unknown } = await answer.json()
    return [answer.status, body.code]
  }
  const proxied = { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https' }

  test('a proxy that is not declared is refused as soon as it says that it is one', async () => {
    const server = await serve({})
    expect(await ask(server, {})).toEqual([200, undefined])
    expect(await ask(server, proxied)).toEqual([403, 'forwarding_refused'])
  })

  test.each(['127.0.0.1', '127.0.0.0/8', '10.0.0.0/8, 127.0.0.1/32'])(
    'one that is declared as %s stands',
    async (range) => {
      const server = await serve({ TRUSTED_PROXY: range })
      expect(await ask(server, {})).toEqual([200, undefined])
      expect(await ask(server, proxied)).toEqual([200, undefined])
      expect(await ask(server, { ...proxied, 'X-Forwarded-Proto': 'http' })).toEqual([403, 'https_required'])
      expect(await ask(server, { 'X-Forwarded-For': '203.0.113.9' })).toEqual([403, 'https_required'])
      expect(await ask(server, { Forwarded: 'proto=https' })).toEqual([403, 'https_required'])
    },
  )

  test('fields that fill the header do not hide what the proxy adds at the end', async () => {
    const server = await serve({ TRUSTED_PROXY: '127.0.0.1' })
    const raw = await RawClient.open(server.url)
    opened.push(() => raw.close())
    const junk = Array.from({ length: 2_500 }, () => 'a:\r\n').join('')
    raw.send(
      `GET /v1/policy HTTP/1.1\r\nHost: localhost\r\n${junk}X-Forwarded-Proto: http\r\nConnection: close\r\n\r\n`,
    )
    expect(lastAnswer(await raw.ended())).toMatchObject({ status: 403, body: { code: 'https_required' } })
  })
})

test('a body that comes too slowly is refused, and is no fault of the service', async () => {
  const limits = { headersMilliseconds: 100, requestMilliseconds: 200, lookMilliseconds: 20 }
  const server = await serve({ LOG_LEVEL: 'debug' }, { limits })
  for (const field of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
    const raw = await RawClient.open(server.url)
    opened.push(() => raw.close())
    raw.send(`POST /v1/registrations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${field}\r\n\r\n`)
    expect(lastAnswer(await raw.ended())).toMatchObject({ status: 408, body: { code: 'request_timeout' } })
  }
  await expect.poll(() => events('request_answered').length, { interval: 10 }).toBe(2)
  for (const line of events('request_answered')) expect(line).toContain('"status":408')
  expect(events('request_failed')).toEqual([])
})

test('both ports finish what they have accepted when the service stops', async () => {
  const server = await serveTls()
  const ports = [await RawClient.open(server.pkiUrl ?? '')]
  for (const raw of ports) {
    opened.push(() => raw.close())
    raw.send('POST /ocsp/nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n')
  }
  await setImmediate()
  const stopped = server.stop('the test says so')
  await setImmediate()
  for (const raw of ports) {
    raw.send('x')
    const received = await raw.ended()
    expect(received).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(received.toLowerCase()).toContain('connection: close')
  }
  await stopped
  await expect(fetch(`${server.pkiUrl}/ca/x.crl`)).rejects.toThrow('fetch failed')
})

test('a PKI_URL that changed is said at the start, and is no reason not to start', async () => {
  const first = await serve({ PKI_URL: 'http://old.example.com' })
  await first.stop('the next one comes')
  expect(events('pki_url_changed')).toEqual([])
  const second = await serve({ PKI_URL: 'http://new.example.com' })
  expect(events('pki_url_changed').map((line) => JSON.parse(line))).toMatchObject([
    { from: 'http://old.example.com', to: 'http://new.example.com' },
  ])
  expect((await fetch(`${second.url}/readyz`)).status).toBe(200)
  expect(second.node.service.namedPkiUrl).toBe('http://old.example.com')
  const plain = { peer: '192.0.2.1', encrypted: false, pkiOnly: false }
  const statusUnder = async (host: string): Promise<number> => {
    const request = new Request(`http://${host}/ocsp/nobody/AAAA`, { headers: { Host: host } })
    return (await second.node.service.fetch(request, plain)).status
  }
  expect(await statusUnder('old.example.com'), 'certificates that are out name it').toBe(200)
  expect(await statusUnder('new.example.com')).toBe(200)
  expect(await statusUnder('other.example.com')).toBe(403)
})

test('behind a declared proxy a network has only so many requests under way, and others have theirs', async () => {
  const server = await serve({ TRUSTED_PROXY: '127.0.0.1', CONNECTIONS_PER_NETWORK: '2', CONNECTIONS_PER_ADDRESS: '1' })
  const from = (address: string): string => `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: https\r\n`
  const statusFor = async (address: string): Promise<number> => {
    const headers = { 'X-Forwarded-For': address, 'X-Forwarded-Proto': 'https' }
    return (await fetch(`${server.url}/ca/x.crl`, { headers })).status
  }
  const slow = [await RawClient.open(server.url), await RawClient.open(server.url)]
  opened.push(() => slow.forEach((raw) => raw.close()))
  const waiting = `Host: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{`
  slow.forEach((raw, number) => {
    raw.send(`POST /v1/registrations HTTP/1.1\r\n${from(`192.0.2.${number}`)}${waiting}`)
  })
  await expect.poll(() => statusFor('192.0.2.77'), { interval: 10 }).toBe(429)
  expect(await statusFor('198.51.100.1')).toBe(404)
  for (const raw of slow) raw.send('}')
  for (const raw of slow) await raw.until((received) => received.includes('HTTP/1.1 422'))
  expect(await statusFor('192.0.2.77')).toBe(404)
})
