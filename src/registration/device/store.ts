import { authorityOf, pageOfFaults, requireUnchanged, type AuthorityDeps } from '../../ports/authority.ts'
import type { Macs } from '../../ports/row-mac.ts'
import { isTrustedMailbox } from '../trusted-mailboxes.ts'
import {
  blob,
  command,
  integer,
  nullable,
  query,
  requireNoRow,
  requireOneChange,
  text,
  type Command,
  type Database,
  type RowOf,
} from '../../ports/database.ts'

/** What reads devices. A device whose MAC does not fit counts as absent. */
type ReadDeps = AuthorityDeps & { readonly database: Database }

/** What of a device grants or ends authority. */
const authority = authorityOf('devices', [
  'id',
  'subscriber',
  'registration',
  'credentialVerifier',
  'nextCredentialVerifier',
  'credentialUsedAt',
  'endedAt',
])
/** The day on which a device was seen, which decides when its credential expires, changes daily: a MAC of its own. */
const seenDay = authorityOf('devices.seen_at', ['id', 'seenAt'])

export const insertDevice = (
  keys: Macs,
  row: {
    id: string
    subscriber: string
    registration: string
    credentialVerifier: Uint8Array
    credentialUsedAt: number | null
    factsSealed: Uint8Array
    createdAt: number
    seenAt: number
  },
): Command =>
  command(
    `INSERT INTO devices
       (id, subscriber, registration, credential_verifier, credential_used_at, facts_sealed, created_at, seen_at, seen_mac,
        authority_mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.registration,
    row.credentialVerifier,
    row.credentialUsedAt,
    row.factsSealed,
    row.createdAt,
    row.seenAt,
    seenDay.of(keys, row),
    authority.of(keys, { ...row, nextCredentialVerifier: null, endedAt: null }),
  )

/** Changes what a device may do. Guard `requireUnchanged`. */
const changeDevice = (
  keys: Macs,
  row: DeviceRow,
  change: Partial<Pick<DeviceRow, 'credentialVerifier' | 'nextCredentialVerifier' | 'credentialUsedAt' | 'endedAt'>>,
): Command[] => {
  const next = { ...row, ...change }
  return [
    command(
      `UPDATE devices
       SET credential_verifier = ?, next_credential_verifier = ?, credential_used_at = ?, ended_at = ?, authority_mac = ?
       WHERE id = ? AND authority_mac = ?`,
      next.credentialVerifier,
      next.nextCredentialVerifier,
      next.credentialUsedAt,
      next.endedAt,
      authority.after(keys, row, change),
      row.id,
      row.authorityMac,
    ),
    requireUnchanged(),
  ]
}

/** Replaces the credential of a device, which nobody has used. */
export const replaceUnusedCredential = (keys: Macs, row: DeviceRow, credentialVerifier: Uint8Array): Command[] =>
  changeDevice(keys, row, { credentialVerifier })

/** Keeps the next credential, which takes effect at its first use. */
export const keepNextCredential = (keys: Macs, row: DeviceRow, nextCredentialVerifier: Uint8Array): Command[] =>
  changeDevice(keys, row, { nextCredentialVerifier })

/** Notes the first use of a credential, and keeps the verifier of the newest key. */
export const markCredentialUsed = (keys: Macs, row: DeviceRow, verifier: Uint8Array, now: number): Command[] =>
  changeDevice(keys, row, { credentialVerifier: verifier, credentialUsedAt: row.credentialUsedAt ?? now })

/** Makes the next credential the present one, at its first use. */
export const promoteNextCredential = (keys: Macs, row: DeviceRow, verifier: Uint8Array, now: number): Command[] =>
  changeDevice(keys, row, { credentialVerifier: verifier, credentialUsedAt: now, nextCredentialVerifier: null })

/** Ends a device and its credentials. */
export const endDevice = (keys: Macs, row: DeviceRow, now: number): Command[] =>
  changeDevice(keys, row, { endedAt: now, nextCredentialVerifier: null })

export const markSeen = (keys: Macs, device: string, day: number): Command =>
  command(
    `UPDATE devices SET seen_at = ?, seen_mac = ? WHERE id = ? AND seen_at < ?`,
    day,
    seenDay.of(keys, { id: device, seenAt: day }),
    device,
    day,
  )

const deviceColumns = {
  id: text,
  subscriber: text,
  registration: text,
  credentialVerifier: blob,
  credentialUsedAt: nullable(integer),
  nextCredentialVerifier: nullable(blob),
  factsSealed: blob,
  createdAt: integer,
  seenAt: integer,
  seenMac: blob,
  endedAt: nullable(integer),
  authorityMac: blob,
}

/** As `deviceColumns` reads them. */
const deviceSelection = `id, subscriber, registration, credential_verifier AS credentialVerifier,
  credential_used_at AS credentialUsedAt, next_credential_verifier AS nextCredentialVerifier,
  facts_sealed AS factsSealed, created_at AS createdAt, seen_at AS seenAt, seen_mac AS seenMac,
  ended_at AS endedAt, authority_mac AS authorityMac`
export type DeviceRow = RowOf<typeof deviceColumns>

const isTrusted = (deps: AuthorityDeps, row: DeviceRow): boolean =>
  authority.trusted(deps, row) !== null && seenDay.trusted(deps, { ...row, authorityMac: row.seenMac }) !== null

const trusted = (deps: AuthorityDeps, row: DeviceRow | null): DeviceRow | null =>
  row === null || !isTrusted(deps, row) ? null : row

/**
 * The device of a credential, or of the one that is to replace it, unless it has ended; with its subscriber's oldest
 * active mailbox, whose columns are null where there is none.
 */
export const readCaller = async (deps: ReadDeps, credentialVerifier: Uint8Array) => {
  const row = await deps.database.first(
    query(
      {
        ...deviceColumns,
        subscriberSince: integer,
        mailbox: nullable(text),
        addressSealed: nullable(blob),
        addressIndex: nullable(blob),
        accountType: nullable(text),
        verifiedAt: nullable(integer),
        mailboxMac: nullable(blob),
      },
      `SELECT d.id AS id, d.subscriber AS subscriber, d.registration AS registration,
              d.credential_verifier AS credentialVerifier, d.credential_used_at AS credentialUsedAt,
              d.next_credential_verifier AS nextCredentialVerifier, d.facts_sealed AS factsSealed,
              d.created_at AS createdAt, d.seen_at AS seenAt, d.seen_mac AS seenMac, d.ended_at AS endedAt,
              d.authority_mac AS authorityMac, s.created_at AS subscriberSince, m.id AS mailbox,
              m.address_sealed AS addressSealed, m.address_index AS addressIndex, m.account_type AS accountType,
              m.verified_at AS verifiedAt, m.authority_mac AS mailboxMac
       FROM devices d JOIN subscribers s ON s.id = d.subscriber
         LEFT JOIN mailboxes m ON m.id = (
           SELECT o.id FROM mailboxes o
           WHERE o.subscriber = d.subscriber AND o.ended_at IS NULL ORDER BY o.created_at, o.id LIMIT 1
         )
       WHERE d.id IN (
           SELECT id FROM devices WHERE credential_verifier = ?
           UNION ALL SELECT id FROM devices WHERE next_credential_verifier = ?
         )
         AND d.ended_at IS NULL`,
      credentialVerifier,
      credentialVerifier,
    ),
  )
  return row === null || !isTrusted(deps, row) ? null : row
}
export type CallerRow = NonNullable<Awaited<ReturnType<typeof readCaller>>>

/** The mailbox of a caller. Null where there is none, or nobody here wrote it. */
export const mailboxOfCaller = (
  deps: AuthorityDeps,
  { subscriber, mailbox, addressSealed, addressIndex, accountType, verifiedAt, mailboxMac }: CallerRow,
): { readonly id: string; readonly addressSealed: Uint8Array; readonly addressIndex: Uint8Array } | null => {
  if (mailbox === null || addressSealed === null || addressIndex === null || mailboxMac === null) return null
  const active = { id: mailbox, subscriber, addressIndex, accountType, verifiedAt, endedAt: null, endReason: null }
  return isTrustedMailbox(deps, { ...active, authorityMac: mailboxMac })
    ? { id: mailbox, addressSealed, addressIndex }
    : null
}

/** The number of the last change to what recognises callers; 0 where there was none. */
export const readLastCallerChange = (database: Database) =>
  database.first(query({ number: integer }, `SELECT COALESCE(MAX(number), 0) AS number FROM caller_changes`))

/** Whose rows changed, from a number on, that one included. */
export const readCallerChanges = (database: Database, from: number, limit: number) =>
  database.all(
    query(
      { number: integer, subscriber: text },
      `SELECT number, subscriber FROM caller_changes WHERE number >= ? ORDER BY number LIMIT ?`,
      from,
      limit,
    ),
  )

/** Deletes all changes but the last, `rows` at most. The last one tells a process that is behind that some are gone. */
export const deleteCallerChanges = (rows: number): Command =>
  command(
    `DELETE FROM caller_changes WHERE number IN (
       SELECT number FROM caller_changes WHERE number < (SELECT MAX(number) FROM caller_changes) LIMIT ?
     )`,
    rows,
  )

export const readDevice = async (deps: ReadDeps, id: string) =>
  trusted(
    deps,
    await deps.database.first(
      query(
        deviceColumns,
        `SELECT ${deviceSelection}
       FROM devices WHERE id = ?`,
        id,
      ),
    ),
  )

export const readDeviceOfRegistration = async (deps: ReadDeps, registration: string) =>
  trusted(
    deps,
    await deps.database.first(
      query(
        deviceColumns,
        `SELECT ${deviceSelection}
       FROM devices WHERE registration = ?`,
        registration,
      ),
    ),
  )

const readActiveRowsOf = (
  { database }: ReadDeps,
  subscriber: string,
  before: { at: number; id: string },
  limit: number,
) =>
  database.all(
    query(
      deviceColumns,
      `SELECT ${deviceSelection}
       FROM devices
       WHERE subscriber = ? AND ended_at IS NULL AND (created_at, id) < (?, ?)
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      before.at,
      before.id,
      limit,
    ),
  )

