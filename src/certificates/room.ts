import type { AdminRoute } from '../api/admin-route.ts'
import type { Room } from '../api/room.ts'
import { faultsOfAll } from '../ports/authority.ts'
import { singleGauge } from '../ports/meter.ts'
import { adoptRevocationList, type AdoptedList } from './adopt-list.ts'
import { drawConsequences } from './consequences.ts'
import { adminRoutes } from './admin-routes.ts'
import type { CertificateDeps } from './deps.ts'
import { expireCertificates } from './expire.ts'
import { followForeignLists } from './foreign-lists/run.ts'
import { foreignListGauges, foreignListWarnings } from './foreign-lists/watch.ts'
import { createForwarding } from './forwarding/deliver.ts'
import { forwardingGauges, forwardingWarnings } from './forwarding/watch.ts'
import { createDisclosedKeys, keyCompromiseRoutes, type BlockDisclosedKey } from './keys/compromise.ts'
import { deleteChallengesExpiredBefore, readChallengeFaults } from './keys/store.ts'
import { personalData } from './personal-data.ts'
import { certificatesToRenew, remindHolders, type DueRenewals } from './renewal/remind.ts'
import { ownCertificateRoutes } from './routes.ts'
import { countValid, readCertificateFaults, readLeftUnrevoked } from './store.ts'
import { dayMilliseconds } from '../ports/time.ts'

export interface CertificateRoom extends Room {
  /** See `adoptRevocationList`. */
  adoptRevocationList(list: Uint8Array): Promise<AdoptedList>
  /** Revokes soon what rests on a mailbox or device that has ended. */
  drawConsequencesSoon(): void
  /** See `certificatesToRenew`. */
  certificatesToRenew(device: string): Promise<DueRenewals>
  /** Blocks the key that a request's body disclosed, and revokes its certificates. See `createDisclosedKeys`. */
  readonly blockDisclosedKey: BlockDisclosedKey
  /** Tells the other CAs soon of what was revoked. */
  readonly tellCasSoon: () => void
}

/** Certificates: keeping, showing, renewing and revoking them, and the keys that must not be certified. */
export function createCertificateRoom(
  given: Omit<CertificateDeps, 'tellCasSoon'> & { readonly adminRoute: AdminRoute },
): CertificateRoom {
  const forwarding = createForwarding(given)
  const deps: CertificateDeps = { ...given, tellCasSoon: () => forwarding.wake() }
  const blockDisclosedKey = createDisclosedKeys(deps)
  return {
    adoptRevocationList: (list) => adoptRevocationList(deps, list),
    drawConsequencesSoon: () => deps.background.run('consequences', () => drawConsequences(deps)),
    certificatesToRenew: (device) => certificatesToRenew(deps, device),
    blockDisclosedKey,
    tellCasSoon: deps.tellCasSoon,
    routes: [
      ownCertificateRoutes(deps),
      keyCompromiseRoutes(deps, blockDisclosedKey),
      ...adminRoutes(deps, given.adminRoute),
    ],
    jobs: [
      { name: 'certificates-expire', cron: '* * * * *', run: () => expireCertificates(deps) },
      { name: 'renewal-reminders', cron: '* * * * *', run: () => remindHolders(deps) },
      { name: 'consequences', cron: '* * * * *', run: () => drawConsequences(deps) },
      { name: 'ca-revocations', cron: '* * * * *', run: () => forwarding.run() },
      { name: 'ca-lists', cron: '* * * * *', run: () => followForeignLists(deps) },
      {
        name: 'key-challenges-prune',
        cron: '17 3 * * *',
        run: async () => {
          const [pruned] = await deps.database.batch([deleteChallengesExpiredBefore(deps.clock() - dayMilliseconds)])
          deps.events.rowsPruned({ table: 'key_challenges', rows: pruned?.changes ?? 0 })
        },
      },
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
      {
        name: 'nobody else has written certificates',
        run: () => faultsOfAll((after, limit) => readCertificateFaults(deps, after, limit)),
      },
      {
        name: 'nobody else has written key challenges',
        run: () => faultsOfAll((after, limit) => readChallengeFaults(deps, after, limit)),
      },
    ],
    gauges: [
      singleGauge('certbook_certificates_valid', 'valid certificates', async () => {
        const valid = await countValid(deps.database)
        return valid?.certificates ?? null
      }),
      ...forwardingGauges(deps),
      ...foreignListGauges(deps),
    ],
    warnings: async () => [...(await forwardingWarnings(deps)), ...(await foreignListWarnings(deps))],
  }
}
