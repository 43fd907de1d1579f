import { aborted, type RetryRules } from './retry.ts'

/** How long an app waits for something that others do. */
export interface Waiting {
  /** Without it, the wait ends with the process alone. */
  readonly signal?: AbortSignal
}

/** What one look has shown. */
export type Look<Value> =
  | { readonly done: true; readonly value: Value }
  | { readonly done: false; readonly retryAfterSeconds: number | null }

const firstPauseSeconds = 2
const longestPauseSeconds = 15
/** Whatever the service asks: what an app waits for is looked at every now and then. */
const longestRetryAfterSeconds = 600

/** Looks again and again, ever less often, until it is done; not sooner than the service asks, within reason. */
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
