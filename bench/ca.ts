import { join } from 'node:path'
import { z } from 'zod'
import { openNodeService } from '../src/node.ts'
import { Api } from '../test/support/api.ts'
import { newCsr } from '../test/support/ca-drill.ts'
import { startCfssl, type CfsslServer } from '../test/support/cfssl.ts'
import { testConfig } from '../test/support/node-process.ts'
import { toPem } from '../test/support/pem.ts'
import { ServerProcess } from './processes.ts'
import { askFrom, stockSubscribers } from './stock.ts'

/** One round: the same number of requests through the product and straight to the same CFSSL. */
export interface ThroughCaRound {
  /** Requests per second of the clock on the wall, answered with their certificates. */
  readonly through: number
  readonly direct: number
  /** CPU of the product's process for one request, in microseconds, sealing of the audit log included. */
  readonly microseconds: number
}

export const requestsThroughCa = 300
const warmUpRounds = 3
const requestsAtOnce = 16
/** A device has one valid certificate for each use, so that each is a first one; with CFSSL's profile for each. */
const profiles = { sign: 'sign', encrypt: 'encrypt-ec', dual: 'dual-ec' } as const
const uses = ['sign', 'encrypt', 'dual'] as const

const withId = z.object({ id: z.string() })

interface Task {
  readonly csr: string
  readonly use: (typeof uses)[number]
  readonly credential: string
  readonly address: string
}

/** Connects CFSSL in the files of a data directory, with a rule for each use. */
async function connect(dataDir: string, cfssl: CfsslServer): Promise<void> {
  const node = await openNodeService(testConfig(dataDir))
  try {
    const operator = new Api(askFrom(node.service, 0)).with(node.service.administration.localOperator())
    const made = await operator.post('/v1/admin/ca-connections', {
      kind: 'cfssl',
      name: 'CFSSL',
      recipient: 'the bench',
      url: cfssl.url,
      anchors: toPem('CERTIFICATE', cfssl.ca),
    })
    if (made.status !== 201) throw new Error(`certbook connects no CFSSL: ${JSON.stringify(made.body)}`)
    const { id: connectionId } = withId.parse(made.body)
    for (const [index, use] of uses.entries()) {
      const rule = { position: index + 1, use, profile: profiles[use], connectionId }
      const ruled = await operator.post('/v1/admin/routing-rules', rule)
      if (ruled.status !== 201) throw new Error(`certbook takes no rule: ${JSON.stringify(ruled.body)}`)
    }
  } finally {
    await node.settled()
    await node.close()
  }
}

async function makeTasks(dataDir: string, count: number): Promise<Task[]> {
  const tasks: Task[] = []
  for (const { credential, email } of await stockSubscribers(dataDir, Math.ceil(count / uses.length))) {
    for (const use of uses) tasks.push({ csr: (await newCsr(email)).csr, use, credential, address: email })
  }
  return tasks
}

/** Does all tasks, a number of them at once; resolves to how many were done in a second. */
async function perSecond(tasks: readonly Task[], act: (task: Task) => Promise<void>): Promise<number> {
  const before = performance.now()
  const left = tasks.values()
  const work = async (): Promise<void> => {
    for (const task of left) await act(task)
  }
  await Promise.all(Array.from({ length: requestsAtOnce }, work))
  return (tasks.length * 1_000) / (performance.now() - before)
}

async function requestOf(server: ServerProcess, { csr, use, credential }: Task): Promise<void> {
  const response = await fetch(`${server.url}/v1/certificate-requests`, {
    method: 'POST',
    headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
    body: JSON.stringify({ csr, use }),
  })
  const answer = await response.text()
  if (response.status !== 201) throw new Error(`certbook issues nothing: ${answer}`)
}

async function signOf(cfssl: CfsslServer, { csr, use, address }: Task): Promise<void> {
  const response = await fetch(`${cfssl.url}/api/v1/cfssl/sign`, {
    method: 'POST',
    body: JSON.stringify({
      certificate_request: csr,
      hosts: [address],
      subject: { CN: address },
      profile: profiles[use],
    }),
  })
  const answer = await response.text()
  if (!answer.includes('BEGIN CERTIFICATE')) throw new Error(`cfssl signs nothing: ${answer}`)
}

/** Measures both in turn, with the same CSRs; CFSSL has the database that it needs to revoke. */
export async function measureThroughCa(
  folder: string,
  rounds: number,
  caKey: 'p256' | 'rsa4096',
): Promise<ThroughCaRound[]> {
  const dataDir = join(folder, `through-ca-${caKey}`)
  const cfssl = await startCfssl({ caKey })
  let server: ServerProcess | null = null
  try {
    const tasks = await makeTasks(dataDir, (rounds + warmUpRounds) * requestsThroughCa)
    await connect(dataDir, cfssl)
    server = await ServerProcess.start('certbook', dataDir)
    const certbook = server
    const measured: ThroughCaRound[] = []
    for (let round = 0; round < rounds + warmUpRounds; round += 1) {
      const part = tasks.slice(round * requestsThroughCa, (round + 1) * requestsThroughCa)
      const before = await certbook.cpuMicroseconds()
      const through = await perSecond(part, (task) => requestOf(certbook, task))
      await certbook.settle()
      const microseconds = ((await certbook.cpuMicroseconds()) - before) / part.length
      const direct = await perSecond(part, (task) => signOf(cfssl, task))
      measured.push({ through, direct, microseconds })
    }
    return measured.slice(warmUpRounds)
  } finally {
    await server?.stop()
    await cfssl.stop()
  }
}
