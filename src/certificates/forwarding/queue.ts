import type { RevocationReason } from '../../pki/revocation-reason.ts'
import type { Command } from '../../ports/database.ts'
import { randomId } from '../../ports/runtime.ts'
import type { CertificateRow } from '../store.ts'
import { embeddedConnection, type OpenConnection } from '../../cas/contract.ts'
import type { CertificateDeps } from '../deps.ts'
import { fingerprintIndex } from '../fingerprints.ts'
import { openCertificate } from '../present.ts'
import { insertCaRevocation } from './store.ts'

/** Where the certificate of a queued revocation is sealed. */
export const revocationPlace = (id: string) => ({ table: 'ca_revocations', column: 'certificate_sealed', row: id })

/** What a CA is to be told of a certificate of its own. */
interface RevokedElsewhere {
  readonly request: string
  readonly certificate: Uint8Array
  readonly certificateSha256: string
  readonly reason: RevocationReason | null
}

type QueueDeps = Pick<CertificateDeps, 'keys' | 'random' | 'clock'>

/**
 * The command that has the CA of a certificate told that it is revoked, for the batch of what caused it; none for the
 * CA inside, whose word is kept here.
 */
export function queueCaRevocation(
  deps: QueueDeps,
  connection: Pick<OpenConnection, 'id' | 'adapter'>,
  of: RevokedElsewhere,
): Command[] {
  if (connection.id === embeddedConnection) return []
  return [queued(deps, connection.id, connection.adapter.revoke === undefined ? 'by_hand' : 'waiting', of)]
}

function queued(deps: QueueDeps, connection: string, state: 'waiting' | 'by_hand', of: RevokedElsewhere): Command {
  const id = randomId(deps.random)
  return insertCaRevocation({
    id,
    connection,
    request: of.request,
    fingerprintIndex: fingerprintIndex(deps.keys, of.certificateSha256),
    certificateSealed: deps.keys.main.seal(revocationPlace(id), of.certificate),
    reason: of.reason,
    state,
    requestedAt: deps.clock(),
  })
}

/**
 * The same for a certificate that was kept: the CA that issued it is told, whatever has the requests of today go
 * elsewhere. Where its connection was removed, an operator has to.
 */
export async function queueRevocationAtIssuer(
  deps: QueueDeps & Pick<CertificateDeps, 'connections'>,
  row: CertificateRow,
  reason: RevocationReason | null,
): Promise<Command[]> {
  if (row.connection === embeddedConnection) return []
  const { certificate, facts } = openCertificate(deps.keys, row)
  const of = { request: row.request, certificate, certificateSha256: facts.fingerprintSha256, reason }
  const connection = await deps.connections.open(row.connection)
  return connection === null ? [queued(deps, row.connection, 'by_hand', of)] : queueCaRevocation(deps, connection, of)
}
