import { dayMilliseconds } from '../ports/time.ts'

/**
 * The times of a certificate are sealed. Tables hold days by which rows are selected: a day (UTC) holds the time that is
 * meant, and the exact time decides after the row was read. Where a day begins, `dayOf` says.
 */

/** The end of the day that a time is in; a time that begins a day is its own. */
export const dayAfter = (at: number): number => Math.ceil(at / dayMilliseconds) * dayMilliseconds

/** By when all days have ended that hold a time before this one. */
export const dayHolding = (at: number): number => at + dayMilliseconds
