import { ConstraintFailed, type Database } from '../ports/database.ts'
import { openText, SealBroken, type Keys, type Sha256 } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import type { Events } from '../events.ts'
import { toHex } from '../pki/encoding.ts'
import { commitment, privatePlace } from './entries.ts'
import {
  insertSeal,
  readEntriesAfter,
  readHead,
  readPrivateOf,
  readSealsAfter,
  type AuditEntryRow,
  type AuditSealRow,
} from './store.ts'

const genesis = '0'.repeat(64)
const entriesPerSeal = 500
/** An entry that stays unsealed for longer is a fault. */
const unsealedAllowedMilliseconds = 5 * 60_000

const encoder = new TextEncoder()

/** Hashes all columns of an entry, in a fixed order. */
const entryHash = (sha256: Sha256, entry: AuditEntryRow): string =>
  toHex(
    sha256(
      encoder.encode(
        JSON.stringify([
          'certbook-audit-entry-v1',
          entry.position,
          entry.id,
          entry.at,
          entry.action,
          entry.actorKind,
          entry.actor,
          entry.subjectKind,
          entry.subject,
          entry.facts,
          entry.commitments,
        ]),
      ),
    ),
  )

const sealHash = (
  sha256: Sha256,
  seal: Pick<AuditSealRow, 'number' | 'predecessor' | 'at'>,
  entries: readonly AuditEntryRow[],
): string =>
  toHex(
    sha256(
      encoder.encode(
        JSON.stringify([
          'certbook-audit-seal-v1',
          seal.number,
          seal.predecessor,
          seal.at,
          entries.map((entry) => entryHash(sha256, entry)),
        ]),
      ),
    ),
  )

interface SealerDeps {
  readonly database: Database
  readonly sha256: Sha256
  readonly clock: Clock
  readonly events: Events
}

/**
 * Seals all entries that have no seal yet. Several sealers may run at once: only one seal can follow a predecessor. The
 * loser of a race stops, and the winner goes on.
 */
export async function sealEntries(deps: SealerDeps): Promise<void> {
  for (;;) {
    const head = await readHead(deps.database)
    const entries = await readEntriesAfter(deps.database, head?.lastPosition ?? 0, entriesPerSeal)
    const first = entries.at(0)
    const last = entries.at(-1)
    if (first === undefined || last === undefined) return
    const number = (head?.number ?? 0) + 1
    const predecessor = head?.hash ?? genesis
    const sealed = { number, predecessor, at: deps.clock() }
    const seal: AuditSealRow = {
      ...sealed,
      firstPosition: first.position,
      lastPosition: last.position,
      hash: sealHash(deps.sha256, sealed, entries),
    }
    try {
      await deps.database.batch([insertSeal(seal)])
    } catch (error) {
      if (error instanceof ConstraintFailed && error.kind === 'unique') return
      throw error
    }
    deps.events.auditSealed({ seal: number, entries: entries.length })
  }
}

/** The hash of the newest seal. Null if nothing has been sealed. */
export async function readAuditHead(database: Database): Promise<string | null> {
  return (await readHead(database))?.hash ?? null
}

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
}

/** Checks the personal values that still exist against their commitments. Erased values cannot be checked. */
async function commitmentFaults(deps: VerifyDeps, entries: readonly AuditEntryRow[]): Promise<string[]> {
  const faults: string[] = []
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  for (const row of await readPrivateOf(deps.database, [...byId.keys()])) {
    const entry = byId.get(row.entry)
    try {
      const value = openText(deps.keys.main, privatePlace(row.entry, row.field), row.valueSealed)
      const expected: unknown = JSON.parse(entry?.commitments ?? '{}')
      const committed = typeof expected === 'object' && expected !== null ? Object.entries(expected) : []
      const fits = committed.some(
        ([field, hash]) => field === row.field && hash === commitment(deps.sha256, row.salt, row.field, value),
      )
      if (!fits) faults.push(`entry ${row.entry}: the value of ${row.field} does not fit its commitment`)
    } catch (error) {
      if (!(error instanceof SealBroken)) throw error
      faults.push(`entry ${row.entry}: the value of ${row.field} cannot be opened`)
    }
  }
  return faults
}

const contiguous = (entries: readonly AuditEntryRow[], first: number): boolean =>
  entries.every((entry, index) => entry.position === first + index)

/**
 * Recomputes the whole log. `expectedHead`, a head that was kept elsewhere, must still be part of the chain. Returns
 * faults instead of throwing them.
 */
export async function verifyAudit(deps: VerifyDeps, expectedHead: string | null): Promise<AuditVerification> {
  const faults: string[] = []
  let previous: AuditSealRow | null = null
  let entriesSeen = 0
  let expectedHeadSeen = expectedHead === null
  for (;;) {
    const seals: AuditSealRow[] = await readSealsAfter(deps.database, previous?.number ?? 0, 200)
    for (const seal of seals) {
      const first: number = (previous?.lastPosition ?? 0) + 1
      const count = seal.lastPosition - first + 1
      const entries = (await readEntriesAfter(deps.database, first - 1, count)).filter(
        (entry) => entry.position <= seal.lastPosition,
      )
      entriesSeen += entries.length
      if (seal.number !== (previous?.number ?? 0) + 1) faults.push(`seal ${seal.number}: a seal before it is missing`)
      if (seal.predecessor !== (previous?.hash ?? genesis)) faults.push(`seal ${seal.number}: wrong predecessor`)
      if (seal.firstPosition !== first || entries.length !== count || !contiguous(entries, first)) {
        faults.push(`seal ${seal.number}: entries between ${first} and ${seal.lastPosition} are missing`)
      }
      if (sealHash(deps.sha256, seal, entries) !== seal.hash) {
        faults.push(`seal ${seal.number}: its hash does not fit its entries`)
      }
      faults.push(...(await commitmentFaults(deps, entries)))
      if (seal.hash === expectedHead) expectedHeadSeen = true
      previous = seal
    }
    if (seals.length === 0) break
  }
  if (!expectedHeadSeen) faults.push('the expected head is not part of the chain: the log was rewritten or cut')
  const unsealed = await unsealedEntries(deps, previous?.lastPosition ?? 0)
  const overdue = unsealed.filter((entry) => entry.at < deps.clock() - unsealedAllowedMilliseconds)
  if (overdue.length > 0) faults.push(`${overdue.length} entries have not been sealed for over five minutes`)
  if (!contiguous(unsealed, (previous?.lastPosition ?? 0) + 1)) faults.push('entries after the last seal are missing')
  faults.push(...(await commitmentFaults(deps, unsealed)))
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
