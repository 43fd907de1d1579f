import { blob, command, integer, query, text, type Command, type Database, type Reader } from '../ports/database.ts'

export interface CheckInRow {
  readonly device: string
  readonly subscriber: string
  readonly seenAt: number
  /** A keyed hash of the device and the facts. */
  readonly factsKey: Uint8Array
  readonly factsSealed: Uint8Array
}

export const checkInOf = (device: string) =>
  query(
    { seenAt: integer, factsKey: blob },
    `SELECT seen_at AS seenAt, facts_key AS factsKey FROM check_ins WHERE device = ?`,
    device,
  )

/** Overwrites the device's report. If two writers race, the later hour stays. */
export const putCheckIn = (row: CheckInRow): Command =>
  command(
    `INSERT INTO check_ins (device, subscriber, seen_at, facts_key, facts_sealed) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (device) DO UPDATE
     SET seen_at = excluded.seen_at, facts_key = excluded.facts_key, facts_sealed = excluded.facts_sealed
     WHERE excluded.seen_at >= check_ins.seen_at`,
    row.device,
    row.subscriber,
    row.seenAt,
    row.factsKey,
    row.factsSealed,
  )

export const deleteCheckInsBefore = (before: number): Command =>
  command(`DELETE FROM check_ins WHERE seen_at < ?`, before)

/** The devices with a report by id, after `after`. */
export const readReportingDevices = (reader: Reader, after: string, limit: number) =>
  reader.all(
    query({ device: text }, `SELECT device FROM check_ins WHERE device > ? ORDER BY device LIMIT ?`, after, limit),
  )

/** The devices among these that have not ended. */
export const readLiveDevices = (database: Database, devices: readonly string[]) =>
  database.all(
    query(
      { id: text },
      `SELECT d.id FROM json_each(?) given JOIN devices d ON d.id = given.value WHERE d.ended_at IS NULL`,
      JSON.stringify(devices),
    ),
  )

export const deleteCheckInsOf = (devices: readonly string[]): Command =>
  command(`DELETE FROM check_ins WHERE device IN (SELECT value FROM json_each(?))`, JSON.stringify(devices))
