import type { Random } from './runtime.ts'
import { dayMilliseconds, hourMilliseconds } from './time.ts'

/** After this time the worker of a claimed request counts as lost. It is longer than all calls of one order take. */
export const leaseMilliseconds = 5 * 60_000

/** How long one run begins new work at one CA. The next run goes on, and other CAs do not wait. */
export const perRunMilliseconds = 50_000

/** After so many failures a request is sent after the others: it may be the cause of the failures. */
export const attemptsInTurn = 3

/** Between half of the time and all of it, so that requests that failed together are not repeated together. */
const jittered = (random: Random, milliseconds: number): number => {
  const [byte = 0] = random.bytes(1)
  return Math.round(milliseconds * (0.5 + byte / 510))
}

const growing = (random: Random, first: number, most: number, times: number): number =>
  jittered(random, Math.min(most, first * 2 ** Math.min(times, 20)))

/** How long a request waits after it has failed `times` before. */
export const retryDelay = (random: Random, times: number): number => growing(random, 5_000, 15 * 60_000, times)

/** How long nothing is sent to a CA. `times` are its failures in a row after the circuit opened. */
export const circuitDelay = (random: Random, times: number): number => growing(random, 15_000, 5 * 60_000, times)

const longestPollDelay = dayMilliseconds
const shortestPollDelay = 5_000

/** When to ask a CA again that answered `pending`: as it wishes, within limits. */
export const pollDelay = (random: Random, retryAfterSeconds: number | null, times: number): number =>
  retryAfterSeconds === null
    ? growing(random, 15_000, hourMilliseconds, times)
    : Math.min(longestPollDelay, Math.max(shortestPollDelay, retryAfterSeconds * 1_000))

const longestListDelay = hourMilliseconds
const shortestListDelay = 5 * 60_000

/**
 * When to fetch a CA's revocation list again. `untilNext`: how long until the CA makes the next list; null if it does
 * not say.
 */
export const listDelay = (random: Random, untilNext: number | null): number =>
  Math.max(shortestListDelay, jittered(random, Math.min(longestListDelay, untilNext ?? longestListDelay)))
