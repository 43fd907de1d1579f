import {
  blob,
  command,
  integer,
  nullable,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../ports/database.ts'

export const insertDevice = (row: {
  id: string
  subscriber: string
  registration: string
  credentialSha256: Uint8Array
  factsSealed: Uint8Array
  createdAt: number
  seenAt: number
}): Command =>
  command(
    `INSERT INTO devices (id, subscriber, registration, credential_sha256, facts_sealed, created_at, seen_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.registration,
    row.credentialSha256,
    row.factsSealed,
    row.createdAt,
    row.seenAt,
  )

/** Replaces the credential of a device. Guard: nobody has used the one before. */
export const replaceUnusedCredential = (registration: string, credentialSha256: Uint8Array): Command[] => [
  command(
    `UPDATE devices SET credential_sha256 = ?
     WHERE registration = ? AND credential_used_at IS NULL AND ended_at IS NULL`,
    credentialSha256,
    registration,
  ),
  requireOneChange('credential_used'),
]

/** Keeps the next credential, which takes effect at its first use. Guard: the device has not ended. */
export const keepNextCredential = (device: string, nextSha256: Uint8Array): Command[] => [
  command(`UPDATE devices SET next_credential_sha256 = ? WHERE id = ? AND ended_at IS NULL`, nextSha256, device),
  requireOneChange('device_ended'),
]

/** Notes the first use of a credential. Guard: it was not used or replaced meanwhile. */
export const markCredentialUsed = (device: string, credentialSha256: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE devices SET credential_used_at = ?
     WHERE id = ? AND credential_sha256 = ? AND credential_used_at IS NULL AND ended_at IS NULL`,
    now,
    device,
    credentialSha256,
  ),
  requireOneChange('credential_used_or_replaced'),
]

/** Makes the next credential the present one, at its first use. Guard: no other call did so before. */
export const promoteNextCredential = (device: string, nextSha256: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE devices SET credential_sha256 = next_credential_sha256, credential_used_at = ?, next_credential_sha256 = NULL
     WHERE id = ? AND next_credential_sha256 = ? AND ended_at IS NULL`,
    now,
    device,
    nextSha256,
  ),
  requireOneChange('credential_used_or_replaced'),
]

export const markSeen = (device: string, day: number): Command =>
  command(`UPDATE devices SET seen_at = ? WHERE id = ? AND seen_at < ?`, day, device, day)

/**
 * Finds the device of a credential, or of a next credential. Leaves out devices that have ended or were last seen
 * before `since`.
 */
export const readDeviceByCredential = (database: Database, credentialSha256: Uint8Array, since: number) =>
  database.first(
    query(
      { deviceId: text, subscriberId: text, usedAt: nullable(integer), seenAt: integer, isNext: integer },
      `SELECT id AS deviceId, subscriber AS subscriberId, credential_used_at AS usedAt, seen_at AS seenAt, 0 AS isNext
       FROM devices WHERE credential_sha256 = ? AND ended_at IS NULL AND seen_at > ?
       UNION ALL
       SELECT id AS deviceId, subscriber AS subscriberId, credential_used_at AS usedAt, seen_at AS seenAt, 1 AS isNext
       FROM devices WHERE next_credential_sha256 = ? AND ended_at IS NULL AND seen_at > ?`,
      credentialSha256,
      since,
      credentialSha256,
      since,
    ),
  )

const deviceColumns = {
  id: text,
  subscriber: text,
  registration: text,
  factsSealed: blob,
  createdAt: integer,
  seenAt: integer,
  endedAt: nullable(integer),
}
export type DeviceRow = NonNullable<Awaited<ReturnType<typeof readDevice>>>

export const readDevice = (database: Database, id: string) =>
  database.first(
    query(
      deviceColumns,
      `SELECT id, subscriber, registration, facts_sealed AS factsSealed, created_at AS createdAt, seen_at AS seenAt,
              ended_at AS endedAt
       FROM devices WHERE id = ?`,
      id,
    ),
  )

export const readDeviceOfRegistration = (database: Database, registration: string) =>
  database.first(
    query(
      deviceColumns,
      `SELECT id, subscriber, registration, facts_sealed AS factsSealed, created_at AS createdAt, seen_at AS seenAt,
              ended_at AS endedAt
       FROM devices WHERE registration = ?`,
      registration,
    ),
  )

/** One page of a subscriber's active devices, newest first, after a cursor of time and id. */
export const readActiveDevicesOf = (
  database: Database,
  subscriber: string,
  before: { at: number; id: string },
  limit: number,
) =>
  database.all(
    query(
      deviceColumns,
      `SELECT id, subscriber, registration, facts_sealed AS factsSealed, created_at AS createdAt, seen_at AS seenAt,
              ended_at AS endedAt
       FROM devices
       WHERE subscriber = ? AND ended_at IS NULL AND (created_at, id) < (?, ?)
       ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      before.at,
      before.id,
      limit,
    ),
  )

/** Ends a device and its credentials. Guard: it is an active device of the subscriber. */
export const endDevice = (id: string, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE devices SET ended_at = ?, next_credential_sha256 = NULL
     WHERE id = ? AND subscriber = ? AND ended_at IS NULL`,
    now,
    id,
    subscriber,
  ),
  requireOneChange('device_not_active'),
]

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

/** Ends the devices of a subscriber who has no mailbox left, and none that may come back. */
export const endDevicesWithoutMailbox = (subscriber: string, now: number): Command =>
  command(
    `UPDATE devices SET ended_at = ?, next_credential_sha256 = NULL
     WHERE subscriber = ? AND ended_at IS NULL
       AND NOT EXISTS (
         SELECT 1 FROM mailboxes m
         WHERE m.subscriber = devices.subscriber
           AND (m.ended_at IS NULL OR (m.end_reason = 'moved' AND m.settled_at IS NULL))
       )`,
    now,
    subscriber,
  )

/** All devices that a subscriber has or had, oldest first. */
export const readDevicesEver = (database: Database, subscriber: string, limit: number) =>
  database.all(
    query(
      { id: text, factsSealed: blob, createdAt: integer, seenAt: integer, endedAt: nullable(integer) },
      `SELECT id, facts_sealed AS factsSealed, created_at AS createdAt, seen_at AS seenAt, ended_at AS endedAt
       FROM devices WHERE subscriber = ? ORDER BY created_at, id LIMIT ?`,
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
