import { DomainError } from '../../errors.ts'
import { parseMailboxAddress } from '../../mailbox/address.ts'
import type { Journal } from '../../ports/journal.ts'
import { openText, type Keys } from '../../ports/keys.ts'
import type { Clock } from '../../ports/runtime.ts'
import { lowestIdAt } from '../log-ids.ts'
import { logPlace } from '../log-place.ts'
import { readLogRange, type FoundLogRow } from './store.ts'

/** Whose lookups, or lookups of which address. Times are UTC milliseconds; `to` is exclusive. */
export interface LogQuestion {
  readonly asker: string | null
  /** From `parseMailboxAddress`. Null: every address. */
  readonly matchingKey: string | null
  readonly from: number
  readonly to: number
  readonly limit: number
  readonly cursor: string | undefined
}

/** One recipient address that somebody asked for. */
export interface FoundLookup {
  readonly at: number
  readonly asker: string
  readonly deviceId: string | null
  readonly address: string
  readonly status: 'found' | 'not_found'
  readonly interface: string
}

interface SearchDeps {
  readonly journal: Journal
  readonly keys: Keys
  readonly clock: Clock
}

/** How many rows one call opens to find those of one address. */
const rowsOpenedPerCall = 2_000

interface Position {
  readonly id: number
  readonly shard: number
}

/** The cursor: the last row that was read, by its id and the number of its shard. */
const readCursor = (cursor: string | undefined): Position | null => {
  if (cursor === undefined) return null
  const match = /^(\d{1,16})\.(\d{1,3})$/.exec(cursor)
  if (match === null) throw new DomainError('invalid_request', 'cursor: send the one that the last page gave.')
  return { id: Math.min(Number(match[1]), Number.MAX_SAFE_INTEGER), shard: Number(match[2]) }
}

/** Ids are unique only within a shard. After a row come the rows of later shards with the same id. */
const idsBelow = (to: number, cursor: Position | null, shard: number): number => {
  const end = Math.min(lowestIdAt(to), Number.MAX_SAFE_INTEGER)
  if (cursor === null) return end
  return Math.min(end, shard > cursor.shard ? cursor.id + 1 : cursor.id)
}

type Placed = FoundLogRow & { readonly shard: number }

/** The newest rows of all these shards, at most `limit`. */
async function readRows(deps: SearchDeps, question: LogQuestion, limit: number): Promise<Placed[]> {
  const { asker, from, to } = question
  const cursor = readCursor(question.cursor)
  const shards = asker === null ? deps.journal.shards() : [deps.journal.shard(asker)]
  const found = await Promise.all(
    shards.map(async (database, shard) => {
      const range = {
        from: Math.min(lowestIdAt(from), Number.MAX_SAFE_INTEGER),
        before: idsBelow(to, cursor, shard),
        limit,
      }
      const rows = await readLogRange(database.reading('primary'), asker, range)
      return rows.map((row) => ({ ...row, shard }))
    }),
  )
  return found
    .flat()
    .toSorted((a, b) => b.id - a.id || a.shard - b.shard)
    .slice(0, limit)
}

/** Tells whether an address is the one of the search, however it is written. */
const matcherOf = (matchingKey: string | null): ((address: string) => boolean) => {
  if (matchingKey === null) return () => true
  const known = new Map<string, boolean>()
  return (address) => {
    const before = known.get(address)
    if (before !== undefined) return before
    const matches = parseMailboxAddress(address).matchingKey === matchingKey
    known.set(address, matches)
    return matches
  }
}

/**
 * One page of the query log, newest first. Each row's address is sealed by itself. A search for one address therefore
 * opens every row of the time, at most `rowsOpenedPerCall` in one call: a page may be short, even empty, and still have
 * a next one. Throws `invalid_request` for a bad cursor.
 */
export async function searchLog(
  deps: SearchDeps,
  question: LogQuestion,
): Promise<{ items: FoundLookup[]; next: string | null }> {
  await deps.keys.journal.prepare(deps.clock())
  const most = question.matchingKey === null ? question.limit : rowsOpenedPerCall
  const rows = await readRows(deps, question, most + 1)
  const matches = matcherOf(question.matchingKey)
  const items: FoundLookup[] = []
  let looked = 0
  for (const row of rows.slice(0, most)) {
    if (items.length === question.limit) break
    looked += 1
    const address = openText(deps.keys.journal, logPlace(row.id), row.addressSealed)
    if (!matches(address)) continue
    const { at, asker, device, status } = row
    items.push({ at, asker, deviceId: device, address, status, interface: row.interface })
  }
  const last = rows[looked - 1]
  return { items, next: looked < rows.length && last !== undefined ? `${last.id}.${last.shard}` : null }
}
