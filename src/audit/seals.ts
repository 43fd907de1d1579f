import { ConstraintFailed, type Database } from '../ports/database.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import type { Events } from '../events.ts'
import { toHex } from '../pki/encoding.ts'
import { entryMac, headMac, sealMac } from './macs.ts'
import { insertSeal, readEntriesAfter, readHead, setHead, type AuditEntryRow, type AuditSealRow } from './store.ts'

/** What stands for the hash of the seal before the first one. */
export const genesis = '0'.repeat(64)
/** How many entries are read at a time, and one seal covers at most. */
export const entriesPerSeal = 500

const encoder = new TextEncoder()

/** Hashes all columns of an entry but its MAC, in a fixed order. */
const entryHash = (sha256: Sha256, entry: AuditEntryRow): string =>
  toHex(sha256(encoder.encode(JSON.stringify(['certbook-audit-entry-v1', entry.position, entryMac.textOf(entry)]))))

/** The hash of a seal: over its predecessor and its entries. */
export const sealHash = (
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
  readonly keys: Keys
  readonly sha256: Sha256
  readonly clock: Clock
  readonly events: Events
}

/** The row that says how long the chain is was changed by somebody without the key. */
class AuditHeadForged extends Error {
  constructor() {
    super('the head of the audit log was altered, so nothing more is sealed: look at "certbook audit verify"')
    this.name = 'AuditHeadForged'
  }
}

/**
 * Seals all entries that have no seal yet. Several sealers may run at once: only one seal can follow a predecessor. The
 * loser of a race stops, and the winner goes on. Each seal follows the head and not the newest seal there is, so a chain
 * that was cut keeps its gap. Throws `AuditHeadForged`.
 */
export async function sealEntries(deps: SealerDeps): Promise<void> {
  for (;;) {
    const head = await readHead(deps.database)
    if (head !== null && !headMac.fits(deps.keys, head, head.mac)) throw new AuditHeadForged()
    const entries = await readEntriesAfter(deps.database, head?.lastPosition ?? 0, entriesPerSeal)
    const first = entries.at(0)
    const last = entries.at(-1)
    if (first === undefined || last === undefined) return
    const number = (head?.seals ?? 0) + 1
    const sealed = { number, predecessor: head?.hash ?? genesis, at: deps.clock() }
    const hash = sealHash(deps.sha256, sealed, entries)
    const seal = { ...sealed, firstPosition: first.position, lastPosition: last.position, hash }
    const newHead = { seals: number, lastPosition: last.position, hash }
    try {
      await deps.database.batch([
        insertSeal({ ...seal, mac: sealMac.of(deps.keys, seal) }),
        setHead({ ...newHead, mac: headMac.of(deps.keys, newHead) }),
      ])
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
