import { blob, integer, nullable, oneOf, query, text, type Reader } from '../../ports/database.ts'

const columns = {
  id: integer,
  at: integer,
  asker: text,
  device: nullable(text),
  interface: text,
  status: oneOf('found', 'not_found'),
  addressSealed: blob,
}

/** As `columns` reads them. */
const loggedSelection = `id, at, asker, device, interface, status, address_sealed AS addressSealed`

/** Which rows: ids from `from` on and below `before`. */
export interface LogRange {
  readonly from: number
  readonly before: number
  readonly limit: number
}

const recentInRange = (reader: Reader, { from, before, limit }: LogRange) =>
  reader.all(
    query(
      columns,
      `SELECT ${loggedSelection}
       FROM query_log_recent WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?`,
      from,
      before,
      limit,
    ),
  )
export type FoundLogRow = Awaited<ReturnType<typeof recentInRange>>[number]

const olderInRange = (reader: Reader, { from, before, limit }: LogRange) =>
  reader.all(
    query(
      columns,
      `SELECT ${loggedSelection}
       FROM query_log WHERE id >= ? AND id < ? AND commitment IS NULL ORDER BY id DESC LIMIT ?`,
      from,
      before,
      limit,
    ),
  )

const recentOfAsker = (reader: Reader, asker: string, { from, before, limit }: LogRange) =>
  reader.all(
    query(
      columns,
      `SELECT ${loggedSelection}
       FROM query_log_recent WHERE asker = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?`,
      asker,
      from,
      before,
      limit,
    ),
  )

const olderOfAsker = (reader: Reader, asker: string, { from, before, limit }: LogRange) =>
  reader.all(
    query(
      columns,
      `SELECT ${loggedSelection}
       FROM query_log WHERE asker = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?`,
      asker,
      from,
      before,
      limit,
    ),
  )

/**
 * The newest rows of a range in one shard, of one asker or of all, from both tables. The recent table is read first: a
 * row that moves between the two reads is then seen twice, and not missed.
 */
export async function readLogRange(reader: Reader, asker: string | null, range: LogRange): Promise<FoundLogRow[]> {
  const recent = await (asker === null ? recentInRange(reader, range) : recentOfAsker(reader, asker, range))
  const older = await (asker === null ? olderInRange(reader, range) : olderOfAsker(reader, asker, range))
  const rows = new Map([...recent, ...older].map((row) => [row.id, row]))
  return [...rows.values()].toSorted((a, b) => b.id - a.id).slice(0, range.limit)
}
