import { once } from 'node:events'
import { connect as connectSecurely, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { HttpListener, type ListenerLimits, type ListenerOptions } from '../../src/adapters/http-listener.ts'
import { listenerOptions } from '../support/listener.ts'
import { lastAnswer, RawClient } from '../support/raw-client.ts'
import { fetchTrusting, makeTlsPair, shownName } from '../support/tls.ts'

type Answer = Parameters<HttpListener['answerWith']>[0]

const opened: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
})

/** The times of a listener whose clients are soon too slow. */
const impatient = { headersMilliseconds: 150, requestMilliseconds: 300, answerMilliseconds: 300, lookMilliseconds: 20 }

const open = async (
  answer: Answer,
  limits: Partial<ListenerLimits> = {},
  more: Partial<ListenerOptions> = {},
): Promise<HttpListener> => {
  const listener = await HttpListener.open(listenerOptions(limits, more))
  opened.push(() => listener.abandon())
  listener.answerWith(answer, () => 'anonymous')
  return listener
}

const client = async (listener: HttpListener, from?: string): Promise<RawClient> => {
  const raw = await RawClient.open(listener.url, '127.0.0.1', from)
  opened.push(() => raw.close())
  return raw
}

/** Answers with the number of bytes that came. */
const measure: Answer = async (request) => new Response(String((await request.arrayBuffer()).byteLength))

const refused = (received: string): unknown => {
  const { status, head, body } = lastAnswer(received)
  for (const field of ['connection: close', 'content-type: application/problem+json'])
    expect(head.toLowerCase()).toContain(field)
  const problem: { status?: unknown; code?: unknown } = Object(body)
  expect(problem.status).toBe(status)
  return [status, problem.code]
}

describe('bytes that make no request are refused with a problem, and the connection ends', () => {
  test.each([
    ['no HTTP at all', 'HELO there\r\n\r\n', [400, 'malformed_http']],
    ['a TLS handshake', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001', [400, 'malformed_http']],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', [400, 'malformed_http']],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n', [400, 'malformed_http']],
    ['a Host that is none', 'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', [400, 'malformed_http']],
    ['a path that is none', 'GET nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', [400, 'malformed_http']],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
      [400, 'malformed_http'],
    ],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      [400, 'malformed_http'],
    ],
    [
      'fields of more than 16 KiB',
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`,
      [431, 'headers_too_large'],
    ],
    [
      'a path of more than 16 KiB',
      `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      [431, 'headers_too_large'],
    ],
  ])('%s', async (_, bytes, expected) => {
    const raw = await client(await open(measure))
    raw.send(Buffer.from(bytes, 'latin1'))
    expect(refused(await raw.ended())).toEqual(expected)
  })

  test.each([
    ['rubbish', 'rubbish\r\n\r\n'],
    ['a request without a Host', 'GET / HTTP/1.1\r\n\r\n'],
  ])('what stands before %s is answered first, and nothing in its place', async (_, behind) => {
    let answerNow = (): void => undefined
    const waiting = new Promise<void>((resolve) => {
      answerNow = resolve
    })
    const raw = await client(
      await open(async () => {
        await waiting
        return new Response('the answer')
      }),
    )
    raw.send(`GET / HTTP/1.1\r\nHost: a\r\n\r\n${behind}`)
    setImmediate(() => answerNow())
    const received = await raw.ended()
    expect(received).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(received).toContain('the answer')
    expect(received.match(/HTTP\/1\.1 /g)).toHaveLength(1)
  })
})

test('every header field arrives, however many there are: a proxy adds its own at the end', async () => {
  const listener = await open((request) => new Response(request.headers.get('X-Forwarded-For') ?? 'none'))
  const raw = await client(listener)
  const junk = Array.from({ length: 3_000 }, () => 'a:\r\n').join('')
  raw.send(`GET / HTTP/1.1\r\nHost: a\r\n${junk}X-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n`)
  expect(await raw.ended()).toContain('192.0.2.1')
})

test('HTTP/1.0 without a Host is answered: some who ask for OCSP know nothing newer', async () => {
  const raw = await client(await open((request) => new Response(request.url)))
  raw.send('GET /ca/x.crl HTTP/1.0\r\n\r\n')
  expect(await raw.ended()).toContain('http://pki.example.com/ca/x.crl')
})

