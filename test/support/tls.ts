import 'reflect-metadata'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { toPem } from './pem.ts'

/** A certificate and its key, PEM, for a server on this machine. */
export interface TlsPair {
  readonly certificate: string
  readonly key: string
}

const day = 86_400_000
const p256 = { name: 'ECDSA', namedCurve: 'P-256' }
const rsa1024 = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 1_024,
  publicExponent: Uint8Array.of(1, 0, 1),
  hash: 'SHA-256',
}

/** A self-signed certificate for 127.0.0.1 and localhost, known by the name it carries. */
export async function makeTlsPair(
  name: string,
  options: { addresses?: readonly string[]; from?: number; until?: number; weak?: boolean } = {},
): Promise<TlsPair> {
  const algorithm = options.weak === true ? rsa1024 : p256
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const { addresses = ['127.0.0.1'], from = Date.now() - day, until = Date.now() + 90 * day } = options
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    notBefore: new Date(from),
    notAfter: new Date(until),
    signingAlgorithm: { name: algorithm.name, hash: 'SHA-256' },
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        ...addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ],
  })
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { certificate: certificate.toString('pem'), key: toPem('PRIVATE KEY', new Uint8Array(pkcs8)) }
}

/** Where a service finds its certificate: the settings, and how to write another pair there. */
export interface TlsFolder {
  readonly settings: { readonly TLS_CERT_FILE: string; readonly TLS_KEY_FILE: string }
  put(pair: TlsPair): Promise<void>
}

export async function tlsFolder(folder: string, pair: TlsPair): Promise<TlsFolder> {
  const certificateFile = join(folder, 'tls-certificate.pem')
  const keyFile = join(folder, 'tls-key.pem')
  const put = async ({ certificate, key }: TlsPair): Promise<void> => {
    await writeFile(certificateFile, certificate)
    await writeFile(keyFile, key, { mode: 0o600 })
  }
  await put(pair)
  return { settings: { TLS_CERT_FILE: certificateFile, TLS_KEY_FILE: keyFile }, put }
}

/** `fetch` that trusts what it is given; each call on a connection of its own. */
export const fetchTrusting =
  (...certificates: readonly string[]) =>
  (url: string, init: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { method = 'GET', headers = {} } = init
      const outgoing = request(url, { method, headers, ca: [...certificates], agent: false }, (incoming) => {
        const pieces: Buffer[] = []
        incoming.on('data', (piece: Buffer) => pieces.push(piece))
        incoming.once('error', reject)
        incoming.once('end', () => {
          const status = incoming.statusCode ?? 0
          const body = status === 204 ? null : Buffer.concat(pieces)
          const answered = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
            values.map((value): [string, string] => [name, value]),
          )
          resolve(new Response(body, { status, headers: answered }))
        })
      })
      outgoing.once('error', reject)
      outgoing.end(init.body)
    })

/** The name in the certificate that a server shows to a new connection. */
export const shownName = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      const name = socket.getPeerX509Certificate()?.subject ?? ''
      socket.destroy()
      resolve(name.replace('CN=', ''))
    })
    socket.once('error', reject)
  })
