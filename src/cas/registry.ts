import type { Events } from '../events.ts'
import type { AuditRoom } from '../audit/room.ts'
import type { Database } from '../ports/database.ts'
import type { Gauge } from '../ports/meter.ts'
import type { Keys } from '../ports/keys.ts'
import type { OutgoingHttps } from '../ports/outgoing-https.ts'
import type { Clock, Random } from '../ports/runtime.ts'
import type { ProfileKind } from '../pki/key-usage.ts'
import type { CaAdapter, CaTrust } from './adapters/contract.ts'
import { routeRequest } from './routing/route.ts'
import { createRoutingAdministration, type RoutingAdministration } from './routing/administration.ts'
import { createConnectionAdministration, type ConnectionAdministration } from './administration.ts'
import { createChains } from './chains.ts'
import type { Connections } from './contract.ts'
import { createOpening } from './open.ts'
import { readRecipientOf, readRecipients, type Recipient } from './recipients.ts'
import { forgetConnections } from './store.ts'
import { connectionGauges, connectionWarnings } from './watch.ts'

/** What the connections are given. */
export interface ConnectionDeps {
  readonly database: Database
  readonly keys: Keys
  readonly crypto: Crypto
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly outgoing: OutgoingHttps
  /** The CA inside. */
  readonly embedded: {
    readonly adapter: CaAdapter
    readonly trust: CaTrust
    /** By which certificates and the privacy page name it. */
    readonly name: string
    readonly keyPolicy: ProfileKind
  }
  /** Told after a connection became usable again: what waits for it goes on soon. */
  readonly onConnectionUsable: (id: string) => void
}

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
export function createConnections(deps: ConnectionDeps): ConnectionRegistry {
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
      const [forgotten] = await deps.database.batch([forgetConnections()])
      deps.events.rowsPruned({ table: 'ca_connections', rows: forgotten?.changes ?? 0 })
    },
  }
}
