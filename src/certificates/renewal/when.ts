const dayMilliseconds = 86_400_000

/** No certificate is to be renewed longer before its end than this. */
export const earliestReminderMilliseconds = 30 * dayMilliseconds

/** When the holder of a certificate is told first that it runs out: at a third of its term, 30 days before the end at most. */
export const firstReminder = (notBefore: number, notAfter: number): number =>
  notAfter - Math.min(Math.floor((notAfter - notBefore) / 3), earliestReminderMilliseconds)

/** When for the second and last time: at a twelfth, 7 days before the end at most. */
export const lastReminder = (notBefore: number, notAfter: number): number =>
  notAfter - Math.min(Math.floor((notAfter - notBefore) / 12), 7 * dayMilliseconds)
