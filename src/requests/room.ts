import type { Room } from '../api/room.ts'
import type { Command } from '../ports/database.ts'
import { createEnrolmentAdministration, type EnrolmentAdministration } from './administration/read.ts'
import type { EnrolmentDeps } from './deps.ts'
import { enrolmentGauges, enrolmentWarnings } from './monitoring.ts'
import { personalData as caData } from '../cas/personal-data.ts'
import { personalData } from './personal-data.ts'
import { requestRoutes } from './routes.ts'
import { createOcspResponder, type OcspAnswer } from '../cas/inside/ocsp.ts'
import { currentRevocationList, issueRevocationLists, reissueRevocationLists } from '../cas/inside/revocation-list.ts'
import { deleteStatusesExpiredBefore, type RevocationListRow } from '../cas/inside/store.ts'
import { continueProvedRequests, failUnprovedRequests } from './waiting/mailbox-proof.ts'
import { toCancelledOfDevice, toCancelledOfMailbox, makeReceivedDue, toEnded } from './transitions.ts'
import { createEngine, type Engine } from './engine/engine.ts'

const dayMilliseconds = 86_400_000
/** Longer than the root waits with its next list, so that what was revoked stood on one after its expiry. */
const statusKeptMilliseconds = 400 * dayMilliseconds

export interface EnrolmentRoom extends Room {
  /** An authority's own certificate; null where there is no such authority. */
  certificateOf(authority: string): Uint8Array | null
  revocationListOf(authority: string): Promise<RevocationListRow | null>
  /** Issues every revocation list anew, with higher numbers than any before. */
  reissueRevocationLists(): Promise<void>
  /** Enrolment's part of the batch in which a mailbox ends for its subscriber. */
  onMailboxEnded(mailbox: string): Command[]
  /** Enrolment's part of the batch in which a device ends. */
  onDeviceEnded(device: string): Command[]
  /** What ends here in the batch in which certificates end: their requests. */
  onCertificatesEnded(certificates: readonly string[]): Command[]
  /** Enrolment's part of the batch in which a CA connection is put to use again: what waits for it is due at once. */
  onConnectionResumed(connection: string): Command[]
  /** Told after a mailbox was proved: what waited for it goes on soon. */
  onMailboxProved(mailbox: string): void
  /** Sends soon what waits for a CA connection. */
  readonly wake: Engine['wake']
  /** The command for an older copy of the data: what was under way at CAs elsewhere may have come further since. */
  readonly forgetProgress: Engine['forgetProgress']
  /** What administrators see and do here. */
  readonly administration: EnrolmentAdministration
  readonly answerOcsp: (authority: string, request: Uint8Array) => Promise<OcspAnswer>
}

/** Enrolment: certificate requests, their way through a CA, the certificates, and what is said of them. */
export function createEnrolmentRoom(deps: EnrolmentDeps): EnrolmentRoom {
  const { root, issuing } = deps.authorities
  const engine = createEngine(deps)
  return {
    certificateOf: (authority) => [root, issuing].find(({ id }) => id === authority)?.certificate ?? null,
    revocationListOf: (authority) => currentRevocationList(deps, authority),
    reissueRevocationLists: () => reissueRevocationLists(deps),
    onMailboxEnded: (mailbox) => [toCancelledOfMailbox(mailbox, deps.clock())],
    onDeviceEnded: (device) => [toCancelledOfDevice(device, deps.clock())],
    onCertificatesEnded: (certificates) => [toEnded(certificates, deps.clock())],
    onConnectionResumed: (connection) => [makeReceivedDue(connection, deps.clock())],
    onMailboxProved: () => deps.background.run('requests-proved', () => continueProvedRequests(deps, engine)),
    wake: (connection) => engine.wake(connection),
    forgetProgress: () => engine.forgetProgress(),
    answerOcsp: createOcspResponder(deps),
    administration: createEnrolmentAdministration(deps, engine),
    routes: [requestRoutes(deps, engine)],
    jobs: [
      { name: 'revocation-lists', cron: '* * * * *', run: () => issueRevocationLists(deps) },
      {
        name: 'certificate-statuses-prune',
        cron: '17 3 * * *',
        run: async () => {
          const before = deps.clock() - statusKeptMilliseconds
          const [pruned] = await deps.database.batch([deleteStatusesExpiredBefore(before)])
          deps.events.rowsPruned({ table: 'certificate_statuses', rows: pruned?.changes ?? 0 })
        },
      },
      { name: 'ca-connections-prune', cron: '17 3 * * *', run: () => deps.connections.forget() },
      { name: 'requests-resume', cron: '* * * * *', run: () => engine.run() },
      { name: 'requests-expire', cron: '* * * * *', run: () => engine.expire() },
      { name: 'requests-proved', cron: '* * * * *', run: () => continueProvedRequests(deps, engine) },
      { name: 'requests-unproved', cron: '* * * * *', run: () => failUnprovedRequests(deps) },
    ],
    personalData: [...caData, ...personalData],
    checks: [],
    gauges: enrolmentGauges(deps),
    warnings: () => enrolmentWarnings(deps),
  }
}
