import { CertbookError, isCertbookError } from './errors.ts'

/**
 * What a second try of a call would do. `repeatable`: the same as the first, so it is tried again when no answer came.
 * `once`: something that the caller must decide upon, such as another mail; it is tried again only where the service
 * said that it did nothing.
 */
export type Repeating = 'repeatable' | 'once'

/** How long to wait, by whom the waiting is done, and how often at most a call is tried. */
export interface RetryRules {
  /** Tries of one call, the first included. */
  readonly attempts: number
  /** Waits; rejects when the signal is aborted. */
  sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void>
  /** From 0 up to 1: spreads the tries of many devices. */
  random(): number
}

/** A `Retry-After` beyond this is not waited for: the app is told and decides. */
const longestWaitSeconds = 30

const firstWaitMilliseconds = 500
const longestBackoffMilliseconds = 10_000

/** Refusals that say that nothing was done, and that it may be tried again. */
const nothingDone: ReadonlySet<string> = new Set(['too_many_requests', 'overloaded', 'log_unavailable'])

/** Statuses with which a proxy, or the service, says that it failed somewhere on the way. */
const failedSomewhere: ReadonlySet<number> = new Set([500, 502, 503, 504])

function mayTryAgain(error: CertbookError, repeating: Repeating): boolean {
  if (nothingDone.has(error.code)) return true
  if (repeating === 'once') return false
  if (error.code === 'network_failed' || error.code === 'timeout') return true
  return error.status !== null && failedSomewhere.has(error.status)
}

/** Half of the growing wait is certain, the other half random; a `Retry-After` is never undercut. */
function waitOf(error: CertbookError, attempt: number, random: () => number): number {
  const backoff = Math.min(firstWaitMilliseconds * 2 ** (attempt - 1), longestBackoffMilliseconds)
  const jittered = backoff / 2 + (random() * backoff) / 2
  return (error.retryAfterSeconds ?? 0) * 1000 + jittered
}

/**
 * Does a call until it succeeds, is refused for good, or has been tried often enough. Rejects with the last error.
 */
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

/** What a call rejects with that the app itself ended. */
export function aborted(signal: AbortSignal | undefined): CertbookError {
  return new CertbookError('aborted', 'The app ended this call.', { cause: signal?.reason })
}
