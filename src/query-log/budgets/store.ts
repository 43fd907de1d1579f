import { command, integer, query, requireOneChange, type Command, type Reader } from '../../ports/database.ts'

/** The count of the addresses of one scope on one day. */
export interface Count {
  /** UTC days since 1970. */
  readonly day: number
  readonly scope: Uint8Array
  /** Of every address of the call, as a JSON list of hexadecimal. */
  readonly addressKeys: string
  readonly limit: number
}

/** How many addresses a scope has asked for, and how many of this call's are new. */
export const readCount = (reader: Reader, { day, scope, addressKeys }: Count) =>
  reader.first(
    query(
      { used: integer, fresh: integer },
      `SELECT COALESCE((SELECT used FROM lookup_budgets WHERE day = ? AND scope = ?), 0) AS used,
              (SELECT COUNT(*) FROM json_each(?) k
               WHERE NOT EXISTS (
                 SELECT 1 FROM lookup_budget_addresses a WHERE a.day = ? AND a.address_key = unhex(k.value)
               )) AS fresh`,
      day,
      scope,
      addressKeys,
      day,
    ),
  )

/**
 * Counts the addresses that are new for the scope's day. The guard breaks if they pass the limit. A repeated address
 * costs nothing, also if the limit is lower now than it was.
 */
export const spend = ({ day, scope, addressKeys, limit }: Count): Command[] => [
  command(
    `INSERT INTO lookup_budget_addresses (day, address_key)
     SELECT ?, unhex(value) FROM json_each(?) WHERE true
     ON CONFLICT (day, address_key) DO NOTHING`,
    day,
    addressKeys,
  ),
  command(
    `INSERT INTO lookup_budgets (day, scope, used)
     SELECT ?, ?, changes() WHERE changes() <= ?
     ON CONFLICT (day, scope) DO UPDATE SET used = used + excluded.used
       WHERE excluded.used = 0 OR used + excluded.used <= ?`,
    day,
    scope,
    limit,
    limit,
  ),
  requireOneChange('lookup_budget_spent'),
]

/** Deletes at most `rows` addresses that were counted before `day`. */
export const deleteAddressesBefore = (day: number, rows: number): Command =>
  command(
    `DELETE FROM lookup_budget_addresses
     WHERE (day, address_key) IN (SELECT day, address_key FROM lookup_budget_addresses WHERE day < ? LIMIT ?)`,
    day,
    rows,
  )

/** Deletes at most `rows` counts of days before `day`. */
export const deleteCountsBefore = (day: number, rows: number): Command =>
  command(
    `DELETE FROM lookup_budgets
     WHERE (day, scope) IN (SELECT day, scope FROM lookup_budgets WHERE day < ? LIMIT ?)`,
    day,
    rows,
  )

/** Days since `day` on which the counts and the counted addresses disagree. */
export const readMiscounted = (reader: Reader, day: number) =>
  reader.all(
    query(
      { day: integer, used: integer, addresses: integer },
      `SELECT c.day AS day, c.used AS used,
              (SELECT COUNT(*) FROM lookup_budget_addresses a WHERE a.day = c.day) AS addresses
       FROM (SELECT day, SUM(used) AS used FROM lookup_budgets WHERE day >= ? GROUP BY day) c
       WHERE c.used <> (SELECT COUNT(*) FROM lookup_budget_addresses a WHERE a.day = c.day)`,
      day,
    ),
  )
