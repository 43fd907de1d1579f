import type { Room } from '../api/room.ts'
import type { PrivateKeyFinding } from '../pki/private-keys/detect.ts'
import { GuardBroken, type Command } from '../ports/database.ts'
import { createEnrolmentAdministration, type EnrolmentAdministration } from './administration/read.ts'
import type { EnrolmentDeps, GivenToEnrolment } from './deps.ts'
import { createDisclosedKeys, keyCompromiseRoutes, type Disclosure } from '../certificates/keys/compromise.ts'
import { deleteChallengesExpiredBefore } from '../certificates/keys/store.ts'
import { enrolmentGauges, enrolmentWarnings } from './monitoring.ts'
import { personalData } from './personal-data.ts'
import { certificatesToRenew, remindHolders, type DueRenewals } from '../certificates/renewal/remind.ts'
import { requestRoutes } from './routes.ts'
import { certificateRoutes } from '../certificates/routes.ts'
import { endCertificate, readRunOut } from '../certificates/store.ts'
import { createOcspResponder, type OcspAnswer } from '../cas/inside/ocsp.ts'
import { adoptRevocationList, type AdoptedList } from '../certificates/adopt-list.ts'
import { currentRevocationList, issueRevocationLists, reissueRevocationLists } from '../cas/inside/revocation-list.ts'
import { deleteStatusesExpiredBefore, readLeftUnrevoked, type RevocationListRow } from '../cas/inside/statuses.ts'
import { drawConsequences } from '../certificates/consequences.ts'
import { continueProvedRequests, failUnprovedRequests } from './waiting/mailbox-proof.ts'
import { cancelRequestsOfDevice, cancelRequestsOfMailbox } from './waiting/store.ts'
import { createEngine, type Engine } from './engine/engine.ts'
import { followForeignLists } from '../certificates/foreign-lists/run.ts'
import { createForwarding } from '../certificates/forwarding/deliver.ts'

const dayMilliseconds = 86_400_000
/** Longer than the root waits with its next list, so that what was revoked stood on one after its expiry. */
const statusKeptMilliseconds = 400 * dayMilliseconds

/** Marks certificates whose time is over; the directory drops them in the same batch. */
async function expireCertificates(deps: EnrolmentDeps): Promise<void> {
  for (const { id, request } of await readRunOut(deps.database, deps.clock(), 500)) {
    try {
      await deps.database.batch([
        ...endCertificate(id, request, 'expired', deps.clock()),
        ...deps.onCertificatesEnded([id]),
        ...deps.audit.record({
          action: 'certificate.expired',
          actorKind: 'service',
          actor: null,
          subjectKind: 'certificate',
          subject: id,
        }),
      ])
    } catch (error) {
      if (!(error instanceof GuardBroken)) throw error
    }
  }
}

export interface EnrolmentRoom extends Room {
  /** An authority's own certificate; null where there is no such authority. */
  certificateOf(authority: string): Uint8Array | null
  revocationListOf(authority: string): Promise<RevocationListRow | null>
  /** Issues every revocation list anew, with higher numbers than any before. */
  reissueRevocationLists(): Promise<void>
  /** See `adoptRevocationList`. */
  adoptRevocationList(list: Uint8Array): Promise<AdoptedList>
  /** Enrolment's part of the batch in which a mailbox ends for its subscriber. */
  onMailboxEnded(mailbox: string): Command[]
  /** Enrolment's part of the batch in which a device ends. */
  onDeviceEnded(device: string): Command[]
  /** Told after a mailbox was proved: what waited for it goes on soon. */
  onMailboxProved(mailbox: string): void
  /** Revokes soon what rested on a mailbox or device that has ended. */
  drawConsequencesSoon(): void
  /** Sends soon what waits for a CA connection. */
  readonly wake: Engine['wake']
  /** The command for an older copy of the data: what was under way at CAs elsewhere may have come further since. */
  readonly forgetProgress: Engine['forgetProgress']
  /** See `certificatesToRenew`. */
  certificatesToRenew(device: string): Promise<DueRenewals>
  /** Blocks the key that a body disclosed and revokes its certificates, where it can be read and proved. */
  readonly blockDisclosedKey: (finding: PrivateKeyFinding) => Promise<Disclosure>
  /** What administrators see and do here. */
  readonly administration: EnrolmentAdministration
  readonly answerOcsp: (authority: string, request: Uint8Array) => Promise<OcspAnswer>
}

