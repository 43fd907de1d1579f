import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { openNodeService, type NodeService } from '../../src/node.ts'
import { Api, askOver } from './api.ts'
import { connectCa, newCsr } from './ca-drill.ts'
import type { LossyProxy } from './lossy-proxy.ts'
import { MailPool } from './mail.ts'
import { startProcess, testConfig } from './node-process.ts'
import { endWithTests } from './processes.ts'
import { register } from './story.ts'

/** Fault drills of CA connections in which processes end, or are several. */

/** A worker that has not let go of a request for so long is gone. */
const leaseMilliseconds = 6 * 60_000

/** The service over the files, in this process and without a socket. */
export interface Opened {
  readonly node: NodeService
  readonly api: Api
  readonly operator: Api
  readonly mails: MailPool
}

/** Does something with the service over the files, and closes it again. */
export async function withService<T>(
  dataDir: string,
  act: (opened: Opened) => Promise<T>,
  clock: () => number = Date.now,
): Promise<T> {
  const mails = new MailPool()
  const node = await openNodeService(testConfig(dataDir), {
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

/**
 * Registers, has a real process send one request through a proxy before the CA, and kills that once the CA has answered.
 * Resolves to the request.
 */
export async function killedWhileSending(
  dataDir: string,
  proxy: LossyProxy,
  settings: unknown,
): Promise<{ id: string; key: string }> {
  const alice = await withService(dataDir, async ({ operator, api, mails }) => {
    await connectCa(operator, settings)
    return register(api, mails, 'alice@example.com')
  })
  await proxy.behave('hang')
  const service = await startProcess(dataDir)
  const { key, csr } = await newCsr(alice.email)
  const asking = new Api(askOver(service.url))
    .with(alice.credential)
    .post('/v1/certificate-requests', { csr, use: 'dual' })
    .catch(() => 'cut off')
  await proxy.answered(1)
  assert.equal((await service.end('SIGKILL')).signal, 'SIGKILL')
  assert.equal(await asking, 'cut off')
  await proxy.behave('pass')
  return withService(dataDir, async ({ operator }) => {
    const [request, ...others] = (await operator.get('/v1/admin/certificate-requests')).body.items
    assert.deepEqual([request?.state, others], ['submitting', []])
    return { id: request.id, key }
  })
}

/** Opens the files as a process that starts once the lease of the dead one is over, and has worked for some minutes. */
export function afterRestart<T>(dataDir: string, act: (opened: Opened) => Promise<T>): Promise<T> {
  let now = Date.now() + leaseMilliseconds
  const work = async (opened: Opened): Promise<T> => {
    for (let minute = 0; minute < 3; minute += 1) {
      await runJob(opened.node, 'requests-resume')
      await opened.node.settled()
      now += 60_000
    }
    const result = await act(opened)
    assert.deepEqual(await opened.node.service.check(), [])
    return result
  }
  return withService(dataDir, work, () => now)
}

const workerScript = fileURLToPath(new URL('../drills/ca-worker.ts', import.meta.url))
const workerReport = z.object({ got: z.int() })

/** A worker process that is ready; `work` has it work the queue until nothing is left there, and tells how many certificates it got. */
export async function startWorker(dataDir: string): Promise<{ work(): Promise<number>; end(): Promise<void> }> {
  const child: ChildProcess = fork(workerScript, [dataDir], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  if (child.pid !== undefined) child.once('exit', endWithTests(child.pid))
  const ended = once(child, 'exit')
  await once(child, 'message')
  return {
    work: async () => {
      const report = once(child, 'message')
      child.send('work')
      const [message] = await report
      await ended
      return workerReport.parse(message).got
    },
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await ended
    },
  }
}
