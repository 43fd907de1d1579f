import type { Room } from '../api/room.ts'
import { faultsOfAll } from '../ports/authority.ts'
import type { AdminDeps } from './deps.ts'
import { personalData } from './personal-data.ts'
import { administratorRoutes } from './routes/administrators.ts'
import { logRoutes, overviewRoutes } from './routes/logs.ts'
import { subscriberRoutes } from './routes/subscribers.ts'
import { dropNamesEndedBefore, readAdministratorFaults } from './store.ts'
import { dayMilliseconds } from '../ports/time.ts'

const nameKeptMilliseconds = 365 * dayMilliseconds

/** Administrators and their API. */
export function createAdminRoom(deps: AdminDeps): Room {
  const { adminRoute } = deps
  return {
    routes: [
      administratorRoutes(deps, adminRoute),
      overviewRoutes(deps, adminRoute),
      subscriberRoutes(deps, adminRoute),
      logRoutes(deps, adminRoute),
    ],
    jobs: [
      {
        name: 'administrators-prune',
        cron: '17 3 * * *',
        run: async () => {
          const [pruned] = await deps.database.batch([dropNamesEndedBefore(deps.clock() - nameKeptMilliseconds)])
          deps.events.rowsPruned({ table: 'administrators', rows: pruned?.changes ?? 0 })
        },
      },
    ],
    personalData,
    checks: [
      {
        name: 'nobody else has written administrators',
        run: () => faultsOfAll((after, limit) => readAdministratorFaults(deps, after, limit)),
      },
    ],
  }
}
