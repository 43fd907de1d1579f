import { gzipSync } from 'node:zlib'
import type { ServerResponse } from 'node:http'
import type { Lie } from '../support/lying-ca.ts'
import { json, text, type Form, type WireAnswer } from '../support/lying-ca-forms.ts'
import { toPem } from '../support/pem.ts'
import { ends, issued, pending, refused, unclear, waiting, type ToldLie } from './lies.ts'

const malformed = unclear('answer_malformed')

/** What no log and no subscriber may see, and operators see in one line. */
export const evilWords = [
  'The request of mallory@attacker.example was refused.\r\n\u001B[2J\u0000\u202Eevil\u2066',
  '<script>alert(1)</script>',
  toPem('PRIVATE KEY', Buffer.from('not a key, but it looks like one')),
  'x'.repeat(3_000),
].join('\n')

const saying = (say: NonNullable<Lie['say']>): Lie => ({ say })
const withBody = (change: (body: Buffer) => string | Uint8Array, headers: Record<string, string> = {}): Lie =>
  saying((honest) => ({ ...honest, headers: { ...honest.headers, ...headers }, body: change(bytesOf(honest)) }))
const bytesOf = ({ body }: WireAnswer): Buffer => Buffer.from(body)

const sending = (send: NonNullable<Lie['send']>): Lie => ({ send })
/** Writes bytes of its own onto the connection. */
const raw = (bytes: (said: WireAnswer) => string | Uint8Array, then: 'end' | 'reset' = 'end'): Lie =>
  sending(({ socket }, said) => {
    if (socket === null) return
    if (then === 'end') socket.end(bytes(said))
    else socket.write(bytes(said), () => socket.destroy())
  })

const head = ({ status, headers }: WireAnswer, more: readonly string[] = []): string =>
  [
    `HTTP/1.1 ${status} OK`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...more,
    'connection: close',
    '\r\n',
  ].join('\r\n')

