import { aborted, type RetryRules } from './retry.ts'

/** How long an app waits for something that others do. */
export interface Waiting {
  /** Without it, only the end of the process ends the wait. */
  readonly signal?: AbortSignal
}

/** The result of one look. */
export type Look<Value> =
  | { readonly done: true; readonly value: Value }
  | { readonly done: false; readonly retryAfterSeconds: number | null }

const firstPauseSeconds = 2
const longestPauseSeconds = 15
/** The longest time between two looks, whatever the service asks for. */
const longestRetryAfterSeconds = 600

/**
 * Looks again and again, less and less often, until it is done. Never looks sooner than the service asks, up to a
 * limit.
 */
export async function poll<Value>(
  rules: RetryRules,
  { signal }: Waiting,
  look: () => Promise<Look<Value>>,
): Promise<Value> {
  for (let pause = firstPauseSeconds; ; pause = Math.min(pause * 1.5, longestPauseSeconds)) {
    if (signal?.aborted === true) throw aborted(signal)
    const seen = await look()
    if (seen.done) return seen.value
    const seconds = Math.max(pause, Math.min(seen.retryAfterSeconds ?? 0, longestRetryAfterSeconds))
    await rules.sleep(seconds * 1000 * (1 + rules.random() / 4), signal)
  }
}
