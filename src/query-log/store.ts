import { blob, command, integer, nullable, oneOf, query, text, type Command, type Reader } from '../ports/database.ts'

export interface LogRow {
  readonly id: number
  readonly at: number
  readonly asker: string
  readonly device: string | null
  readonly status: 'found' | 'not_found'
  /** The keyed hash of the address's matching key. */
  readonly addressKey: Uint8Array
  /** The number of the payer on that day. Null if the budgets are counted in tables. */
  readonly payer: number | null
  readonly addressSealed: Uint8Array
}

export const insertRecent = (row: LogRow): Command =>
  command(
    `INSERT INTO query_log_recent (id, at, asker, device, interface, status, address_key, payer, address_sealed)
     VALUES (?, ?, ?, ?, 'http', ?, ?, ?, ?)`,
    row.id,
    row.at,
    row.asker,
    row.device,
    row.status,
    row.addressKey,
    row.payer,
    row.addressSealed,
  )

/** Inserts a payer of one day: the keys of the scopes, one after the other, the asker's own first. */
export const insertPayer = (day: number, number: number, scopes: Uint8Array): Command =>
  command(`INSERT INTO lookup_payers (day, number, scopes) VALUES (?, ?, ?)`, day, number, scopes)

export const payersOf = (day: number) =>
  query({ number: integer, scopes: blob }, `SELECT number, scopes FROM lookup_payers WHERE day = ?`, day)

/** Many rows in one, because a row read for itself costs over three times as much. */
const paidColumns = { last: nullable(integer), paid: nullable(blob) }

/**
 * One page of the rows with a payer, after an id and within a time: the last id, and for each row its payer's number in
 * four bytes and its address key. Both are null after the last page.
 */
export const movedAndPaid = (behind: number, from: number, to: number) =>
  query(
    paidColumns,
    `SELECT MAX(id) AS last, unhex(group_concat(printf('%08x', payer) || hex(address_key), '')) AS paid
     FROM (SELECT id, payer, address_key FROM query_log
           WHERE id > ? AND at >= ? AND at < ? AND payer IS NOT NULL ORDER BY id LIMIT 4096)`,
    behind,
    from,
    to,
  )

/** One page of such rows that were not moved yet. */
export const recentAndPaid = (behind: number, from: number, to: number) =>
  query(
    paidColumns,
    `SELECT MAX(id) AS last, unhex(group_concat(printf('%08x', payer) || hex(address_key), '')) AS paid
     FROM (SELECT id, payer, address_key FROM query_log_recent
           WHERE id > ? AND at >= ? AND at < ? AND payer IS NOT NULL ORDER BY id LIMIT 4096)`,
    behind,
    from,
    to,
  )

/** Deletes at most `rows` payers of days before `day`. */
export const deletePayersBefore = (day: number, rows: number): Command =>
  command(
    `DELETE FROM lookup_payers
     WHERE (day, number) IN (SELECT day, number FROM lookup_payers WHERE day < ? LIMIT ?)`,
    day,
    rows,
  )

/**
 * Moves rows older than `id` into the indexed table, the oldest first and at most `rows`. Both statements are in one
 * batch, so no row is lost or doubled. A row whose id is taken there stays: ids are made from the time, and a clock
 * can be set back. Each row gets the salt of its commitment.
 */
export const moveRecentBelow = (id: number, rows: number): Command[] => [
  command(
    `INSERT INTO query_log (id, at, asker, device, interface, status, address_key, payer, address_sealed, salt)
     SELECT id, at, asker, device, interface, status, address_key, payer, address_sealed, randomblob(16)
     FROM query_log_recent r
     WHERE r.id < ? AND NOT EXISTS (SELECT 1 FROM query_log l WHERE l.id = r.id)
     ORDER BY r.id LIMIT ?`,
    id,
    rows,
  ),
  command(
    `DELETE FROM query_log_recent
     WHERE id IN (
       SELECT r.id FROM query_log_recent r JOIN query_log l ON l.id = r.id AND l.address_sealed = r.address_sealed
       WHERE r.id < ? ORDER BY r.id LIMIT ?
     )`,
    id,
    rows,
  ),
]

/** Deletes rows older than `id`, the oldest first and at most `rows`. */
export const deleteLogBelow = (id: number, rows: number): Command =>
  command(`DELETE FROM query_log WHERE id IN (SELECT id FROM query_log WHERE id < ? ORDER BY id LIMIT ?)`, id, rows)

/** Deletes such rows that were never moved. */
export const deleteRecentBelow = (id: number, rows: number): Command =>
  command(
    `DELETE FROM query_log_recent WHERE id IN (SELECT id FROM query_log_recent WHERE id < ? ORDER BY id LIMIT ?)`,
    id,
    rows,
  )

const columns = {
  id: integer,
  at: integer,
  device: nullable(text),
  status: oneOf('found', 'not_found'),
  addressSealed: blob,
}

/** The newest rows of an asker below `before`, newest first. The recent table holds a minute or so. */
export async function readOwn(reader: Reader, asker: string, before: number, limit: number) {
  const recent = await reader.all(
    query(
      columns,
      `SELECT /* scan: a minute of rows without an index */ id, at, device, status, address_sealed AS addressSealed
       FROM query_log_recent WHERE asker = ? AND id < ? ORDER BY id DESC LIMIT ?`,
      asker,
      before,
      limit,
    ),
  )
  const older = await reader.all(
    query(
      columns,
      `SELECT id, at, device, status, address_sealed AS addressSealed
       FROM query_log WHERE asker = ? AND id < ? ORDER BY id DESC LIMIT ?`,
      asker,
      before,
      limit,
    ),
  )
  // A row that moves between the two reads is seen twice. In the other order it would be missed.
  const seen = new Set(older.map((row) => row.id))
  return [...recent.filter((row) => !seen.has(row.id)), ...older].toSorted((a, b) => b.id - a.id).slice(0, limit)
}

/** How many rows are in the recent table: a minute's lookups, unless the job that moves them fails. */
export const countRecent = (reader: Reader) =>
  reader.first(
    query({ entries: integer }, `SELECT /* scan: a minute of rows */ COUNT(*) AS entries FROM query_log_recent`),
  )
