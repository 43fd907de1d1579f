export const dayMilliseconds = 86_400_000

/** UTC days since 1970. */
export const dayNumberOf = (at: number): number => Math.floor(at / dayMilliseconds)
