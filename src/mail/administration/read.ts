import type { Database } from '../../ports/database.ts'
import type { Clock } from '../../ports/runtime.ts'
import { finishedKeptMilliseconds } from '../retention.ts'
import { countMailGivenUpSince, countQueuedMail } from './store.ts'

/** How mail fares. Times in UTC milliseconds. */
interface MailCounts {
  readonly queued: number
  readonly oldestQueuedAt: number | null
  /** Given up within the last two days. */
  readonly givenUp: number
}

export interface MailAdministration {
  counts(): Promise<MailCounts>
}

export const createMailAdministration = (deps: {
  readonly database: Database
  readonly clock: Clock
}): MailAdministration => ({
  counts: async () => {
    const queued = await countQueuedMail(deps.database)
    const givenUp = await countMailGivenUpSince(deps.database, deps.clock() - finishedKeptMilliseconds)
    return { queued: queued?.mails ?? 0, oldestQueuedAt: queued?.oldestAt ?? null, givenUp: givenUp?.mails ?? 0 }
  },
})
