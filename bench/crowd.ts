import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { CrowdOrder, CrowdReport } from './crowd-process.ts'
import { reportOf } from './processes.ts'

const script = fileURLToPath(new URL('./crowd-process.ts', import.meta.url))

const counts = z.record(z.string(), z.number())
const answer = z.union([
  z.object({ failed: z.string() }),
  z.object({ lookups: counts, dear: counts, seconds: z.number(), p50Milliseconds: z.number(), cores: z.number() }),
])

/** A crowd of clients in a process of its own. */
export class Crowd {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(): Promise<Crowd> {
    const child = fork(script, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    await reportOf(child)
    return new Crowd(child)
  }

  async run(order: CrowdOrder): Promise<CrowdReport> {
    const report = reportOf(this.#child)
    this.#child.send(order)
    const result = answer.parse(await report)
    if ('failed' in result) throw new Error(`a crowd failed: ${result.failed}`)
    return result
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}
