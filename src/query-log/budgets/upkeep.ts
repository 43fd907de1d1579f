import type { Check, Job } from '../../api/room.ts'
import type { Events } from '../../events.ts'
import { rowsPerBatch, untilDone } from '../../ports/bounded.ts'
import type { Command } from '../../ports/database.ts'
import type { Journal } from '../../ports/journal.ts'
import type { Clock } from '../../ports/runtime.ts'
import { dayOf } from './day.ts'
import { deleteAddressesBefore, deleteCountsBefore, readMiscounted } from './store.ts'

/** What the budgets ask for beside being spent: the nightly job that forgets former days, and their invariant. */
export function createBudgetUpkeep(deps: { journal: Journal; clock: Clock; events: Events }): {
  readonly job: Job
  readonly check: Check
} {
  const prune = (deleteBefore: (day: number, rows: number) => Command): Promise<number[]> => {
    const today = dayOf(deps.clock())
    return Promise.all(
      deps.journal.shards().map((shard) =>
        untilDone(async () => {
          const [deleted] = await shard.batch([deleteBefore(today, rowsPerBatch)])
          return deleted?.changes ?? 0
        }),
      ),
    )
  }
  return {
    job: {
      name: 'lookup-budgets-prune',
      cron: '17 3 * * *',
      run: async () => {
        const addresses = await prune(deleteAddressesBefore)
        const counts = await prune(deleteCountsBefore)
        const sum = (rows: readonly number[]): number => rows.reduce((total, number) => total + number, 0)
        deps.events.rowsPruned({ table: 'lookup_budget_addresses', rows: sum(addresses) })
        deps.events.rowsPruned({ table: 'lookup_budgets', rows: sum(counts) })
      },
    },
    check: {
      name: 'lookup budgets count what they keep',
      run: async () => {
        const faults = await Promise.all(
          deps.journal.shards().map((shard) => readMiscounted(shard, dayOf(deps.clock()))),
        )
        return faults
          .flat()
          .map(({ day, used, addresses }) => `on day ${day} ${used} are counted and ${addresses} are kept`)
      },
    },
  }
}
