/** Days and hours as the service counts them: in UTC, in milliseconds since 1970. */

export const hourMilliseconds = 3_600_000
export const dayMilliseconds = 24 * hourMilliseconds

/** The hours from 1970 to a time. */
export const hourNumberOf = (at: number): number => Math.floor(at / hourMilliseconds)

/** The UTC days from 1970 to a time. */
export const dayNumberOf = (at: number): number => Math.floor(at / dayMilliseconds)

/** The beginning of the UTC day of a time. */
export const dayOf = (at: number): number => dayNumberOf(at) * dayMilliseconds

/** The beginning of the hour of a time. */
export const hourOf = (at: number): number => hourNumberOf(at) * hourMilliseconds

/** The UTC day of a time, such as 2026-11-21. */
export const dayNameOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
