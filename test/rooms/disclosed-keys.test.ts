import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { brainpoolCrypto } from '../../src/adapters/brainpool.ts'
import { proveHere } from '../../src/pki/private-keys/prove.ts'
import type { DisclosedBytes, KeyProver } from '../../src/ports/key-prover.ts'
import { integer, query } from '../../src/ports/database.ts'
import type { Answer } from '../support/api.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, register, type Registered } from '../support/story.ts'
import { privateKeyForms, publicKeyOf } from '../standards/private-key-forms.ts'

/** Reads keys when the test says so, and counts what it was given. */
class HeldProver implements KeyProver {
  readonly places = 4
  readonly reservedPlaces = 2
  milliseconds = 0
  given = 0
  #held: (() => void)[] | null = null
  #arrived: (() => void)[] = []

  async prove(keys: readonly DisclosedBytes[]) {
    this.given += 1
    this.#arrived.shift()?.()
    if (this.#held !== null) await new Promise<void>((resolve) => this.#held?.push(resolve))
    const proved = await proveHere({ crypto, brainpool: brainpoolCrypto }, keys)
    return { ...proved, milliseconds: this.milliseconds }
  }

  hold(): void {
    this.#held = []
  }

  letGo(): void {
    for (const resolve of this.#held ?? []) resolve()
    this.#held = null
  }

  /** Resolves when one more key has arrived. */
  arrival(): Promise<void> {
    return new Promise((resolve) => this.#arrived.push(resolve))
  }
}

const pemOf = async (pair: CryptoKeyPair): Promise<string> => {
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`
}

describe('of the keys that anyone sends', () => {
  let harness: RoomHarness
  let prover: HeldProver
  let alice: Registered
  const connection = { network: '192.0.2.0/24' }

  beforeEach(async () => {
    prover = new HeldProver()
    connection.network = '192.0.2.0/24'
    harness = await openRoomHarness('sqlite', { keyProver: prover, connection })
    alice = await register(harness.api, harness.mails, 'alice@example.com')
  })
  afterEach(() => harness.close())

  const report = (privateKey: string): Promise<Answer> => harness.api.post('/v1/key-compromise', { privateKey })
  const someKey = async (): Promise<string> => pemOf(await makeKeys())
  const blocked = async (): Promise<number> =>
    (await harness.main.first(query({ rows: integer }, 'SELECT COUNT(*) AS rows FROM blocked_keys')))?.rows ?? -1

  /** Sends keys of one network until it has all the places that it can have. */
  const fill = async (network: string): Promise<Promise<Answer>[]> => {
    connection.network = network
    const held: Promise<Answer>[] = []
    for (let sent = 0; sent < 2; sent++) {
      const arrived = prover.arrival()
      held.push(report(await someKey()))
      await arrived
    }
    return held
  }

  test('one network has two read at a time, and the others wait for none of them', async () => {
    prover.hold()
    const held = await fill('192.0.2.0/24')
    const refused = await report(await someKey())
    expect([refused.status, refused.body.code, refused.headers.get('Retry-After')]).toEqual([503, 'overloaded', '5'])
    const others = await fill('198.51.100.0/24')
    expect(prover.given).toBe(4)
    prover.letGo()
    expect((await Promise.all([...held, ...others])).map(({ status }) => status)).toEqual([200, 200, 200, 200])
  })

  test('a key that says it is known here has a place where the others are full, and is blocked', async () => {
    const pair = await makeKeys()
    const certificate = await certify(alice, { csr: await makeCsr({ keys: pair }) })
    prover.hold()
    const held = [...(await fill('192.0.2.0/24')), ...(await fill('198.51.100.0/24'))]
    connection.network = '203.0.113.0/24'
    expect((await report(await someKey())).status).toBe(503)
    const arrived = prover.arrival()
    const known = report(await pemOf(pair))
    await arrived
    // The same network has no second reserved place: it is asked to come again, at any entrance.
    expect((await report(await pemOf(pair))).status).toBe(503)
    expect((await harness.api.post('/v1/registrations', { email: await pemOf(pair) })).status).toBe(503)
    prover.letGo()
    expect((await known).status).toBe(200)
    await Promise.all(held)
    expect((await alice.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('revoked')
  })

  test('so has one whose curve is written out, and it is blocked', async () => {
    const body = (name: string): Uint8Array<ArrayBuffer> =>
      new Uint8Array(privateKeyForms.find((form) => form.name === name)?.body ?? [])
    const p256 = { name: 'ECDSA', namedCurve: 'P-256' }
    const privateKey = await crypto.subtle.importKey('pkcs8', body('key-p256'), p256, true, ['sign'])
    const publicKey = await crypto.subtle.importKey('spki', new Uint8Array(publicKeyOf('p256')), p256, true, ['verify'])
    const certificate = await certify(alice, { csr: await makeCsr({ keys: { privateKey, publicKey } }) })
    const explicit = Buffer.from(body('pkcs8-explicit-parameters-p256')).toString('base64')
    prover.hold()
    const held = [...(await fill('192.0.2.0/24')), ...(await fill('198.51.100.0/24'))]
    connection.network = '203.0.113.0/24'
    const arrived = prover.arrival()
    const known = report(explicit)
    await Promise.race([arrived, known])
    prover.letGo()
    expect((await known).status).toBe(200)
    await Promise.all(held)
    expect((await alice.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('revoked')
  })

  test('a public part that is not its own takes the place, and blocks nothing', async () => {
    const pair = await makeKeys()
    const certificate = await certify(alice, { csr: await makeCsr({ keys: pair }) })
    const jwk = await crypto.subtle.exportKey('jwk', pair.publicKey)
    const { d } = await crypto.subtle.exportKey('jwk', (await makeKeys()).privateKey)
    prover.hold()
    const held = [...(await fill('192.0.2.0/24')), ...(await fill('198.51.100.0/24'))]
    connection.network = '203.0.113.0/24'
    const arrived = prover.arrival()
    const forged = report(JSON.stringify({ ...jwk, d }))
    await arrived
    prover.letGo()
    await Promise.all([...held, forged])
    expect((await alice.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('valid')
  })

  test('a network that has used its time of the minute is asked to come again, and others are not', async () => {
    prover.milliseconds = 1_000
    expect([(await report(await someKey())).status, (await report(await someKey())).status]).toEqual([200, 200])
    const key = await someKey()
    const before = [prover.given, await blocked()]
    expect((await report(key)).status).toBe(503)
    const body = await harness.api.post('/v1/registrations', { email: key })
    expect([body.status, body.body.code]).toEqual([503, 'overloaded'])
    expect([prover.given, await blocked()]).toEqual(before)
    connection.network = '198.51.100.0/24'
    expect((await report(await someKey())).status).toBe(200)
    connection.network = '192.0.2.0/24'
    harness.clock.now += 60_000
    expect((await report(key)).status).toBe(200)
  })
})
