import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { answerFirstMutant, unsyncedMutant } from '../faults/mutant.ts'
import type { ServiceCommand } from '../faults/load.ts'
import { Api, askOver } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { lookUp, register } from '../support/story.ts'
import { requireProgram } from './programs.ts'

const ownCommand = [process.execPath, fileURLToPath(new URL('../../src/cli.ts', import.meta.url)), 'serve']
const lookups = Array.from({ length: 8 }, (_, index) => `traced${index}@fsync.example`)

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

/** One thing that the service did, in the order in which the kernel saw it. */
type Step =
  | { readonly what: 'row written' }
  | { readonly what: 'log synced' }
  | { readonly what: 'answered'; readonly address: string }

/**
 * Reads what a trace of all threads in one file says of the lookups. A call that another thread's event interrupted stands in two lines,
 * "unfinished" and "resumed": what goes out counts from its beginning, and a sync from its return.
 */
function stepsOf(trace: string): Step[] {
  const steps: Step[] = []
  const syncing = new Set<string>()
  for (const line of trace.split('\n')) {
    const [, thread = '', call = ''] = /^(\d+)\s+[\d:.]+ (.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. (?:fsync|fdatasync) resumed>.* = (-?\d+)/.exec(call)
    const began = /^(\w+)\(\d+<([^>]*)>/.exec(call)
    if (resumed !== null) {
      if (syncing.delete(thread) && resumed[1] === '0') steps.push({ what: 'log synced' })
      continue
    }
    const [, name = '', file = ''] = began ?? []
    if (file.endsWith('/journal.db-wal')) {
      if (name === 'pwrite64' || name === 'write') steps.push({ what: 'row written' })
      else if (name === 'fsync' || name === 'fdatasync') {
        if (call.endsWith('<unfinished ...>')) syncing.add(thread)
        else if (call.endsWith(' = 0')) steps.push({ what: 'log synced' })
      }
    } else if (/^(write|writev|sendto|sendmsg)$/.test(name)) {
      // The credential's answer is the last thing before the lookups; the schema was written before it.
      if (call.includes('HTTP/1.1 201')) steps.length = 0
      const address = lookups.find((candidate) => call.includes(candidate))
      if (address !== undefined && call.includes('HTTP/1.1 200')) steps.push({ what: 'answered', address })
    }
  }
  return steps
}

/**
 * The lookups, in the order asked, whose answer went out before their row was written and synced. They were asked one
 * after the other, so each has a group of its own, and the answer of number n needs n groups synced before it, with
 * nothing written since: a row that comes late cannot pass for the next lookup's.
 */
function answeredTooEarly(steps: readonly Step[]): string[] {
  const early: string[] = []
  let written = false
  let synced = 0
  let answered = 0
  for (const step of steps) {
    if (step.what === 'row written') written = true
    else if (step.what === 'log synced') {
      if (written) synced += 1
      written = false
    } else {
      answered += 1
      if (synced < answered || written) early.push(step.address)
    }
  }
  return early
}

const firstChild = async (pid: number): Promise<number> => {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return Number(children.trim().split(' ')[0])
}

/** Registers with a service under strace, asks it the lookups, and returns what it did for them. */
async function traceLookups(service: ServiceCommand): Promise<Step[]> {
  const trace = join(folder.path, 'trace')
  const calls = 'openat,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync'
  const strace = ['strace', '-f', '-y', '-tt', '-s', '4096', '-e', `trace=${calls}`, '-o', trace]
  const dataDir = join(folder.path, 'data')
  const mails = await watchOutbox(join(dataDir, 'outbox'))
  const traced = await startProcess(dataDir, { ...service, command: [...strace, ...(service.command ?? ownCommand)] })
  const tracer = traced.child.pid
  assert(tracer !== undefined)
  const pid = await firstChild(tracer)
  try {
    const asker = await register(new Api(askOver(traced.url)), mails, 'asker@fsync.example')
    for (const address of lookups) await lookUp(asker, [address])
  } finally {
    mails.close()
    // The service ends by itself, and strace after it with the trace complete.
    process.kill(pid, 'SIGTERM')
    if (traced.child.exitCode === null) await once(traced.child, 'exit')
  }
  assert.equal(traced.child.exitCode, 0, traced.output())
  return stepsOf(await readFile(trace, 'utf8'))
}

test('between a row of the query log and its answer stands an fsync that has returned', async () => {
  await requireProgram('strace', 'strace')
  const steps = await traceLookups({})
  expect(steps.flatMap((step) => (step.what === 'answered' ? [step.address] : []))).toEqual(lookups)
  expect(answeredTooEarly(steps)).toEqual([])
})

test.each([
  { kind: 'answers before it writes', make: answerFirstMutant },
  { kind: 'writes without a sync', make: unsyncedMutant },
])('the same check finds out a service that $kind', async ({ make }) => {
  await requireProgram('strace', 'strace')
  const mutant = await make()
  try {
    const steps = await traceLookups(mutant)
    expect(steps.flatMap((step) => (step.what === 'answered' ? [step.address] : []))).toEqual(lookups)
    expect(answeredTooEarly(steps)).toEqual(lookups)
  } finally {
    await mutant.remove()
  }
})
