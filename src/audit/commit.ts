import { isChangedMeanwhile } from '../ports/authority.ts'
import { GuardBroken, type Command, type Database, type Outcome } from '../ports/database.ts'
import { paying, type Payment } from '../ports/row-budgets.ts'
import type { AuditEvent, OwnEvent } from './entries.ts'
import type { AuditRoom } from './room.ts'

export interface CommitDeps {
  readonly database: Database
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
}

/**
 * What the audit log says of a change, and what pays for the rows. Entries stay for good, so what a device or anyone may
 * cause needs a payment.
 */
type Accounted =
  | { readonly audit?: OwnEvent | readonly OwnEvent[]; readonly payment?: never }
  | { readonly audit: AuditEvent | readonly AuditEvent[]; readonly payment: Payment }

/** What is written. The audit entries are in the same batch, so no change is without its entry. */
export type Change = { readonly commands: readonly Command[] } & Accounted

/** A change by a device or anyone. */
export type PaidChange = Change & { readonly payment: Payment }

const listOf = <Event extends AuditEvent>(audit: Event | readonly Event[] = []): readonly Event[] =>
  'action' in audit ? [audit] : audit

const entriesOf = ({ audit: log }: CommitDeps, { audit, payment }: Change): Command[] =>
  payment === undefined
    ? listOf(audit).flatMap((entry) => log.record(entry))
    : listOf(audit).flatMap((entry) => log.record(entry, payment))

/**
 * Writes a change and its audit entries in one batch, then has the entries sealed soon. Resolves to what each of
 * `commands` changed. A broken guard means that nothing was written. If it was that of the payment, its refusal is
 * thrown. `broken` is called with every other one: it throws the refusal for the caller, or returns what the caller gets
 * instead. Without `broken`, the guard is thrown. All other errors of the database are thrown as they
 * are, and so is `requireUnchanged`, for `onLatestRows`.
 */
export async function commit<Instead = never>(
  deps: CommitDeps,
  change: Change,
  broken?: (guard: GuardBroken) => Instead | Promise<Instead>,
): Promise<readonly Outcome[] | Instead> {
  const entries = entriesOf(deps, change)
  const { commands, payment } = change
  const written = [...commands, ...entries]
  let outcomes: readonly Outcome[]
  try {
    outcomes =
      payment === undefined
        ? await deps.database.batch(written)
        : await paying(payment, (taking) => deps.database.batch([...taking, ...written]))
  } catch (error) {
    if (broken === undefined || !(error instanceof GuardBroken) || isChangedMeanwhile(error)) throw error
    return broken(error)
  }
  if (entries.length > 0) deps.audit.sealSoon()
  const first = payment?.commands.length ?? 0
  return outcomes.slice(first, first + commands.length)
}
