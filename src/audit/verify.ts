import { z } from 'zod'
import { giveWay } from '../ports/bounded.ts'
import { equalBytes } from '../pki/encoding.ts'
import { MerkleTree, type TreeHead } from '../pki/merkle-tree.ts'
import type { Database } from '../ports/database.ts'
import { openText, SealBroken, type Keys, type Sha256 } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import { DigestsOfDays } from './day-digests.ts'
import type { LogDay } from '../ports/lookup-log.ts'
import { leafOf } from './checkpoints.ts'
import { commitment, firstAction, privatePlace } from './entries.ts'
import { entryMac, erasureMac, headMac, sealMac } from './macs.ts'
import { entriesPerSeal, genesis, sealHash } from './seals.ts'
import {
  readEntriesAfter,
  readErasuresOf,
  readHead,
  readPrivateOf,
  readSealsAfter,
  type AuditEntryRow,
  type AuditHeadRow,
  type AuditPrivateRow,
  type AuditSealRow,
} from './store.ts'

/** An entry that stays unsealed for longer is a fault. */
const unsealedAllowedMilliseconds = 5 * 60_000

/** What a verification found. The log is whole if `faults` is empty. */
export interface AuditVerification {
  readonly entries: number
  readonly seals: number
  readonly unsealed: number
  /** Keep it in another place. A later verification with it shows that nothing before it was rewritten. */
  readonly head: string | null
  readonly faults: readonly string[]
}

interface VerifyDeps {
  readonly database: Database
  readonly keys: Keys
  readonly sha256: Sha256
  readonly clock: Clock
  /** The digest of a day of the query log, from its rows as they are. */
  readonly queryLogDay: (day: string) => Promise<LogDay>
}

const commitmentsShape = z.record(z.string(), z.string())

/** Null if it is no object of texts. */
const commitmentsOf = (entry: AuditEntryRow): Record<string, string> | null => {
  const parsed = commitmentsShape.safeParse(JSON.parse(entry.commitments))
  return parsed.success ? parsed.data : null
}

/** What is wrong with a personal value that is there, in words. Null if it is the one that was committed to. */
const valueFault = (deps: VerifyDeps, row: AuditPrivateRow, committed: string): string | null => {
  try {
    const value = openText(deps.keys.main, privatePlace(row.entry, row.field), row.valueSealed)
    const salt = deps.keys.main.open(privatePlace(row.entry, row.field, 'salt_sealed'), row.saltSealed)
    const fits = committed === commitment(deps.sha256, salt, row.field, value)
    return fits ? null : `the value of ${row.field} does not fit its commitment`
  } catch (error) {
    if (!(error instanceof SealBroken)) throw error
    return `the value of ${row.field} cannot be opened`
  }
}

/** Checks entries and their personal values. Each value is there and fits its commitment, or an erasure says why not. */
async function entryFaults(deps: VerifyDeps, entries: readonly AuditEntryRow[]): Promise<string[]> {
  const ids = entries.map(({ id }) => id)
  // A value that is erased between the two reads is seen by the first. In the other order it would be missed.
  const values = Map.groupBy(await readPrivateOf(deps.database, ids), ({ entry }) => entry)
  const erasures = Map.groupBy(await readErasuresOf(deps.database, ids), ({ entry }) => entry)
  return entries.flatMap((entry) => {
    const found: (string | null)[] = []
    if (!entryMac.fits(deps.keys, entry, entry.mac)) found.push('it was not written by this service')
    const committed = commitmentsOf(entry)
    if (committed === null) found.push('its commitments cannot be read')
    const erased = new Set<string>()
    for (const erasure of erasures.get(entry.id) ?? []) {
      if (erasureMac.fits(deps.keys, erasure, erasure.mac)) erased.add(erasure.field)
      else found.push(`the erasure of ${erasure.field} was not written by this service`)
    }
    const kept = new Map((values.get(entry.id) ?? []).map((row) => [row.field, row]))
    for (const [field, hash] of Object.entries(committed ?? {})) {
      const row = kept.get(field)
      if (row !== undefined) found.push(valueFault(deps, row, hash))
      else if (!erased.has(field)) found.push(`the value of ${field} is gone, and nothing says that it was erased`)
      kept.delete(field)
    }
    for (const field of kept.keys()) found.push(`nothing commits to the value of ${field}`)
    return found.filter((fault) => fault !== null).map((fault) => `entry ${entry.id}: ${fault}`)
  })
}

const contiguous = (entries: readonly AuditEntryRow[], first: number): boolean =>
  entries.every((entry, index) => entry.position === first + index)

/** Checks one seal against the one before it and its entries. */
function sealFaults(
  deps: VerifyDeps,
  seal: AuditSealRow,
  previous: AuditSealRow | null,
  entries: readonly AuditEntryRow[],
): string[] {
  const faults: string[] = []
  const first = (previous?.lastPosition ?? 0) + 1
  const count = seal.lastPosition - first + 1
  if (seal.number !== (previous?.number ?? 0) + 1) faults.push(`seal ${seal.number}: a seal before it is missing`)
  if (seal.predecessor !== (previous?.hash ?? genesis)) faults.push(`seal ${seal.number}: wrong predecessor`)
  if (seal.firstPosition !== first || entries.length !== count || !contiguous(entries, first)) {
    faults.push(`seal ${seal.number}: entries between ${first} and ${seal.lastPosition} are missing`)
  }
  if (sealHash(deps.sha256, seal, entries) !== seal.hash) {
    faults.push(`seal ${seal.number}: its hash does not fit its entries`)
  }
  if (!sealMac.fits(deps.keys, seal, seal.mac)) faults.push(`seal ${seal.number}: it was not made by this service`)
  return faults
}

