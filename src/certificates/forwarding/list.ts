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

/** What administrators ask of the list. */
interface CaRevocationQuestion {
  readonly state?: CaRevocationState | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

type OpenDeps = Pick<CertificateDeps, 'database' | 'keys' | 'crypto'>

async function describe(
  deps: Pick<CertificateDeps, 'keys' | 'crypto'>,
  row: ListedRevocationRow,
): Promise<CaRevocationAnswer> {
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

/** Lists the revocations that other CAs are told of: one page, the newest first. */
export async function listCaRevocations(
  deps: OpenDeps,
  { state, limit, cursor }: CaRevocationQuestion,
): Promise<{ items: CaRevocationAnswer[]; next: string | null }> {
  const before = readCursor(cursor)
  const rows = await (state === undefined
    ? readRevocations(deps.database, before, limit + 1)
    : readRevocationsInState(deps.database, state, before, limit + 1))
  const page = pageFrom(rows, limit)
  return { items: await Promise.all(page.rows.map((row) => describe(deps, row))), next: page.next }
}

/**
 * Confirms a revocation on an administrator's word: the certificate is revoked where it was issued. A repeat changes
 * nothing. Throws `not_found`.
 */
export async function confirmByHand(
  deps: OpenDeps & Pick<CertificateDeps, 'clock' | 'events' | 'audit'>,
  id: string,
  by: string,
): Promise<CaRevocationAnswer> {
  const before = await readRevocation(deps.database, id)
  if (before === null) throw noSuchRevocation()
  await noteConfirmed(deps, before, { actorKind: 'administrator', actor: by })
  const row = await readRevocation(deps.database, id)
  if (row === null) throw noSuchRevocation()
  return describe(deps, row)
}
