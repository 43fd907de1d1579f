import 'reflect-metadata'
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { Certificate, ContentInfo, EncapsulatedContentInfo, SignedData } from 'pkijs'
import type { CertificateUse } from '../../src/pki/key-usage.ts'
import { toPem } from './pem.ts'
import { makeTestCa, purpose, type TestCa, type TlsIdentity } from './test-ca.ts'

/** How the server behaves; a test changes it while it runs. */
export interface EstMood {
  /** Orders are held until `decide`, and the Retry-After with which the client is told so; null for none at all. */
  holds: { readonly retryAfter: string | null } | null
  /** The identical request gets the certificate that was issued for it before. */
  answersAgain: boolean
  /** How the answer is written. */
  writes: 'lines of 64' | 'lines of 76 with CRLF' | 'one line' | 'PEM' | 'DER' | 'BER'
  /** Whether it says how the answer is written. */
  saysEncoding: boolean
  /** What answers every enrolment before the CA has seen it. */
  refusal: EstReply | null
  /** What becomes of the answer once the CA has issued. */
  afterIssuing: 'answer' | 'cut off' | 'chain alone' | 'another key' | 'two strangers' | EstReply
}

export interface EstReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface EstServer {
  readonly url: string
  readonly ca: TestCa
  /** PEM: what its TLS is verified with. */
  readonly tlsAnchors: string
  readonly password: { readonly user: string; readonly password: string }
  /** The certificate that it lets in, and one of the same CA's that has no business there. */
  readonly client: TlsIdentity
  readonly stranger: TlsIdentity
  readonly mood: EstMood
  /** Paths that were asked for, with their methods. */
  readonly asked: string[]
  /** Bodies of the enrolments, as they came. */
  readonly bodies: string[]
  /** How many certificates were issued for a request, by the SHA-256 of its bytes. */
  readonly issued: ReadonlyMap<string, number>
  readonly headers: () => IncomingMessage['headers']
  /** Makes the certificate (PEM) for somebody's key, and lets that in too. */
  letIn(certificateRequest: string): Promise<string>
  /** Resolves when the next order is held. */
  held(): Promise<void>
  /** What becomes of the orders that are held. */
  decide(how: 'issue' | 'reject'): void
  close(): Promise<void>
}

const sixtyDays = 60 * 86_400_000

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Certificates in a SignedData without content and signers, made by pkijs. */
function certificatesOnly(certificates: readonly Uint8Array[]): Uint8Array {
  const content = new SignedData({
    version: 1,
    encapContentInfo: new EncapsulatedContentInfo({ eContentType: '1.2.840.113549.1.7.1' }),
    certificates: certificates.map((der) => Certificate.fromBER(new Uint8Array(der))),
  })
  const whole = new ContentInfo({ contentType: '1.2.840.113549.1.7.2', content: content.toSchema(true) })
  return new Uint8Array(whole.toSchema().toBER())
}

/** The same with the indefinite lengths that BER allows, down to the list of certificates. */
function withIndefiniteLengths(der: Uint8Array, levels = 4): Uint8Array {
  const [identifier = 0, first = 0] = der
  const isConstructed = (identifier & 0x20) !== 0
  const header = first < 0x80 ? 2 : 2 + (first & 0x7f)
  if (!isConstructed || levels === 0) return der
  const inner: Uint8Array[] = []
  for (let rest = der.subarray(header); rest.length > 0;) {
    const length = lengthOf(rest)
    inner.push(withIndefiniteLengths(rest.subarray(0, length), levels - 1))
    rest = rest.subarray(length)
  }
  return Buffer.concat([Uint8Array.of(identifier, 0x80), ...inner, Uint8Array.of(0, 0)])
}

function lengthOf(der: Uint8Array): number {
  const first = der[1] ?? 0
  if (first < 0x80) return 2 + first
  const octets = der.subarray(2, 2 + (first & 0x7f))
  return 2 + octets.length + octets.reduce((length, octet) => length * 256 + octet, 0)
}

function written(der: Uint8Array, how: EstMood['writes']): string | Uint8Array {
  const base64 = Buffer.from(der).toString('base64')
  switch (how) {
    case 'lines of 64':
      return base64.replaceAll(/.{64}/g, '$&\n')
    case 'lines of 76 with CRLF':
      return `\r\n${base64.replaceAll(/.{76}/g, '$&\r\n')}\r\n`
    case 'one line':
      return base64
    case 'PEM':
      return toPem('PKCS7', der)
    case 'DER':
      return der
    case 'BER':
      return Buffer.from(withIndefiniteLengths(der)).toString('base64')
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of incoming as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces).toString('latin1')
}

/**
 * A server of RFC 7030 over TLS, with a CA that issues real certificates: for the names in the request, and for the use
 * that the label says (`sign`, `encrypt`; both without one). It lets in who has the password or the client certificate.
 */
