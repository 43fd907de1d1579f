import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { domainToASCII } from 'node:url'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MailFolder } from '../../src/adapters/mail-folder.ts'
import { MailHook } from '../../src/adapters/mail-hook.ts'
import { Smtp } from '../../src/adapters/smtp.ts'
import { DeliveryFailed, withoutTls, type Mailer, type OutgoingMessage } from '../../src/ports/mailer.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { outgoingHere } from '../support/this-machine.ts'
import { makeTlsPair } from '../support/tls.ts'

let folder: { path: string; remove(): Promise<void> }
const opened: (() => Promise<void> | void)[] = []

beforeAll(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
})
afterAll(() => folder.remove())

let messages = 0
const messageOf = (raw: string | Uint8Array): OutgoingMessage => ({
  id: `message-${(messages += 1)}`,
  from: 'certbook@example.com',
  to: 'alice@example.com',
  raw: typeof raw === 'string' ? new TextEncoder().encode(raw) : raw,
})

/** What arrived at the other side, with the envelope where there is one. */
interface Arrived {
  readonly raw: Buffer
  readonly from: string | null
  readonly to: readonly string[]
}

/** A mailer and the real thing at its other end. */
interface Subject {
  readonly mailer: Mailer
  readonly arrived: () => Promise<Arrived[]>
}

const portOf = (server: { address(): AddressInfo | string | null }): number => (server.address() as AddressInfo).port

const listen = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })

/** Calls back with the whole of a stream. */
const collect = (stream: Readable, done: (raw: Buffer) => void): void => {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.once('end', () => done(Buffer.concat(chunks)))
}

let folders = 0
async function startFolder(): Promise<Subject> {
  const path = join(folder.path, `outbox-${(folders += 1)}`)
  return {
    mailer: new MailFolder(path),
    arrived: async () =>
      Promise.all(
        (await readdir(path)).toSorted().map(async (name) => ({
          raw: await readFile(join(path, name)),
          from: null,
          to: [],
        })),
      ),
  }
}

/** A refusal as smtp-server takes it. */
const refusal = (responseCode: number): Error => Object.assign(new Error('not today'), { responseCode })

/** An SMTP server on loopback; `options` add to one that takes everything. */
async function startSmtp(
  options: SMTPServerOptions = {},
): Promise<Subject & { url: string; connections: () => number }> {
  const arrived: Arrived[] = []
  let connections = 0
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onConnect: (_, callback) => {
      connections += 1
      callback()
    },
    onData: (stream, session, callback) => {
      collect(stream, (raw) => {
        const { mailFrom, rcptTo } = session.envelope
        const to = rcptTo.map(({ address }) => {
          // The server shows domains as U-labels, whatever was said.
          const at = address.lastIndexOf('@') + 1
          return address.slice(0, at) + domainToASCII(address.slice(at))
        })
        arrived.push({ raw, from: mailFrom === false ? null : mailFrom.address, to })
        callback()
      })
    },
    ...options,
  })
  // A client that goes before TLS stands is no fault of the test.
  server.on('error', () => undefined)
  await listen(server.server)
  const url = `smtp://127.0.0.1:${portOf(server.server)}`
  const mailer = new Smtp(url)
  opened.push(() => new Promise<void>((resolve) => server.close(resolve)))
  opened.push(() => mailer.close())
  return { mailer, url, arrived: async () => arrived, connections: () => connections }
}

type Request = {
  readonly headers: IncomingMessage['headers']
  readonly method: string
  readonly path: string
  readonly raw: Buffer
}

