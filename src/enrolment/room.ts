import type { Room } from '../api/room.ts'
import type { PrivateKeyFinding } from '../pki/private-keys/detect.ts'
import type { RevocationReason } from '../pki/revocation-reason.ts'
import { GuardBroken } from '../ports/database.ts'
import type { EnrolmentDeps } from './deps.ts'
import { importBlocklist, type BlocklistImport } from './keys/blocklist.ts'
import { createDisclosedKeys, keyCompromiseRoutes, type Disclosure } from './keys/compromise.ts'
import { deleteChallengesExpiredBefore } from './keys/store.ts'
import { personalData } from './personal-data.ts'
import { requestRoutes } from './routes.ts'
import { certificateRoutes } from './certificates/routes.ts'
import { endCertificate, readCertificate, readRunOut, type CertificateRow } from './certificates/store.ts'
import { createOcspResponder, type OcspAnswer } from './status/ocsp.ts'
import { revokeCertificate } from './status/revoke.ts'
import { currentRevocationList, issueRevocationLists } from './status/revocation-list.ts'
import { deleteStatusesExpiredBefore, type RevocationListRow } from './status/store.ts'
import { resumeStuckRequests } from './submit.ts'

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
  /** Blocks the key that a body disclosed and revokes its certificates, where it can be read and proved. */
  readonly blockDisclosedKey: (finding: PrivateKeyFinding) => Promise<Disclosure>
  /** Revokes by an administrator's wish; resolves to the state afterwards, or null where there is no such certificate. */
  revokeByAdministrator(certificate: string, reason: RevocationReason | null): Promise<CertificateRow['state'] | null>
  /** Imports a list of blocked keys; see `importBlocklist`. */
  importBlocklist(list: string, progress: (done: number, all: number) => void): Promise<BlocklistImport>
  readonly answerOcsp: (authority: string, request: Uint8Array) => Promise<OcspAnswer>
}

/** Enrolment: certificate requests, their way through a CA, the certificates, and what is said of them. */
export function createEnrolmentRoom(deps: EnrolmentDeps): EnrolmentRoom {
  const { root, issuing } = deps.authorities
  const blockDisclosedKey = createDisclosedKeys(deps)
  return {
    certificateOf: (authority) => [root, issuing].find(({ id }) => id === authority)?.certificate ?? null,
    revocationListOf: (authority) => currentRevocationList(deps, authority),
    blockDisclosedKey,
    answerOcsp: createOcspResponder(deps),
    revokeByAdministrator: async (certificate, reason) => {
      await revokeCertificate(deps, certificate, reason, { actorKind: 'administrator', actor: null })
      return (await readCertificate(deps.database, certificate))?.state ?? null
    },
    importBlocklist: (list, progress) => importBlocklist({ ...deps, now: deps.clock() }, list, progress),
    routes: [requestRoutes(deps), certificateRoutes(deps), keyCompromiseRoutes(deps, blockDisclosedKey)],
    jobs: [
      { name: 'certificates-expire', cron: '* * * * *', run: () => expireCertificates(deps) },
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
      { name: 'requests-resume', cron: '* * * * *', run: () => resumeStuckRequests(deps) },
    ],
    personalData,
    checks: [],
  }
}
