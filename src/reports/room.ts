import type { Room } from '../api/room.ts'
import type { Events } from '../events.ts'
import { toEach } from '../ports/bounded.ts'
import { pruneEndedDevices } from './check-in.ts'
import { personalData } from './personal-data.ts'
import { reportsRoutes, type ReportsRouteDeps } from './routes.ts'
import { deleteCheckInsBefore } from './store.ts'
import { dayMilliseconds } from '../ports/time.ts'

const unseenKeptMilliseconds = 180 * dayMilliseconds

/** What devices report: check-ins. */
export function createReportsRoom(deps: ReportsRouteDeps & { readonly events: Events }): Room {
  return {
    routes: [reportsRoutes(deps)],
    jobs: [
      {
        name: 'check-ins-prune',
        cron: '17 3 * * *',
        run: async () => {
          await toEach(deps.journal.shards(), async (shard) => {
            const [unseen] = await shard.batch([deleteCheckInsBefore(deps.clock() - unseenKeptMilliseconds)])
            const ended = await pruneEndedDevices(deps, shard)
            deps.events.rowsPruned({ table: 'check_ins', rows: (unseen?.changes ?? 0) + ended })
          })
        },
      },
    ],
    personalData,
    checks: [],
  }
}
