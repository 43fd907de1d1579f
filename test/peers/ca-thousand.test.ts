import { randomInt, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { localOperator } from '../support/administrators.ts'
import {
  askForOne,
  bringIn,
  cfsslAt,
  connectCa,
  kept,
  minutesUntil,
  statesOf,
  type Asked,
} from '../support/ca-drill.ts'
import { startCfssl, type CfsslRecord, type CfsslServer } from '../support/cfssl.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts'
import { register, type Registered } from '../support/story.ts'

const people = 100
const each = 10
const askersAtOnce = 16
const lost = 0.1

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const keyOf = ({ certificate }: CfsslRecord): string =>
  new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }).toString('base64')

let harness: RoomHarness
let cfssl: CfsslServer
let proxy: LossyProxy
beforeAll(async () => {
  cfssl = await startCfssl()
  proxy = await startLossyProxy(cfssl.port)
  harness = await openRoomHarness('sqlite')
  // CFSSL goes by the machine's own time.
  harness.clock.now = Date.now()
})
afterAll(async () => {
  await harness.close()
  await proxy.close()
  await cfssl.stop()
})

test('1,000 requests through CFSSL, of whose answers a tenth is lost: 1,000 certificates, and all of them are kept', async () => {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31))
  console.log(`SEED=${seed}`)
  const random = seeded(seed)
  const operator = localOperator(harness)
  const settings = { ...cfsslAt({ ca: { root: cfssl.ca, issuing: cfssl.ca } }, `http://127.0.0.1:${proxy.port}`) }
  await connectCa(operator, { ...settings, intermediates: null, profile: 'dual-ec' })
  const subscribers: Registered[] = []
  for (let number = 0; number < people; number += 1) {
    subscribers.push(await register(harness.api, harness.mails, `one.of.many.${number}@company-${number % 7}.example`))
  }

  await proxy.behave(() => (random() < lost ? 'drop-answer' : 'pass'))
  const asked: Asked[] = []
  const toAsk = Array.from({ length: people * each }, (_, index) => subscribers[index % people]).values()
  const ask = async (): Promise<void> => {
    for (const subscriber of toAsk) if (subscriber !== undefined) asked.push(await askForOne(subscriber))
  }
  await Promise.all(Array.from({ length: askersAtOnce }, ask))
  await harness.settled()
  await minutesUntil(harness, async () => {
    const { received = 0, submitting = 0 } = await statesOf(operator, asked)
    return received + submitting === 0
  })

  const records = cfssl.records()
  const byKey = new Map(records.map((record) => [keyOf(record), record.certificate]))
  expect([records.length, byKey.size]).toEqual([people * each, people * each])
  const states = await statesOf(operator, asked)
  const { outcome_unknown: unknown = 0 } = states
  expect(unknown).toBeGreaterThan(0)
  expect(kept(states) + unknown, JSON.stringify(states)).toBe(people * each)
  console.log(`${unknown} requests are unknown until the operator has looked at CFSSL`)

  const { items } = (await operator.get('/v1/admin/certificate-requests?state=outcome_unknown&limit=200')).body
  expect(items).toHaveLength(unknown)
  for (const { id } of items) {
    const { key = '' } = asked.find((one) => one.id === id) ?? {}
    const brought = await bringIn(operator, id, byKey.get(key) ?? new Uint8Array())
    expect(brought.status, JSON.stringify(brought.body)).toBe(200)
  }
  expect(kept(await statesOf(operator, asked))).toBe(people * each)
  for (const { api } of subscribers) {
    expect((await api.get('/v1/certificates?limit=200')).body.items).toHaveLength(each)
  }
  expect(cfssl.records()).toHaveLength(people * each)
  expect(await harness.service.check()).toEqual([])
})
