import type { Place } from '../ports/keys.ts'

/** Where a log row's address is sealed, in whichever of the two tables it lies. */
export const logPlace = (id: number): Place => ({ table: 'query_log', column: 'address_sealed', row: id })
