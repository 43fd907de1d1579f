import type { Room } from '../api/room.ts'
import { GuardBroken } from '../ports/database.ts'
import type { EnrolmentDeps } from './deps.ts'
import { personalData } from './personal-data.ts'
import { enrolmentRoutes } from './routes.ts'
import { endCertificate, readRunOut } from './store.ts'
import { createOcspResponder, type OcspAnswer } from './status/ocsp.ts'
import { currentRevocationList, issueRevocationLists } from './status/revocation-list.ts'
import type { RevocationListRow } from './status/store.ts'
import { resumeStuckRequests } from './submit.ts'

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
  readonly answerOcsp: (authority: string, request: Uint8Array) => Promise<OcspAnswer>
}

/** Enrolment: certificate requests, their way through a CA, the certificates, and what is said of them. */
export function createEnrolmentRoom(deps: EnrolmentDeps): EnrolmentRoom {
  const { root, issuing } = deps.authorities
  return {
    certificateOf: (authority) => [root, issuing].find(({ id }) => id === authority)?.certificate ?? null,
    revocationListOf: (authority) => currentRevocationList(deps, authority),
    answerOcsp: createOcspResponder(deps),
    routes: [enrolmentRoutes(deps)],
    jobs: [
      { name: 'certificates-expire', cron: '* * * * *', run: () => expireCertificates(deps) },
      { name: 'revocation-lists', cron: '* * * * *', run: () => issueRevocationLists(deps) },
      { name: 'requests-resume', cron: '* * * * *', run: () => resumeStuckRequests(deps) },
    ],
    personalData,
    checks: [],
  }
}