export async function startEstServer(now: () => number = Date.now): Promise<EstServer> {
  const ca = await makeTestCa('EST', now)
  const [identity, client, stranger] = [
    await ca.issueForTls('server'),
    await ca.issueForTls('client'),
    await ca.issueForTls('client'),
  ]
  const password = { user: 'certbook', password: 'geheim: ü' }
  const mood: EstMood = {
    holds: null,
    answersAgain: false,
    writes: 'lines of 64',
    saysEncoding: true,
    refusal: null,
    afterIssuing: 'answer',
  }
  const asked: string[] = []
  const bodies: string[] = []
  const issued = new Map<string, number>()
  const kept = new Map<string, Uint8Array>()
  const held = new Map<string, 'waiting' | 'issue' | 'reject'>()
  const onHeld: (() => void)[] = []
  const letIn = new Set([sha256(client.chain[0] ?? new Uint8Array())])
  let headers: IncomingMessage['headers'] = {}

  const isLetIn = (incoming: IncomingMessage): boolean => {
    const { user, password: secret } = password
    if (incoming.headers.authorization === `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`) return true
    const shown = incoming.socket instanceof TLSSocket ? incoming.socket.getPeerX509Certificate()?.raw : undefined
    return shown !== undefined && letIn.has(sha256(shown))
  }

  const certificates = (list: readonly Uint8Array[]): EstReply => ({
    status: 200,
    headers: {
      'content-type': 'application/pkcs7-mime; smime-type=certs-only',
      ...(mood.saysEncoding ? { 'content-transfer-encoding': 'base64' } : {}),
    },
    body: written(certificatesOnly(list), mood.writes),
  })

  const certificateFor = async (der: Uint8Array, request: Pkcs10CertificateRequest, label: string | null) => {
    const names = request.getExtension('2.5.29.17')
    const wanted =
      names instanceof SubjectAlternativeNameExtension
        ? (names.names.toJSON().find(({ type }) => type === 'email')?.value ?? '')
        : ''
    const use: CertificateUse = label === 'sign' || label === 'encrypt' ? label : 'dual'
    const id = sha256(der)
    issued.set(id, (issued.get(id) ?? 0) + 1)
    const spki = new Uint8Array(request.publicKey.rawData)
    return ca.issue({ spki, use, names: wanted, notAfter: new Date(now() + sixtyDays) })
  }

  const answered = async (certificate: Uint8Array): Promise<EstReply | 'cut off'> => {
    const { afterIssuing } = mood
    const other = async (): Promise<Uint8Array> => {
      const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
      const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
      return ca.issue({ spki, names: 'alice@example.com' })
    }
    if (afterIssuing === 'answer') return certificates([...ca.chain, certificate])
    if (afterIssuing === 'chain alone') return certificates(ca.chain)
    if (afterIssuing === 'another key') return certificates([await other(), ...ca.chain])
    if (afterIssuing === 'two strangers') return certificates([await other(), await other()])
    return afterIssuing
  }

  const enrol = async (body: string, label: string | null): Promise<EstReply | 'cut off'> => {
    const der = Buffer.from(body, 'base64')
    let request: Pkcs10CertificateRequest
    try {
      request = new Pkcs10CertificateRequest(new Uint8Array(der))
      if (!(await request.verify())) throw new Error('not signed by its key')
    } catch {
      return { status: 400, headers: { 'content-type': 'text/plain' }, body: 'the request cannot be read' }
    }
    const id = sha256(der)
    if (mood.holds !== null && (held.get(id) ?? 'waiting') === 'waiting') {
      held.set(id, 'waiting')
      for (const tell of onHeld.splice(0)) tell()
      const { retryAfter } = mood.holds
      return { status: 202, headers: retryAfter === null ? {} : { 'retry-after': retryAfter } }
    }
    if (held.get(id) === 'reject') return { status: 403, headers: { 'content-type': 'text/plain' }, body: 'rejected' }
    const before = mood.answersAgain ? kept.get(id) : undefined
    const certificate = before ?? (await certificateFor(der, request, label))
    kept.set(id, certificate)
    return answered(certificate)
  }

  const reply = async (incoming: IncomingMessage): Promise<EstReply | 'cut off'> => {
    asked.push(`${incoming.method} ${incoming.url}`)
    ;({ headers } = incoming)
    const body = await bodyOf(incoming)
    const [, label = null, operation] =
      /^\/\.well-known\/est(?:\/([\w.-]+))?\/(cacerts|simpleenroll)$/.exec(incoming.url ?? '') ?? []
    if (operation === 'cacerts' && incoming.method === 'GET') return certificates(ca.chain)
    if (operation !== 'simpleenroll' || incoming.method !== 'POST') return { status: 404, body: 'no such path' }
    if (!isLetIn(incoming)) return { status: 401, headers: { 'www-authenticate': 'Basic realm="est"' }, body: 'who?' }
    bodies.push(body)
    if (incoming.headers['content-type'] !== 'application/pkcs10') return { status: 415 }
    return mood.refusal ?? enrol(body, label)
  }

  const server = createServer(
    // Whom it lets in is said over HTTP: a server of Node's that turns a certificate down tells nobody why.
    {
      cert: identity.certificate,
      key: identity.key,
      ca: toPem('CERTIFICATE', ca.root),
      requestCert: true,
      rejectUnauthorized: false,
    },
    (incoming, outgoing) => {
      void reply(incoming).then((answer) => {
        if (answer === 'cut off') return void incoming.socket.destroy()
        const { status, body = '' } = answer
        // strongSwan's client takes no answer without a length.
        const length = { 'content-length': Buffer.byteLength(body) }
        outgoing.writeHead(status, { ...length, ...answer.headers }).end(body)
      })
    },
  )
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    tlsAnchors: toPem('CERTIFICATE', ca.root),
    password,
    client,
    stranger,
    mood,
    asked,
    bodies,
    issued,
    headers: () => headers,
    letIn: async (certificateRequest) => {
      const certificate = await ca.issue({
        spki: new Uint8Array(new Pkcs10CertificateRequest(certificateRequest).publicKey.rawData),
        use: 'sign',
        subject: 'CN=certbook',
        names: [],
        purposes: [purpose.client],
        // TLS goes by the machine's own time.
        notBefore: new Date(Date.now() - sixtyDays),
        notAfter: new Date(Date.now() + sixtyDays),
      })
      letIn.add(sha256(certificate))
      return toPem('CERTIFICATE', certificate) + toPem('CERTIFICATE', ca.issuing)
    },
    held: () => new Promise((resolve) => onHeld.push(resolve)),
    decide: (how) => {
      for (const id of held.keys()) held.set(id, how)
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
