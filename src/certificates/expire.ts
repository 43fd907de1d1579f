import { commit } from '../audit/commit.ts'
import { byService } from '../audit/entries.ts'
import type { CertificateDeps } from './deps.ts'
import { openFacts } from './present.ts'
import { endCertificate, readRunOut } from './store.ts'

/** How many certificates one run marks. The next run goes on. */
const perRun = 500

/** Marks certificates whose term is over as expired. In the same batch the directory drops them. */
export async function expireCertificates(
  deps: Pick<CertificateDeps, 'database' | 'keys' | 'clock' | 'audit' | 'onCertificatesEnded'>,
): Promise<void> {
  const now = deps.clock()
  for (const row of await readRunOut(deps.database, now, perRun)) {
    if (openFacts(deps.keys, row).notAfter >= now) continue
    const { id } = row
    await commit(
      deps,
      {
        commands: [...endCertificate(id, 'expired'), ...deps.onCertificatesEnded([id])],
        audit: { action: 'certificate.expired', ...byService, subjectKind: 'certificate', subject: id },
      },
      // It ended in another way meanwhile.
      () => null,
    )
  }
}
