import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import type { CaOutcome, CertificateOrder } from '../../src/cas/adapters/contract.ts'
import { createEstCa } from '../../src/cas/adapters/est/est.ts'
import { makeOrder } from '../support/ca-order.ts'
import { startEstServer, type EstServer } from '../support/est-server.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { openssl } from '../support/openssl.ts'
import { toPem } from '../support/pem.ts'
import { requireProgram } from './programs.ts'
import { runWell } from './run.ts'
import { outgoingHere } from '../support/this-machine.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let server: EstServer

beforeAll(async () => {
  await requireProgram('openssl', 'openssl')
  await requireProgram('pki', 'strongswan-pki, with libstrongswan-standard-plugins')
  folder = await temporaryFolder()
  server = await startEstServer()
  await writeFile(join(folder.path, 'tls.pem'), server.tlsAnchors)
})
afterAll(async () => {
  await server.close()
  await folder.remove()
})
afterEach(() => Object.assign(server.mood, { writes: 'lines of 64', holds: null, afterIssuing: 'answer' }))

const issued = (): number => [...server.issued.values()].reduce((sum, count) => sum + count, 0)

describe("strongSwan's EST client at the server that the tests use", () => {
  const { user, password } = { user: 'certbook', password: 'geheim: ü' }
  const pki = (...args: string[]): Promise<string> => runWell(folder.path, 'pki', args)
  const there = (): string[] => ['--url', server.url, '--cacert', 'tls.pem']

  beforeAll(async () => {
    const names = ['-subj', '/CN=a phone', '-addext', 'subjectAltName=email:alice@example.com']
    const key = ['-newkey', 'rsa:2048', '-noenc', '-keyout', 'device.key']
    await openssl(folder.path, 'req', '-new', ...key, ...names, '-outform', 'DER', '-out', 'device.csr')
  })
  // It reads base64 of one line only.
  const likeStrongswan = (): void => void Object.assign(server.mood, { writes: 'one line' })

  test('reads its CA certificates', async () => {
    likeStrongswan()
    await pki('--estca', ...there(), '--caout', 'ca.pem', '--outform', 'pem', '--force')
    const subject = ['-noout', '-subject', '-nameopt', 'RFC2253']
    expect(await openssl(folder.path, 'x509', '-in', 'ca.pem', ...subject)).toContain('CN=EST Root')
    expect(await openssl(folder.path, 'x509', '-in', 'ca-1.pem', ...subject)).toContain('CN=EST Issuing CA')
  })

  test('enrols there, also where it has to wait and ask again', async () => {
    likeStrongswan()
    server.mood.holds = { retryAfter: '1' }
    const before = issued()
    const held = server.held()
    const enrolling = pki(
      '--est',
      ...there(),
      '--userpass',
      `${user}:${password}`,
      '--in',
      'device.csr',
      '--interval',
      '1',
    )
    await held
    expect(issued()).toBe(before)
    server.decide('issue')
    expect(await enrolling).toContain('Issued certificate "CN=alice@example.com"')
    expect(issued()).toBe(before + 1)
  })
})

describe('what OpenSSL issues and wraps, through the adapter', () => {
  const ask = (order: CertificateOrder): Promise<CaOutcome> => {
    const settings = caConnectionRequest.parse({
      kind: 'est',
      name: 'the CA',
      recipient: 'Example CA Ltd',
      anchors: server.tlsAnchors,
      url: server.url,
      tlsAnchors: server.tlsAnchors,
      authentication: 'password',
      password: server.password,
    })
    if (settings.kind !== 'est') throw new Error('not EST')
    const deps = { outgoing: outgoingHere(), clock: Date.now, crypto }
    const credentials = { password: server.password, clientCertificate: null }
    return createEstCa(deps, settings, credentials).submit(order)
  }

  test.each([
    ['a certs-only message', 'crl2pkcs7 -nocrl -certfile both.pem -outform DER -out answer'],
    [
      'a signed message of BER, with indefinite lengths',
      'cms -sign -binary -nodetach -stream -in both.pem -certfile order.pem -outform DER -out answer ' +
        '-signer openssl-ca.pem -inkey openssl-ca.key',
    ],
  ])('%s', async (_name, wrap) => {
    const subject = ['-subj', '/CN=OpenSSL CA', '-addext', 'extendedKeyUsage=emailProtection']
    const files = ['-keyout', 'openssl-ca.key', '-out', 'openssl-ca.pem']
    await openssl(folder.path, 'req', '-x509', '-newkey', 'rsa:2048', '-noenc', ...subject, ...files)
    const order = await makeOrder()
    await writeFile(join(folder.path, 'order.csr'), toPem('CERTIFICATE REQUEST', order.content))
    const by = ['-CA', 'openssl-ca.pem', '-CAkey', 'openssl-ca.key', '-CAcreateserial']
    await writeFile(join(folder.path, 'extensions'), 'subjectAltName=email:alice@example.com\n')
    const made = ['-extfile', 'extensions', '-days', '10', '-out', 'order.pem']
    await openssl(folder.path, 'x509', '-req', '-in', 'order.csr', ...by, ...made)
    const [certificate, ca] = await Promise.all(
      ['order.pem', 'openssl-ca.pem'].map((name) => readFile(join(folder.path, name), 'utf8')),
    )
    await writeFile(join(folder.path, 'both.pem'), `${ca}${certificate}`)
    await openssl(folder.path, ...wrap.split(' '))
    const answer = await readFile(join(folder.path, 'answer'))
    server.mood.afterIssuing = { status: 200, body: answer.toString('base64') }

    const outcome = await ask(order)
    if (outcome.kind !== 'issued') throw new Error(JSON.stringify(outcome))
    expect(toPem('CERTIFICATE', outcome.certificate)).toBe(certificate)
    expect(outcome.chain.map((der) => toPem('CERTIFICATE', der))).toContain(ca)
  })
})
