import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { LookupFunction } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { readDestinations } from '../../src/adapters/destinations.ts'
import { createOutgoingHttps } from '../../src/adapters/outgoing-https.ts'
import {
  ExchangeFailed,
  type ClientCertificate,
  type OutgoingHttps,
  type OutgoingRequest,
} from '../../src/ports/outgoing-https.ts'
import { answerBytes, freePort, serveBytes, serveHttp, serveHttps, type OddServer } from '../support/odd-servers.ts'
import { fetchHere, outgoingHere, thisMachine } from '../support/this-machine.ts'
import { makeTlsPair, type TlsPair } from '../support/tls.ts'

const mebibyte = 1_048_576

const ask = (url: string, more: Partial<OutgoingRequest> = {}): OutgoingRequest => ({
  method: 'GET',
  url,
  headers: {},
  body: null,
  trustAnchors: [],
  clientCertificate: null,
  timeoutMilliseconds: 20_000,
  maxBytes: mebibyte,
  ...more,
})

/** Why there was no answer. */
async function failure(outgoing: OutgoingHttps, request: OutgoingRequest): Promise<{ failure: string; sent: string }> {
  try {
    await outgoing.exchange(request)
  } catch (error) {
    if (error instanceof ExchangeFailed) return { failure: error.failure, sent: error.sent }
    throw error
  }
  throw new Error('there was an answer')
}

