import type { OwnCertificate } from '../api/shapes.ts'
import type { CertificateDeps } from './deps.ts'
import { openCertificate, presentOpened, type OpenedCertificate } from './present.ts'
import type { CertificateRow } from './store.ts'

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
