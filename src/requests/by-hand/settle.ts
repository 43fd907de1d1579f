import { DomainError } from '../../errors.ts'
import { GuardBroken, type Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { Engine } from '../engine/engine.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { cancelFor } from '../waiting/cancel.ts'
import { closeAtCa, toFailedNotIssued, toReceivedNotIssued } from '../transitions.ts'

type SettleDeps = Pick<EnrolmentDeps, 'database' | 'clock' | 'audit'>

async function requireRequest(deps: Pick<EnrolmentDeps, 'database'>, id: string): Promise<RequestRow> {
  const row = await readRequest(deps.database, id)
  if (row === null) throw new DomainError('not_found', 'There is no such request.')
  return row
}

function settlement(deps: SettleDeps, row: RequestRow, outcome: 'submit_again' | 'failed'): Command[] {
  const now = deps.clock()
  if (row.state !== 'outcome_unknown' && outcome === 'failed') return closeAtCa(row.id, now)
  return outcome === 'failed' ? toFailedNotIssued(row.id, now) : toReceivedNotIssued(row.id, now)
}

/**
 * Settles a request by an operator's word that the CA has issued nothing for it: it is sent again, or fails. One that
 * came to nothing before, and of which the CA might still have made something, is closed there by `failed`. Throws
 * `not_found`, `request_not_in_that_state`.
 */
export async function settleRequest(
  deps: SettleDeps,
  engine: Pick<Engine, 'wake'>,
  id: string,
  outcome: 'submit_again' | 'failed',
  by: string,
): Promise<void> {
  const row = await requireRequest(deps, id)
  try {
    await deps.database.batch([
      ...settlement(deps, row, outcome),
      ...deps.audit.record({
        action: 'certificate.request_settled',
        actorKind: 'administrator',
        actor: by,
        subjectKind: 'certificate request',
        subject: id,
        facts: { outcome, before: row.state },
      }),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    throw new DomainError(
      'request_not_in_that_state',
      'Its outcome is not unknown, or the CA is being asked about it: read it again in a moment.',
      { cause: error },
    )
  }
  deps.audit.sealSoon()
  if (outcome === 'submit_again') engine.wake(row.connection)
}

/** Cancels a request on behalf of an operator. Throws `not_found`, `request_not_cancellable`. */
export async function cancelByHand(deps: EnrolmentDeps, id: string, by: string): Promise<void> {
  await requireRequest(deps, id)
  await cancelFor(deps, id, { actorKind: 'administrator', actor: by })
}
