import { createHash, createHmac } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import { createCfsslCa } from '../../src/cas/adapters/cfssl/cfssl.ts'
import type { CaAdapter } from '../../src/cas/adapters/contract.ts'
import { createStepCa } from '../../src/cas/adapters/step-ca/step-ca.ts'
import { provisionerJwk } from '../../src/cas/adapters/step-ca/token.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { toPem } from '../../src/pki/pem.ts'
import { makeOrder } from '../support/ca-order.ts'
import { serveHttp } from '../support/odd-servers.ts'
import { outgoingHere } from '../support/this-machine.ts'

/** What the adapters of CFSSL and step-ca send, byte by byte, and what each kind of answer means to them. */

const now = Date.UTC(2026, 10, 22, 12)
const deps = {
  outgoing: outgoingHere(),
  clock: () => now,
  crypto,
  random: { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) },
}
const authKey = '00112233445566778899aabbccddeeff'
const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
const provisionerKey = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey))

const settingsOf = (kind: string, url: string, more: object) =>
  caConnectionRequest.parse({ kind, url, name: kind, recipient: 'Example GmbH', anchors: 'unused', ...more })

function cfssl(url: string, key: string | null = null): CaAdapter {
  const settings = settingsOf('cfssl', url, { profile: 'mail', label: 'primary' })
  if (settings.kind !== 'cfssl') throw new Error('other settings')
  return createCfsslCa(deps, settings, { authKey: key })
}

function stepCa(url: string): CaAdapter {
  const settings = settingsOf('step-ca', url, { provisioner: 'certbook' })
  if (settings.kind !== 'step-ca') throw new Error('other settings')
  return createStepCa(deps, settings, { provisionerKey })
}

interface Received {
  readonly url: string
  readonly body: string
}

/** Lets an adapter speak to a server that gives one answer, and resolves to what it was sent and what came of it. */
async function speak<Result>(
  status: number,
  body: string,
  run: (url: string) => Promise<Result>,
): Promise<{ result: Result; received: Received[] }> {
  const received: Received[] = []
  const server = await serveHttp((request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      received.push({ url: request.url ?? '', body: Buffer.concat(pieces).toString() })
      response.writeHead(status, { 'retry-after': '7' }).end(body)
    })
  })
  try {
    return { result: await run(server.url), received }
  } finally {
    await server.close()
  }
}

const order = await makeOrder({ use: 'sign', now })
const cfsslError = (code: number, message: string): string =>
  JSON.stringify({ success: false, result: null, errors: [{ code, message }], messages: [] })
const stepError = (status: number, message: string): string => JSON.stringify({ status, message })

describe.each([
  ['cfssl', cfssl],
  ['step-ca', stepCa],
] as const)('%s is never sent what it cannot certify', (_, adapter) => {
  test.each([
    ['a bare public key', { provedBy: 'public_key' }, 'request_refused'],
    ['a local part beyond ASCII', { mailbox: parseMailboxAddress('jürgen@example.com') }, 'request_refused'],
    ['a brainpool key', { key: { algorithm: 'EC', curve: 'brainpoolP256r1' } }, 'key_refused'],
  ] as const)('%s', async (_name, other, failure) => {
    const { result, received } = await speak(500, '', (url) => adapter(url).submit({ ...order, ...other }))
    expect(result).toMatchObject({ kind: 'permanent', failure })
    expect(received).toEqual([])
  })
})

