import { isChangedMeanwhile } from '../ports/authority.ts'
import { GuardBroken, type Command, type Database, type Outcome } from '../ports/database.ts'
import type { AuditEvent } from './entries.ts'
import type { AuditRoom } from './room.ts'

export interface CommitDeps {
  readonly database: Database
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
}

/** What is written, and what the audit log says of it. */
export interface Change {
  readonly commands: readonly Command[]
  /** The audit entries. They are in the same batch, so no change is without its entry. */
  readonly audit?: AuditEvent | readonly AuditEvent[]
}

const entriesOf = ({ audit }: Change): readonly AuditEvent[] => {
  if (audit === undefined) return []
  return 'action' in audit ? [audit] : audit
}

/**
 * Writes a change and its audit entries in one batch, then has the entries sealed soon. Resolves to what each of
 * `commands` changed. A broken guard means that nothing was written. `broken` is then called with the guard: it throws
 * the refusal for the caller, or returns what the caller gets instead. Without `broken`, the guard is thrown. All other
 * errors of the database are thrown as they are, and so is `requireUnchanged`, for `onLatestRows`.
 */
export async function commit<Instead = never>(
  deps: CommitDeps,
  change: Change,
  broken?: (guard: GuardBroken) => Instead | Promise<Instead>,
): Promise<readonly Outcome[] | Instead> {
  const entries = entriesOf(change)
  let outcomes: readonly Outcome[]
  try {
    outcomes = await deps.database.batch([...change.commands, ...entries.flatMap((entry) => deps.audit.record(entry))])
  } catch (error) {
    if (broken === undefined || !(error instanceof GuardBroken) || isChangedMeanwhile(error)) throw error
    return broken(error)
  }
  if (entries.length > 0) deps.audit.sealSoon()
  return outcomes.slice(0, change.commands.length)
}
