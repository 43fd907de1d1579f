import { DomainError } from '../errors.ts'
import type { Events } from '../events.ts'
import { BudgetSpent, type LookupEntry, type LookupLog } from '../ports/lookup-log.ts'
import type { Clock } from '../ports/runtime.ts'
import { dayMilliseconds, dayNumberOf } from '../ports/time.ts'

/**
 * Charges the asker's budgets and logs a lookup. Resolves when the log is durable; no answer may go out before.
 * Rejects with `lookup_budget_spent` and `log_unavailable`; nothing is logged then.
 */
export type RecordLookup = (entry: LookupEntry) => Promise<void>

interface RecordDeps {
  readonly lookupLog: LookupLog
  readonly clock: Clock
  readonly events: Events
}

const spent = (deps: RecordDeps, error: BudgetSpent): DomainError => {
  const now = deps.clock()
  deps.events.lookupBudgetSpent({ of: [...new Set(error.kinds)].join(' or ') })
  return new DomainError(
    'lookup_budget_spent',
    'The call asks for more addresses than are left for today. Ask for fewer, or again after midnight UTC.',
    { retryAfterSeconds: Math.ceil(((dayNumberOf(now) + 1) * dayMilliseconds - now) / 1_000), cause: error },
  )
}

const unavailable = (cause: unknown): DomainError =>
  new DomainError('log_unavailable', 'The lookup could not be logged, so it is not answered. Try again shortly.', {
    retryAfterSeconds: 5,
    cause,
  })

export const createRecordLookup =
  (deps: RecordDeps): RecordLookup =>
  (entry) =>
    entry.addresses.length === 0
      ? Promise.resolve()
      : deps.lookupLog.record(entry).catch((error: unknown) => {
          throw error instanceof BudgetSpent ? spent(deps, error) : unavailable(error)
        })