/** One page of a subscriber's active devices, newest first, after a cursor of time and id. It is full if there are so many. */
export async function readActiveDevicesOf(
  deps: ReadDeps,
  subscriber: string,
  before: { at: number; id: string },
  limit: number,
): Promise<DeviceRow[]> {
  const found: DeviceRow[] = []
  for (let from = before; ;) {
    const rows = await readActiveRowsOf(deps, subscriber, from, limit)
    found.push(...rows.filter((row) => isTrusted(deps, row)))
    const last = rows.at(-1)
    if (last === undefined || rows.length < limit || found.length >= limit) return found.slice(0, limit)
    from = { at: last.createdAt, id: last.id }
  }
}

/** Ended devices whose consequences have not happened yet, oldest end first. */
export const readUnsettledDevices = (database: Database, after: { at: number; id: string }, limit: number) =>
  database.all(
    query(
      { id: text, endedAt: integer },
      `SELECT id, ended_at AS endedAt FROM devices
       WHERE ended_at IS NOT NULL AND settled_at IS NULL AND (ended_at, id) > (?, ?)
       ORDER BY ended_at, id LIMIT ?`,
      after.at,
      after.id,
      limit,
    ),
  )

/** Notes that the consequences of a device's end have happened. */
export const settleDevice = (id: string, now: number): Command[] => [
  command(`UPDATE devices SET settled_at = ? WHERE id = ? AND ended_at IS NOT NULL AND settled_at IS NULL`, now, id),
  requireOneChange('device_settled'),
]

