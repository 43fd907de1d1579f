import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { reportOf } from './processes.ts'

const failure = z.object({ failed: z.string() })

/** A load generator in a process of its own: it takes orders, and reports what came of each. */
export class LoadGenerator<Order extends object, Report> {
  readonly #child: ChildProcess
  readonly #report: z.ZodType<Report>

  private constructor(child: ChildProcess, report: z.ZodType<Report>) {
    this.#child = child
    this.#report = report
  }

  /** `script` is beside this file. */
  static async start<Order extends object, Report>(
    script: string,
    report: z.ZodType<Report>,
    parameters: readonly string[] = [],
  ): Promise<LoadGenerator<Order, Report>> {
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), parameters, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await reportOf(child)
    return new LoadGenerator<Order, Report>(child, report)
  }

  /** Throws where a server refuses or fails, unless the order counts refusals. */
  async run(order: Order): Promise<Report> {
    const reported = reportOf(this.#child)
    this.#child.send(order)
    const answer = await reported
    const failed = failure.safeParse(answer)
    if (failed.success) throw new Error(`a load generator failed: ${failed.data.failed}`)
    return this.#report.parse(answer)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}
