import type { Gauge } from '../ports/meter.ts'
import { routeRequest } from './routing/route.ts'
import { createRoutingAdministration, type RoutingAdministration } from './routing/administration.ts'
import { createConnectionAdministration, type ConnectionAdministration } from './administration.ts'
import { createChains } from './chains.ts'
import type { Connections } from './contract.ts'
import type { CaDeps } from './deps.ts'
import { createOpening } from './open.ts'
import { readRecipientOf, readRecipients, type Recipient } from './recipients.ts'
import { deleteRemoved, readConnections } from './store.ts'
import { connectionGauges, connectionWarnings } from './watch.ts'

/** The connections, with what other parts of the service are told of them. */
export interface ConnectionRegistry extends Connections {
  readonly administration: ConnectionAdministration
  readonly routing: RoutingAdministration
  /** See `readRecipients`. */
  recipients(): Promise<readonly Recipient[]>
  /** See `connectionWarnings`. */
  warnings(): Promise<readonly string[]>
  readonly gauges: readonly Gauge[]
  /** Forgets removed connections to which nothing leads any more. */
  forget(): Promise<void>
}

/** The CA connections as data, and the rules that lead to them. */
export function createConnections(deps: CaDeps): ConnectionRegistry {
  const opening = createOpening(deps)
  const { open, prepare } = opening
  return {
    open,
    route: (asked) => routeRequest({ database: deps.database, open }, asked),
    recipientOf: (id) => readRecipientOf(deps, id),
    chainOf: createChains(deps.database),
    administration: createConnectionAdministration(deps, opening),
    routing: createRoutingAdministration({ ...deps, open }),
    recipients: () => readRecipients(deps),
    warnings: () => connectionWarnings({ ...deps, prepare }),
    gauges: connectionGauges(deps),
    forget: async () => {
      const rows = await readConnections(deps.database)
      const removed = rows.filter(({ state }) => state === 'removed').map(({ id }) => id)
      const kept = await deps.uses.keptThrough(removed)
      const [forgotten] = await deps.database.batch([deleteRemoved(removed.filter((id) => !kept.has(id)))])
      deps.events.rowsPruned({ table: 'ca_connections', rows: forgotten?.changes ?? 0 })
    },
  }
}