/** Guard: a subscriber has no other mailbox left, and none that may come back. */
export const requireNoMailboxBut = (mailbox: string, subscriber: string): Command =>
  requireNoRow(
    'mailbox_left',
    query(
      { id: text },
      `SELECT id FROM mailboxes
       WHERE subscriber = ? AND id <> ? AND (ended_at IS NULL OR (end_reason = 'moved' AND settled_at IS NULL))`,
      subscriber,
      mailbox,
    ),
  )

/** The devices that a subscriber has or had, newest first. */
export const readDevicesEver = (database: Database, subscriber: string, limit: number) =>
  database.all(
    query(
      { id: text, factsSealed: blob, createdAt: integer, seenAt: integer, endedAt: nullable(integer) },
      `SELECT id, facts_sealed AS factsSealed, created_at AS createdAt, seen_at AS seenAt, ended_at AS endedAt
       FROM devices WHERE subscriber = ? ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      limit,
    ),
  )

export const countSubscribersAndDevices = (database: Database) =>
  database.first(
    query(
      { subscribers: integer, devices: integer },
      `SELECT /* scan: counts everything, for a dashboard */
         (SELECT COUNT(*) FROM subscribers) AS subscribers,
         (SELECT COUNT(*) FROM devices WHERE ended_at IS NULL) AS devices`,
    ),
  )

/** One page of all devices, by id: in words, those whose MACs do not fit. */
export const readDeviceFaults = async (deps: Pick<ReadDeps, 'database' | 'keys'>, after: string, limit: number) => {
  const rows = await deps.database.all(
    query(
      deviceColumns,
      `SELECT ${deviceSelection}
       FROM devices WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  const seen = rows.map((row) => ({ ...row, authorityMac: row.seenMac }))
  return pageOfFaults(rows, [...authority.faults(deps.keys, rows), ...seenDay.faults(deps.keys, seen)])
}
