import 'reflect-metadata'
import { BasicConstraintsExtension } from '@peculiar/x509'
import { expect, test } from 'vitest'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import { createCfsslCa } from '../../src/cas/adapters/cfssl/cfssl.ts'
import type { CaAdapter } from '../../src/cas/adapters/contract.ts'
import { certificateFacts } from '../../src/pki/certificate-facts.ts'
import { toPem } from '../../src/pki/pem.ts'
import { describeCaAdapter, type AdapterSetting, type RunningCa } from '../support/ca-contract.ts'
import { makeOrder, type OrderWanted } from '../support/ca-order.ts'
import { verdict } from '../support/ca-verdict.ts'
import { startCfssl, type CfsslOptions, type CfsslServer } from '../support/cfssl.ts'
import { outgoingHere } from '../support/this-machine.ts'

const authKey = '00112233445566778899aabbccddeeff'
const wrongKey = 'ffeeddccbbaa99887766554433221100'
const deps = { outgoing: outgoingHere(), clock: Date.now, crypto }

/** An adapter as a connection would set it up. */
function adapterFor(server: CfsslServer, key: string | null, setting: AdapterSetting, more: object = {}): CaAdapter {
  const settings = caConnectionRequest.parse({
    kind: 'cfssl',
    name: 'CFSSL',
    recipient: 'Example GmbH',
    anchors: toPem('CERTIFICATE', server.ca),
    url: setting.url,
    timeoutSeconds: setting.timeoutSeconds ?? 30,
    ...more,
  })
  if (settings.kind !== 'cfssl') throw new Error('other settings')
  return createCfsslCa(deps, settings, { authKey: setting.credentials === 'wrong' ? wrongKey : key })
}

const running = (options: CfsslOptions) => async (): Promise<RunningCa> => {
  const server = await startCfssl(options)
  return {
    url: server.url,
    trust: { anchors: [server.ca], intermediates: [] },
    adapter: (setting) => adapterFor(server, options.authKey ?? null, setting),
    issued: () => server.records().length,
    stop: () => server.stop(),
  }
}

const longAddress = `${'a'.repeat(60)}@mail.example.com`
const orders: readonly OrderWanted[] = [
  { key: 'P-256', use: 'sign', profile: 'sign' },
  { key: 'P-256', use: 'encrypt', profile: 'encrypt-ec' },
  { key: 'P-384', use: 'dual', profile: 'dual-ec' },
  { key: 'P-521', use: 'dual', profile: 'dual-ec' },
  { key: 'RSA-2048', use: 'sign', profile: 'sign' },
  { key: 'RSA-2048', use: 'encrypt', profile: 'encrypt-rsa' },
  { key: 'RSA-2048', use: 'dual', profile: 'dual-rsa' },
  { use: 'sign', profile: 'sign', address: longAddress },
  { use: 'sign', profile: 'sign', address: "o'neil/x=y+{z}%&@xn--bcher-kva.example" },
]
const refused = [
  { order: { key: 'Ed25519', use: 'sign', profile: 'sign' }, failure: 'key_refused' },
  { order: { use: 'sign', profile: 'sign', address: 'jürgen@example.com' }, failure: 'request_refused' },
] as const

describeCaAdapter('cfssl, sign', {
  start: running({}),
  orders,
  refused,
  network: { tls: false, credentials: false },
  submits: 'issued',
  revokes: { strangers: 'permanent', credentials: false },
  finds: false,
})

describeCaAdapter('cfssl, authsign', {
  start: running({ authKey, takesKeyAlone: true }),
  orders: [
    ...orders,
    { ...orders[0], csrSubject: 'CN=a phone, O=Evil', csrNames: [{ type: 'dns', value: 'evil.example' }] },
  ],
  refused,
  network: { tls: false, credentials: true },
  submits: 'issued',
  revokes: { strangers: 'permanent', credentials: false },
  finds: false,
})

/** Runs a test with a server of its own. */
async function withCfssl(options: CfsslOptions, run: (server: CfsslServer) => Promise<void>): Promise<void> {
  const server = await startCfssl(options)
  try {
    await run(server)
  } finally {
    await server.stop()
  }
}

const trusted = (server: CfsslServer): RunningCa['trust'] => ({ anchors: [server.ca], intermediates: [] })

