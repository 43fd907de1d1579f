import type { ClientConnection } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import { GuardBroken, type Command } from '../ports/database.ts'
import type { Keys } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { takeFromNetworkBudget } from './store.ts'

/** What anyone may begin without a credential: a registration, or a report that a key is compromised. */
export type BudgetPurpose = 'registration' | 'key_report'

/** Each purpose, a network (/24, /48) and an hour. Somebody setting up a company's devices stays below it. */
const allowedPerHour = 60
const hourMilliseconds = 3_600_000

/** The number of the hour of a time, counted from 1970. */
export const hourOf = (at: number): number => Math.floor(at / hourMilliseconds)

/**
 * Runs what a caller without a credential begins, with the commands that take it from the budget of its network, for
 * the same batch. This machine itself has no budget. Throws `too_many_requests` where the budget of the hour is spent.
 */
export async function withinNetworkBudget<T>(
  deps: { readonly keys: Keys; readonly clock: Clock },
  client: ClientConnection,
  purpose: BudgetPurpose,
  run: (budget: readonly Command[]) => Promise<T>,
): Promise<T> {
  if (client.local) return run([])
  const now = deps.clock()
  const hour = hourOf(now)
  try {
    return await run(
      takeFromNetworkBudget(deps.keys.blindIndex(`network/${client.network}`), purpose, hour, allowedPerHour),
    )
  } catch (error) {
    if (!(error instanceof GuardBroken) || error.code !== 'network_budget_spent') throw error
    throw new DomainError('too_many_requests', 'Your network has begun too many of these within this hour.', {
      retryAfterSeconds: Math.ceil(((hour + 1) * hourMilliseconds - now) / 1_000),
      cause: error,
    })
  }
}
