import { blob, command, integer, nullable, query, text, type Command, type Reader } from '../../ports/database.ts'

/** A row, or what is left of it: either the salt is there, or the commitment. */
export interface CommittedRow {
  readonly id: number
  readonly at: number
  readonly interface: string
  readonly status: string
  readonly asker: string | null
  readonly device: string | null
  readonly addressKey: Uint8Array | null
  readonly payer: number | null
  readonly addressSealed: Uint8Array | null
  readonly salt: Uint8Array | null
  readonly commitment: Uint8Array | null
}

const columns = {
  id: integer,
  at: integer,
  interface: text,
  status: text,
  asker: nullable(text),
  device: nullable(text),
  addressKey: nullable(blob),
  payer: nullable(integer),
  addressSealed: nullable(blob),
  salt: nullable(blob),
  commitment: nullable(blob),
}

/** As `columns` reads them. */
const logRowSelection = `id, at, interface, status, asker, device, address_key AS addressKey, payer, address_sealed AS addressSealed,
  salt, commitment`

/** Rows in the order of their ids: ids from `from` on and below `before`. */
export const readRows = (reader: Reader, from: number, before: number, limit: number): Promise<CommittedRow[]> =>
  reader.all(
    query(
      columns,
      `SELECT ${logRowSelection}
       FROM query_log WHERE id >= ? AND id < ? ORDER BY id LIMIT ?`,
      from,
      before,
      limit,
    ),
  )

export const readRow = (reader: Reader, id: number): Promise<CommittedRow | null> =>
  reader.first(
    query(
      columns,
      `SELECT ${logRowSelection}
       FROM query_log WHERE id = ?`,
      id,
    ),
  )

/** Takes everything from a row that says who asked for what. Does nothing where that was done before. */
export const blankRow = (id: number, commitment: Uint8Array): Command =>
  command(
    `UPDATE query_log
     SET asker = NULL, device = NULL, address_key = NULL, payer = NULL, address_sealed = NULL, salt = NULL,
         commitment = ?
     WHERE id = ? AND commitment IS NULL`,
    commitment,
    id,
  )

/** The id of the oldest row. Null if there is none. */
export const readOldest = (reader: Reader) =>
  reader.first(
    query({ id: integer }, `SELECT /* scan: one step from the beginning */ id FROM query_log ORDER BY id LIMIT 1`),
  )
