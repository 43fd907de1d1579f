import type { DeviceCaller } from '../api/room.ts'
import type { OwnCertificate } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { CertificateDeps } from './deps.ts'
import { openCertificate, presentOpened, type OpenedCertificate } from './present.ts'
import { readCertificate, type CertificateRow } from './store.ts'
import { isTrustedCertificate } from './trusted-certificates.ts'

/** Reads a certificate of the caller. Throws `not_found`, also for a certificate of somebody else. */
export async function ownCertificateRow(
  deps: Pick<CertificateDeps, 'database' | 'keys' | 'events'>,
  caller: DeviceCaller,
  id: string,
): Promise<CertificateRow> {
  const row = await readCertificate(deps.database, id)
  if (row?.subscriber !== caller.subscriberId || !isTrustedCertificate(deps, row)) {
    throw new DomainError('not_found', 'You have no such certificate.')
  }
  return row
}

/** Shows certificates as their subscriber sees them: with whether they are published. */
export function createOwnPresenter(deps: Pick<CertificateDeps, 'keys' | 'connections' | 'publishedAmong'>) {
  const presentOpen = async (certificates: readonly OpenedCertificate[]): Promise<OwnCertificate[]> => {
    const published = await deps.publishedAmong(certificates.map(({ id }) => id))
    return Promise.all(
      certificates.map(async (certificate) => ({
        ...presentOpened(await deps.connections.chainOf(certificate.authority), certificate),
        published: published.has(certificate.id),
      })),
    )
  }
  const presentOwn = (rows: readonly CertificateRow[]): Promise<OwnCertificate[]> =>
    presentOpen(rows.map((row) => openCertificate(deps.keys, row)))
  return { presentOpen, presentOwn }
}
