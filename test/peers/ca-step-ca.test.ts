import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caConnectionRequest } from '../../src/api/ca-shapes.ts'
import type { CaAdapter } from '../../src/cas/adapters/contract.ts'
import { createStepCa } from '../../src/cas/adapters/step-ca/step-ca.ts'
import { provisionerJwk } from '../../src/cas/adapters/step-ca/token.ts'
import { toPem } from '../../src/pki/pem.ts'
import { describeCaAdapter, type AdapterSetting, type RunningCa } from '../support/ca-contract.ts'
import { makeOrder } from '../support/ca-order.ts'
import { verdict } from '../support/ca-verdict.ts'
import { startStepCa, type StepCaServer } from '../support/step-ca.ts'
import { makeTlsPair } from '../support/tls.ts'
import { outgoingHere } from '../support/this-machine.ts'

const deps = {
  outgoing: outgoingHere(),
  clock: Date.now,
  crypto,
  random: { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) },
}

async function newKey(): Promise<Uint8Array> {
  const keys = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  return new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
}

const [key, strangersKey] = [await newKey(), await newKey()]
const foreign = (await makeTlsPair('somebody else')).certificate

/** An adapter as a connection would set it up. */
function adapterFor(server: StepCaServer, setting: AdapterSetting, provisioner = 'certbook'): CaAdapter {
  const settings = caConnectionRequest.parse({
    kind: 'step-ca',
    name: 'step-ca',
    recipient: 'Example GmbH',
    anchors: toPem('CERTIFICATE', server.root),
    url: setting.url,
    tlsAnchors: setting.tlsAnchors === 'foreign' ? foreign : toPem('CERTIFICATE', server.root),
    timeoutSeconds: setting.timeoutSeconds ?? 30,
    provisioner,
  })
  if (settings.kind !== 'step-ca') throw new Error('other settings')
  return createStepCa(deps, settings, { provisionerKey: setting.credentials === 'wrong' ? strangersKey : key })
}

const trusted = (server: StepCaServer): RunningCa['trust'] => ({ anchors: [server.root], intermediates: [] })

async function start(): Promise<RunningCa> {
  const server = await startStepCa([{ name: 'certbook', key: await provisionerJwk(crypto, key) }])
  return {
    url: server.url,
    trust: trusted(server),
    adapter: (setting) => adapterFor(server, setting),
    issued: async () => (await server.issued()).length,
    stop: () => server.stop(),
  }
}

describeCaAdapter('step-ca', {
  start,
  orders: [
    { key: 'P-256', use: 'sign' },
    { key: 'P-256', use: 'encrypt' },
    { key: 'P-384', use: 'dual' },
    { key: 'P-521', use: 'dual' },
    { key: 'RSA-2048', use: 'sign' },
    { key: 'RSA-2048', use: 'encrypt' },
    { key: 'RSA-2048', use: 'dual' },
    { key: 'Ed25519', use: 'sign' },
    { use: 'sign', csrSubject: 'CN=alice@example.com', csrNames: [{ type: 'email', value: 'alice@example.com' }] },
    { use: 'sign', address: `${'a'.repeat(60)}@mail.example.com` },
    { use: 'sign', address: "o'neil/x=y+{z}%&@xn--bcher-kva.example" },
  ],
  refused: [
    { order: { use: 'sign', address: 'jürgen@example.com' }, failure: 'request_refused' },
    { order: { use: 'sign', csrSubject: 'CN=a phone' }, failure: 'request_refused' },
    { order: { use: 'sign', csrNames: [{ type: 'email', value: 'mallory@example.com' }] }, failure: 'request_refused' },
  ],
  network: { tls: true, credentials: true },
  submits: 'issued',
  revokes: { strangers: 'confirmed', credentials: true },
  finds: false,
})

describe('a step-ca that is set up otherwise', () => {
  let server: StepCaServer
  const tlsTemplate = '{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }},"extKeyUsage":["serverAuth"]}'
  const signTemplate =
    '{"subject":{},"sans":{{ toJson .SANs }},"keyUsage":["digitalSignature"],"extKeyUsage":["emailProtection"]}'

  beforeAll(async () => {
    const jwk = await provisionerJwk(crypto, key)
    const others = Array.from({ length: 120 }, (_, index) => ({ name: `other ${index}`, key: jwk }))
    server = await startStepCa([
      ...others,
      { name: 'brief', key: jwk, longestTerm: '48h', usualTerm: '24h' },
      { name: 'sign only', key: jwk, template: signTemplate },
      { name: 'for servers', key: jwk, template: tlsTemplate },
      { name: 'broken', key: jwk, template: '{"subject":{},"keyUsage":"?"}' },
      { name: "a stranger's", key: await provisionerJwk(crypto, strangersKey) },
    ])
  })
  afterAll(async () => await server.stop())

  test('a term that is longer than its longest is left to it, and one certificate is issued', async () => {
    const adapter = adapterFor(server, { url: server.url }, 'brief')
    expect(await adapter.check()).toMatchObject({
      kind: 'ready',
      facts: { provisioner: 'brief', longestTerm: '48h0m0s' },
    })
    const before = (await server.issued()).length
    const ordered = await makeOrder({ use: 'sign', days: 90 })
    const outcome = await adapter.submit(ordered)
    expect(await verdict(trusted(server), ordered, outcome)).toMatchObject({ ok: true })
    expect((await server.issued()).length - before).toBe(1)
  })

  test('a term that it takes is the one that is asked for', async () => {
    const ordered = await makeOrder({ use: 'sign', days: 1 })
    const outcome = await adapterFor(server, { url: server.url }, 'brief').submit(ordered)
    const notAfter = new Date(Math.floor(ordered.notAfter.getTime() / 1_000) * 1_000)
    expect(await verdict(trusted(server), ordered, outcome)).toMatchObject({ ok: true, facts: { notAfter } })
  })

  test('the profile of an order is the provisioner', async () => {
    const ordered = await makeOrder({ use: 'sign', profile: 'sign only' })
    const outcome = await adapterFor(server, { url: server.url }, 'for servers').submit(ordered)
    expect(await verdict(trusted(server), ordered, outcome)).toMatchObject({ ok: true })
  })

  test('a template for TLS servers makes what is not kept', async () => {
    const ordered = await makeOrder({ use: 'sign' })
    const outcome = await adapterFor(server, { url: server.url }, 'for servers').submit(ordered)
    expect(await verdict(trusted(server), ordered, outcome)).toEqual({ ok: false, reason: 'eku_unprofiled' })
  })

  test('a fault inside it tells nothing of what it has done', async () => {
    const outcome = await adapterFor(server, { url: server.url }, 'broken').submit(await makeOrder())
    expect(outcome).toMatchObject({ kind: 'unknown', failure: 'ca_error' })
  })

  test.each(['nobody', "a stranger's"])('a provisioner that is not ours is told at once: %s', async (provisioner) => {
    const adapter = adapterFor(server, { url: server.url }, provisioner)
    expect(await adapter.check()).toMatchObject({ kind: 'not_ready', failure: 'credential_refused' })
    expect(await adapter.submit(await makeOrder())).toMatchObject({ kind: 'transient', failure: 'credential_refused' })
  })
})