/** An HTTP server on loopback that answers with one status. */
async function startHook(
  status = 204,
  headers: Readonly<Record<string, string>> = {},
  token: string | null = null,
): Promise<Subject & { url: string; requests: Request[] }> {
  const requests: Request[] = []
  const server = createServer((request, response) => {
    collect(request, (raw) => {
      requests.push({ headers: request.headers, method: request.method ?? '', path: request.url ?? '', raw })
      response.writeHead(status, headers).end(status === 204 ? undefined : 'an answer that nobody reads')
    })
  })
  await listen(server)
  const url = `http://127.0.0.1:${portOf(server)}/mail`
  opened.push(() => {
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return {
    mailer: new MailHook(outgoingHere(), url, token),
    url,
    requests,
    arrived: async () =>
      requests.map((request) => ({
        raw: request.raw,
        from: String(request.headers['certbook-mail-from']),
        to: [String(request.headers['certbook-mail-to'])],
      })),
  }
}

/** A port on loopback where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createTcpServer()
  await listen(server)
  const port = portOf(server)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

const failureOf = async (promise: Promise<void>): Promise<DeliveryFailed> => {
  const failure = await promise.then(
    () => expect.unreachable('the message was taken'),
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(DeliveryFailed)
  return failure as DeliveryFailed
}

const head = 'From: certbook@example.com\r\nTo: alice@example.com\r\nSubject: Hello\r\n\r\n'

describe.each([
  ['a mail folder', startFolder],
  ['SMTP', startSmtp],
  ['a mail hook', startHook],
])('mail by %s', (kind, start) => {
  test.each<[string, string | Uint8Array]>([
    ['plain lines', `${head}Hello Alice,\r\nhere is a line.\r\n`],
    ['lines that are or begin with dots', `${head}.\r\n..\r\n...three\r\n.hidden\r\nend.\r\n.\r\n`],
    ['UTF-8', `${head}Grüße an Zoë 漢字 📕\r\n`],
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from(head), Buffer.from([0xe4, 0xff, 0x80, 0xc3, 0x28]), Buffer.from('\r\n')]),
    ],
    ['a line of 998 octets', `${head}${'x'.repeat(998)}\r\n`],
    ['empty lines at the end', `${head}text\r\n\r\n\r\n`],
    ['a header folded over lines', `Subject: one\r\n two\r\n\tthree\r\n\r\ntext\r\n`],
    ['a megabyte', `${head}${`.${'y'.repeat(76)}\r\n`.repeat(13_000)}`],
  ])('arrives as the bytes that were sent: %s', async (_, raw) => {
    const subject = await start()
    const message = messageOf(raw)
    await subject.mailer.deliver(message)
    const arrived = await subject.arrived()
    expect(arrived).toHaveLength(1)
    expect(arrived[0]?.raw.equals(message.raw)).toBe(true)
    if (kind === 'a mail folder') return
    expect(arrived[0]).toMatchObject({ from: message.from, to: [message.to] })
  })

  test('takes a message out of a larger buffer', async () => {
    const subject = await start()
    const whole = new TextEncoder().encode(`secret before${head}text\r\nsecret after`)
    await subject.mailer.deliver(messageOf(whole.subarray(13, whole.length - 12)))
    expect((await subject.arrived()).map(({ raw }) => raw.toString())).toEqual([`${head}text\r\n`])
  })

  test('takes several at once', async () => {
    const subject = await start()
    const texts = Array.from({ length: 10 }, (_, number) => `${head}number ${number}\r\n`)
    await Promise.all(texts.map((text) => subject.mailer.deliver(messageOf(text))))
    expect((await subject.arrived()).map(({ raw }) => raw.toString()).toSorted()).toEqual(texts.toSorted())
  })
})

describe('a mail folder', () => {
  test('holds one whole file a message, for its owner only', async () => {
    const path = join(folder.path, 'private')
    const mailer = new MailFolder(path)
    const message = messageOf(head)
    await mailer.deliver(message)
    await mailer.deliver(message)
    expect(await readdir(path)).toEqual([`${message.id}.eml`])
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect((await stat(join(path, `${message.id}.eml`))).mode & 0o777).toBe(0o600)
  })

  test('that cannot be written is a failure that may pass', async () => {
    const path = join(folder.path, 'a file')
    await writeFile(path, '')
    expect((await failureOf(new MailFolder(path).deliver(messageOf(head)))).permanent).toBe(false)
  })

  test('is emptied of what is old', async () => {
    const path = join(folder.path, 'aging')
    const mailer = new MailFolder(path)
    await mailer.removeOlderThan(0)
    const [old, young] = [messageOf(head), messageOf(head)]
    await mailer.deliver(old)
    await mailer.deliver(young)
    await utimes(join(path, `${old.id}.eml`), 1_000, 1_000)
    await utimes(join(path, `${young.id}.eml`), 2_000, 2_000)
    await mailer.removeOlderThan(1_500_000)
    expect(await readdir(path)).toEqual([`${young.id}.eml`])
  })
})

describe('SMTP', () => {
  const refuseSender = (code: number): SMTPServerOptions => ({
    onMailFrom: (_, __, callback) => callback(refusal(code)),
  })
  const refuseRecipient = (code: number): SMTPServerOptions => ({
    onRcptTo: (_, __, callback) => callback(refusal(code)),
  })
  const refuseContent = (code: number): SMTPServerOptions => ({
    onData: (stream, _, callback) => collect(stream, () => callback(refusal(code))),
  })

  test.each<[string, SMTPServerOptions, boolean]>([
    ['550 for the sender', refuseSender(550), true],
    ['550 for the recipient', refuseRecipient(550), true],
    ['553 for the recipient', refuseRecipient(553), true],
    ['554 after the content', refuseContent(554), true],
    ['530 for the sender: a login is needed first', refuseSender(530), false],
    ['451 for the sender', refuseSender(451), false],
    ['450 for the recipient', refuseRecipient(450), false],
    ['451 after the content', refuseContent(451), false],
    ['452 after the content', refuseContent(452), false],
  ])('%s: permanent or not', async (_, options, permanent) => {
    const { mailer, arrived } = await startSmtp(options)
    expect((await failureOf(mailer.deliver(messageOf(`${head}text\r\n`)))).permanent).toBe(permanent)
    expect(await arrived()).toEqual([])
  })

  test('names the reply and no address', async () => {
    const { mailer } = await startSmtp(refuseRecipient(550))
    expect((await failureOf(mailer.deliver(messageOf(head)))).message).toBe('SMTP 550')
  })

  test('a server that turns the connection away says nothing about the message', async () => {
    const { mailer } = await startSmtp({ onConnect: (_, callback) => callback(refusal(554)) })
    expect((await failureOf(mailer.deliver(messageOf(head)))).permanent).toBe(false)
  })

  test('a wrong password says nothing about the message', async () => {
    const { url } = await startSmtp({
      allowInsecureAuth: true,
      onAuth: (_, __, callback) => callback(refusal(535)),
    })
    const mailer = new Smtp(url.replace('smtp://', 'smtp://certbook:wrong@'))
    expect((await failureOf(mailer.deliver(messageOf(head)))).permanent).toBe(false)
    mailer.close()
  })

  test('logs in with the user and password of the URL', async () => {
    const asked: unknown[] = []
    const { url, arrived } = await startSmtp({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _, callback) => {
        asked.push(username, password)
        callback(null, { user: 'certbook' })
      },
    })
    const mailer = new Smtp(url.replace('smtp://', 'smtp://certbook%40example.com:p%2Fw%3A@'))
    await mailer.deliver(messageOf(`${head}text\r\n`))
    expect(asked).toEqual(['certbook@example.com', 'p/w:'])
    expect(await arrived()).toHaveLength(1)
    mailer.close()
  })

  test('a refused connection may pass, and says so without a host', async () => {
    const mailer = new Smtp(`smtp://127.0.0.1:${await closedPort()}`)
    const { permanent, message } = await failureOf(mailer.deliver(messageOf(head)))
    expect([permanent, message]).toEqual([false, 'SMTP connection failed (ECONNREFUSED)'])
    mailer.close()
  })

  test('a connection that breaks off may pass', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.write('220 mail.example ESMTP\r\n')
      socket.once('data', () => socket.destroy())
    })
    await listen(server)
    opened.push(() => new Promise<void>((resolve) => server.close(() => resolve())))
    const mailer = new Smtp(`smtp://127.0.0.1:${portOf(server)}`)
    expect((await failureOf(mailer.deliver(messageOf(head)))).permanent).toBe(false)
    mailer.close()
  })

  test('delivers again after a failure', async () => {
    let refused = 0
    const { mailer, arrived, connections } = await startSmtp({
      onRcptTo: (_, __, callback) => callback((refused += 1) === 1 ? refusal(451) : undefined),
    })
    const message = messageOf(`${head}text\r\n`)
    await failureOf(mailer.deliver(message))
    await mailer.deliver(message)
    expect(await arrived()).toHaveLength(1)
    expect(connections()).toBe(2)
  })

  describe('to another machine', () => {
    /** The server's own loopback address, written as no loopback address is. */
    const elsewhere = (url: string): string => url.replace('127.0.0.1', '0.0.0.0')
    const heldBack = { permanent: false, message: withoutTls }
    const login: SMTPServerOptions = { authOptional: false, allowInsecureAuth: true }

    test('sends neither login nor mail where there is no STARTTLS, whatever the URL asks for', async () => {
      const asked: unknown[] = []
      const onAuth: SMTPServerOptions['onAuth'] = (_, __, callback) => {
        asked.push('login')
        callback(null, { user: 'certbook' })
      }
      const { url, arrived } = await startSmtp({ ...login, onAuth })
      for (const parameters of [
        '',
        '?ignoreTLS=true',
        '?opportunisticTLS=true',
        '?requireTLS=false',
        '?secure=false',
      ]) {
        const mailer = new Smtp(elsewhere(url).replace('smtp://', 'smtp://certbook:secret@') + parameters)
        expect(await failureOf(mailer.deliver(messageOf(head)))).toMatchObject(heldBack)
        mailer.close()
      }
      expect([asked, await arrived()]).toEqual([[], []])
    })

    test('sends nothing to a server whose certificate is not trusted, by STARTTLS and by smtps', async () => {
      const { certificate: cert, key } = await makeTlsPair('somebody')
      const upgrading = await startSmtp({ cert, key, disabledCommands: [] })
      const secure = await startSmtp({ cert, key, secure: true })
      for (const url of [elsewhere(upgrading.url), elsewhere(secure.url).replace('smtp:', 'smtps:')]) {
        const mailer = new Smtp(url)
        expect(await failureOf(mailer.deliver(messageOf(head)))).toMatchObject(heldBack)
        mailer.close()
      }
      expect([...(await upgrading.arrived()), ...(await secure.arrived())]).toEqual([])
    })

    test('sends nothing to a server that offers STARTTLS and refuses it', async () => {
      const server = createTcpServer((socket) => {
        socket.on('error', () => undefined)
        socket.write('220 mail.example ESMTP\r\n')
        socket.on('data', (line) => {
          const verb = line.toString().slice(0, 4)
          said.push(verb)
          socket.write(verb === 'EHLO' ? '250-mail.example\r\n250 STARTTLS\r\n' : '454 not now\r\n')
        })
      })
      const said: string[] = []
      await listen(server)
      opened.push(() => new Promise<void>((resolve) => server.close(() => resolve())))
      const mailer = new Smtp(`smtp://0.0.0.0:${portOf(server)}`)
      expect(await failureOf(mailer.deliver(messageOf(head)))).toMatchObject(heldBack)
      expect(said.filter((verb) => !['EHLO', 'STAR', 'QUIT'].includes(verb))).toEqual([])
      mailer.close()
    })
  })

  test.each(["o'brien+tag=x@example.com", '!#$%&*/=?^_`{|}~-@example.com', 'alice@xn--bcher-kva.example'])(
    'takes the recipient as it is written: %s',
    async (to) => {
      const { mailer, arrived } = await startSmtp()
      await mailer.deliver({ ...messageOf(`${head}text\r\n`), to })
      expect((await arrived())[0]?.to).toEqual([to])
    },
  )
})

