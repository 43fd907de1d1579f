import type { Room } from '../api/room.ts'
import { GuardBroken } from '../ports/database.ts'
import type { EnrolmentDeps } from './deps.ts'
import { personalData } from './personal-data.ts'
import { enrolmentRoutes } from './routes.ts'
import { endCertificate, readRunOut } from './store.ts'
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

/** Enrolment: certificate requests, their way through a CA, and the certificates. */
export function createEnrolmentRoom(deps: EnrolmentDeps): Room {
  return {
    routes: [enrolmentRoutes(deps)],
    jobs: [
      { name: 'certificates-expire', cron: '* * * * *', run: () => expireCertificates(deps) },
      { name: 'requests-resume', cron: '* * * * *', run: () => resumeStuckRequests(deps) },
    ],
    personalData,
    checks: [],
  }
}
