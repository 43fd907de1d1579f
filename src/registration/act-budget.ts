import { DomainError } from '../errors.ts'
import { rowBudgets, type Payment } from '../ports/row-budgets.ts'
import type { Clock } from '../ports/runtime.ts'
import { takeFromSubscriberBudget } from './store.ts'
import { dayMilliseconds, dayNumberOf } from '../ports/time.ts'

/** Takes one act of a member from the budget of the subscriber's day. It refuses with `too_many_requests`. */
export function payForAct(clock: Clock, subscriber: string): Payment {
  const now = clock()
  const day = dayNumberOf(now)
  return {
    from: 'act',
    commands: takeFromSubscriberBudget(subscriber, day, rowBudgets.act.perDay),
    refusal: (guard) =>
      guard.code === 'subscriber_budget_spent'
        ? new DomainError('too_many_requests', 'You have changed too much today. Try again tomorrow.', {
            retryAfterSeconds: Math.ceil(((day + 1) * dayMilliseconds - now) / 1_000),
            cause: guard,
          })
        : null,
  }
}
