import 'reflect-metadata'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as wholeText } from 'node:stream/consumers'
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { z } from 'zod'
import { writeCertificatesOnly } from '../../src/pki/certificates-only.ts'
import { toPem } from './pem.ts'
import { makeTestCa, type TestCa } from './test-ca.ts'

/** How the CA behaves; a test changes it while it runs. */
export interface CountingCaMood {
  /** Answers are held back until this is resolved, after the certificate was made. */
  held: Promise<void> | null
  /** What EST is let in with; null lets everybody in. */
  password: string | null
  /** EST has an order wait, and says so with 202. */
  makesWait: boolean
  /** EST answers an order that it has fulfilled with the certificate of then. */
  answersAgain: boolean
  /** What CFSSL does when it is told to revoke: it does, its database fails, or does not know the certificate. */
  revokes: 'done' | 'database_fails' | 'not_known'
}

/** One order as it came in. */
export interface Arrival {
  /** The SPKI of the CSR, base64. */
  readonly key: string
  readonly address: string
}

/** A CA of a test that does what it is asked for, and counts. */
export interface CountingCa {
  readonly port: number
  readonly url: string
  readonly ca: TestCa
  readonly mood: CountingCaMood
  /** Every order that it took, in order, those that it made wait included. */
  readonly arrivals: readonly Arrival[]
  /** Every request, by its path. */
  readonly asked: readonly string[]
  /** Serial numbers (decimal) that it was told to revoke. */
  readonly revoked: ReadonlySet<string>
  /** The certificates for a key (SPKI, base64). */
  issuedFor(key: string): readonly Uint8Array[]
  /** How many certificates it has made in all. */
  count(): number
  /** Resolves when so many orders have come in, in all. */
  arrived(count: number): Promise<void>
  /** Has EST refuse its password once it has taken so many orders more. */
  expireAfter(orders: number): void
  /** From now on nobody listens. */
  goDown(): Promise<void>
  /** On the same port. */
  comeBack(): Promise<void>
  close(): Promise<void>
}

type Reply = readonly [status: number, headers: Readonly<Record<string, string>>, body: string]

const json = (status: number, result: unknown, errors: readonly { code: number; message: string }[] = []): Reply => [
  status,
  { 'content-type': 'application/json' },
  JSON.stringify({ success: status === 200, result, errors, messages: [] }),
]

const signBody = z.object({ certificate_request: z.string(), hosts: z.array(z.string()) })
const revokeBody = z.object({ serial: z.string() })
const base64 = (bytes: ArrayBuffer | Uint8Array): string => Buffer.from(new Uint8Array(bytes)).toString('base64')

const subjectAltName = '2.5.29.17'

/** The mailbox that a CSR asks for. */
function addressIn(csr: Pkcs10CertificateRequest): string {
  const extension = csr.getExtension(subjectAltName)
  if (extension === null || extension === undefined) return ''
  const names = new SubjectAlternativeNameExtension(extension.rawData).names.toJSON()
  return names.find(({ type }) => type === 'email')?.value ?? ''
}

function readCsr(content: string): Pkcs10CertificateRequest | null {
  try {
    return new Pkcs10CertificateRequest(content)
  } catch {
    return null
  }
}

/**
 * Starts one on 127.0.0.1 that speaks as `cfssl serve` does, and as an EST server does. Asked twice it issues twice,
 * as CFSSL would, unless its mood says otherwise.
 */
