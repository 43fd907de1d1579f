import type { AdminRoute } from '../api/admin-route.ts'
import type { Room } from '../api/room.ts'
import type { Command } from '../ports/database.ts'
import { requestAdminRoutes } from './admin-routes.ts'
import type { RequestDeps } from './deps.ts'
import { createEngine } from './engine/engine.ts'
import { personalData } from './personal-data.ts'
import { ownRequestRoutes } from './routes.ts'
import { faultsOfAll } from '../ports/authority.ts'
import { countOpenRequests, readIsRequested, readDecisionFaults, readRequestFaults } from './store.ts'
import {
  makeReceivedDue,
  toCancelledOfDevice,
  toCancelledOfMailbox,
  toEnded,
  toUnknownAfterRestore,
} from './transitions.ts'

export interface RequestsRoom extends Room {
  /** What is written here in the batch in which a mailbox ends: its requests are cancelled. */
  onMailboxEnded(mailbox: string): Command[]
  /** What is written here in the batch in which a device ends: its requests are cancelled. */
  onDeviceEnded(device: string): Command[]
  /** What is written here in the batch in which certificates end: their requests end. */
  onCertificatesEnded(certificates: readonly string[]): Command[]
  /** What is written here in the batch that puts a CA connection to use again: what waits for it is due at once. */
  onConnectionResumed(connection: string): Command[]
  /** Takes requests on soon whose mailbox was proved. */
  onMailboxProved(mailbox: string): void
  /** Whether a key was ever asked a certificate for. */
  isKeyRequested(keyIndex: string): Promise<boolean>
  /** Sends soon what waits for a CA connection. */
  wake(connection: string): void
  /** What is written after an older copy of the data was put back. See `toUnknownAfterRestore`. */
  onRestored(): Command[]
}

/** Certificate requests, on their way through a CA. */
export function createRequestsRoom(deps: RequestDeps & { readonly adminRoute: AdminRoute }): RequestsRoom {
  const engine = createEngine(deps)
  return {
    onMailboxEnded: (mailbox) => [toCancelledOfMailbox(mailbox, deps.clock())],
    onDeviceEnded: (device) => [toCancelledOfDevice(device, deps.clock())],
    onCertificatesEnded: (certificates) => [toEnded(certificates, deps.clock())],
    onConnectionResumed: (connection) => [makeReceivedDue(connection, deps.clock())],
    onMailboxProved: () => deps.background.run('requests-proved', () => engine.continueProved()),
    isKeyRequested: async (keyIndex) => (await readIsRequested(deps.database, keyIndex)) !== null,
    wake: (connection) => engine.wake(connection),
    onRestored: () => [toUnknownAfterRestore(deps.clock())],
    routes: [ownRequestRoutes(deps, engine), requestAdminRoutes(deps, engine, deps.adminRoute)],
    jobs: [
      { name: 'requests-resume', cron: '* * * * *', run: () => engine.run() },
      { name: 'requests-expire', cron: '* * * * *', run: () => engine.expire() },
      { name: 'requests-proved', cron: '* * * * *', run: () => engine.continueProved() },
      { name: 'requests-unproved', cron: '* * * * *', run: () => engine.expireUnproved() },
    ],
    personalData,
    checks: [
      {
        name: 'nobody else has written certificate requests',
        run: () => faultsOfAll((after, limit) => readRequestFaults(deps, after, limit)),
      },
      {
        name: 'nobody else has written approvals',
        run: () => faultsOfAll((after, limit) => readDecisionFaults(deps, after, limit)),
      },
    ],
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
