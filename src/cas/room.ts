import type { AdminRoute } from '../api/admin-route.ts'
import type { Room } from '../api/room.ts'
import { connectionAdminRoutes } from './admin-routes.ts'
import { createChains } from './chains.ts'
import type { Connections } from './contract.ts'
import type { CaDeps } from './deps.ts'
import { openAuthorities, type Authorities, type AuthorityDeps } from './inside/authorities.ts'
import { createEmbeddedCa } from './inside/embedded.ts'
import { createOcspResponder, type OcspAnswer } from './inside/ocsp.ts'
import {
  currentRevocationList,
  issueRevocationLists,
  overdueLists,
  reissueRevocationLists,
} from './inside/revocation-list.ts'
import { deleteStatusesExpiredBefore, readAuthorityFaults, type RevocationListRow } from './inside/store.ts'
import { createOpening } from './open.ts'
import { personalData } from './personal-data.ts'
import { readRecipientOf, readRecipients, type Recipient } from './recipients.ts'
import { routingAdminRoutes } from './routing/admin-routes.ts'
import { routeRequest } from './routing/route.ts'
import { readRuleFaults, sealFirstRules } from './routing/store.ts'
import { deleteRemoved, insertEmbedded, readConnectionFaults, readConnections } from './store.ts'
import { caGauges, connectionWarnings } from './watch.ts'
import { dayMilliseconds } from '../ports/time.ts'

export interface CaRoom extends Room, Connections {
  readonly authorities: Authorities
  /** See `readRecipients`. */
  recipients(): Promise<readonly Recipient[]>
  /** The certificate of one of the two CAs inside. Null where there is no such CA. */
  certificateOf(authority: string): Uint8Array | null
  /** See `currentRevocationList`. */
  revocationListOf(authority: string): Promise<RevocationListRow | null>
  /** Issues every revocation list anew, with higher numbers than any before. */
  reissueRevocationLists(): Promise<void>
  readonly answerOcsp: (authority: string, request: Uint8Array) => Promise<OcspAnswer>
}

/** What the room is given. It opens the CA inside itself. */
export type GivenToCas = Omit<CaDeps, 'embedded' | 'authorities'> &
  Omit<AuthorityDeps, 'recordAudit' | 'madeWithCas'> & { readonly adminRoute: AdminRoute }

/** Longer than the interval of the root's lists, so that a revoked certificate stands on one list after its expiry. */
const statusKeptMilliseconds = 400 * dayMilliseconds

/** Deletes removed connections of which no request and no revocation is stored. */
async function forgetRemoved(deps: Pick<CaDeps, 'database' | 'keys' | 'uses' | 'events'>): Promise<void> {
  const { database, uses, events } = deps
  const rows = await readConnections(deps)
  const removed = rows.filter(({ state }) => state === 'removed').map(({ id }) => id)
  const kept = await uses.keptThrough(removed)
  const [forgotten] = await database.batch([deleteRemoved(removed.filter((id) => !kept.has(id)))])
  events.rowsPruned({ table: 'ca_connections', rows: forgotten?.changes ?? 0 })
}

async function forgetStatuses({ database, clock, events }: Pick<CaDeps, 'database' | 'clock' | 'events'>) {
  const [pruned] = await database.batch([deleteStatusesExpiredBefore(clock() - statusKeptMilliseconds)])
  events.rowsPruned({ table: 'certificate_statuses', rows: pruned?.changes ?? 0 })
}

/** CAs: the one inside, the connections to those that others run, and the rules that lead requests to them. */
export async function createCaRoom(given: GivenToCas): Promise<CaRoom> {
  const authorities = await openAuthorities({
    ...given,
    recordAudit: given.audit.record,
    madeWithCas: () => [insertEmbedded(given.keys), sealFirstRules(given.keys)],
  })
  const embedded = await createEmbeddedCa({ ...given, authorities })
  const base: CaDeps = { ...given, authorities, embedded }
  const { open, prepare } = createOpening(base)
  const deps = { ...base, open, prepare }
  const { root, issuing } = authorities
  return {
    authorities,
    open,
    route: (asked) => routeRequest(deps, asked),
    recipientOf: (id) => readRecipientOf(deps, id),
    chainOf: createChains(deps),
    recipients: () => readRecipients(deps),
    certificateOf: (authority) => [root, issuing].find(({ id }) => id === authority)?.certificate ?? null,
    revocationListOf: (authority) => currentRevocationList(deps, authority),
    reissueRevocationLists: () => reissueRevocationLists(deps),
    answerOcsp: createOcspResponder(deps),
    routes: [connectionAdminRoutes(deps, given.adminRoute), routingAdminRoutes(deps, given.adminRoute)],
    jobs: [
      { name: 'revocation-lists', cron: '* * * * *', run: () => issueRevocationLists(deps) },
      { name: 'certificate-statuses-prune', cron: '17 3 * * *', run: () => forgetStatuses(deps) },
      { name: 'ca-connections-prune', cron: '17 3 * * *', run: () => forgetRemoved(deps) },
    ],
    personalData,
    checks: [
      { name: 'nobody else has written CAs', run: () => readAuthorityFaults(deps) },
      { name: 'nobody else has written CA connections', run: () => readConnectionFaults(deps) },
      { name: 'nobody else has written routing rules', run: () => readRuleFaults(deps) },
    ],
    gauges: caGauges(deps),
    warnings: async () => [...(await overdueLists(deps)), ...(await connectionWarnings(deps))],
  }
}
