import type { DeviceCaller } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import type { CertificateDeps } from './deps.ts'
import { readCertificate, type CertificateRow } from './store.ts'

/** The caller's certificate. Throws `not_found` for one that is another's as for one that is not there. */
export async function ownCertificateRow(
  deps: Pick<CertificateDeps, 'database'>,
  caller: DeviceCaller,
  id: string,
): Promise<CertificateRow> {
  const row = await readCertificate(deps.database, id)
  if (row?.subscriber !== caller.subscriberId) throw new DomainError('not_found', 'You have no such certificate.')
  return row
}
