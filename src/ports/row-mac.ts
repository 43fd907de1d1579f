import type { SqlValue } from './database.ts'
import type { Keys } from './keys.ts'

/** What makes and checks the MACs of rows. */
export type Macs = Pick<Keys, 'mac' | 'macFits'>

/** A MAC under the key ring over some columns of a row, in a fixed order. */
export interface RowMac<Row> {
  /** The columns as the MAC stands over them. */
  textOf(row: Row): string
  of(keys: Pick<Keys, 'mac'>, row: Row): Uint8Array
  fits(keys: Pick<Keys, 'macFits'>, row: Row, mac: Uint8Array): boolean
}

/** JSON keeps texts, numbers and nulls apart. Bytes stand in a list of their own, as one character each. */
const written = (value: SqlValue): unknown => (value instanceof Uint8Array ? [String.fromCharCode(...value)] : value)

/** `purpose` keeps the MACs of different tables apart. */
export function rowMacOf<const Column extends string>(
  purpose: string,
  columns: readonly Column[],
): RowMac<Readonly<Record<Column, SqlValue>>> {
  type Row = Readonly<Record<Column, SqlValue>>
  const textOf = (row: Row): string => JSON.stringify(columns.map((column) => written(row[column])))
  return {
    textOf,
    of: (keys, row) => keys.mac(purpose, textOf(row)),
    fits: (keys, row, mac) => keys.macFits(purpose, textOf(row), mac),
  }
}
