import { Buffer } from 'node:buffer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DerSequence, readElement, tag } from '../../src/pki/der.ts'
import type { Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certificatePem } from '../support/pem.ts'
import { certify, publish, register, type Registered } from '../support/story.ts'
import { readLog } from '../support/check-service.ts'
import { Answered, countEverything, moveToAnotherDevice } from './support.ts'

const budget = 40

/** An answer of which a test reads the bytes. */
interface Form {
  readonly status: number
  readonly type: string | null
  readonly vary: string | null
  readonly bytes: Buffer
  readonly code: string | null
}

describe.each(engines)('the forms of a lookup on %s', (engine) => {
  const answered = new Answered()
  let harness: RoomHarness
  let bob: Registered
  let alice: Registered

  const ask = async (accept: string | null, addresses: readonly string[], use = 'encrypt'): Promise<Form> => {
    const headers = new Headers({ Authorization: `Bearer ${bob.credential}`, 'Content-Type': 'application/json' })
    if (accept !== null) headers.set('Accept', accept)
    const body = JSON.stringify({ addresses, use })
    const response = await harness.ask('/v1/lookups', { method: 'POST', headers, body })
    const bytes = Buffer.from(await response.arrayBuffer())
    const type = response.headers.get('Content-Type')
    const isProblem = type === 'application/problem+json'
    return {
      status: response.status,
      type,
      vary: response.headers.get('Vary'),
      bytes,
      code: isProblem ? JSON.parse(bytes.toString()).code : null,
    }
  }
  const logged = async (): Promise<number> => (await readLog(harness.journal.shards(), harness.keys)).length

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings: { LOOKUP_BUDGET_NEW_SUBSCRIBER: String(budget) } })
    bob = await register(harness.api, harness.mails, 'bob@example.com')
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    await publish(alice, (await certify(alice)).id)
  })
  afterAll(() => harness.close())

  test.each([
    [null, 'application/json'],
    ['', 'application/json'],
    ['*/*', 'application/json'],
    ['application/*', 'application/json'],
    ['text/html, application/xhtml+xml, */*;q=0.8', 'application/json'],
    ['application/pkix-cert', 'application/pkix-cert'],
    ['Application/PKIX-Cert', 'application/pkix-cert'],
    ['application/pkix-cert, */*', 'application/pkix-cert'],
    ['application/pkix-cert;q=0.5, application/json;q=0.4', 'application/pkix-cert'],
    ['application/pkix-cert;q=0.5, application/json', 'application/json'],
    ['application/pkix-cert;q=0.5, */*;q=0.9', 'application/json'],
    ['application/json;q=0, */*', 'application/pkix-cert'],
    ['application/x-pem-file', 'application/x-pem-file'],
    ['text/plain, application/x-pem-file;q=0.1', 'application/x-pem-file'],
    ['application/pkcs7-mime', 'application/pkcs7-mime; smime-type=certs-only'],
    ['application/pkcs7-mime; smime-type=certs-only', 'application/pkcs7-mime; smime-type=certs-only'],
    ['application/pkcs7-mime, application/pkix-cert;q=0.9', 'application/pkcs7-mime; smime-type=certs-only'],
  ])('Accept: %s is answered as %s', async (accept, type) => {
    const answer = await ask(accept, [alice.email])
    expect([answer.status, answer.type, answer.vary]).toEqual([200, type, 'Accept'])
  })

  test.each(['text/html', 'application/pkix-cert;q=0', '*/*;q=0', 'application/json;q=0', 'nonsense', 'image/*'])(
    'Accept: %s cannot be met, and nothing is looked up',
    async (accept) => {
      const before = await countEverything(harness)
      const two = [alice.email, 'nobody@example.com']
      const answer = await ask(accept, accept === 'application/json;q=0' ? two : [alice.email])
      expect([answer.status, answer.code, answer.vary]).toEqual([406, 'not_acceptable', 'Accept'])
      expect(await countEverything(harness)).toEqual(before)
    },
  )

  test.each(['application/pkix-cert', 'application/x-pem-file', 'application/pkcs7-mime'])(
    '%s is for one address',
    async (accept) => {
      const before = await countEverything(harness)
      const two = [alice.email, 'nobody@example.com']
      expect((await ask(accept, two)).code).toBe('not_acceptable')
      expect((await ask(accept, [alice.email, alice.email])).code).toBe('not_acceptable')
      expect(await countEverything(harness)).toEqual(before)
      expect((await ask(`${accept}, */*;q=0.1`, two)).type).toBe('application/json')
    },
  )

  test.each(['application/pkix-cert', 'application/x-pem-file', 'application/pkcs7-mime'])(
    '%s without a certificate is 404, whatever the reason, and logged',
    async (accept) => {
      const unpublished = await register(harness.api, harness.mails, `unpublished.${accept.slice(12)}@example.com`)
      await certify(unpublished)
      const before = await logged()
      const bodies = new Set<string>()
      for (const address of ['nobody@example.com', unpublished.email]) {
        const answer = await ask(accept, [address])
        expect([answer.status, answer.code, answer.vary]).toEqual([404, 'not_found', 'Accept'])
        bodies.add(answer.bytes.toString())
      }
      expect(bodies.size).toBe(1)
      expect(await logged()).toBe(before + 2)
      expect((await ask(accept, ['no address'])).code).toBe('not_found')
      expect(await logged()).toBe(before + 2)
    },
  )

  describe('of a mailbox with several certificates', () => {
    let pair: Registered
    /** What JSON says of them, newest first. */
    let published: Json[]

    beforeAll(async () => {
      pair = await register(harness.api, harness.mails, 'pair@example.com')
      await publish(pair, (await certify(pair)).id)
      await moveToAnotherDevice(harness, pair.subscriberId)
      harness.clock.now += 1
      await publish(pair, (await certify(pair)).id)
      published = (await answered.lookUp(bob, [pair.email]))[0].certificates
      expect(published).toHaveLength(2)
    })

    test('DER is the newest', async () => {
      const answer = await ask('application/pkix-cert', [pair.email])
      expect(answer.bytes.toString('base64')).toBe(published[0].certificate)
    })

    test('PEM is all of them, newest first, and nothing of their chains', async () => {
      const answer = await ask('application/x-pem-file', [pair.email])
      const pem = published.map(({ certificate }) => certificatePem(certificate)).join('')
      expect(answer.bytes.toString()).toBe(pem)
    })

    test('PKCS #7 is all of them with their chains, each once, in the order of DER', async () => {
      const answer = await ask('application/pkcs7-mime', [pair.email])
      const [, wrapped] = new DerSequence(readElement(answer.bytes, tag.sequence)).rest()
      if (wrapped === undefined) throw new Error('a ContentInfo has content')
      const signedData = new DerSequence(readElement(wrapped.content, tag.sequence))
      expect([...signedData.next(tag.integer).content]).toEqual([1])
      expect(signedData.next(tag.set).content).toHaveLength(0)
      // Only the type: there is no eContent, not even an empty one.
      expect(new DerSequence(signedData.next(tag.sequence)).rest()).toHaveLength(1)
      const carried = new DerSequence(signedData.next(0xa0)).rest(tag.sequence).map(({ bytes }) => Buffer.from(bytes))
      expect(signedData.next(tag.set).content).toHaveLength(0)
      signedData.end()
      const [first, second] = published
      const expected = new Set([first.certificate, second.certificate, ...first.chain])
      expect(expected.size).toBe(4)
      expect(carried).toEqual(carried.toSorted((left, right) => Buffer.compare(left, right)))
      expect(new Set(carried.map((der) => der.toString('base64')))).toEqual(expected)
      expect(carried).toHaveLength(4)
    })
  })

  test('every form spends the budget', async () => {
    const carol = await register(harness.api, harness.mails, 'carol@example.com')
    const headers = { Authorization: `Bearer ${carol.credential}`, 'Content-Type': 'application/json' }
    const askFor = async (number: number, accept: string): Promise<number> => {
      const body = JSON.stringify({ addresses: [`stranger.${number}@example.com`], use: 'encrypt' })
      const answer = await harness.ask('/v1/lookups', { method: 'POST', headers: { ...headers, Accept: accept }, body })
      await answer.text()
      return answer.status
    }
    const accepts = ['application/json', 'application/pkix-cert', 'application/x-pem-file', 'application/pkcs7-mime']
    for (let number = 0; number < budget; number += 1) {
      const accept = accepts[number % accepts.length] ?? ''
      expect(await askFor(number, accept)).toBe(accept === 'application/json' ? 200 : 404)
    }
    for (const accept of accepts) expect(await askFor(budget, accept)).toBe(429)
    for (const accept of accepts) expect(await askFor(0, accept)).toBe(accept === 'application/json' ? 200 : 404)
  })

  test('the service is whole', () => answered.check(harness))
})