describe('a slow client is cut', () => {
  test('that sends its header fields a byte at a time', async () => {
    const raw = await client(await open(measure, impatient))
    raw.send('GET / HTTP/1.1\r\nHost: a\r\n')
    const drip = setInterval(() => raw.send('x'), 20)
    opened.push(() => clearInterval(drip))
    expect(refused(await raw.ended())).toEqual([408, 'request_timeout'])
  })

  test.each([
    ['with a length', 'Content-Length: 100', 'x'],
    ['in chunks', 'Transfer-Encoding: chunked', '1\r\nx\r\n'],
  ])('that sends its body a byte at a time, %s', async (_, field, piece) => {
    const outcomes: string[] = []
    const listener = await open(async (request) => {
      try {
        return await measure(request, { peer: '', encrypted: false, pkiOnly: false })
      } catch {
        outcomes.push(request.signal.aborted ? 'aborted' : 'failed')
        return new Response('never sent')
      }
    }, impatient)
    const raw = await client(listener)
    raw.send(`POST / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`)
    const drip = setInterval(() => raw.send(piece), 20)
    opened.push(() => clearInterval(drip))
    expect(refused(await raw.ended())).toEqual([408, 'request_timeout'])
    await expect.poll(() => outcomes, { interval: 10 }).toEqual(['aborted'])
  })

  test('that says nothing, without a word', async () => {
    const raw = await client(await open(measure, impatient))
    expect(await raw.ended()).toBe('')
  })

  test('that does not read its answer; what was not sent is dropped', async () => {
    const answer = new Uint8Array(8 * 1_024 * 1_024)
    const listener = await open(() => new Response(answer), impatient)
    const raw = await client(listener)
    raw.socket.pause()
    raw.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await expect.poll(() => listener.takeRefused().readers, { interval: 20 }).toBe(1)
    raw.socket.resume()
    expect((await raw.ended()).length).toBeLessThan(answer.length)
  })
})

test('a client that takes its time within the limits is answered', async () => {
  const raw = await client(await open(measure, { ...impatient, requestMilliseconds: 60_000 }))
  raw.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\n')
  let sent = 0
  const drip = setInterval(() => {
    if ((sent += 1) <= 4) raw.send('x')
  }, 100)
  opened.push(() => clearInterval(drip))
  expect(await raw.ended()).toMatch(/200 OK[^]*\r\n\r\n4$/)
})

test('an orderly end waits for a client that takes its time with a large answer, and for no question behind it', async () => {
  const answer = new Uint8Array(8 * 1_024 * 1_024)
  let begun = 0
  let begin = (): void => undefined
  const beginning = new Promise<void>((resolve) => {
    begin = resolve
  })
  const listener = await open(() => {
    begun += 1
    begin()
    return new Response(answer, { headers: { 'Content-Length': String(answer.length) } })
  })
  const raw = await client(listener)
  raw.socket.pause()
  raw.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3))
  await beginning
  const drained = listener.drain(60_000)
  raw.socket.resume()
  const received = await raw.ended()
  await drained
  expect(received.split('HTTP/1.1 200 OK').length - 1).toBe(begun)
  expect(begun).toBeLessThan(3)
  expect(received.length).toBeGreaterThan(begun * answer.length)
})

test('what comes before the service is ready is answered once it is', async () => {
  const listener = await HttpListener.open(listenerOptions())
  opened.push(() => listener.abandon())
  const early = fetch(listener.url)
  const connected = await client(listener)
  connected.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  listener.answerWith(
    () => new Response('ready'),
    () => 'anonymous',
  )
  expect(await (await early).text()).toBe('ready')
  expect(await connected.ended()).toContain('ready')
})

test('with TLS, plain HTTP on the same port is cut, and the certificate can be replaced', async () => {
  const [first, second] = [await makeTlsPair('first'), await makeTlsPair('second')]
  const listener = await open(() => new Response('over TLS'), {}, { tls: { cert: first.certificate, key: first.key } })
  expect(listener.url).toMatch(/^https:/)
  expect(await (await fetchTrusting(first.certificate)(listener.url)).text()).toBe('over TLS')
  const raw = await client(listener)
  raw.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(await raw.ended()).not.toContain('over TLS')
  listener.replaceCertificate({ cert: second.certificate, key: second.key })
  expect(await shownName(listener.url)).toBe('second')
})

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** A client who has an answer, and stays connected. */
const idle = async (listener: HttpListener, from?: string): Promise<RawClient> => {
  const raw = await client(listener, from)
  raw.send(get)
  await raw.until((received) => received.includes('200 OK'))
  return raw
}

/** A client whose connection is ended without a word. */
const turnedAway = async (listener: HttpListener, from?: string): Promise<void> => {
  expect(await (await client(listener, from)).ended()).toBe('')
}

