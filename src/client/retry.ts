import { CertbookError, isCertbookError } from './errors.ts'

/**
 * Whether a call may be tried twice. `repeatable`: the second try does the same as the first, so it is tried again
 * without an answer. `once`: a second try does something more, such as another mail. It is tried again only if the
 * service said that it did nothing; otherwise the caller decides.
 */
export type Repeating = 'repeatable' | 'once'

/** How often a call is tried, and how the waits are made. */
export interface RetryRules {
  /** How often a call is tried, the first try included. */
  readonly attempts: number
  /** Waits; rejects when the signal is aborted. */
  sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void>
  /** From 0 up to 1. Spreads the tries of many devices. */
  random(): number
}

/** A longer `Retry-After` is not waited for. The app is told, and decides. */
const longestWaitSeconds = 30

const firstWaitMilliseconds = 500
const longestBackoffMilliseconds = 10_000

/** Refusals that mean: nothing was done, and another try may succeed. */
const nothingDone: ReadonlySet<string> = new Set(['too_many_requests', 'overloaded', 'log_unavailable'])

/** Statuses of a proxy or service that failed on the way. */
const failedSomewhere: ReadonlySet<number> = new Set([500, 502, 503, 504])

function mayTryAgain(error: CertbookError, repeating: Repeating): boolean {
  if (nothingDone.has(error.code)) return true
  if (repeating === 'once') return false
  if (error.code === 'network_failed' || error.code === 'timeout') return true
  return error.status !== null && failedSomewhere.has(error.status)
}

/** Half of the growing wait is fixed, the other half is random. It is never shorter than `Retry-After`. */
function waitOf(error: CertbookError, attempt: number, random: () => number): number {
  const backoff = Math.min(firstWaitMilliseconds * 2 ** (attempt - 1), longestBackoffMilliseconds)
  const jittered = backoff / 2 + (random() * backoff) / 2
  return (error.retryAfterSeconds ?? 0) * 1000 + jittered
}

/** Makes a call until it succeeds, is refused for good, or was tried often enough. Rejects with the last error. */
export async function withRetries<Value>(
  rules: RetryRules,
  repeating: Repeating,
  signal: AbortSignal | undefined,
  call: (attempt: number) => Promise<Value>,
): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(attempt)
    } catch (error) {
      const isLast = attempt >= rules.attempts
      if (!isCertbookError(error) || isLast || !mayTryAgain(error, repeating)) throw error
      if ((error.retryAfterSeconds ?? 0) > longestWaitSeconds) throw error
      await rules.sleep(
        waitOf(error, attempt, () => rules.random()),
        signal,
      )
    }
  }
}

/** Waits by the clock of the runtime. Rejects with `aborted`. */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      reject(aborted(signal))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end)
      resolve()
    }, milliseconds)
    if (signal?.aborted === true) end()
    else signal?.addEventListener('abort', end, { once: true })
  })
}

/** The error of a call that the app ended. */
export function aborted(signal: AbortSignal | undefined): CertbookError {
  return new CertbookError('aborted', 'The app ended this call.', { cause: signal?.reason })
}
