import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openNodeService, type NodeService } from '../../src/node.ts'
import { Api, askOver, type Json } from '../support/api.ts'
import {
  askForMany,
  bringIn,
  cfsslAt,
  connectCa,
  ejbcaAt,
  estAt,
  kept,
  newCsr,
  notExactlyOne,
  operatorsView,
  statesOf,
} from '../support/ca-drill.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { startEjbcaStub, type EjbcaStub } from '../support/ejbca-stub.ts'
import { startLossyProxy, type LossyProxy } from '../support/lossy-proxy.ts'
import { MailPool } from '../support/mail.ts'
import { startProcess, temporaryFolder, testConfig } from '../support/node-process.ts'
import { register, type Registered } from '../support/story.ts'

const leaseMilliseconds = 6 * 60_000

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

/** The service over the files, in this process and without a socket. */
interface Opened {
  readonly node: NodeService
  readonly api: Api
  readonly operator: Api
  readonly mails: MailPool
}

/** Does something with the service over the files, and closes it again. */
async function withService<T>(act: (opened: Opened) => Promise<T>, clock: () => number = Date.now): Promise<T> {
  const mails = new MailPool()
  const node = await openNodeService(testConfig(dataDir()), {
    clock,
    writeLog: () => undefined,
    mailer: { deliver: async ({ raw }) => mails.add(Buffer.from(raw).toString('utf8')) },
  })
  const api = new Api(async (path, init) =>
    node.service.fetch(new Request(`http://127.0.0.1${path}`, init), {
      peer: '127.0.0.1',
      encrypted: false,
      pkiOnly: false,
    }),
  )
  try {
    const result = await act({
      node,
      api,
      mails,
      operator: api.with(node.service.administration.localOperator()),
    })
    await node.settled()
    return result
  } finally {
    await node.close()
  }
}

const runJob = async ({ service }: NodeService, name: string): Promise<void> => {
  for (const job of service.jobs) if (job.name === name) await job.run()
}

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

  /** Registers, has a real process send one request, and kills that once the CA has answered. Resolves to the request. */
  const killedWhileSending = async (settings: Json): Promise<{ id: string; key: string }> => {
    const alice = await withService(async ({ operator, api, mails }) => {
      await connectCa(operator, settings)
      return register(api, mails, 'alice@example.com')
    })
    await proxy.behave('hang')
    const service = await startProcess(dataDir())
    const { key, csr } = await newCsr(alice.email)
    const asking = new Api(askOver(service.url))
      .with(alice.credential)
      .post('/v1/certificate-requests', { csr, use: 'dual' })
      .catch(() => 'cut off')
    await proxy.answered(1)
    expect((await service.end('SIGKILL')).signal).toBe('SIGKILL')
    expect(await asking).toBe('cut off')
    await proxy.behave('pass')
    const id = await withService(async ({ operator }) => {
      const { items } = (await operator.get('/v1/admin/certificate-requests')).body
      expect(items).toMatchObject([{ state: 'submitting' }])
      return items[0].id
    })
    return { id, key }
  }
  /** What a process finds that starts once the lease of the dead one is over, after some minutes of work. */
  const afterRestart = <T>(act: (opened: Opened) => Promise<T>): Promise<T> => {
    let now = Date.now() + leaseMilliseconds
    return withService(
      async (opened) => {
        for (let minute = 0; minute < 3; minute += 1) {
          await runJob(opened.node, 'requests-resume')
          await opened.node.settled()
          now += 60_000
        }
        const result = await act(opened)
        expect(await opened.node.service.check()).toEqual([])
        return result
      },
      () => now,
    )
  }

  test('by CFSSL: nobody can tell, until the operator brings the certificate in', async () => {
    proxy = await startLossyProxy(ca.port)
    const { id, key } = await killedWhileSending(cfsslAt(ca, `http://127.0.0.1:${proxy.port}`))
    await afterRestart(async ({ operator }) => {
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
    const { id, key } = await killedWhileSending(settings)
    await afterRestart(async ({ operator }) => expect((await operatorsView(operator, id)).state).toBe('issued'))
    expect([ca.issuedFor(key).length, ca.count()]).toEqual([1, 1])
  })

  test('by an EJBCA: what it has made is found there', async () => {
    proxy = await startLossyProxy(Number(new URL(ejbca.url).port))
    const { id } = await killedWhileSending(ejbcaAt(ejbca, `https://127.0.0.1:${proxy.port}`))
    await afterRestart(async ({ operator }) => expect((await operatorsView(operator, id)).state).toBe('issued'))
    expect([...ejbca.issued().values()]).toEqual([1])
  })
})

const workerScript = fileURLToPath(new URL('./ca-worker.ts', import.meta.url))
const workerReport = z.object({ sent: z.int() })

/** A worker process that is ready; `work` has it work the queue until nothing is left there. */
async function startWorker(): Promise<{ work(): Promise<number>; end(): Promise<void> }> {
  const child: ChildProcess = fork(workerScript, [dataDir()], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  await once(child, 'message')
  return {
    work: async () => {
      const report = once(child, 'message')
      child.send('work')
      const [message] = await report
      await ended
      return workerReport.parse(message).sent
    },
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await ended
    },
  }
}

test('two processes work one queue over the same files: each sends some, and none sends what the other has', async () => {
  await ca.goDown()
  const hourAgo = Date.now() - 3_600_000
  const asked = await withService(
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
  const workers = [await startWorker(), await startWorker()]
  try {
    const sent = await Promise.all(workers.map((worker) => worker.work()))
    expect(Math.min(...sent)).toBeGreaterThan(0)
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(200)
  } finally {
    for (const worker of workers) await worker.end()
  }
  await withService(async ({ operator, node }) => {
    const states = await statesOf(operator, asked)
    expect([kept(states), states]).toEqual([200, { issued: 20, ended: 180 }])
    expect(await node.service.check()).toEqual([])
  })
  expect(notExactlyOne(ca, asked)).toEqual({})
  expect(ca.count()).toBe(200)
})
