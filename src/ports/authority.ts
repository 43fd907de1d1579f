import {
  GuardBroken,
  requireNoRow,
  requireOneChange,
  requireRow,
  type Command,
  type Query,
  type SqlValue,
} from './database.ts'
import type { Events } from '../events.ts'
import type { Keys } from './keys.ts'
import { rowMacOf, type Macs } from './row-mac.ts'

/** What reading such rows needs. */
export interface AuthorityDeps {
  readonly keys: Macs
  readonly events: Pick<Events, 'authorityRefused'>
}

/** A row as it is read. */
interface Stamped {
  readonly id: string
  readonly authorityMac: Uint8Array
}

/**
 * The columns of one table that grant or end authority. A MAC under the key ring stands over all of them together, with
 * the id of their row. Who can write to the database and has no key cannot change one of them, or add a row: such a row
 * counts as absent. A row that is put back whole, as it once was, is not found.
 */
export interface Authority<Row> {
  /** The MAC of a row that this service makes. */
  of(keys: Pick<Keys, 'mac'>, row: Row): Uint8Array
  fits(keys: Pick<Keys, 'macFits'>, row: Row & Stamped): boolean
  /** The row, if its MAC fits. Null otherwise, with an event. */
  trusted<Read extends Row & Stamped>(deps: AuthorityDeps, row: Read | null): Read | null
  /**
   * The MAC of a row after a change. Throws where the row as it was read does not fit: nobody's change may make a forged
   * row a good one.
   */
  after<Read extends Row & Stamped>(keys: Macs, row: Read, change: Partial<Row>): Uint8Array
  /** Those of some rows whose MAC does not fit, in words. */
  faults(keys: Pick<Keys, 'macFits'>, rows: readonly (Row & Stamped)[]): string[]
}

/** `name`: of the table, and of the part of its columns where that has several MACs. */
export function authorityOf<const Column extends string>(
  name: string,
  columns: readonly Column[],
): Authority<Readonly<Record<Column, SqlValue>>> {
  type Row = Readonly<Record<Column, SqlValue>>
  const mac = rowMacOf(`authority/${name}`, columns)
  const fits = (keys: Pick<Keys, 'macFits'>, row: Row & Stamped): boolean => mac.fits(keys, row, row.authorityMac)
  return {
    of: (keys, row) => mac.of(keys, row),
    fits,
    trusted: (deps, row) => {
      if (row === null || fits(deps.keys, row)) return row
      deps.events.authorityRefused({ table: name, row: row.id })
      return null
    },
    after: (keys, row, change) => {
      if (!fits(keys, row)) throw new Error(`${name} ${row.id}: a row whose MAC does not fit is not changed`)
      return mac.of(keys, { ...row, ...change })
    },
    faults: (keys, rows) =>
      rows.filter((row) => !fits(keys, row)).map(({ id }) => `${name} ${id}: its MAC does not fit`),
  }
}

const changedMeanwhile = 'authority_changed'

/** The guard after a change that rests on a row as it was read: the MAC of the row is still the same. */
export const requireUnchanged = (): Command => requireOneChange(changedMeanwhile)

/** The guard of a change that rests on rows of which it changes none: they are still there as they were read. */
export const requireAsRead = (rows: Query<unknown>): Command => requireRow(changedMeanwhile, rows)

/** The guard after a change of all rows that were read: another call has made one more meanwhile. */
export const requireNoneUnseen = (unseen: Query<unknown>): Command => requireNoRow(changedMeanwhile, unseen)

export const isChangedMeanwhile = (error: unknown): boolean =>
  error instanceof GuardBroken && error.code === changedMeanwhile

/** More calls than ever change one row at once. */
const mostTries = 100

/** Runs what reads rows and changes them. Begins again where `requireUnchanged` broke: another call changed a row. */
export async function onLatestRows<T>(run: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run()
    } catch (error) {
      if (!isChangedMeanwhile(error) || tries === mostTries) throw error
    }
  }
}

/** One page of a check: what is wrong in it, and where it ended; null where nothing is left. */
interface PageOfFaults {
  readonly faults: readonly string[]
  readonly last: string | null
}

export const pageOfFaults = (rows: readonly { readonly id: string }[], faults: readonly string[]): PageOfFaults => ({
  faults,
  last: rows.at(-1)?.id ?? null,
})

const rowsPerPage = 500

/** Reads a whole table, page by page, and resolves to what is wrong in it. */
export async function faultsOfAll(
  readPage: (after: string, limit: number) => Promise<PageOfFaults>,
): Promise<string[]> {
  const found: string[] = []
  for (let after = ''; ;) {
    const { faults, last } = await readPage(after, rowsPerPage)
    found.push(...faults)
    if (last === null) return found
    after = last
  }
}
