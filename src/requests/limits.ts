import { DomainError } from '../errors.ts'
import { rowBudgets } from '../ports/row-budgets.ts'
import type { RequestDeps } from './deps.ts'
import { countOpenOf, readNewestBut } from './store.ts'
import type { RequestLimits } from './transitions.ts'
import { dayMilliseconds } from '../ports/time.ts'

/** The open requests of one device: two for each of more mailboxes than anybody has. */
const openPerDevice = 50
/** The new requests of one subscriber within 24 hours, whatever their outcome: a CA may charge for each. */
const perSubscriberAndDay = rowBudgets.certificate_request.perDay
/** A CA or a person ends an open request, which takes time. */
const openRetrySeconds = 3_600

/** How much one subscriber may ask for, as `insertRequest` enforces it. */
export const requestLimits = (now: number): RequestLimits => ({
  openPerDevice,
  perSubscriber: perSubscriberAndDay,
  since: now - dayMilliseconds,
})

/** The refusal of a request beyond the limits. Null if it is within them. */
export async function beyondLimits(
  deps: Pick<RequestDeps, 'database' | 'clock'>,
  of: { readonly subscriber: string; readonly device: string },
  cause: unknown,
): Promise<DomainError | null> {
  const { since } = requestLimits(deps.clock())
  // When the oldest of these is a day old, there is room for one more.
  const oldest = await readNewestBut(deps.database, of.subscriber, since, perSubscriberAndDay - 1)
  if (oldest !== null) {
    const retryAfterSeconds = Math.max(1, Math.ceil((oldest.createdAt - since) / 1_000))
    return new DomainError('too_many_requests', 'You have asked for too many certificates within a day.', {
      retryAfterSeconds,
      cause,
    })
  }
  const open = await countOpenOf(deps.database, of.device)
  if ((open?.requests ?? 0) < openPerDevice) return null
  return new DomainError(
    'too_many_requests',
    'Too many requests of this device have no outcome yet: wait for them, or cancel what is not needed.',
    { retryAfterSeconds: openRetrySeconds, cause },
  )
}