/** Writes on and on; who reads has to stop. */
async function flood(response: ServerResponse, piece: Uint8Array, times: number): Promise<void> {
  for (let written = 0; written < times && !response.destroyed; written += 1) {
    if (response.write(piece)) continue
    await new Promise<void>((resolve) => {
      response.once('drain', resolve)
      response.once('close', resolve)
    })
  }
  response.end()
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const jsonForms = ['cfssl', 'ejbca', 'step-ca'] as const

/** An answer that says nothing certain, and goes wrong only after the CA has issued. */
const page = (status: number): Lie => saying(() => text(status, '<html><body>Sign in</body></html>', 'text/html'))

const refusing = (say: NonNullable<Lie['say']>): Lie => ({ issue: async () => null, say })

/** Answers that are none, or do not say what they seem to. */
export const forgedAnswers: readonly ToldLie[] = [
  { name: 'HTML with 200', lie: page(200), ends: ends(malformed) },
  { name: 'HTML with 201', lie: page(201), ends: ends(malformed) },
  { name: 'HTML with 500', lie: page(500), ends: ends(unclear('ca_error')) },
  { name: 'HTML with 502', lie: page(502), ends: ends(unclear('ca_error')) },
  { name: 'nothing with 204', lie: saying(() => ({ status: 204, headers: {}, body: '' })), ends: ends(malformed) },
  { name: 'an empty body', lie: withBody(() => ''), ends: ends(malformed) },
  {
    name: 'a million brackets',
    lie: saying(({ status }) => text(status, '<'.repeat(1_000_000))),
    ends: ends(malformed),
  },
  {
    name: 'half a body',
    lie: raw((said) =>
      Buffer.concat([
        Buffer.from(head(said, [`content-length: ${bytesOf(said).length}`])),
        bytesOf(said).subarray(0, 200),
      ]),
    ),
    ends: ends(unclear('connection_lost')),
  },
  {
    name: 'half a body, as if it were the whole',
    lie: withBody((body) => body.subarray(0, body.length / 2)),
    ends: ends(malformed),
  },
  {
    name: '64 MiB',
    lie: sending((response, { status, headers }) => {
      response.writeHead(status, headers)
      return flood(response, Buffer.alloc(1024 * 1024, 0x20), 64)
    }),
    ends: ends(unclear('answer_too_large')),
  },
  {
    name: 'endless headers',
    lie: raw((said) => `${head(said).trimEnd()}\r\n${'x-more: of the same\r\n'.repeat(100_000)}`),
    ends: ends(unclear('answer_too_large')),
  },
  {
    name: 'a thousand times 100 Continue, and then the truth',
    lie: sending((response, { status, headers, body }) => {
      for (let times = 0; times < 1_000; times += 1) response.writeContinue()
      response.writeHead(status, headers).end(body)
    }),
    ends: ends(issued),
  },
  { name: 'another protocol', lie: raw(() => 'SSH-2.0-OpenSSH_9.2\r\n'), ends: ends(malformed) },
  {
    name: 'a change of protocol',
    lie: raw(() => 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'),
    ends: ends(unclear('connection_lost')),
  },
  { name: 'a reset', lie: raw(() => '', 'reset'), ends: ends(unclear('connection_lost')) },
  {
    name: 'a bomb of gzip',
    lie: withBody(() => gzipSync(Buffer.alloc(16 * 1024 * 1024, 0x20)), { 'content-encoding': 'gzip' }),
    ends: ends(malformed),
  },
  {
    name: 'a length that is too short',
    lie: raw((said) => Buffer.concat([Buffer.from(head(said, ['content-length: 100'])), bytesOf(said)])),
    ends: ends(malformed),
  },
  {
    name: 'two lengths',
    lie: raw((said) =>
      Buffer.concat([Buffer.from(head(said, ['content-length: 100', 'content-length: 200'])), bytesOf(said)]),
    ),
    ends: ends(malformed),
  },
  { name: 'junk', lie: withBody(() => '!!! this is not what was asked for !!!'), ends: ends(malformed) },
  {
    name: 'two certificates of the key',
    lie: {
      issue: async ({ spki, address }, { ca }) => ({
        certificate: Buffer.concat([
          await ca.issue({ spki, names: address }),
          await ca.issue({ spki, names: address }),
        ]),
        chain: ca.chain,
      }),
    },
    // In a list of certificates the first is taken.
    ends: { ...ends(malformed), est: issued },
  },
  {
    name: 'two certificates in PEM',
    lie: saying(({ status }, { form, before }) => {
      const both = before.slice(-1).flatMap((der) => [der, der])
      const pem = both.map((der) => toPem('CERTIFICATE', der)).join('')
      return form === 'cfssl'
        ? json(status, { success: true, result: { certificate: pem }, errors: [], messages: [] })
        : json(status, { crt: pem, certChain: [] })
    }),
    ends: ends(malformed, 'cfssl', 'step-ca'),
  },
  {
    name: 'the answer in __proto__',
    lie: withBody((body) => `{"__proto__":${body.toString()}}`),
    ends: ends(malformed, ...jsonForms),
  },
  { name: 'deep nesting', lie: withBody(() => nested(400_000)), ends: ends(malformed, ...jsonForms) },
  {
    name: 'many errors',
    lie: saying(() => {
      const errors = Array.from({ length: 20_000 }, () => ({ code: 9_002, message: 'no' }))
      return json(400, { success: false, result: null, errors, messages: [] })
    }),
    ends: ends(malformed, 'cfssl'),
  },
  {
    name: 'a success without a certificate',
    lie: saying(() => json(200, { success: true, result: null, errors: [], messages: [] })),
    ends: ends(malformed, 'cfssl'),
  },
  {
    name: 'a list of ten thousand certificates',
    lie: {
      issue: async ({ spki, address }, { ca }) => ({
        certificate: await ca.issue({ spki, names: address }),
        chain: Array.from({ length: 1_000 }, () => ca.issuing),
      }),
    },
    ends: ends(malformed, 'est', 'ejbca', 'step-ca'),
  },
  {
    name: 'words that nobody should read',
    lie: refusing((_honest, { wire }) => wire.refused(evilWords)),
    ends: ends(refused('request_refused')),
  },
  {
    name: 'a refusal of a hundred thousand brackets',
    lie: refusing((_honest, { wire }) => wire.refused('<'.repeat(9_000))),
    ends: ends(refused('request_refused')),
  },
  {
    name: 'the credential is refused, although it is right',
    lie: refusing((_honest, { form }) => turnedAway(form)),
    ends: ends(waiting('credential_refused')),
  },
  ...(['99999999999', 'soon', '-5', 'Fri, 31 Dec 9999 23:59:59 GMT', ''] as const).map((retryAfter): ToldLie => ({
    name: `to be asked again "${retryAfter}"`,
    lie: refusing((_honest, { form }) => ({
      ...(form === 'est' ? text(202, '') : json(202, { request_id: 77 })),
      headers: { 'retry-after': retryAfter },
    })),
    ends: ends(pending, 'est', 'ejbca'),
  })),
  {
    name: 'a number that is a path',
    lie: refusing(() => json(202, { request_id: '1/../../../v1/ca', link: 'https://attacker.example/77x/finalize' })),
    ends: ends(malformed, 'ejbca'),
  },
]

const turnedAway = (form: Form): WireAnswer => {
  const words = 'mallory@attacker.example may not'
  if (form === 'cfssl') {
    return json(400, { success: false, result: null, errors: [{ code: 400, message: 'invalid token' }], messages: [] })
  }
  if (form === 'est') return text(401, words)
  return form === 'ejbca'
    ? json(403, { error_code: 403, error_message: words })
    : json(401, { status: 401, message: words })
}

/** Answers that lead elsewhere. */
export const redirects: readonly number[] = [301, 302, 303, 307, 308]

/** Answers that never end. They take the whole time that a connection allows. */
export const endlessAnswers: readonly { readonly name: string; readonly lie: Lie }[] = [
  { name: 'nothing', lie: sending(() => undefined) },
  {
    name: 'a byte now and then',
    lie: sending((response, { status, headers, body }) => {
      response.writeHead(status, headers)
      const rest = [...Buffer.from(body)]
      const timer = setInterval(() => response.write(Uint8Array.of(rest.shift() ?? 0x20)), 50)
      response.once('close', () => clearInterval(timer))
    }),
  },
  {
    name: '100 Continue now and then',
    lie: sending((response) => {
      const timer = setInterval(() => response.writeContinue(), 50)
      response.once('close', () => clearInterval(timer))
    }),
  },
  {
    name: 'a header now and then',
    lie: sending((response) => {
      const { socket } = response
      socket?.write('HTTP/1.1 200 OK\r\n')
      const timer = setInterval(() => socket?.write('x-more: of the same\r\n'), 50)
      response.once('close', () => clearInterval(timer))
    }),
  },
]
