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
  credentialVerifier: Uint8Array
  factsSealed: Uint8Array
  createdAt: number
  seenAt: number
}): Command =>
  command(
    `INSERT INTO devices (id, subscriber, registration, credential_verifier, facts_sealed, created_at, seen_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.registration,
    row.credentialVerifier,
    row.factsSealed,
    row.createdAt,
    row.seenAt,
  )

/** Replaces the credential of a device. Guard: nobody has used the one before. */
export const replaceUnusedCredential = (registration: string, credentialVerifier: Uint8Array): Command[] => [
  command(
    `UPDATE devices SET credential_verifier = ?
     WHERE registration = ? AND credential_used_at IS NULL AND ended_at IS NULL`,
    credentialVerifier,
    registration,
  ),
  requireOneChange('credential_used'),
]

/** Keeps the next credential, which takes effect at its first use. Guard: the device has not ended. */
export const keepNextCredential = (device: string, nextVerifier: Uint8Array): Command[] => [
  command(`UPDATE devices SET next_credential_verifier = ? WHERE id = ? AND ended_at IS NULL`, nextVerifier, device),
  requireOneChange('device_ended'),
]

/** Notes the first use of a credential. Guard: it was not used or replaced meanwhile. */
export const markCredentialUsed = (device: string, credentialVerifier: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE devices SET credential_used_at = ?
     WHERE id = ? AND credential_verifier = ? AND credential_used_at IS NULL AND ended_at IS NULL`,
    now,
    device,
    credentialVerifier,
  ),
  requireOneChange('credential_used_or_replaced'),
]

/** Keeps the verifier of a newer key in place of an older one of the same credential. */
export const renewVerifier = (device: string, before: Uint8Array, after: Uint8Array): Command =>
  command(`UPDATE devices SET credential_verifier = ? WHERE id = ? AND credential_verifier = ?`, after, device, before)

/** Makes the next credential the present one, at its first use. Guard: no other call did so before. */
export const promoteNextCredential = (device: string, nextVerifier: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE devices SET credential_verifier = next_credential_verifier, credential_used_at = ?, next_credential_verifier = NULL
     WHERE id = ? AND next_credential_verifier = ? AND ended_at IS NULL`,
    now,
    device,
    nextVerifier,
  ),
  requireOneChange('credential_used_or_replaced'),
]

export const markSeen = (device: string, day: number): Command =>
  command(`UPDATE devices SET seen_at = ? WHERE id = ? AND seen_at < ?`, day, device, day)

/**
 * The device of a credential, or of the one that is to replace it, unless it has ended; with its subscriber's oldest
 * active mailbox, whose columns are null where there is none.
 */
export const readCaller = (database: Database, credentialVerifier: Uint8Array) =>
  database.first(
    query(
      {
        deviceId: text,
        subscriberId: text,
        usedAt: nullable(integer),
        seenAt: integer,
        isNext: integer,
        subscriberSince: integer,
        mailbox: nullable(text),
        addressSealed: nullable(blob),
        addressIndex: nullable(blob),
      },
      `SELECT d.id AS deviceId, d.subscriber AS subscriberId, d.credential_used_at AS usedAt, d.seen_at AS seenAt,
              d.credential_verifier <> ? AS isNext, s.created_at AS subscriberSince, m.id AS mailbox,
              m.address_sealed AS addressSealed, m.address_index AS addressIndex
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
      credentialVerifier,
    ),
  )
export type CallerRow = NonNullable<Awaited<ReturnType<typeof readCaller>>>

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
    `UPDATE devices SET ended_at = ?, next_credential_verifier = NULL
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
    `UPDATE devices SET ended_at = ?, next_credential_verifier = NULL
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