test('a check shows what the profile does, and that an unknown one is the default', async () => {
  await withCfssl({}, async (server) => {
    const factsOf = async (profile: string): Promise<unknown> =>
      await adapterFor(server, null, { url: server.url }, { profile }).check()
    const { fingerprintSha256, issuer } = await certificateFacts(crypto, server.ca)
    const common = { issuer, issuerSha256: fingerprintSha256, term: '2160h' }
    expect(await factsOf('sign')).toEqual({
      kind: 'ready',
      facts: { ...common, usages: 'digital signature, email protection' },
      issuers: [server.ca],
    })
    expect(await factsOf('no such profile')).toEqual({
      kind: 'ready',
      facts: { ...common, usages: 'server auth' },
      issuers: [server.ca],
      usagesWithoutMail: 'server auth',
    })

    const ordered = await makeOrder({ use: 'sign', profile: 'no such profile' })
    const outcome = await adapterFor(server, null, { url: server.url }).submit(ordered)
    expect(await verdict(trusted(server), ordered, outcome)).toEqual({ ok: false, reason: 'eku_unprofiled' })
  })
})

test.each([
  ['a profile that takes the key alone has nothing of them', true, { ok: true }],
  [
    'any other profile has them, which is why such requests are refused',
    false,
    { ok: false, reason: 'subject_foreign' },
  ],
] as const)('names in a request: %s', async (_, takesKeyAlone, expected) => {
  await withCfssl({ takesKeyAlone }, async (server) => {
    const adapter = adapterFor(server, null, { url: server.url })
    expect(adapter.describe().takesContentFromCsr).toBe(true)
    const ordered = await makeOrder({
      use: 'sign',
      profile: 'sign',
      csrSubject: 'CN=Mallory, O=Evil, E=mallory@example.com',
      csrNames: [{ type: 'email', value: 'mallory@example.com' }],
    })
    expect(await verdict(trusted(server), ordered, await adapter.submit(ordered))).toMatchObject(expected)
  })
})

test('an operator whose profiles take the key alone can say so', async () => {
  await withCfssl({ takesKeyAlone: true }, async (server) => {
    const adapter = adapterFor(server, null, { url: server.url }, { takesContentFromCsr: false })
    expect(adapter.describe().takesContentFromCsr).toBe(false)
  })
})

test('a request to become a CA is refused before anything is signed', async () => {
  await withCfssl({}, async (server) => {
    const ordered = await makeOrder({ profile: 'sign', csrExtensions: [new BasicConstraintsExtension(true)] })
    const outcome = await adapterFor(server, null, { url: server.url }).submit(ordered)
    expect(outcome).toMatchObject({ kind: 'permanent', failure: 'request_refused' })
    expect(server.records()).toEqual([])
  })
})

test.each([
  ['a key for a server that wants none', {}, authKey],
  ['no key for a server that wants one', { authKey }, null],
] as const)('%s: it has no such path, and the order waits until it is set right', async (_, options, given) => {
  await withCfssl(options, async (server) => {
    const adapter = adapterFor(server, given, { url: server.url })
    const failed = { failure: 'ca_error', caSaid: '404 page not found' }
    expect(await adapter.check()).toEqual({ kind: 'not_ready', ...failed })
    expect(await adapter.submit(await makeOrder({ profile: 'sign' }))).toMatchObject({ kind: 'transient', ...failed })
    expect(server.records()).toEqual([])
  })
})

test('what was signed and could not be kept there may exist', async () => {
  await withCfssl({}, async (server) => {
    server.loseDatabase()
    const outcome = await adapterFor(server, null, { url: server.url }).submit(await makeOrder({ profile: 'sign' }))
    expect(outcome).toMatchObject({ kind: 'unknown', failure: 'ca_error' })
  })
})

test('its database knows the reason of a revocation, also where it knows the key of the CA', async () => {
  await withCfssl({}, async (server) => {
    const adapter = adapterFor(server, null, { url: server.url })
    const outcome = await adapter.submit(await makeOrder({ use: 'sign', profile: 'sign' }))
    if (outcome.kind !== 'issued') throw new Error('not issued')
    const { certificate } = outcome
    const [record] = server.records()
    const { authorityKeyIdentifier = '' } = await certificateFacts(crypto, certificate)
    server.keepAuthorityKey(record?.serial ?? '', authorityKeyIdentifier)
    expect(await adapter.revoke?.({ certificate, reason: 'privilegeWithdrawn' })).toEqual({ kind: 'confirmed' })
    expect(server.records()).toMatchObject([{ status: 'revoked', reason: 9 }])
  })
})

test('a server without a database cannot revoke, and an operator has to know', async () => {
  await withCfssl({ withoutDatabase: true }, async (server) => {
    const adapter = adapterFor(server, null, { url: server.url })
    const outcome = await adapter.submit(await makeOrder({ use: 'sign', profile: 'sign' }))
    if (outcome.kind !== 'issued') throw new Error('not issued')
    const revoked = await adapter.revoke?.({ certificate: outcome.certificate, reason: null })
    expect(revoked).toMatchObject({ kind: 'permanent', failure: 'ca_error' })
  })
})