describe('no client takes the connections of others', () => {
  test('an address has its part, its network has a larger one, and another network is not touched', async () => {
    const listener = await open(measure, { connectionsPerAddress: 2, connectionsPerNetwork: 3 })
    const inside = [await idle(listener, '127.0.1.1'), await idle(listener, '127.0.1.1')]
    await turnedAway(listener, '127.0.1.1')
    inside.push(await idle(listener, '127.0.1.2'))
    await turnedAway(listener, '127.0.1.3')
    inside.push(await idle(listener, '127.0.2.1'))
    expect(listener.takeRefused().connections).toBe(2)
    for (const raw of inside) raw.send(get)
    for (const raw of inside) await raw.until((received) => received.match(/200 OK/g)?.length === 2)
  })

  test('a place that was left is free again', async () => {
    const listener = await open(measure, { connectionsPerAddress: 1 })
    for (let times = 0; times < 3; times += 1) {
      const raw = await client(listener, '127.0.1.1')
      raw.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      expect(await raw.ended()).toContain('200 OK')
    }
    expect(listener.takeRefused().connections).toBe(0)
  })

  test.each([
    ['says nothing', ''],
    ['does not end its header fields', 'GET / HTTP/1.1\r\nHost: a\r\n'],
    ['does not end its body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx'],
  ])('where all places are taken, the one goes that %s', async (_, sent) => {
    const listener = await open(measure, { connections: 2 })
    const slow = await client(listener)
    if (sent !== '') slow.send(sent)
    const younger = await idle(listener)
    const late = await idle(listener)
    expect(await slow.ended()).toBe('')
    for (const raw of [younger, late]) raw.send(get)
    for (const raw of [younger, late]) await raw.until((received) => received.match(/200 OK/g)?.length === 2)
  })

  test('where all are being answered, the new one goes', async () => {
    let answerNow = (): void => undefined
    const waiting = new Promise<void>((resolve) => {
      answerNow = resolve
    })
    let come = 0
    const listener = await open(
      async () => {
        come += 1
        await waiting
        return new Response('the answer')
      },
      { connections: 2 },
    )
    const inside = [await client(listener), await client(listener)]
    for (const raw of inside) raw.send(get)
    await expect.poll(() => come, { interval: 10 }).toBe(2)
    await turnedAway(listener)
    answerNow()
    for (const raw of inside) await raw.until((received) => received.includes('the answer'))
  })

  const recognise: Answer = (_, bindings) => {
    bindings.recognised?.()
    return new Response('welcome')
  }

  test('who has a valid credential leaves the quotas, and keeps the connection', async () => {
    const listener = await open(
      (request, bindings) => (request.url.endsWith('/me') ? recognise : measure)(request, bindings),
      {
        connections: 4,
        connectionsPerAddress: 1,
      },
    )
    const member = await client(listener, '127.0.1.1')
    member.send('GET /me HTTP/1.1\r\nHost: a\r\n\r\n')
    await member.until((received) => received.includes('welcome'))
    await idle(listener, '127.0.1.1')
    await turnedAway(listener, '127.0.1.1')
    for (let other = 2; other < 8; other += 1) await idle(listener, `127.0.${other}.1`)
    member.send(get)
    await member.until((received) => received.match(/200 OK/g)?.length === 2)
  })

  test('credentials do not take the places of those who have none yet', async () => {
    const listener = await open(recognise, { connections: 4 })
    for (let times = 0; times < 4; times += 1) await idle(listener)
    await idle(listener)
  })

  test('a declared proxy speaks for many, so its address is not counted', async () => {
    const listener = await open(measure, { connectionsPerAddress: 1 }, { isProxy: (peer) => peer === '127.0.1.1' })
    for (let times = 0; times < 3; times += 1) await idle(listener, '127.0.1.1')
    await idle(listener, '127.0.1.2')
    await turnedAway(listener, '127.0.1.2')
  })

  test('over TLS, too', async () => {
    const { certificate, key } = await makeTlsPair('quotas')
    const listener = await open(recognise, { connectionsPerAddress: 1 }, { tls: { cert: certificate, key } })
    const connectTls = async (): Promise<TLSSocket> => {
      const socket = connectSecurely({ host: '127.0.0.1', port: listener.port, ca: certificate })
      opened.push(() => void socket.destroy())
      await new Promise<void>((resolve) => {
        for (const event of ['secureConnect', 'error', 'close'] as const) socket.once(event, () => resolve())
      })
      return socket
    }
    const member = await connectTls()
    expect((await connectTls()).authorized).toBe(false)
    member.write(get)
    await once(member, 'data')
    expect((await connectTls()).authorized).toBe(true)
  })
})
