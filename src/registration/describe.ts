import type { SubscriberReading } from '../api/admin-shapes.ts'
import { timestamp } from '../api/room.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { AuthorityDeps } from '../ports/authority.ts'
import type { Database } from '../ports/database.ts'
import type { Keys } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { factsOfDevice } from './device-facts.ts'
import { lastSeenDay } from './device/seen.ts'
import { countSubscribersAndDevices, readDevicesEver } from './device/store.ts'
import { openMailbox } from './mailboxes.ts'
import { readHolding, readMailboxesOf } from './mailbox/store.ts'
import { readSubscriber } from './store.ts'

/** The part of a subscriber's description that this room knows. */
type RegistrationReading = Omit<SubscriberReading, 'certificates'>

interface Deps extends AuthorityDeps {
  readonly database: Database
  readonly keys: Keys
  readonly clock: Clock
}

/** So many are shown, the newest ones. */
const devicesShown = 200

async function devicesOf({ database, keys, clock }: Deps, subscriber: string): Promise<RegistrationReading['devices']> {
  const rows = await readDevicesEver(database, subscriber, devicesShown)
  return rows.toReversed().map((row) => {
    const { appVersion, deviceType, osVersion, language } = factsOfDevice(keys, row)
    return {
      id: row.id,
      state: row.endedAt === null ? 'active' : 'ended',
      appVersion,
      deviceType,
      osVersion,
      language,
      createdAt: timestamp(row.createdAt),
      lastSeenAt: timestamp(lastSeenDay(row.seenAt, clock())),
      endedAt: row.endedAt === null ? null : timestamp(row.endedAt),
    }
  })
}

async function mailboxesOf(deps: Deps, subscriber: string): Promise<RegistrationReading['mailboxes']> {
  return (await readMailboxesOf(deps, subscriber)).map((row) => {
    const { id, address, accountType, state, verifiedAt, createdAt } = openMailbox(deps.keys, row)
    return {
      id,
      address,
      accountType,
      state,
      verifiedAt: timestamp(verifiedAt),
      createdAt: timestamp(createdAt),
      endedAt: row.endedAt === null ? null : timestamp(row.endedAt),
    }
  })
}

/** The subscriber who has the mailbox of an address now, or null. Throws the refusals of addresses. */
export async function holderOf(deps: Deps, address: string): Promise<string | null> {
  const index = deps.keys.blindIndex(parseMailboxAddress(address).matchingKey)
  return (await readHolding(deps, index)).holder?.subscriber ?? null
}

/** A subscriber as administrators see it, or null. */
export async function describeSubscriber(deps: Deps, subscriber: string): Promise<RegistrationReading | null> {
  const row = await readSubscriber(deps.database, subscriber)
  if (row === null) return null
  return {
    id: row.id,
    language: row.language,
    createdAt: timestamp(row.createdAt),
    restricted: row.restrictedAt !== null,
    mailboxes: await mailboxesOf(deps, subscriber),
    devices: await devicesOf(deps, subscriber),
  }
}

/** How many subscribers there are, and how many devices that have not ended. */
export const countRegistered = async ({
  database,
}: Pick<Deps, 'database'>): Promise<{ subscribers: number; devices: number }> =>
  (await countSubscribersAndDevices(database)) ?? { subscribers: 0, devices: 0 }
