import type { Random } from './runtime.ts'

/** A request that is taken and not let go of for so long has lost its worker. Longer than all calls of one order take. */
export const leaseMilliseconds = 5 * 60_000

/** For how long one run begins new work at one CA; the next one goes on, and what is due elsewhere does not wait for it. */
export const perRunMilliseconds = 50_000

/** A request that has failed so often goes behind those that came after it: it may be what the CA fails at. */
export const attemptsInTurn = 3

/** Half of it up to all of it, so that what failed together does not come back together. */
const jittered = (random: Random, milliseconds: number): number => {
  const [byte = 0] = random.bytes(1)
  return Math.round(milliseconds * (0.5 + byte / 510))
}

const growing = (random: Random, first: number, most: number, times: number): number =>
  jittered(random, Math.min(most, first * 2 ** Math.min(times, 20)))

/** How long a request waits that has failed `times` before. */
export const retryDelay = (random: Random, times: number): number => growing(random, 5_000, 15 * 60_000, times)

/** How long nothing is sent to a CA that has failed `times` in a row beyond those that opened the circuit. */
export const circuitDelay = (random: Random, times: number): number => growing(random, 15_000, 5 * 60_000, times)

const longestPollDelay = 24 * 3_600_000
const shortestPollDelay = 5_000

/** When a CA is asked again that has said `pending`: as it wishes, within bounds. */
export const pollDelay = (random: Random, retryAfterSeconds: number | null, times: number): number =>
  retryAfterSeconds === null
    ? growing(random, 15_000, 3_600_000, times)
    : Math.min(longestPollDelay, Math.max(shortestPollDelay, retryAfterSeconds * 1_000))

const longestListDelay = 3_600_000
const shortestListDelay = 5 * 60_000

/** When a CA's revocation list is fetched again, with so long until the CA is to make the next; null: it does not say. */
export const listDelay = (random: Random, untilNext: number | null): number =>
  Math.max(shortestListDelay, jittered(random, Math.min(longestListDelay, untilNext ?? longestListDelay)))
