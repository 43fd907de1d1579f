import type { RequestCsr } from '../../api/ca-shapes.ts'
import { commit } from '../../audit/commit.ts'
import { DomainError } from '../../errors.ts'
import { sha256Hex } from '../../pki/encoding.ts'
import { toPem } from '../../pki/pem.ts'
import type { Command } from '../../ports/database.ts'
import type { CommitDeps, RequestDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { readOrder, type OrderDeps } from '../engine/order.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { closeAtCa, toFailedNotIssued, toReceivedNotIssued } from '../transitions.ts'

/** A request that is there. Throws `not_found`. */
export async function requireRequest({ database }: Pick<RequestDeps, 'database'>, id: string): Promise<RequestRow> {
  const row = await readRequest(database, id)
  if (row === null) throw new DomainError('not_found', 'There is no such request.')
  return row
}

/**
 * The CSR of a request that its CA has, for an operator who takes it there or looks for it there. Throws `not_found`,
 * `request_not_in_that_state`.
 */
export async function csrOfRequest(
  deps: OrderDeps & Pick<RequestDeps, 'database' | 'crypto'>,
  id: string,
): Promise<RequestCsr> {
  const row = await requireRequest(deps, id)
  const isAtCa = row.state === 'pending' || row.state === 'outcome_unknown'
  if (!isAtCa || row.provedBy !== 'csr') {
    throw new DomainError(
      'request_not_in_that_state',
      'Only a request that was made with a CSR and is pending, or whose outcome is unknown, has one to take away.',
    )
  }
  const { order, mailbox } = await readOrder(deps, row)
  return {
    csr: toPem('CERTIFICATE REQUEST', order.content),
    mailbox: mailbox.address,
    use: row.use,
    profile: row.caProfile,
    spkiSha256: await sha256Hex(deps.crypto, order.spki),
  }
}

/** An operator's word that the CA has issued nothing for a request, and what is to become of it. */
export interface Settlement {
  readonly outcome: 'submit_again' | 'failed'
  readonly by: string
}

function settlementCommands({ id, state }: RequestRow, outcome: Settlement['outcome'], now: number): Command[] {
  if (outcome === 'submit_again') return toReceivedNotIssued(id, now)
  return state === 'outcome_unknown' ? toFailedNotIssued(id, now) : closeAtCa(id, now)
}

/**
 * Settles a request whose outcome is unknown: it is sent again, or fails. A request that failed or was cancelled before,
 * and of which the CA might still have made something, is closed at the CA by `failed`. Throws `not_found`,
 * `request_not_in_that_state`.
 */
export async function settleRequest(
  deps: CommitDeps & Pick<RequestDeps, 'clock'>,
  engine: Pick<Engine, 'wake'>,
  id: string,
  { outcome, by }: Settlement,
): Promise<void> {
  const row = await requireRequest(deps, id)
  const audit = {
    action: 'certificate.request_settled',
    actorKind: 'administrator',
    actor: by,
    subjectKind: 'certificate request',
    subject: id,
    facts: { outcome, before: row.state },
  } as const
  await commit(deps, { commands: settlementCommands(row, outcome, deps.clock()), audit }, (cause) => {
    throw new DomainError(
      'request_not_in_that_state',
      'Its outcome is not unknown, or the CA is being asked about it: read it again in a moment.',
      { cause },
    )
  })
  if (outcome === 'submit_again') engine.wake(row.connection)
}
