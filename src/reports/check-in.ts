import { requireAllowedFacts } from '../api/device-facts.ts'
import type { DeviceCaller } from '../api/room.ts'
import type { DeviceFacts } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import type { Database, Reader } from '../ports/database.ts'
import type { Journal } from '../ports/journal.ts'
import { openText, SealBroken, sealText, type Keys, type Place } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { deleteCheckInsOf, putCheckIn, readCheckIn, readLiveDevices, readReportingDevices } from './store.ts'

export interface CheckInDeps {
  readonly database: Database
  readonly journal: Journal
  readonly keys: Keys
  readonly clock: Clock
}

const hourMilliseconds = 3_600_000

const factsPlace = (device: string): Place => ({ table: 'check_ins', column: 'facts_sealed', row: device })

/** In one order, whatever order the fields came in. */
const factsText = ({ appVersion, deviceType, osVersion, language, serialNumber }: DeviceFacts): string =>
  JSON.stringify({ appVersion, deviceType, osVersion, language, serialNumber })

/** Whether this very report is kept already. One whose key is gone says nothing any more. */
async function isKept(
  deps: CheckInDeps,
  reader: Reader,
  device: string,
  hour: number,
  facts: string,
): Promise<boolean> {
  const kept = await readCheckIn(reader, device)
  if (kept === null || kept.seenAt < hour) return false
  try {
    return openText(deps.keys.journal, factsPlace(device), kept.factsSealed) === facts
  } catch (error) {
    if (error instanceof SealBroken) return false
    throw error
  }
}

async function keep(deps: CheckInDeps, caller: DeviceCaller, facts: string): Promise<void> {
  const now = deps.clock()
  const hour = now - (now % hourMilliseconds)
  const shard = deps.journal.shard(caller.subscriberId)
  const device = caller.deviceId
  await deps.keys.journal.prepare(now)
  if (await isKept(deps, shard.reading('primary'), device, hour, facts)) return
  const factsSealed = sealText(deps.keys.journal, factsPlace(device), facts)
  await shard.batch([putCheckIn({ device, subscriber: caller.subscriberId, seenAt: hour, factsSealed })])
}

/**
 * Keeps a device's report in the place of its last one. It writes only where something changed or another hour began,
 * so that a report every five minutes does not cost a commit each. Throws `serial_number_not_android`,
 * `log_unavailable`.
 */
export async function recordCheckIn(deps: CheckInDeps, caller: DeviceCaller, device: DeviceFacts): Promise<void> {
  requireAllowedFacts(device)
  try {
    await keep(deps, caller, factsText(device))
  } catch (cause) {
    throw new DomainError('log_unavailable', 'The check-in could not be kept. Try again shortly.', {
      retryAfterSeconds: 60,
      cause,
    })
  }
}

const devicesAtOnce = 200

/** Drops the reports of devices that have ended; resolves to how many. */
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