const text = (body: Uint8Array): string => Buffer.from(body).toString('utf8')
const derOf = (pem: string): Uint8Array => new Uint8Array(new X509Certificate(pem).raw)
const pkcs8Of = (pem: string): Uint8Array =>
  new Uint8Array(createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' }))
const asClient = ({ certificate, key }: TlsPair): ClientCertificate => ({
  chain: [derOf(certificate)],
  privateKey: pkcs8Of(key),
})

const servers: OddServer[] = []
/** Has a server closed when the test is over. */
async function during(starting: Promise<OddServer>): Promise<OddServer> {
  const server = await starting
  servers.push(server)
  return server
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

const node = outgoingHere()
const outgoingFetch = fetchHere()

describe.each([
  { name: 'Node', outgoing: node, certain: true },
  { name: 'fetch', outgoing: outgoingFetch, certain: false },
])('outgoing HTTPS by $name', ({ outgoing, certain }) => {
  /** What one of them is certain of and the other cannot know. */
  const expected = (why: string, otherwise = 'unreachable') =>
    certain ? { failure: why, sent: 'no' } : { failure: otherwise, sent: 'maybe' }

  test('carries method, path, headers and body, and brings status, headers in lower case and body', async () => {
    const server = await during(
      serveHttp((incoming, answer) => {
        const pieces: Buffer[] = []
        incoming.on('data', (piece: Buffer) => pieces.push(piece))
        incoming.on('end', () => {
          const { method, url, headers } = incoming
          answer.writeHead(418, { 'X-Some': 'Thing', 'Content-Type': 'application/json' })
          answer.end(JSON.stringify({ method, url, headers, body: Buffer.concat(pieces).toString() }))
        })
      }),
    )
    const { status, headers, body } = await outgoing.exchange(
      ask(`${server.url}/a/b?c=d`, {
        method: 'POST',
        headers: { authorization: 'Basic eDp5', 'content-type': 'text/plain' },
        body: Buffer.from('Grüße'),
      }),
    )
    expect(status).toBe(418)
    expect(headers).toMatchObject({ 'x-some': 'Thing', 'content-type': 'application/json' })
    expect(JSON.parse(text(body))).toMatchObject({
      method: 'POST',
      url: '/a/b?c=d',
      body: 'Grüße',
      headers: {
        host: `127.0.0.1:${server.port}`,
        authorization: 'Basic eDp5',
        'content-length': '7',
        'accept-encoding': 'identity',
      },
    })
  })

  test('a body in chunks is put together', async () => {
    const server = await during(
      serveHttp((_incoming, answer) => {
        answer.write('one ')
        answer.write('two ')
        answer.end('three')
      }),
    )
    expect(text((await outgoing.exchange(ask(server.url))).body)).toBe('one two three')
  })

  test('a body that goes on to the end of the connection is taken', async () => {
    const server = await during(answerBytes('HTTP/1.1 200 OK\r\n\r\nall of it'))
    expect(text((await outgoing.exchange(ask(server.url))).body)).toBe('all of it')
  })

  test('an answer without a body is one', async () => {
    const server = await during(serveHttp((_incoming, answer) => answer.writeHead(204).end()))
    expect(await outgoing.exchange(ask(server.url))).toMatchObject({ status: 204, body: new Uint8Array() })
  })

  test('a redirect is an answer, and not followed', async () => {
    const elsewhere = await during(serveHttp((_incoming, answer) => answer.end('followed')))
    const server = await during(
      serveHttp((_incoming, answer) => answer.writeHead(307, { location: elsewhere.url }).end()),
    )
    const { status, headers } = await outgoing.exchange(ask(server.url, { method: 'POST', body: Buffer.from('x') }))
    expect({ status, location: headers['location'] }).toEqual({ status: 307, location: elsewhere.url })
    expect(elsewhere.asked()).toBe(0)
  })

  test('a port at which nothing listens', async () => {
    const found = await failure(outgoing, ask(`http://127.0.0.1:${await freePort()}/`))
    expect(found).toEqual(expected('unreachable'))
  })

  test('a name that leads nowhere', async () => {
    expect(await failure(outgoing, ask('https://nowhere.invalid/'))).toEqual(expected('unreachable'))
  })

  test('a server whose certificate nobody vouches for gets no request', async () => {
    const { certificate, key } = await makeTlsPair('a stranger')
    const server = await during(serveHttps({ cert: certificate, key }, (_incoming, answer) => answer.end()))
    expect(await failure(outgoing, ask(server.url))).toEqual(expected('tls_refused'))
    expect(server.asked()).toBe(0)
  })

  test('a server that turns the handshake down with an alert', async () => {
    const handshakeFailure = Buffer.from('15030300020228', 'hex')
    const server = await during(
      serveBytes('https', (socket) => socket.once('data', () => socket.end(handshakeFailure))),
    )
    expect(await failure(outgoing, ask(server.url))).toEqual(expected('tls_refused'))
  })

  test('a server that closes within the handshake', async () => {
    const server = await during(serveBytes('https', (socket) => socket.once('data', () => socket.destroy())))
    expect(await failure(outgoing, ask(server.url))).toEqual(expected('connection_lost'))
  })

  test('a server that never says a word of TLS is given up before anything was sent', async () => {
    const server = await during(serveBytes('https', () => undefined))
    const found = await failure(outgoing, ask(server.url, { timeoutMilliseconds: 200 }))
    expect(found).toEqual(expected('timed_out', 'timed_out'))
  })

  test('a server that takes the request and never answers: it may have acted', async () => {
    const server = await during(serveHttp(() => undefined))
    const found = await failure(outgoing, ask(server.url, { timeoutMilliseconds: 1_000 }))
    expect(found).toEqual({ failure: 'timed_out', sent: 'maybe' })
    expect(server.asked()).toBe(1)
  })

  test('a body that comes byte by byte does not outlast the deadline', async () => {
    const server = await during(
      serveHttp((_incoming, answer) => {
        const drip = setInterval(() => answer.write('.'), 10)
        answer.once('close', () => clearInterval(drip))
      }),
    )
    const found = await failure(outgoing, ask(server.url, { timeoutMilliseconds: 1_000 }))
    expect(found).toEqual({ failure: 'timed_out', sent: 'maybe' })
  })

  test('headers that come byte by byte do not outlast it either', async () => {
    const server = await during(
      serveBytes('http', (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nX-Slow: ')
        const drip = setInterval(() => socket.write('.'), 10)
        socket.once('close', () => clearInterval(drip))
      }),
    )
    const found = await failure(outgoing, ask(server.url, { timeoutMilliseconds: 1_000 }))
    expect(found).toEqual({ failure: 'timed_out', sent: 'maybe' })
  })

  test.each([
    ['less than its length says', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf a bo'],
    ['a chunk that ends too soon', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf a bo'],
  ])('half an answer: %s', async (_name, bytes) => {
    const server = await during(answerBytes(bytes))
    expect(await failure(outgoing, ask(server.url))).toEqual({ failure: 'connection_lost', sent: 'maybe' })
  })

  test('a reset in the middle of the answer', async () => {
    const server = await during(answerBytes('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf a bo', 'reset'))
    expect(await failure(outgoing, ask(server.url))).toEqual({ failure: 'connection_lost', sent: 'maybe' })
  })

  test.each(['reset', 'end'] as const)('a %s after the request: it may have acted', async (how) => {
    const server = await during(answerBytes('', how))
    const found = await failure(outgoing, ask(server.url, { method: 'POST', body: Buffer.from('x') }))
    expect(found).toEqual({ failure: certain ? 'connection_lost' : 'unreachable', sent: 'maybe' })
  })

  test.each([
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n'],
    [
      'a body longer than its length says',
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nfour and more',
    ],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'],
  ])('what is not HTTP as it should be: %s', async (_name, bytes) => {
    const server = await during(answerBytes(bytes))
    if (certain) {
      expect(await failure(outgoing, ask(server.url))).toEqual({ failure: 'answer_malformed', sent: 'maybe' })
      return
    }
    // What a runtime's own parser makes of it is the runtime's; it must not be taken for more than an answer.
    const got = await failure(outgoing, ask(server.url)).catch(() => null)
    if (got !== null) expect(got.sent).toBe('maybe')
  })

  test('an answer of exactly what is allowed is taken, one byte more is not', async () => {
    const server = await during(serveHttp((_incoming, answer) => answer.end('x'.repeat(1_000))))
    expect((await outgoing.exchange(ask(server.url, { maxBytes: 1_000 }))).body).toHaveLength(1_000)
    const found = await failure(outgoing, ask(server.url, { maxBytes: 999 }))
    expect(found).toEqual({ failure: 'answer_too_large', sent: 'maybe' })
  })

  test('of 64 MiB no more is taken than is allowed and the buffers between hold', async () => {
    const whole = 64 * mebibyte
    let taken = 0
    let closed: () => void = () => undefined
    const over = new Promise<void>((resolve) => (closed = resolve))
    const server = await during(
      serveHttp((_incoming, answer) => {
        answer.once('close', closed)
        const more = (): void => {
          for (let room = true; room && taken < whole; taken += 65_536) room = answer.write(Buffer.alloc(65_536))
          if (taken < whole) answer.once('drain', more)
          else answer.end()
        }
        more()
      }),
    )
    const found = await failure(outgoing, ask(server.url))
    expect(found).toEqual({ failure: 'answer_too_large', sent: 'maybe' })
    await over
    expect(taken).toBeLessThan(whole / 2)
  })

  test.each([
    'https://169.254.169.254/latest/',
    'http://169.254.169.254/latest/',
    'https://[fe80::1]/',
    'https://[::ffff:169.254.169.254]/',
    'https://[::ffff:100.100.100.200]/',
    'https://[64:ff9b::100.100.100.200]/',
    'https://[fd00:ec2::254]/',
    'http://2852039166/',
  ])('nothing goes to an address of the machine itself: %s', async (url) => {
    expect(await failure(outgoing, ask(url))).toEqual({ failure: 'unreachable', sent: 'no' })
  })

  test.each([
    ['a POST', { method: 'POST', body: Buffer.from('x') }],
    ['a GET with a credential', { headers: { Authorization: 'Basic eDp5' } }],
  ] as const)('%s does not go in clear to another machine', async (_name, more) => {
    expect(await failure(outgoing, ask('http://192.0.2.1/', more))).toEqual({ failure: 'unreachable', sent: 'no' })
  })
})

describe('which destinations are allowed', () => {
  const get = ask('https://ca.example/')
  const allowed = (entries: readonly string[], address: string, url = get.url): boolean =>
    readDestinations(entries).allow(ask(url), address)

  test('a plain GET may go in clear to another machine: what it brings is signed by itself', () => {
    expect(allowed([], '9.9.9.9', 'http://ca.example/root.crl')).toBe(true)
  })

  test('a POST may go in clear to this machine, where it may go there at all', () => {
    const request = ask('http://localhost/', { method: 'POST' })
    for (const at of ['127.0.0.1', '127.8.9.10', '::1', 'localhost']) {
      expect([thisMachine.allow(request, at), readDestinations([]).allow(request, at)]).toEqual([true, false])
    }
  })

  test('without a setting: public addresses', () => {
    const open = ['9.9.9.9', '100.63.255.255', '172.32.0.1', '2620:fe::fe', '64:ff9b::9.9.9.9', '2002:909:909::1']
    for (const address of open) expect(allowed([], address), address).toBe(true)
    expect(allowed([], '::ffff:9.9.9.9')).toBe(true)
  })

  // IANA's registries of special-purpose addresses, first and last of many, and what was found open.
  const special = `
    0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255
    169.254.0.1 169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.8 192.0.0.9 192.0.0.10
    192.0.0.170 192.0.0.171 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.2 192.168.0.1
    192.168.255.255 192.175.48.1 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1
    255.255.255.255 168.63.129.16 100.100.100.200 :: ::1 ::127.0.0.1 ::10.0.0.1 ::9.9.9.9 ::ffff:10.0.0.1
    ::ffff:0:10.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b::a83f:8110 64:ff9b:1::9.9.9.9 100::1
    100:0:0:1::1 2001::1 2001:1::1 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1
    2001:db8::1 2002:a00:1:: 2002:7f00:1::1 2002:a9fe:a9fe:: 2002:c0a8:1::1 2620:4f:8000::1 3fff::1 5f00::1
    fc00::1 fd00:ec2::254 fd20:ce::254 fdff::1 fe80::1 febf::1 fec0::1 ff02::1 4000::1
  `
  test.each(special.trim().split(/\s+/))('without a setting nothing goes to %s', (address) => {
    expect(allowed([], address)).toBe(false)
    expect(allowed(['ca.internal.example', '203.0.114.0/24'], address)).toBe(false)
  })

  test('a network that the deployer names, also where it is reached by a translator, and nothing beside it', () => {
    const entries = ['10.1.0.0/16', 'fd12:3456::/32', '192.168.7.8']
    const open = ['10.1.0.0', '10.1.255.255', '::ffff:10.1.2.3', '64:ff9b::10.1.2.3', 'fd12:3456::9', '192.168.7.8']
    for (const address of open) expect(allowed(entries, address), address).toBe(true)
    for (const address of ['10.0.255.255', '10.2.0.0', 'fd12:3457::9', '192.168.7.9', '64:ff9b::10.2.0.0']) {
      expect(allowed(entries, address), address).toBe(false)
    }
    expect(allowed(entries, '9.9.9.9')).toBe(true)
  })

  test('a host that the deployer names, by any of its addresses, and no other host there', () => {
    for (const url of ['https://CA.internal.example/', 'https://ca.internal.example.:8443/']) {
      expect(allowed(['ca.Internal.example'], '10.0.0.1', url), url).toBe(true)
    }
    expect(allowed(['ca.internal.example'], '10.0.0.1', 'https://xca.internal.example/')).toBe(false)
  })

  test('no setting opens the addresses of the machine itself', () => {
    const entries = ['ca.example', '169.254.0.0/16', '100.64.0.0/10', '168.63.129.16', '192.0.0.0/24', 'fd00::/8']
    const closed = [
      '169.254.169.254',
      '100.100.100.200',
      '168.63.129.16',
      '192.0.0.192',
      'fd00:ec2::254',
      'fd20:ce::254',
    ]
    for (const address of [...closed, '64:ff9b::169.254.169.254', '::ffff:168.63.129.16', 'fe80::1%eth0']) {
      expect(allowed(entries, address), address).toBe(false)
    }
    expect(allowed(entries, '100.100.100.201')).toBe(true)
  })

  test('with the word only: nothing but what is named', () => {
    const entries = ['only', 'ca.example', '10.0.0.0/8']
    expect(allowed(entries, '9.9.9.9')).toBe(true)
    expect(allowed(entries, '10.0.0.1', 'https://other.example/')).toBe(true)
    expect(allowed(entries, '9.9.9.9', 'https://other.example/')).toBe(false)
    expect(allowed(entries, 'other.example', 'https://other.example/')).toBe(false)
  })

  test('an address with a zone is looked at without it', () => {
    expect(allowed(['fe80::/10'], 'fe80::1%eth0')).toBe(false)
    expect(allowed(['fd12::/16'], 'fd12::1%eth0')).toBe(true)
  })
})

describe('fetch', () => {
  test('says what it cannot do, and is not asked for it in vain', async () => {
    expect(outgoingFetch.can).toEqual({ ownTrustAnchors: false, clientCertificates: false })
    const pair = await makeTlsPair('any')
    const asking = [{ trustAnchors: [derOf(pair.certificate)] }, { clientCertificate: asClient(pair) }]
    for (const more of asking) {
      await expect(outgoingFetch.exchange(ask('https://127.0.0.1:1/', more))).rejects.not.toBeInstanceOf(ExchangeFailed)
    }
  })
})

describe('Node', () => {
  /** A server that says who asked. */
  const greeting = (pair: TlsPair, clients?: TlsPair): Promise<OddServer> =>
    serveHttps(
      {
        cert: pair.certificate,
        key: pair.key,
        ...(clients === undefined ? {} : { requestCert: true, ca: clients.certificate }),
      },
      (incoming, answer) => answer.end((incoming.socket as TLSSocket).getPeerX509Certificate()?.subject ?? 'nobody'),
    )

  test('verifies a server with the anchors given, by address and by name', async () => {
    const pair = await makeTlsPair('the CA')
    const server = await during(greeting(pair))
    const trustAnchors = [derOf(pair.certificate)]
    for (const host of ['127.0.0.1', 'localhost']) {
      const { body } = await node.exchange(ask(`https://${host}:${server.port}/`, { trustAnchors }))
      expect(text(body)).toBe('nobody')
    }
  })

  test('with anchors given no other counts', async () => {
    const server = await during(greeting(await makeTlsPair('the CA')))
    const other = await makeTlsPair('the CA')
    const found = await failure(node, ask(server.url, { trustAnchors: [derOf(other.certificate)] }))
    expect(found).toEqual({ failure: 'tls_refused', sent: 'no' })
    expect(server.asked()).toBe(0)
  })

  test.each([
    ['of another address', { addresses: ['127.0.0.2'] }],
    ['that is over', { until: Date.now() - 1_000 }],
  ])('a trusted certificate %s is refused', async (_name, options) => {
    const pair = await makeTlsPair('the CA', options)
    const server = await during(greeting(pair))
    const found = await failure(node, ask(server.url, { trustAnchors: [derOf(pair.certificate)] }))
    expect(found).toEqual({ failure: 'tls_refused', sent: 'no' })
    expect(server.asked()).toBe(0)
  })

  test('a trusted certificate of another name is refused', async () => {
    const pair = await makeTlsPair('the CA')
    const server = await during(greeting(pair))
    const toThisMachine: LookupFunction = (_name, _options, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }])
    const found = await failure(
      createOutgoingHttps(thisMachine, toThisMachine),
      ask(`https://ca.example:${server.port}/`, { trustAnchors: [derOf(pair.certificate)] }),
    )
    expect(found).toEqual({ failure: 'tls_refused', sent: 'no' })
  })

  test('TLS below 1.2 is refused', async () => {
    const pair = await makeTlsPair('the CA')
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
    const server = await during(
      serveHttps({ cert: pair.certificate, key: pair.key, ...old }, (_incoming, answer) => answer.end()),
    )
    const found = await failure(node, ask(server.url, { trustAnchors: [derOf(pair.certificate)] }))
    expect(found).toEqual({ failure: 'tls_refused', sent: 'no' })
  })

  test('shows its own certificate where it is asked for', async () => {
    const [pair, client] = [await makeTlsPair('the CA'), await makeTlsPair('certbook')]
    const server = await during(greeting(pair, client))
    const request = ask(server.url, { trustAnchors: [derOf(pair.certificate)], clientCertificate: asClient(client) })
    expect(text((await node.exchange(request)).body)).toBe('CN=certbook')
  })

  test('a server that wants a certificate and gets none says so, and nothing was done', async () => {
    const [pair, client] = [await makeTlsPair('the CA'), await makeTlsPair('certbook')]
    const server = await during(greeting(pair, client))
    const found = await failure(node, ask(server.url, { trustAnchors: [derOf(pair.certificate)] }))
    expect(found).toEqual({ failure: 'tls_refused', sent: 'no' })
    expect(server.asked()).toBe(0)
  })

  // It closes the connection after the handshake, without an alert: what it closes for is not certain.
  test('a server of Node that gets the certificate of somebody else lets no request in', async () => {
    const [pair, client] = [await makeTlsPair('the CA'), await makeTlsPair('certbook')]
    const server = await during(greeting(pair, client))
    const clientCertificate = asClient(await makeTlsPair('a stranger'))
    const request = ask(server.url, { trustAnchors: [derOf(pair.certificate)], clientCertificate })
    expect((await failure(node, request)).failure).toBe('connection_lost')
    expect(server.asked()).toBe(0)
  })

  test('a key that does not belong to its certificate is refused before anything is sent', async () => {
    const [one, other] = [await makeTlsPair('one'), await makeTlsPair('other')]
    const clientCertificate = { ...asClient(one), privateKey: asClient(other).privateKey }
    const found = await failure(node, ask('https://127.0.0.1:1/', { clientCertificate }))
    expect(found).toEqual({ failure: 'tls_refused', sent: 'no' })
  })

  test('a name lookup that does not come back is within the deadline', async () => {
    const never: LookupFunction = () => undefined
    const found = await failure(
      createOutgoingHttps(thisMachine, never),
      ask('https://ca.example/', { timeoutMilliseconds: 100 }),
    )
    expect(found).toEqual({ failure: 'timed_out', sent: 'no' })
  })

  test('a name that leads to an address of the machine itself gets nothing, and the other addresses of it count', async () => {
    const server = await during(serveHttp((_incoming, answer) => answer.end('here')))
    const metadata = { address: '169.254.169.254', family: 4 }
    const leadingTo =
      (...addresses: { address: string; family: number }[]): LookupFunction =>
      (_name, _options, callback) =>
        callback(null, addresses)
    const url = `http://ca.example:${server.port}/`
    expect(await failure(createOutgoingHttps(thisMachine, leadingTo(metadata)), ask(url))).toEqual({
      failure: 'unreachable',
      sent: 'no',
    })
    const both = createOutgoingHttps(thisMachine, leadingTo(metadata, { address: '127.0.0.1', family: 4 }))
    expect(text((await both.exchange(ask(url))).body)).toBe('here')
  })

  test('two exchanges have a connection each', async () => {
    const ports: (number | undefined)[] = []
    const server = await during(
      serveHttp((incoming, answer) => {
        ports.push(incoming.socket.remotePort)
        answer.setHeader('connection', 'keep-alive').end()
      }),
    )
    await node.exchange(ask(server.url))
    await node.exchange(ask(server.url))
    expect(new Set(ports).size).toBe(2)
  })

  test('headers without end are not kept', async () => {
    const server = await during(answerBytes(`HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(100_000)}\r\n\r\n`))
    expect(await failure(node, ask(server.url))).toEqual({ failure: 'answer_too_large', sent: 'maybe' })
  })

  test('a server that changes to another protocol has not answered', async () => {
    const bytes = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
    const server = await during(answerBytes(bytes, 'stay'))
    expect(await failure(node, ask(server.url))).toEqual({ failure: 'connection_lost', sent: 'maybe' })
  })
})
