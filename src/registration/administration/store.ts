import { blob, integer, nullable, query, text, type Database } from '../../ports/database.ts'

/** The devices that a subscriber has or had, oldest first. */
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
