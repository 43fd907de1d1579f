import type { Check, Job } from '../../api/room.ts'
import type { Events } from '../../events.ts'
import { rowsPerBatch, untilDone } from '../../ports/bounded.ts'
import type { Command } from '../../ports/database.ts'
import type { Journal } from '../../ports/journal.ts'
import type { LookupLog } from '../../ports/lookup-log.ts'
import type { Clock } from '../../ports/runtime.ts'
import { deletePayersBefore } from '../store.ts'
import { deleteAddressesBefore, deleteCountsBefore } from './store.ts'
import { dayNumberOf } from '../../ports/time.ts'

interface UpkeepDeps {
  readonly journal: Journal
  readonly lookupLog: LookupLog
  readonly clock: Clock
  readonly events: Events
}

const kept = [
  { table: 'lookup_budget_addresses', deleteBefore: deleteAddressesBefore },
  { table: 'lookup_budgets', deleteBefore: deleteCountsBefore },
  { table: 'lookup_payers', deleteBefore: deletePayersBefore },
] as const

/** The upkeep of the budgets: a nightly job that deletes former days, and their invariant. */
export function createBudgetUpkeep(deps: UpkeepDeps): { readonly job: Job; readonly check: Check } {
  const prune = async (deleteBefore: (day: number, rows: number) => Command): Promise<number> => {
    const today = dayNumberOf(deps.clock())
    const deleted = await Promise.all(
      deps.journal.shards().map((shard) =>
        untilDone(async () => {
          const [outcome] = await shard.batch([deleteBefore(today, rowsPerBatch)])
          return outcome?.changes ?? 0
        }),
      ),
    )
    return deleted.reduce((sum, rows) => sum + rows, 0)
  }
  return {
    job: {
      name: 'lookup-budgets-prune',
      cron: '17 3 * * *',
      run: async () => {
        for (const { table, deleteBefore } of kept) deps.events.rowsPruned({ table, rows: await prune(deleteBefore) })
      },
    },
    check: {
      name: 'lookup budgets count what is kept',
      run: async () => [...(await deps.lookupLog.faults())],
    },
  }
}