/** Enrolment: certificate requests, their way through a CA, the certificates, and what is said of them. */
export function createEnrolmentRoom(given: GivenToEnrolment): EnrolmentRoom {
  const forwarding = createForwarding(given)
  const deps: EnrolmentDeps = { ...given, tellCasSoon: () => forwarding.wake() }
  const { root, issuing } = deps.authorities
  const blockDisclosedKey = createDisclosedKeys(deps)
  const engine = createEngine(deps)
  return {
    certificateOf: (authority) => [root, issuing].find(({ id }) => id === authority)?.certificate ?? null,
    revocationListOf: (authority) => currentRevocationList(deps, authority),
    reissueRevocationLists: () => reissueRevocationLists(deps),
    adoptRevocationList: (list) => adoptRevocationList(deps, list),
    onMailboxEnded: (mailbox) => [cancelRequestsOfMailbox(mailbox, deps.clock())],
    onDeviceEnded: (device) => [cancelRequestsOfDevice(device, deps.clock())],
    onMailboxProved: () => deps.background.run('requests-proved', () => continueProvedRequests(deps, engine)),
    drawConsequencesSoon: () => deps.background.run('consequences', () => drawConsequences(deps)),
    certificatesToRenew: (device) => certificatesToRenew(deps, device),
    wake: (connection) => engine.wake(connection),
    forgetProgress: () => engine.forgetProgress(),
    blockDisclosedKey,
    answerOcsp: createOcspResponder(deps),
    administration: createEnrolmentAdministration(deps, engine),
    routes: [requestRoutes(deps, engine), certificateRoutes(deps), keyCompromiseRoutes(deps, blockDisclosedKey)],
    jobs: [
      { name: 'certificates-expire', cron: '* * * * *', run: () => expireCertificates(deps) },
      { name: 'renewal-reminders', cron: '* * * * *', run: () => remindHolders(deps) },
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
      {
        name: 'key-challenges-prune',
        cron: '17 3 * * *',
        run: async () => {
          const [pruned] = await deps.database.batch([deleteChallengesExpiredBefore(deps.clock() - dayMilliseconds)])
          deps.events.rowsPruned({ table: 'key_challenges', rows: pruned?.changes ?? 0 })
        },
      },
      { name: 'ca-connections-prune', cron: '17 3 * * *', run: () => deps.connections.forget() },
      { name: 'requests-resume', cron: '* * * * *', run: () => engine.run() },
      { name: 'requests-expire', cron: '* * * * *', run: () => engine.expire() },
      { name: 'requests-proved', cron: '* * * * *', run: () => continueProvedRequests(deps, engine) },
      { name: 'requests-unproved', cron: '* * * * *', run: () => failUnprovedRequests(deps) },
      { name: 'consequences', cron: '* * * * *', run: () => drawConsequences(deps) },
      { name: 'ca-revocations', cron: '* * * * *', run: () => forwarding.run() },
      { name: 'ca-lists', cron: '* * * * *', run: () => followForeignLists(deps) },
    ],
    personalData,
    checks: [
      {
        name: 'nothing that rests on an ended mailbox or device is left when that is settled',
        run: async () => {
          const left = await readLeftUnrevoked(deps.database, deps.clock())
          return left.map(({ id }) => `certificate ${id} must be revoked`)
        },
      },
    ],
    gauges: enrolmentGauges(deps),
    warnings: () => enrolmentWarnings(deps),
  }
}
