import { randomBytes, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { localOperator } from '../support/administrators.ts'
import {
  askForMany,
  askForOne,
  bringIn,
  cfsslAt,
  connectCa,
  kept,
  operatorsView,
  ownView,
  statesOf,
} from '../support/ca-drill.ts'
import { afterRestart, killedWhileSending, startWorker, withService } from '../support/ca-processes.ts'
import { startCfssl, type CfsslServer } from '../support/cfssl.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { register, type Registered } from '../support/story.ts'

/** The fault drills of `test/drills/ca-*` against a real CFSSL, counted in its own database. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let cfssl: CfsslServer
let proxy: LossyProxy
const authKey = randomBytes(16).toString('hex')
beforeEach(async () => {
  folder = await temporaryFolder()
  cfssl = await startCfssl({ authKey })
  proxy = await startLossyProxy(cfssl.port)
})
afterEach(async () => {
  await proxy.close()
  await cfssl.stop()
  await folder.remove()
})

const dataDir = (): string => join(folder.path, 'data')
const settings = () => ({
  ...cfsslAt({ ca: { root: cfssl.ca, issuing: cfssl.ca } }, `http://127.0.0.1:${proxy.port}`),
  intermediates: null,
  profile: 'dual-ec',
  authKey,
})
/** How many certificates CFSSL has made in all, and for how many keys. */
const counted = (): [number, number] => {
  const keys = cfssl
    .records()
    .map(({ certificate }) => new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }))
  return [keys.length, new Set(keys.map((key) => key.toString('base64'))).size]
}

test('the process is killed after CFSSL has signed: the operator brings in what its database holds', async () => {
  const { id } = await killedWhileSending(dataDir(), proxy, settings())
  await afterRestart(dataDir(), async ({ operator }) => {
    expect(await operatorsView(operator, id)).toMatchObject({ state: 'outcome_unknown', dueAt: null })
    const [made] = cfssl.records()
    expect((await bringIn(operator, id, made?.certificate ?? new Uint8Array())).status).toBe(200)
    expect((await operatorsView(operator, id)).state).toBe('issued')
  })
  expect(counted()).toEqual([1, 1])
})

test('two processes work one queue: 200 requests, 200 certificates', async () => {
  await proxy.behave('refuse')
  let behind = 0
  const asked = await withService(
    dataDir(),
    async ({ operator, api, mails }) => {
      await connectCa(operator, settings())
      // By the workers' clock the circuit has been open for long enough.
      behind = 3_600_000
      const subscribers: Registered[] = []
      for (let number = 0; number < 20; number += 1) {
        subscribers.push(await register(api, mails, `worker.${number}@example.com`))
      }
      return askForMany(subscribers, 10)
    },
    () => Date.now() - behind,
  )
  await proxy.behave('pass')
  const workers = [await startWorker(dataDir()), await startWorker(dataDir())]
  try {
    const got = await Promise.all(workers.map((worker) => worker.work()))
    expect(Math.min(...got)).toBeGreaterThan(0)
  } finally {
    for (const worker of workers) await worker.end()
  }
  await withService(dataDir(), async ({ operator, node }) => {
    expect(kept(await statesOf(operator, asked))).toBe(200)
    expect(await node.service.check()).toEqual([])
  })
  expect(counted()).toEqual([200, 200])
})

describe('within one process', () => {
  let harness: RoomHarness
  beforeEach(async () => {
    harness = await openRoomHarness('sqlite')
    // CFSSL goes by the machine's own time.
    harness.clock.now = Date.now()
  })
  afterEach(() => harness.close())

  test('the key of authsign is wrong in mid-queue: nothing fails, and what waits goes on with the right one', async () => {
    const operator = localOperator(harness)
    const connection = await connectCa(operator, settings())
    const path = `/v1/admin/ca-connections/${connection.id}`
    const change = async (key: string): Promise<void> => {
      const { version } = (await operator.get(path)).body
      const changed = await operator.put(path, { ...settings(), authKey: key }, { 'If-Match': `"${version}"` })
      expect(changed.status, JSON.stringify(changed.body)).toBe(200)
      await harness.settled()
    }
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    const before = await askForMany([alice], 5)
    await change(randomBytes(16).toString('hex'))
    const after = await askForMany([alice], 5)
    await harness.settled()
    expect(await statesOf(operator, after)).toEqual({ received: 5 })
    expect((await operator.get(path)).body.circuit).toMatchObject({ state: 'open', lastFailure: 'credential_refused' })
    await change(authKey)
    expect(kept(await statesOf(operator, [...before, ...after]))).toBe(10)
    expect(counted()).toEqual([10, 10])
    expect(await harness.service.check()).toEqual([])
  })

  test('cancelled while nobody knows of it: what the operator finds in the database of CFSSL is revoked there', async () => {
    const operator = localOperator(harness)
    await connectCa(operator, settings())
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    await proxy.behave('drop-answer')
    const asked = await askForOne(alice)
    await harness.settled()
    await proxy.behave('pass')
    expect((await alice.api.delete(`/v1/certificate-requests/${asked.id}`)).status).toBe(204)
    const [made] = cfssl.records()
    await bringIn(operator, asked.id, made?.certificate ?? new Uint8Array())
    expect((await ownView(asked)).state).toBe('cancelled')
    await harness.runJob('ca-revocations')
    await harness.settled()
    expect(cfssl.records()).toMatchObject([{ status: 'revoked' }])
    expect(await harness.service.check()).toEqual([])
  })
})
