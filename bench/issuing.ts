import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { makeCsr } from '../test/support/csr.ts'
import { openNodeService } from '../src/node.ts'
import { testConfig } from '../test/support/node-process.ts'
import { Cfssl, type CaKey } from './cfssl.ts'
import type { LibraryOrder } from './library.ts'
import { reportOf, ServerProcess } from './processes.ts'
import { stockSubscribers } from './stock.ts'

/** One round: certificates per second of CPU time, of each of the three with the same CSRs. */
export interface IssuingRound {
  readonly certbook: number
  readonly library: number
  readonly cfssl: number
}

export const certificatesPerRound = 300
const warmUpRounds = 3
const requestsAtOnce = 16

/** cfssl is quick, and its CPU time is told in hundredths of a second, so it signs each CSR several times. */
const cfsslPasses = 5

/** A device has one valid certificate for each use, so that each is a first one and supersedes none. */
const uses = ['sign', 'encrypt', 'dual'] as const

interface Task {
  readonly csr: string
  readonly use: (typeof uses)[number]
  readonly credential: string
  readonly address: string
}

const libraryScript = fileURLToPath(new URL('./library.ts', import.meta.url))
const libraryReport = z.object({ cpuMicroseconds: z.number() })

/** `@peculiar/x509` alone. */
async function startLibrary() {
  const child = fork(libraryScript, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await reportOf(child)
  return {
    measure: async (tasks: readonly Task[]): Promise<number> => {
      const report = reportOf(child)
      child.send(tasks.map(({ csr }) => csr) satisfies LibraryOrder)
      return perCpuSecond(tasks.length, libraryReport.parse(await report).cpuMicroseconds)
    },
    stop: async (): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}

/** The product, asked over HTTP; every certificate is durable before its answer, and the audit log is sealed. */
async function startCertbook(dataDir: string) {
  const server = await ServerProcess.start('certbook', dataDir)
  const request = async ({ csr, use, credential }: Task): Promise<void> => {
    const response = await fetch(`${server.url}/v1/certificate-requests`, {
      method: 'POST',
      headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
      body: JSON.stringify({ csr, use }),
    })
    const answer = await response.text()
    if (response.status !== 201) throw new Error(`certbook issues nothing: ${answer}`)
  }
  return {
    measure: async (tasks: readonly Task[]): Promise<number> => {
      const before = await server.cpuMicroseconds()
      await eachAtOnce(tasks, request)
      await server.settle()
      return perCpuSecond(tasks.length, (await server.cpuMicroseconds()) - before)
    },
    stop: () => server.stop(),
  }
}

async function startCfssl(folder: string, key: CaKey) {
  const cfssl = await Cfssl.start(folder, key)
  return {
    measure: async (tasks: readonly Task[]): Promise<number> => {
      const before = await cfssl.cpuMicroseconds()
      for (let pass = 0; pass < cfsslPasses; pass += 1) {
        await eachAtOnce(tasks, ({ csr, address }) => cfssl.sign(csr, address))
      }
      return perCpuSecond(cfsslPasses * tasks.length, (await cfssl.cpuMicroseconds()) - before)
    },
    stop: () => cfssl.stop(),
  }
}

const perCpuSecond = (count: number, microseconds: number): number => (count * 1_000_000) / microseconds

/** Does all tasks, a number of them at once. */
async function eachAtOnce(tasks: readonly Task[], act: (task: Task) => Promise<void>): Promise<void> {
  const left = tasks.values()
  const work = async (): Promise<void> => {
    for (const task of left) await act(task)
  }
  await Promise.all(Array.from({ length: requestsAtOnce }, work))
}

/** One CSR on a key of its own for each use of each device. */
async function makeTasks(dataDir: string, count: number): Promise<Task[]> {
  const tasks: Task[] = []
  for (const { credential, email } of await stockSubscribers(dataDir, Math.ceil(count / uses.length))) {
    for (const use of uses) tasks.push({ csr: await makeCsr(), use, credential, address: email })
  }
  return tasks
}

/** Makes the CA of an empty data directory. It keeps its key whatever CA_KEY says later. */
async function makeOwnCa(dataDir: string, key: CaKey): Promise<void> {
  const node = await openNodeService(testConfig(dataDir, { CA_KEY: key }))
  await node.settled()
  await node.close()
}

/**
 * Measures the three in turn, with the same CSRs in each round and new ones in the next. The CAs of certbook and of
 * cfssl have the same kind of key.
 */
export async function measureIssuing(folder: string, rounds: number, key: CaKey): Promise<IssuingRound[]> {
  const dataDir = join(folder, `issuing-${key}`)
  const started: { stop(): Promise<void> }[] = []
  const keep = <T extends { stop(): Promise<void> }>(process: T): T => {
    started.push(process)
    return process
  }
  try {
    const cfssl = keep(await startCfssl(join(folder, `cfssl-${key}`), key))
    await makeOwnCa(dataDir, key)
    const tasks = await makeTasks(dataDir, (rounds + warmUpRounds) * certificatesPerRound)
    const library = keep(await startLibrary())
    const certbook = keep(await startCertbook(dataDir))
    const measured: IssuingRound[] = []
    for (let round = 0; round < rounds + warmUpRounds; round += 1) {
      const part = tasks.slice(round * certificatesPerRound, (round + 1) * certificatesPerRound)
      measured.push({
        library: await library.measure(part),
        certbook: await certbook.measure(part),
        cfssl: await cfssl.measure(part),
      })
    }
    // Compiling the hot paths is no cost of a certificate.
    return measured.slice(warmUpRounds)
  } finally {
    await Promise.all(started.map((process) => process.stop()))
  }
}