/** Checks the head, which was read before the seals: they may be more by now, and never fewer. */
function headFaults(deps: VerifyDeps, head: AuditHeadRow | null, seals: number, named: AuditSealRow | null): string[] {
  if (head === null) return seals === 0 ? [] : ['the head of the log is missing']
  if (!headMac.fits(deps.keys, head, head.mac)) return ['the head of the log was not written by this service']
  if (named !== null && named.hash === head.hash && named.lastPosition === head.lastPosition) return []
  return [`the log was cut: it had ${head.seals} seals over ${head.lastPosition} entries, and has ${seals} seals`]
}

/** Somebody who takes the whole log away leaves nothing that a MAC could miss, but for its beginning. */
const beginningFaults = (first: AuditEntryRow | undefined): string[] =>
  first?.action === firstAction ? [] : ['the log does not begin with the making of the CAs: it was emptied']

/** Compares checkpoints with the heads that the tree had. A size that it never had is missing. */
const checkpointFaults = (checkpoints: readonly TreeHead[], roots: ReadonlyMap<number, Uint8Array>): string[] =>
  checkpoints.flatMap(({ size, root }) => {
    const found = roots.get(size)
    if (found === undefined) return [`checkpoint of ${size} seals: the log has fewer now, so it was cut`]
    return equalBytes(found, root) ? [] : [`checkpoint of ${size} seals: the log is another one, so it was rewritten`]
  })

/** What was kept elsewhere: a head that must still be part of the chain, and sizes with their roots. */
export interface KeptElsewhere {
  readonly head: string | null
  readonly checkpoints: readonly TreeHead[]
}

/** Recomputes the whole log, and compares it with what was kept elsewhere. Returns faults instead of throwing them. */
export async function verifyAudit(deps: VerifyDeps, kept: KeptElsewhere): Promise<AuditVerification> {
  const faults: string[] = []
  const expectedHead = kept.head
  const sizes = new Set(kept.checkpoints.map(({ size }) => size))
  const days = new DigestsOfDays()
  const tree = new MerkleTree(deps.sha256)
  const roots = new Map([[0, tree.head().root]])
  const head = await readHead(deps.database)
  let previous: AuditSealRow | null = null
  let headSeal: AuditSealRow | null = null
  let entriesSeen = 0
  let beginning: AuditEntryRow | undefined
  let expectedHeadSeen = expectedHead === null
  for (;;) {
    const seals: AuditSealRow[] = await readSealsAfter(deps.database, previous?.number ?? 0, 200)
    for (const seal of seals) {
      const first: number = (previous?.lastPosition ?? 0) + 1
      const entries = (await readEntriesAfter(deps.database, first - 1, seal.lastPosition - first + 1)).filter(
        (entry) => entry.position <= seal.lastPosition,
      )
      entriesSeen += entries.length
      beginning ??= entries[0]
      for (const entry of entries) days.add(entry)
      faults.push(...sealFaults(deps, seal, previous, entries), ...(await entryFaults(deps, entries)))
      if (seal.hash === expectedHead) expectedHeadSeen = true
      if (seal.number === head?.seals) headSeal = seal
      tree.append(leafOf(seal.hash))
      if (sizes.has(tree.size)) roots.set(tree.size, tree.head().root)
      previous = seal
    }
    if (seals.length === 0) break
    await giveWay()
  }
  faults.push(...headFaults(deps, head, previous?.number ?? 0, headSeal))
  if (!expectedHeadSeen) faults.push('the expected head is not part of the chain: the log was rewritten or cut')
  faults.push(...checkpointFaults(kept.checkpoints, roots))
  const unsealed = await unsealedEntries(deps, previous?.lastPosition ?? 0)
  faults.push(...beginningFaults(beginning ?? unsealed[0]))
  const overdue = unsealed.filter((entry) => entry.at < deps.clock() - unsealedAllowedMilliseconds)
  if (overdue.length > 0) faults.push(`${overdue.length} entries have not been sealed for over five minutes`)
  if (!contiguous(unsealed, (previous?.lastPosition ?? 0) + 1)) faults.push('entries after the last seal are missing')
  faults.push(...(await entryFaults(deps, unsealed)))
  for (const entry of unsealed) days.add(entry)
  faults.push(...(await days.faults(deps.queryLogDay)))
  return {
    entries: entriesSeen + unsealed.length,
    seals: previous?.number ?? 0,
    unsealed: unsealed.length,
    head: previous?.hash ?? null,
    faults,
  }
}

async function unsealedEntries(deps: VerifyDeps, after: number): Promise<AuditEntryRow[]> {
  const found: AuditEntryRow[] = []
  for (;;) {
    const page = await readEntriesAfter(deps.database, found.at(-1)?.position ?? after, entriesPerSeal)
    if (page.length === 0) return found
    found.push(...page)
  }
}
