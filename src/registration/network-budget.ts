import type { ClientConnection } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import type { Keys } from '../ports/keys.ts'
import { networksOf } from '../ports/network.ts'
import { paidWith, rowBudgets, type Payment } from '../ports/row-budgets.ts'
import type { Clock } from '../ports/runtime.ts'
import { takeFromNetworkBudget } from './store.ts'
import { hourMilliseconds, hourNumberOf } from '../ports/time.ts'

/** What anyone may begin without a credential: a registration, or the report of a compromised key. */
export type BudgetPurpose = 'registration' | 'key_report'

/**
 * Per purpose, address (/64 of IPv6) and hour. A company that sets up its devices stays below it. The networks around the
 * address have several times as much together, so one address does not use up what its neighbours may begin.
 */
const allowedPerHour = 60

/**
 * How many within 24 hours: one line has more than half of what its network (/24, /48) has, so that a company behind one
 * address can set up its devices, and a neighbour can still begin something.
 */
const allowedPerDay = (purpose: BudgetPurpose, times: number): number =>
  Math.floor((rowBudgets[purpose].perDay * (times + 4)) / 8)

/**
 * Takes one from what the caller's address, and the networks around it, may begin without a credential. Callers on this
 * machine have no budget. It refuses with `too_many_requests`, which names the earliest time at which something of a
 * budget may be left again: the next hour.
 */
export function payAsNetwork(
  deps: { readonly keys: Keys; readonly clock: Clock },
  client: ClientConnection,
  purpose: BudgetPurpose,
): Payment {
  if (client.local) return paidWith(purpose)
  const now = deps.clock()
  const hour = hourNumberOf(now)
  return {
    from: purpose,
    commands: networksOf(client.address).flatMap(({ name, times }) =>
      takeFromNetworkBudget(deps.keys.blindIndex(`network/${name}`), purpose, hour, {
        perHour: times * allowedPerHour,
        perDay: allowedPerDay(purpose, times),
      }),
    ),
    refusal: (guard) =>
      guard.code === 'network_budget_spent'
        ? new DomainError('too_many_requests', 'Your address or network has begun too many of these lately.', {
            retryAfterSeconds: Math.ceil(((hour + 1) * hourMilliseconds - now) / 1_000),
            cause: guard,
          })
        : null,
  }
}
