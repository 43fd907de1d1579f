import type { Sha256 } from '../ports/keys.ts'

/** What the credentials of devices and administrators have in common. */

const dayMilliseconds = 86_400_000

/** The beginning of the UTC day of a time, in milliseconds. The last use of a credential is kept as a day. */
export const dayOf = (at: number): number => Math.floor(at / dayMilliseconds) * dayMilliseconds

/** A credential has expired this long after the beginning of the day of its last use: 180 full days unused. */
export const unusedAllowedMilliseconds = 181 * dayMilliseconds

const encoder = new TextEncoder()

/** SHA-256 of a bearer secret. The secret is 256 random bits, so it needs no salt and no slow hash. */
export const hashSecret = (sha256: Sha256, secret: string): Uint8Array => sha256(encoder.encode(secret))