describe('a mail hook', () => {
  test.each<[number, boolean | null]>([
    [200, null],
    [202, null],
    [204, null],
    [400, true],
    [401, false],
    [404, false],
    [413, true],
    [408, false],
    [429, false],
    [500, false],
    [503, false],
  ])('that answers %i', async (status, permanent) => {
    const { mailer, requests } = await startHook(status)
    const delivery = mailer.deliver(messageOf(`${head}text\r\n`))
    if (permanent === null) await delivery
    else expect(await failureOf(delivery)).toMatchObject({ permanent, message: `the mail hook answered ${status}` })
    expect(requests).toHaveLength(1)
  })

  test('gets the token, the type and the envelope', async () => {
    const { mailer, requests } = await startHook(204, {}, 'the-token')
    const message = messageOf(head)
    await mailer.deliver(message)
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({
      method: 'POST',
      path: '/mail',
      headers: {
        authorization: 'Bearer the-token',
        'content-type': 'message/rfc822',
        'certbook-mail-id': message.id,
        'certbook-mail-from': message.from,
        'certbook-mail-to': message.to,
      },
    })
  })

  test('gets no Authorization where there is no token', async () => {
    const { mailer, requests } = await startHook()
    await mailer.deliver(messageOf(head))
    expect(requests[0]?.headers.authorization).toBeUndefined()
  })

  test.each([301, 302, 303, 307, 308])('that redirects with %i is not followed', async (status) => {
    const elsewhere = await startHook()
    const { mailer, requests } = await startHook(status, { Location: elsewhere.url }, 'the-token')
    expect((await failureOf(mailer.deliver(messageOf(head)))).permanent).toBe(false)
    expect(requests).toHaveLength(1)
    expect(elsewhere.requests).toEqual([])
  })

  test('that refuses the connection, or breaks it off, may come back', async () => {
    const nobody = new MailHook(outgoingHere(), `http://127.0.0.1:${await closedPort()}/mail`, null)
    expect((await failureOf(nobody.deliver(messageOf(head)))).permanent).toBe(false)
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.destroy())
    })
    await listen(server)
    opened.push(() => new Promise<void>((resolve) => server.close(() => resolve())))
    const broken = new MailHook(outgoingHere(), `http://127.0.0.1:${portOf(server)}/mail`, null)
    expect((await failureOf(broken.deliver(messageOf(head)))).permanent).toBe(false)
  })
})
