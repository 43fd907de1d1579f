import type { Place } from '../ports/keys.ts'

/** The place of a log row's sealed address, in either of the two tables. */
export const logPlace = (id: number): Place => ({ table: 'query_log', column: 'address_sealed', row: id })
