import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  askForMany,
  bringIn,
  cfsslAt,
  connectCa,
  ejbcaAt,
  estAt,
  kept,
  notExactlyOne,
  operatorsView,
  statesOf,
} from '../support/ca-drill.ts'
import { afterRestart, killedWhileSending, startWorker, withService } from '../support/ca-processes.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { startEjbcaStub, type EjbcaStub } from '../support/ejbca-stub.ts'
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { register, type Registered } from '../support/story.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let ca: CountingCa
beforeEach(async () => {
  folder = await temporaryFolder()
  ca = await startCountingCa()
})
afterEach(async () => {
  await ca.close()
  await folder.remove()
})

const dataDir = (): string => join(folder.path, 'data')

describe('the process is killed after the CA has accepted and before that is kept', () => {
  let ejbca: EjbcaStub
  let proxy: LossyProxy
  beforeEach(async () => {
    ejbca = await startEjbcaStub()
  })
  afterEach(async () => {
    await proxy.close()
    await ejbca.close()
  })

  test('by CFSSL: nobody can tell, until the operator brings the certificate in', async () => {
    proxy = await startLossyProxy(ca.port)
    const { id, key } = await killedWhileSending(dataDir(), proxy, cfsslAt(ca, `http://127.0.0.1:${proxy.port}`))
    await afterRestart(dataDir(), async ({ operator }) => {
      expect(await operatorsView(operator, id)).toMatchObject({
        state: 'outcome_unknown',
        lastFailure: 'worker_lost',
        dueAt: null,
      })
      const [made = new Uint8Array()] = ca.issuedFor(key)
      expect((await bringIn(operator, id, made)).status).toBe(200)
      expect((await operatorsView(operator, id)).state).toBe('issued')
    })
    expect([ca.issuedFor(key).length, ca.count()]).toEqual([1, 1])
  })

  test('by an EST server that answers again: the identical request heals it', async () => {
    ca.mood.answersAgain = true
    proxy = await startLossyProxy(ca.port)
    const settings = estAt(ca, `http://127.0.0.1:${proxy.port}`, { answersAgain: true })
    const { id, key } = await killedWhileSending(dataDir(), proxy, settings)
    await afterRestart(dataDir(), async ({ operator }) =>
      expect((await operatorsView(operator, id)).state).toBe('issued'),
    )
    expect([ca.issuedFor(key).length, ca.count()]).toEqual([1, 1])
  })

  test('by an EJBCA: what it has made is found there', async () => {
    proxy = await startLossyProxy(Number(new URL(ejbca.url).port))
    const { id } = await killedWhileSending(dataDir(), proxy, ejbcaAt(ejbca, `https://127.0.0.1:${proxy.port}`))
    await afterRestart(dataDir(), async ({ operator }) =>
      expect((await operatorsView(operator, id)).state).toBe('issued'),
    )
    expect([...ejbca.issued().values()]).toEqual([1])
  })
})

test('two processes work one queue over the same files: each sends some, and none sends what the other has', async () => {
  await ca.goDown()
  const hourAgo = Date.now() - 3_600_000
  const asked = await withService(
    dataDir(),
    async ({ operator, api, mails }) => {
      await connectCa(operator, cfsslAt(ca, ca.url))
      const subscribers: Registered[] = []
      for (let number = 0; number < 20; number += 1) {
        subscribers.push(await register(api, mails, `worker.${number}@example.com`))
      }
      return askForMany(subscribers, 10)
    },
    () => hourAgo,
  )
  await ca.comeBack()
  const workers = [await startWorker(dataDir()), await startWorker(dataDir())]
  try {
    const got = await Promise.all(workers.map((worker) => worker.work()))
    expect(Math.min(...got)).toBeGreaterThan(0)
    expect(got.reduce((sum, count) => sum + count, 0)).toBe(200)
  } finally {
    for (const worker of workers) await worker.end()
  }
  await withService(dataDir(), async ({ operator, node }) => {
    const states = await statesOf(operator, asked)
    expect([kept(states), states]).toEqual([200, { issued: 20, ended: 180 }])
    expect(await node.service.check()).toEqual([])
  })
  expect(notExactlyOne(ca, asked)).toEqual({})
  expect(ca.count()).toBe(200)
})