export async function startCountingCa(now: () => number = Date.now): Promise<CountingCa> {
  const ca = await makeTestCa('Counting', now)
  const mood: CountingCaMood = { held: null, password: null, makesWait: false, answersAgain: false, revokes: 'done' }
  const arrivals: Arrival[] = []
  const asked: string[] = []
  const revoked = new Set<string>()
  const issued = new Map<string, Uint8Array[]>()

  let ordersLeft = Number.POSITIVE_INFINITY
  const arrivedWaiting: { readonly count: number; readonly resolve: () => void }[] = []
  const take = (arrival: Arrival): void => {
    arrivals.push(arrival)
    for (const { count, resolve } of arrivedWaiting) if (count <= arrivals.length) resolve()
  }

  const issue = async ({ key, address }: Arrival): Promise<Uint8Array> => {
    const certificate = await ca.issue({ spki: new Uint8Array(Buffer.from(key, 'base64')), names: address })
    issued.set(key, [...(issued.get(key) ?? []), certificate])
    return certificate
  }

  const sign = async (body: string): Promise<Reply> => {
    const { certificate_request, hosts } = signBody.parse(JSON.parse(body))
    const csr = readCsr(certificate_request)
    if (csr === null) return json(400, null, [{ code: 9002, message: 'CSR parse failed' }])
    const arrival = { key: base64(csr.publicKey.rawData), address: hosts[0] ?? '' }
    take(arrival)
    return json(200, { certificate: toPem('CERTIFICATE', await issue(arrival)) })
  }

  const revoke = (body: string): Reply => {
    if (mood.revokes === 'database_fails')
      return json(400, null, [{ code: 11000, message: 'certificate store: locked' }])
    if (mood.revokes === 'not_known') return json(400, null, [{ code: 11200, message: 'certificate not found' }])
    revoked.add(revokeBody.parse(JSON.parse(body)).serial)
    return json(200, {})
  }

  const certificatesOnly = (certificates: readonly Uint8Array[]): Reply => [
    200,
    { 'content-type': 'application/pkcs7-mime; smime-type=certs-only', 'content-transfer-encoding': 'base64' },
    base64(writeCertificatesOnly(certificates)),
  ]

  const enrol = async (body: string, authorization: string | undefined): Promise<Reply> => {
    const allowed =
      mood.password === null ? null : `Basic ${Buffer.from(`certbook:${mood.password}`).toString('base64')}`
    if (allowed !== null && authorization !== allowed) return [401, { 'www-authenticate': 'Basic' }, 'wrong password']
    const csr = readCsr(body.replaceAll(/\s/g, ''))
    if (ordersLeft <= 0) {
      mood.password = 'another one'
      ordersLeft = Number.POSITIVE_INFINITY
      return [401, { 'www-authenticate': 'Basic' }, 'the password has expired']
    }
    if (csr === null) return [400, { 'content-type': 'text/plain' }, 'this is no certificate request']
    ordersLeft -= 1
    const arrival = { key: base64(csr.publicKey.rawData), address: addressIn(csr) }
    take(arrival)
    const [earlier] = issued.get(arrival.key) ?? []
    if (earlier !== undefined && mood.answersAgain) return certificatesOnly([earlier])
    if (mood.makesWait) return [202, { 'retry-after': '60', 'content-type': 'text/plain' }, 'wait']
    return certificatesOnly([await issue(arrival)])
  }

  const answer = async (request: IncomingMessage): Promise<Reply> => {
    const body = await wholeText(request)
    const path = request.url ?? ''
    asked.push(path)
    switch (path) {
      case '/api/v1/cfssl/info':
        return json(200, {
          certificate: toPem('CERTIFICATE', ca.issuing),
          usages: ['email protection'],
          expiry: '2160h',
        })
      case '/api/v1/cfssl/sign':
        return sign(body)
      case '/api/v1/cfssl/revoke':
        return revoke(body)
      case '/.well-known/est/cacerts':
        return certificatesOnly(ca.chain)
      case '/.well-known/est/simpleenroll':
        return enrol(body, request.headers.authorization)
      default:
        return [404, { 'content-type': 'text/plain' }, '404 page not found\n']
    }
  }

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [status, headers, body] = await answer(request)
    await mood.held
    response.writeHead(status, headers).end(body)
  }
  const server = createServer((request, response) => void respond(request, response))
  const listen = async (port: number): Promise<number> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const goDown = async (): Promise<void> => {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  const port = await listen(0)
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    ca,
    mood,
    arrivals,
    asked,
    revoked,
    issuedFor: (key) => issued.get(key) ?? [],
    count: () => [...issued.values()].reduce((sum, certificates) => sum + certificates.length, 0),
    arrived: async (count) => {
      if (arrivals.length < count) await new Promise<void>((resolve) => arrivedWaiting.push({ count, resolve }))
    },
    expireAfter: (orders) => {
      ordersLeft = orders
    },
    goDown,
    comeBack: async () => void (await listen(port)),
    close: goDown,
  }
}
