import type { Job } from '../../api/room.ts'
import type { Journal } from '../../ports/journal.ts'
import type { Sha256 } from '../../ports/keys.ts'
import type { LogDay } from '../../ports/lookup-log.ts'
import type { Clock } from '../../ports/runtime.ts'
import { timeOfId } from '../log-ids.ts'
import { dayName, digestOfDay } from './digest.ts'
import { readOldest } from './store.ts'
import { dayMilliseconds, dayNumberOf } from '../../ports/time.ts'

/** Where the digests of days are written down, which is the audit log. */
export interface DayBook {
  wasDigested(day: string): Promise<boolean>
  /** Writes a digest down. Resolves when it is durable. */
  digested(digest: LogDay): Promise<void>
  /** Writes down that days before this one may lack rows, because their time is over. */
  pruned(firstWhole: string): Promise<void>
}

interface DayDeps {
  readonly journal: Journal
  readonly sha256: Sha256
  readonly clock: Clock
  readonly days: DayBook
  readonly keptDays: number
}

export interface DayUpkeep {
  /** Digests the days that are over. `move` moves their rows first. */
  readonly job: (move: () => Promise<void>) => Job
  /** Writes down what is about to be deleted. Call it before the rows below this id are. */
  noteBefore(id: number): Promise<void>
}

/** The last rows of a day are written, and moved, so long after it at the latest. */
const settledMilliseconds = 5 * 60_000

/** The upkeep of the digests: a job that makes them soon after midnight, and the notes of what was deleted by rule. */
export function createDayUpkeep(deps: DayDeps): DayUpkeep {
  const oldest = async (): Promise<number | null> => {
    const rows = await Promise.all(deps.journal.shards().map((shard) => readOldest(shard.reading('primary'))))
    const ids = rows.flatMap((row) => (row === null ? [] : [row.id]))
    return ids.length === 0 ? null : Math.min(...ids)
  }

  const lastDay = (): number => dayNumberOf(deps.clock() - settledMilliseconds) - 1

  /** The days that are over since the last one that was digested, and not before the oldest row, oldest first. */
  const missing = async (): Promise<string[]> => {
    const first = await oldest()
    if (first === null) return []
    const days: string[] = []
    const earliest = dayNumberOf(timeOfId(first))
    for (let day = lastDay(); day >= earliest; day -= 1) {
      if (await deps.days.wasDigested(dayName(day))) break
      days.unshift(dayName(day))
    }
    return days
  }

  return {
    job: (move) => ({
      name: 'query-log-digest',
      // A row that is changed before its day is digested is changed unseen: so soon after midnight, not at night.
      cron: '* * * * *',
      run: async () => {
        if (await deps.days.wasDigested(dayName(lastDay()))) return
        await move()
        for (const day of await missing()) await deps.days.digested(await digestOfDay(deps, day))
      },
    }),
    noteBefore: async (id) => {
      const first = await oldest()
      if (first === null || first >= id) return
      const cut = deps.clock() - deps.keptDays * dayMilliseconds
      await deps.days.pruned(dayName(Math.ceil(cut / dayMilliseconds)))
    },
  }
}
