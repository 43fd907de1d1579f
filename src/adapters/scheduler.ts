import { Cron } from 'croner'
import type { Events } from '../events.ts'

interface ScheduledJob {
  readonly name: string
  readonly cron: string
  run(): Promise<void>
}

/** Runs jobs by their cron patterns (UTC) in this process. */
export class Scheduler {
  readonly #crons: readonly Cron[]
  readonly #running = new Set<Promise<void>>()

  constructor(jobs: readonly ScheduledJob[], events: Events) {
    this.#crons = jobs.map(
      (job) =>
        new Cron(job.cron, { timezone: 'UTC', protect: true }, async () => {
          const run = job.run().catch((error: unknown) => events.jobFailed({ job: job.name, error }))
          this.#running.add(run)
          await run
          this.#running.delete(run)
        }),
    )
  }

  /** No job starts any more; resolves when those that run have ended. */
  async stop(): Promise<void> {
    for (const cron of this.#crons) cron.stop()
    await Promise.all(this.#running)
  }
}
