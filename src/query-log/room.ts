import {
  bearer,
  createRoute,
  createRoutes,
  deviceCaller,
  jsonAnswer,
  problemAnswer,
  timestamp,
  type AuthenticateDevice,
  type Room,
} from '../api/room.ts'
import { ownLookup, pageOf, pageQuery } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { Events } from '../events.ts'
import { rowsPerBatch, toEach, untilDone } from '../ports/bounded.ts'
import type { Journal } from '../ports/journal.ts'
import { openText, type Keys, type Sha256 } from '../ports/keys.ts'
import { singleGauge } from '../ports/meter.ts'
import type { LogDay, LookupLog } from '../ports/lookup-log.ts'
import type { Clock } from '../ports/runtime.ts'
import { searchLog, type FoundLookup, type LogQuestion } from './search/search.ts'
import { createBudgetUpkeep } from './budgets/upkeep.ts'
import { digestOfDay } from './days/digest.ts'
import { createDayUpkeep, type DayBook } from './days/upkeep.ts'
import { lowestIdAt } from './log-ids.ts'
import { logPlace } from './log-place.ts'
import { personalData } from './personal-data.ts'
import { createRecordLookup, type RecordLookup } from './record.ts'
import { countRecent, deleteLogBelow, deleteRecentBelow, moveRecentBelow, readOwn } from './store.ts'
import { dayMilliseconds } from '../ports/time.ts'

export interface QueryLogRoom extends Room {
  readonly record: RecordLookup
  /** One page of the log, newest first; see `searchLog`. */
  search(question: LogQuestion): Promise<{ items: FoundLookup[]; next: string | null }>
  /** The digest of a day, such as 2026-11-21, from its rows as they are. */
  digestOfDay(day: string): Promise<LogDay>
}

interface QueryLogDeps {
  readonly journal: Journal
  readonly keys: Keys
  readonly lookupLog: LookupLog
  readonly clock: Clock
  readonly events: Events
  readonly authenticate: AuthenticateDevice
  readonly keptDays: number
  readonly sha256: Sha256
  readonly days: DayBook
}

const ownLookupsRoute = createRoute({
  operationId: 'listOwnLookups',
  tags: ['Directory'],
  method: 'get',
  path: '/v1/me/lookups',
  summary: 'Your own lookups, newest first',
  security: bearer,
  request: { query: pageQuery },
  responses: { 200: jsonAnswer('One page', pageOf(ownLookup)), 401: problemAnswer('No valid credential') },
})

/** Rows stay in the recent table for at least this long, so the move never meets a row that is being written. */
const settledMilliseconds = 10_000

const readCursor = (cursor: string | undefined): number => {
  if (cursor === undefined) return Number.MAX_SAFE_INTEGER
  if (!/^\d{1,16}$/.test(cursor))
    throw new DomainError('invalid_request', 'cursor: send the one that the last page gave.')
  return Math.min(Number(cursor), Number.MAX_SAFE_INTEGER)
}

/** The query log: one row for each address of every lookup. The asker can read it. */
export function createQueryLogRoom(deps: QueryLogDeps): QueryLogRoom {
  const budgets = createBudgetUpkeep(deps)
  const days = createDayUpkeep(deps)
  const routes = createRoutes()
  routes.openapi(ownLookupsRoute, async (context) => {
    const caller = await deviceCaller(context, deps.authenticate)
    const { limit, cursor } = context.req.valid('query')
    await deps.keys.journal.prepare(deps.clock())
    const reader = deps.journal.shard(caller.subscriberId).reading('primary')
    const rows = await readOwn(reader, caller.subscriberId, readCursor(cursor), limit + 1)
    const page = rows.slice(0, limit)
    const last = page.at(-1)
    return context.json(
      {
        items: page.map((row) => ({
          at: timestamp(row.at),
          address: openText(deps.keys.journal, logPlace(row.id), row.addressSealed),
          status: row.status,
          interface: 'http' as const,
          deviceId: row.device,
        })),
        next: rows.length > limit && last !== undefined ? String(last.id) : null,
      },
      200,
    )
  })

  const move = async (): Promise<void> => {
    const below = lowestIdAt(deps.clock() - settledMilliseconds)
    await toEach(deps.journal.shards(), async (shard) => {
      await untilDone(async () => {
        const [moved] = await shard.batch(moveRecentBelow(below, rowsPerBatch))
        return moved?.changes ?? 0
      })
    })
  }

  return {
    record: createRecordLookup(deps),
    search: (question) => searchLog(deps, question),
    digestOfDay: (day) => digestOfDay(deps, day),
    routes: [routes],
    jobs: [
      budgets.job,
      { name: 'query-log-move', cron: '* * * * *', run: move },
      days.job(move),
      {
        name: 'query-log-prune',
        cron: '17 3 * * *',
        run: async () => {
          const below = lowestIdAt(deps.clock() - deps.keptDays * dayMilliseconds)
          await days.noteBefore(below)
          await toEach(deps.journal.shards(), async (shard) => {
            let rows = 0
            for (const deleteBelow of [deleteLogBelow, deleteRecentBelow]) {
              rows += await untilDone(async () => {
                const [pruned] = await shard.batch([deleteBelow(below, rowsPerBatch)])
                return pruned?.changes ?? 0
              })
            }
            deps.events.rowsPruned({ table: 'query_log', rows })
          })
        },
      },
    ],
    personalData,
    checks: [budgets.check],
    gauges: [
      singleGauge('certbook_journal_recent_rows', 'lookups logged and not yet moved by the minute job', async () => {
        const counts = await Promise.all(deps.journal.shards().map((shard) => countRecent(shard.reading('primary'))))
        return counts.reduce((sum, count) => sum + (count?.entries ?? 0), 0)
      }),
    ],
  }
}
