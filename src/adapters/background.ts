import type { Events } from '../events.ts'
import type { Background } from '../ports/runtime.ts'

/** Background work of one process. Await `settled` before the process ends. */
export class ProcessBackground implements Background {
  readonly #events: Events
  readonly #running = new Set<Promise<void>>()

  constructor(events: Events) {
    this.#events = events
  }

  /** Starts after the current turn, so it does not delay the answer. */
  run(name: string, task: () => Promise<void>): void {
    const run = (async () => {
      await new Promise((resolve) => setImmediate(resolve))
      await task()
    })().catch((error: unknown) => this.#events.jobFailed({ job: name, error }))
    this.#running.add(run)
    void run.finally(() => this.#running.delete(run))
  }

  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
