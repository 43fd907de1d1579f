import type { Sha256 } from '../ports/keys.ts'

/** What devices' and administrators' credentials have in common. */

const dayMilliseconds = 86_400_000

/** The UTC day of a time, as the milliseconds of its beginning: the last use of a credential is kept no finer than this. */
export const dayOf = (at: number): number => Math.floor(at / dayMilliseconds) * dayMilliseconds

/**
 * How long after the beginning of the day of its last use a credential has expired: nobody has used it for 180 days then,
 * the rest of that day not counted.
 */
export const unusedAllowedMilliseconds = 181 * dayMilliseconds

const encoder = new TextEncoder()

/** SHA-256 of a bearer secret: 256 random bits need no salt and no stretching. */
export const hashSecret = (sha256: Sha256, secret: string): Uint8Array => sha256(encoder.encode(secret))
