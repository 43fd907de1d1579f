import type { RequestCsr } from '../../api/ca-shapes.ts'
import { DomainError } from '../../errors.ts'
import { toPem } from '../../pki/pem.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { openRequest } from '../engine/order.ts'
import { readRequest } from '../store.ts'

/**
 * The CSR of a request that its CA has, for an operator who takes it there or looks for it there. Throws `not_found`,
 * `request_not_in_that_state`.
 */
export async function csrOfRequest(
  deps: Pick<EnrolmentDeps, 'database' | 'clock' | 'keys' | 'registration' | 'connections'>,
  id: string,
): Promise<RequestCsr> {
  const row = await readRequest(deps.database, id)
  if (row === null) throw new DomainError('not_found', 'There is no such request.')
  const isAtCa = row.state === 'pending' || row.state === 'outcome_unknown'
  if (!isAtCa || row.provedBy !== 'csr') {
    throw new DomainError(
      'request_not_in_that_state',
      'Only a request that was made with a CSR and is pending, or whose outcome is unknown, has one to take away.',
    )
  }
  const { order, mailbox } = await openRequest(deps, row)
  return {
    csr: toPem('CERTIFICATE REQUEST', order.content),
    mailbox: mailbox.address,
    use: row.use,
    profile: row.caProfile,
    spkiSha256: row.spkiSha256,
  }
}
