import { concatBytes, toHex } from '../../pki/encoding.ts'
import { MerkleTree } from '../../pki/merkle-tree.ts'
import { giveWay } from '../../ports/bounded.ts'
import type { Database } from '../../ports/database.ts'
import type { Journal } from '../../ports/journal.ts'
import type { Sha256 } from '../../ports/keys.ts'
import type { LogDay } from '../../ports/lookup-log.ts'
import { lowestIdAt } from '../log-ids.ts'
import { blankRow, readRow, readRows, type CommittedRow } from './store.ts'
import { dayMilliseconds, dayNameOf } from '../../ports/time.ts'

const encoder = new TextEncoder()

/** So many rows are read and hashed before others have a turn: some milliseconds. */
const rowsPerTurn = 250

/** The name of a day, given by its number. */
export const dayName = (day: number): string => dayNameOf(day * dayMilliseconds)

const nothing = new Uint8Array(0)

/**
 * Commits to who asked for what: SHA-256 of the salt, a JSON array of the short columns, and the bytes of the others, of
 * which the array has the first one's length. A row that was blanked has it stored.
 */
const commitmentOf = (sha256: Sha256, row: CommittedRow): Uint8Array => {
  if (row.commitment !== null) return row.commitment
  const { salt, addressKey, addressSealed } = row
  const said = JSON.stringify([row.asker, row.device, row.payer, addressKey?.length ?? null])
  return sha256(concatBytes(salt ?? nothing, encoder.encode(said), addressKey ?? nothing, addressSealed ?? nothing))
}

/** A leaf: what stays of a row that is blanked, as a JSON array, and the commitment to the rest. */
const leafOf = (sha256: Sha256, row: CommittedRow): Uint8Array => {
  const stays = JSON.stringify(['certbook-query-log-v1', row.id, row.at, row.interface, row.status])
  return concatBytes(encoder.encode(stays), commitmentOf(sha256, row))
}

interface DigestDeps {
  readonly journal: Journal
  readonly sha256: Sha256
}

/** Computes the digest of a day from its rows: shard by shard, in the order of their ids. */
export async function digestOfDay({ journal, sha256 }: DigestDeps, day: string): Promise<LogDay> {
  const start = Date.parse(day)
  const end = lowestIdAt(start + dayMilliseconds)
  const tree = new MerkleTree(sha256)
  for (const shard of journal.shards()) {
    const reader = shard.reading('primary')
    let from = lowestIdAt(start)
    for (;;) {
      const rows = await readRows(reader, from, end, rowsPerTurn)
      for (const row of rows) tree.append(leafOf(sha256, row))
      const last = rows.at(-1)
      if (last === undefined || rows.length < rowsPerTurn) break
      from = last.id + 1
      await giveWay()
    }
  }
  const { size, root } = tree.head()
  return { day, rows: size, root: toHex(root) }
}

/** Takes from moved rows of one shard who asked for what. The digests of their days go on to fit. */
export async function blankLookups(sha256: Sha256, shard: Database, ids: readonly number[]): Promise<void> {
  for (const id of ids) {
    const row = await readRow(shard.reading('primary'), id)
    if (row !== null && row.commitment === null) await shard.batch([blankRow(id, commitmentOf(sha256, row))])
  }
}
