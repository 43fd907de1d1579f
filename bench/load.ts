import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { LoadOrder, LoadReport } from './load-process.ts'
import { reportOf } from './processes.ts'

const script = fileURLToPath(new URL('./load-process.ts', import.meta.url))

const answer = z.union([
  z.object({ failed: z.string() }),
  z.object({
    answers: z.number(),
    found: z.number(),
    writes: z.number(),
    seconds: z.number(),
    p50Milliseconds: z.number(),
    p99Milliseconds: z.number(),
    cores: z.number(),
  }),
])

/** The load generator of a stock. */
export class Load {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(stockFolder: string): Promise<Load> {
    const child = fork(script, [stockFolder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    await reportOf(child)
    return new Load(child)
  }

  /** Throws where a server refuses or fails. */
  async run(order: LoadOrder): Promise<LoadReport> {
    const report = reportOf(this.#child)
    this.#child.send(order)
    const result = answer.parse(await report)
    if ('failed' in result) throw new Error(`the load on ${order.server} failed: ${result.failed}`)
    return result
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}
