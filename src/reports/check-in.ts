import { requireAllowedFacts } from '../api/device-facts.ts'
import type { DeviceCaller } from '../api/room.ts'
import type { DeviceFacts } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { CheckIns } from '../ports/check-ins.ts'
import type { Database } from '../ports/database.ts'
import type { Journal } from '../ports/journal.ts'
import { sealText, type Keys, type Place } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { checkInOf, deleteCheckInsOf, putCheckIn, readLiveDevices, readReportingDevices } from './store.ts'
import { hourMilliseconds, hourOf } from '../ports/time.ts'

export interface CheckInDeps {
  readonly database: Database
  readonly journal: Journal
  readonly checkIns: CheckIns
  readonly clock: Clock
}

/** A hash of 32 bits for spreading things, without a secret (FNV-1a, then the end of MurmurHash3). */
export const mixOf = (value: string, seed: number): number => {
  let mixed = 0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)
  for (let at = 0; at < value.length; at += 1) mixed = Math.imul(mixed ^ value.charCodeAt(at), 0x01000193)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  return (mixed ^ (mixed >>> 13)) >>> 0
}

/**
 * Whether an unchanged report must be written again. The stored time is cut to the hour. Each device's hour begins at
 * a minute of its own, so that no hour begins with the reports of all devices.
 */
export const isDue = (device: string, seenAt: number, now: number): boolean =>
  seenAt < hourOf(now - (mixOf(device, 0) % hourMilliseconds))

export const factsPlace = (device: string): Place => ({ table: 'check_ins', column: 'facts_sealed', row: device })

/** The text from which the key of a report is made. */
export const factsKeyText = (device: string, facts: string): string => `${device}\0${facts}`

/** The facts in a fixed order of fields. */
const factsText = ({ appVersion, deviceType, osVersion, language, serialNumber }: DeviceFacts): string =>
  JSON.stringify({ appVersion, deviceType, osVersion, language, serialNumber })

/** Check-ins in the tables of the journal's shards, for runtimes where no process remembers them. */
export const createCheckInsInTables = (deps: Pick<CheckInDeps, 'journal' | 'clock'> & { keys: Keys }): CheckIns => ({
  keep: async ({ device, subscriber, facts }) => {
    const now = deps.clock()
    await deps.keys.journal.prepare(now)
    const shard = deps.journal.shard(subscriber)
    const factsKey = deps.keys.journal.index('check_ins.facts_key', factsKeyText(device, facts))
    const kept = await shard.reading('primary').first(checkInOf(device))
    const isSame = kept?.factsKey.every((byte, at) => byte === factsKey[at]) ?? false
    if (kept !== null && isSame && !isDue(device, kept.seenAt, now)) return
    const factsSealed = sealText(deps.keys.journal, factsPlace(device), facts)
    await shard.batch([putCheckIn({ device, subscriber, seenAt: hourOf(now), factsKey, factsSealed })])
  },
})

/** Stores a device's report in the place of its last one. Throws `serial_number_not_android`, `log_unavailable`. */
export async function recordCheckIn(deps: CheckInDeps, caller: DeviceCaller, device: DeviceFacts): Promise<void> {
  requireAllowedFacts(device)
  try {
    await deps.checkIns.keep({
      device: caller.deviceId,
      subscriber: caller.subscriberId,
      facts: factsText(device),
    })
  } catch (cause) {
    throw new DomainError('log_unavailable', 'The check-in could not be kept. Try again shortly.', {
      retryAfterSeconds: 60,
      cause,
    })
  }
}

const devicesAtOnce = 200

/** Deletes the reports of devices that have ended. Resolves to their number. */
export async function pruneEndedDevices(deps: CheckInDeps, shard: Database): Promise<number> {
  let dropped = 0
  let after = ''
  for (;;) {
    const page = (await readReportingDevices(shard.reading('primary'), after, devicesAtOnce)).map(
      ({ device }) => device,
    )
    const last = page.at(-1)
    if (last === undefined) return dropped
    const live = new Set((await readLiveDevices(deps.database, page)).map(({ id }) => id))
    const ended = page.filter((device) => !live.has(device))
    if (ended.length > 0) {
      const [outcome] = await shard.batch([deleteCheckInsOf(ended)])
      dropped += outcome?.changes ?? 0
    }
    after = last
  }
}
