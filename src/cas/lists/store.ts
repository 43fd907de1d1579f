import {
  command,
  integer,
  nullable,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../ports/database.ts'

/** The lists to fetch now, the longest due first. */
export const readDueLists = (database: Database, now: number, limit: number) =>
  database.all(
    query(
      { connection: text, url: text, thisUpdate: nullable(integer), dueAt: integer, failures: integer },
      `SELECT connection, url, this_update AS thisUpdate, due_at AS dueAt, failures
       FROM fetched_revocation_lists WHERE due_at <= ? ORDER BY due_at LIMIT ?`,
      now,
      limit,
    ),
  )
export type DueList = Awaited<ReturnType<typeof readDueLists>>[number]

/** Takes a list to fetch it. Breaks if another worker has it. */
export const claimList = ({ connection, url, dueAt }: DueList, until: number): Command[] => [
  command(
    `UPDATE fetched_revocation_lists SET due_at = ? WHERE connection = ? AND url = ? AND due_at = ?`,
    until,
    connection,
    url,
    dueAt,
  ),
  requireOneChange('list_taken'),
]

/** A list that was applied. */
export interface AppliedList {
  readonly thisUpdate: number
  readonly nextUpdate: number | null
  readonly sha256: string
  /** A fault that the list has although it was applied. */
  readonly failure: string | null
  readonly failures: number
}

/** Notes an applied list. One that is older than the last applied list changes nothing. */
export const noteApplied = (
  { connection, url }: Pick<DueList, 'connection' | 'url'>,
  list: AppliedList,
  now: number,
  dueAt: number,
): Command =>
  command(
    `UPDATE fetched_revocation_lists
     SET this_update = ?, next_update = ?, list_sha256 = ?, applied_at = ?, due_at = ?, failures = ?, last_failure = ?
     WHERE connection = ? AND url = ? AND (this_update IS NULL OR this_update <= ?)`,
    list.thisUpdate,
    list.nextUpdate,
    list.sha256,
    now,
    dueAt,
    list.failures,
    list.failure,
    connection,
    url,
    list.thisUpdate,
  )

/** Notes that a list could not be fetched, or must not be applied. */
export const noteFailed = (
  { connection, url }: Pick<DueList, 'connection' | 'url'>,
  failure: string,
  dueAt: number,
): Command =>
  command(
    `UPDATE fetched_revocation_lists SET due_at = ?, failures = failures + 1, last_failure = ?
     WHERE connection = ? AND url = ?`,
    dueAt,
    failure,
    connection,
    url,
  )

/** Lists whose successor is late, and lists that could never be fetched. */
export const readOverdue = (database: Database, now: number, failures: number) =>
  database.all(
    query(
      { connection: text, name: text, url: text, nextUpdate: nullable(integer), lastFailure: nullable(text) },
      `SELECT /* scan: a few for each connection */ l.connection AS connection, k.name AS name, l.url AS url,
              l.next_update AS nextUpdate, l.last_failure AS lastFailure
       FROM fetched_revocation_lists l JOIN ca_connections k ON k.id = l.connection
       WHERE l.next_update < ? OR (l.applied_at IS NULL AND l.failures >= ?)
       ORDER BY k.name, l.url`,
      now,
      failures,
    ),
  )

/** Sets where a connection's revocation lists are. New ones are due at once, others are deleted. */
export const replaceLists = (connection: string, urls: readonly string[], now: number): Command[] => [
  command(
    `DELETE FROM fetched_revocation_lists WHERE connection = ? AND url NOT IN (SELECT value FROM json_each(?))`,
    connection,
    JSON.stringify(urls),
  ),
  ...[...new Set(urls)].map((url) =>
    command(
      `INSERT INTO fetched_revocation_lists (connection, url, due_at) VALUES (?, ?, ?)
       ON CONFLICT (connection, url) DO UPDATE SET due_at = excluded.due_at`,
      connection,
      url,
      now,
    ),
  ),
]

export const readLists = (database: Database, connection: string) =>
  database.all(
    query(
      {
        url: text,
        thisUpdate: nullable(integer),
        nextUpdate: nullable(integer),
        appliedAt: nullable(integer),
        lastFailure: nullable(text),
      },
      `SELECT url, this_update AS thisUpdate, next_update AS nextUpdate, applied_at AS appliedAt,
              last_failure AS lastFailure
       FROM fetched_revocation_lists WHERE connection = ? ORDER BY url`,
      connection,
    ),
  )
