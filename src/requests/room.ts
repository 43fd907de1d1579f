import type { Room } from '../api/room.ts'
import type { Command } from '../ports/database.ts'
import { createEnrolmentAdministration, type EnrolmentAdministration } from './administration/read.ts'
import type { EnrolmentDeps } from './deps.ts'
import { personalData } from './personal-data.ts'
import { requestRoutes } from './routes.ts'
import { continueProvedRequests, failUnprovedRequests } from './waiting/mailbox-proof.ts'
import { toCancelledOfDevice, toCancelledOfMailbox, makeReceivedDue, toEnded } from './transitions.ts'
import { countOpenRequests } from './store.ts'
import { createEngine, type Engine } from './engine/engine.ts'

export interface EnrolmentRoom extends Room {
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
}

/** Enrolment: certificate requests, their way through a CA, the certificates, and what is said of them. */
export function createEnrolmentRoom(deps: EnrolmentDeps): EnrolmentRoom {
  const engine = createEngine(deps)
  return {
    onMailboxEnded: (mailbox) => [toCancelledOfMailbox(mailbox, deps.clock())],
    onDeviceEnded: (device) => [toCancelledOfDevice(device, deps.clock())],
    onCertificatesEnded: (certificates) => [toEnded(certificates, deps.clock())],
    onConnectionResumed: (connection) => [makeReceivedDue(connection, deps.clock())],
    onMailboxProved: () => deps.background.run('requests-proved', () => continueProvedRequests(deps, engine)),
    wake: (connection) => engine.wake(connection),
    forgetProgress: () => engine.forgetProgress(),
    administration: createEnrolmentAdministration(deps, engine),
    routes: [requestRoutes(deps, engine)],
    jobs: [
      { name: 'requests-resume', cron: '* * * * *', run: () => engine.run() },
      { name: 'requests-expire', cron: '* * * * *', run: () => engine.expire() },
      { name: 'requests-proved', cron: '* * * * *', run: () => continueProvedRequests(deps, engine) },
      { name: 'requests-unproved', cron: '* * * * *', run: () => failUnprovedRequests(deps) },
    ],
    personalData,
    checks: [],
    gauges: [
      {
        name: 'certbook_open_requests',
        means: 'certificate requests without an outcome yet, by state',
        label: 'state',
        read: async () => {
          const open = await countOpenRequests(deps.database)
          return new Map(open.map(({ state, requests }) => [state, requests]))
        },
      },
    ],
  }
}