describe('cfssl', () => {
  test.each([
    [400, 400, 'invalid token', 'transient', 'credential_refused'],
    [400, 400, 'authentication required', 'transient', 'credential_refused'],
    [400, 400, 'no authentication provider', 'transient', 'credential_refused'],
    [400, 400, 'Unable to parse sign request', 'permanent', 'request_refused'],
    [400, 5100, 'Invalid policy: no key usages', 'permanent', 'profile_refused'],
    [400, 5300, 'Policy violation request', 'permanent', 'request_refused'],
    [400, 5400, 'Unknown policy profile', 'permanent', 'profile_refused'],
    [400, 9002, 'CSR Decode failed', 'permanent', 'request_refused'],
    [400, 9300, 'algorithm unimplemented', 'permanent', 'key_refused'],
    [400, 1000, 'certificate error', 'unknown', 'ca_error'],
    [400, 2000, 'private key error', 'unknown', 'ca_error'],
    [400, 7500, 'the CA behind it did not answer', 'unknown', 'ca_error'],
    [400, 10100, 'a log did not answer', 'unknown', 'ca_error'],
    [400, 11100, 'database is locked', 'unknown', 'ca_error'],
    [500, 5300, 'a fault', 'unknown', 'ca_error'],
    [200, 400, 'invalid token', 'unknown', 'answer_malformed'],
  ])('%i with %i (%s) is %s: %s', async (status, code, message, kind, failure) => {
    const { result } = await speak(status, cfsslError(code, message), (url) => cfssl(url).submit(order))
    expect(result).toMatchObject({ kind, failure })
  })

  test('two errors at once are not its way to answer', async () => {
    const errors = [400, 400].map((code) => ({ code, message: 'invalid token' }))
    const { result } = await speak(400, JSON.stringify({ success: false, errors }), (url) => cfssl(url).submit(order))
    expect(result).toMatchObject({ kind: 'unknown', failure: 'answer_malformed' })
  })

  test.each([
    [400, cfsslError(11_200, 'certificate not found'), 'permanent', 'unknown_to_ca'],
    [400, cfsslError(400, 'Invalid reason code'), 'permanent', 'request_refused'],
    [400, cfsslError(11_100, 'database is locked'), 'transient', 'ca_error'],
    [404, '404 page not found\n', 'permanent', 'ca_error'],
    [404, '<html>nginx</html>', 'permanent', 'answer_malformed'],
    [502, '<html>nginx</html>', 'transient', 'ca_error'],
  ])('a revocation answered with %i %s is %s: %s', async (status, body, kind, failure) => {
    const certificate = new Uint8Array(await someCertificate())
    const { result } = await speak(
      status,
      body,
      async (url) => await cfssl(url).revoke?.({ certificate, reason: null }),
    )
    expect(result).toMatchObject({ kind, failure })
  })

  const sentShape = z.strictObject({
    label: z.string(),
    profile: z.string(),
    certificate_request: z.string(),
    hosts: z.array(z.string()),
    subject: z.object({ CN: z.string() }),
  })
  const facts = {
    label: 'primary',
    profile: 'mail',
    certificate_request: toPem('CERTIFICATE REQUEST', order.content),
    hosts: ['alice@example.com'],
    subject: { CN: 'alice@example.com' },
  }

  test('sign is sent the verified facts, and nothing else', async () => {
    const { received } = await speak(500, '', (url) => cfssl(url).submit(order))
    expect(received.map(({ url }) => url)).toEqual(['/api/v1/cfssl/sign'])
    expect(sentShape.parse(JSON.parse(received[0]?.body ?? ''))).toEqual(facts)
  })

  test("authsign is sent the same, under an HMAC of its very bytes; a rule's profile goes before", async () => {
    const { received } = await speak(500, '', (url) => cfssl(url, authKey).submit({ ...order, profile: 'signing' }))
    expect(received.map(({ url }) => url)).toEqual(['/api/v1/cfssl/authsign'])
    const { token, request } = z
      .strictObject({ token: z.string(), request: z.string() })
      .parse(JSON.parse(received[0]?.body ?? ''))
    const bytes = Buffer.from(request, 'base64')
    expect(token).toBe(createHmac('sha256', Buffer.from(authKey, 'hex')).update(bytes).digest('base64'))
    expect(sentShape.parse(JSON.parse(bytes.toString()))).toEqual({ ...facts, profile: 'signing' })
  })
})

