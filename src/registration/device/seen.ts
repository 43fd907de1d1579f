import { unusedAllowedMilliseconds } from '../../api/credentials.ts'
import { dayMilliseconds, dayOf } from '../../ports/time.ts'

/**
 * When a device's days begin, after midnight UTC: at a time of its own, so that no midnight has all devices write at
 * once. FNV-1a of its id.
 */
const dayBegins = (device: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < device.length; at += 1) hash = Math.imul(hash ^ device.charCodeAt(at), 0x01000193)
  return (hash >>> 0) % dayMilliseconds
}

/** The day, of the device's own days, on which a device is seen at a time; kept as the beginning of a UTC day. */
export const seenDayOf = (device: string, at: number): number => dayOf(at - dayBegins(device))

/** Whether a device that was last seen on a day has not been seen for so long that its credential has expired. */
export const isExpired = (device: string, seenDay: number, at: number): boolean =>
  at >= seenDay + dayBegins(device) + unusedAllowedMilliseconds

/** The UTC day after which a device was not seen, as far as is known by now. */
export const lastSeenDay = (seenDay: number, now: number): number => Math.min(seenDay + dayMilliseconds, dayOf(now))
