import { Cron } from 'croner'
import type { Events } from '../events.ts'

interface ScheduledJob {
  readonly name: string
  readonly cron: string
  run(): Promise<void>
}

/** Long enough that the start is over, short enough for a machine that runs an hour a day. */
const catchUpMilliseconds = 60_000

const isNightly = ({ cron }: ScheduledJob): boolean => cron !== '* * * * *'

/**
 * Runs jobs in this process by their cron patterns (UTC). Nightly jobs also run one after the other a minute after the
 * start: a machine that is off at night must still delete what it has promised to delete.
 */
export class Scheduler {
  readonly #crons: readonly Cron[]
  readonly #running = new Set<Promise<void>>()
  readonly #catchUp: NodeJS.Timeout
  readonly #events: Events
  #stopped = false

  constructor(jobs: readonly ScheduledJob[], events: Events, afterStart: number = catchUpMilliseconds) {
    this.#events = events
    this.#crons = jobs.map(
      (job) => new Cron(job.cron, { timezone: 'UTC', protect: true }, () => this.#run(() => this.#attempt(job))),
    )
    this.#catchUp = setTimeout(() => void this.#run(() => this.#runInTurn(jobs.filter(isNightly))), afterStart)
  }

  /** Starts no more jobs. Resolves when the running ones have ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#catchUp)
    for (const cron of this.#crons) cron.stop()
    await Promise.all(this.#running)
  }

  async #runInTurn(jobs: readonly ScheduledJob[]): Promise<void> {
    for (const job of jobs) if (!this.#stopped) await this.#attempt(job)
  }

  #attempt(job: ScheduledJob): Promise<void> {
    return job.run().catch((error: unknown) => this.#events.jobFailed({ job: job.name, error }))
  }

  async #run(work: () => Promise<void>): Promise<void> {
    const run = work()
    this.#running.add(run)
    await run
    this.#running.delete(run)
  }
}