describe('step-ca', () => {
  test.each([
    [400, stepError(400, 'invalid csr'), 'permanent', 'request_refused'],
    [401, stepError(401, 'token already used'), 'transient', 'credential_refused'],
    [403, stepError(403, 'not allowed by policy'), 'permanent', 'request_refused'],
    [500, stepError(500, 'error storing certificate in db'), 'unknown', 'ca_error'],
    [503, stepError(503, 'try later'), 'unknown', 'ca_error'],
    [403, '<html>a firewall</html>', 'unknown', 'answer_malformed'],
    [401, stepError(403, 'another status'), 'unknown', 'answer_malformed'],
    [200, stepError(401, 'another status'), 'unknown', 'answer_malformed'],
    [201, JSON.stringify({ crt: 'no certificate', certChain: [] }), 'unknown', 'answer_malformed'],
  ])('%i with %s is %s: %s', async (status, body, kind, failure) => {
    const { result, received } = await speak(status, body, (url) => stepCa(url).submit(order))
    expect(result).toMatchObject({ kind, failure })
    expect(received.length).toBe(1)
  })

  test.each([
    [400, stepError(400, "certificate with serial number '1' is already revoked"), { kind: 'confirmed' }],
    [200, JSON.stringify({ status: 'ok' }), { kind: 'confirmed' }],
    [400, stepError(400, 'missing serial'), { kind: 'permanent', failure: 'request_refused' }],
    [401, stepError(401, 'token already used'), { kind: 'transient', failure: 'credential_refused' }],
    [500, stepError(500, 'database'), { kind: 'transient', failure: 'ca_error', retryAfterSeconds: 7 }],
    [501, stepError(501, 'no persistence layer configured'), { kind: 'permanent', failure: 'ca_error' }],
  ])('a revocation answered with %i %s', async (status, body, expected) => {
    const certificate = new Uint8Array(await someCertificate())
    const { result } = await speak(
      status,
      body,
      async (url) => await stepCa(url).revoke?.({ certificate, reason: null }),
    )
    expect(result).toMatchObject(expected)
  })

  test('the key that is shown is the public one, under its thumbprint', async () => {
    const jwk = await provisionerJwk(crypto, provisionerKey)
    expect(Object.keys(jwk).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    const members = `{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`
    expect(jwk.kid).toBe(createHash('sha256').update(members).digest('base64url'))
    const { x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey)
    expect(jwk).toMatchObject({ x, y, kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })
  })

  const header = z.strictObject({ alg: z.literal('ES256'), typ: z.literal('JWT'), kid: z.string() })
  const readToken = async (token: string): Promise<Record<string, unknown>> => {
    const [head = '', claims = '', signature = ''] = token.split('.')
    const text = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())
    expect(header.parse(text(head)).kid).toBe((await provisionerJwk(crypto, provisionerKey)).kid)
    const isSigned = await crypto.subtle.verify(
      { name: 'ECDSA', hash: 'SHA-256' },
      keys.publicKey,
      Buffer.from(signature, 'base64url'),
      Buffer.from(`${head}.${claims}`),
    )
    expect(isSigned).toBe(true)
    return z.record(z.string(), z.unknown()).parse(text(claims))
  }

  test('a token is good for one order alone, and its term is sent; without one where the CA takes no such term', async () => {
    const tooLong = stepError(
      403,
      'requested duration of 2160h0m0s is more than the authorized maximum certificate duration',
    )
    const { result, received } = await speak(403, tooLong, (url) => stepCa(url).submit(order))
    expect(result).toMatchObject({ kind: 'permanent', failure: 'request_refused' })
    expect(received.map(({ url }) => url)).toEqual(['/1.0/sign', '/1.0/sign'])
    const sentShape = z.strictObject({
      csr: z.literal(toPem('CERTIFICATE REQUEST', order.content)),
      ott: z.string(),
      notAfter: z.string().optional(),
      templateData: z.strictObject({ use: z.literal('sign') }),
    })
    const sent = received.map(({ body }) => sentShape.parse(JSON.parse(body)))
    expect(sent.map(({ notAfter }) => notAfter)).toEqual([order.notAfter.toISOString(), undefined])

    const [first, second] = await Promise.all(sent.map(({ ott }) => readToken(ott)))
    expect(first?.['jti']).not.toBe(second?.['jti'])
    expect(first).toEqual({
      jti: expect.any(String),
      iss: 'certbook',
      aud: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+\/1\.0\/sign$/),
      sub: 'alice@example.com',
      sans: ['alice@example.com'],
      cnf: { 'x5rt#S256': createHash('sha256').update(order.content).digest('base64url') },
      iat: now / 1_000,
      nbf: now / 1_000,
      exp: now / 1_000 + 300,
    })
  })

  test('a token to revoke names the certificate, and cannot be used to sign', async () => {
    const certificate = new Uint8Array(await someCertificate())
    const { received } = await speak(
      200,
      '{}',
      async (url) => await stepCa(url).revoke?.({ certificate, reason: 'keyCompromise' }),
    )
    const { ott, ...sent } = z
      .object({ serial: z.string(), ott: z.string() })
      .loose()
      .parse(JSON.parse(received[0]?.body ?? ''))
    expect(sent).toEqual({ serial: '4919', passive: true, reasonCode: 1, reason: 'keyCompromise' })
    const claims = await readToken(ott)
    expect(claims).toMatchObject({ sub: '4919', aud: expect.stringMatching(/\/1\.0\/revoke$/) })
    expect(Object.keys(claims)).not.toContain('sans')
  })
})

/** A certificate with the serial number 0x1337. */
async function someCertificate(): Promise<ArrayBuffer> {
  const { X509CertificateGenerator } = await import('@peculiar/x509')
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '1337',
    name: 'CN=alice@example.com',
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  })
  return certificate.rawData
}
