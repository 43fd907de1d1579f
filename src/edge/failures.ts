import { DomainError } from '../errors.ts'
import type { Events } from '../events.ts'
import type { Clock } from '../ports/runtime.ts'

/** How long the cause of a 503 is not written again. */
const silentMilliseconds = 60_000

/** An answer of 500 or above. */
interface FailedAnswer {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly error: unknown
}

const causeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return ''
  return error.cause === undefined ? error.message : causeOf(error.cause)
}

/**
 * Tells of answers of 500 and above. A 503 says that the service cannot do it at the moment, and anyone may ask again and
 * again: so each is counted, and its cause, if it has one, is written once a minute, or when it becomes another.
 */
export function createFailureLog({ events, clock }: { events: Events; clock: Clock }): (failed: FailedAnswer) => void {
  const saidLast = new Map<string, { readonly at: number; readonly cause: string }>()
  return ({ status, error, ...request }) => {
    if (status !== 503 || !(error instanceof DomainError)) {
      events.requestFailed({ ...request, error })
      return
    }
    events.requestTurnedAway({ ...request, code: error.code })
    const [last, cause, at] = [saidLast.get(error.code), causeOf(error), clock()]
    if (error.cause === undefined || (last?.cause === cause && at < last.at + silentMilliseconds)) return
    saidLast.set(error.code, { at, cause })
    events.requestFailed({ ...request, error })
  }
}
