import type { CaRevocationAnswer } from '../../api/ca-shapes.ts'
import { pageFrom, readCursor } from '../../api/paging.ts'
import { timestamp } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import type { CertificateDeps } from '../deps.ts'
import { noteConfirmed } from './deliver.ts'
import { revocationPlace } from './queue.ts'
import {
  readRevocation,
  readRevocations,
  readRevocationsInState,
  type CaRevocationState,
  type ListedRevocationRow,
} from './store.ts'

/** Revocations on their way to the CAs elsewhere, as operators and auditors see them: nobody's mailbox. */
export interface RevocationAdministration {
  /** One page, newest first. */
  list(question: {
    readonly state?: CaRevocationState | undefined
    readonly limit: number
    readonly cursor?: string | undefined
  }): Promise<{ items: CaRevocationAnswer[]; next: string | null }>
  /**
   * An administrator's word that the certificate is revoked where it was issued. A repeat changes nothing. Throws
   * `not_found`.
   */
  confirm(id: string, by: string): Promise<CaRevocationAnswer>
}

type Deps = Pick<CertificateDeps, 'database' | 'keys' | 'crypto' | 'random' | 'clock' | 'events' | 'audit'>

async function present(deps: Deps, row: ListedRevocationRow): Promise<CaRevocationAnswer> {
  const certificate = deps.keys.main.open(revocationPlace(row.id), row.certificateSealed)
  const { serialNumber, issuer } = await certificateFacts(deps.crypto, certificate)
  return {
    id: row.id,
    connectionId: row.connection,
    requestId: row.request,
    certificateId: row.certificate,
    serialNumber,
    issuer,
    reason: row.reason,
    state: row.state,
    attempts: row.attempts,
    lastFailure: row.lastFailure,
    requestedAt: timestamp(row.createdAt),
    confirmedAt: row.confirmedAt === null ? null : timestamp(row.confirmedAt),
  }
}

const noSuchRevocation = (): DomainError =>
  new DomainError(
    'not_found',
    'There is no such revocation: take its id, not that of the certificate or the request, from the list of revocations ' +
      '(certbook revocation list).',
  )

export const createRevocationAdministration = (deps: Deps): RevocationAdministration => ({
  list: async ({ state, limit, cursor }) => {
    const before = readCursor(cursor)
    const rows = await (state === undefined
      ? readRevocations(deps.database, before, limit + 1)
      : readRevocationsInState(deps.database, state, before, limit + 1))
    const page = pageFrom(rows, limit)
    return { items: await Promise.all(page.rows.map((row) => present(deps, row))), next: page.next }
  },
  confirm: async (id, by) => {
    const before = await readRevocation(deps.database, id)
    if (before === null) throw noSuchRevocation()
    await noteConfirmed(deps, before, { actorKind: 'administrator', actor: by })
    const row = await readRevocation(deps.database, id)
    if (row === null) throw noSuchRevocation()
    return present(deps, row)
  },
})
