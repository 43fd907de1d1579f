import { DomainError } from '../../errors.ts'
import type { Database } from '../../ports/database.ts'
import { debianModulusFingerprint } from '../../pki/debian-weak-keys.ts'
import { isPublishedTestKey } from '../../pki/published-test-keys.ts'
import { blockKeys, readBlocked, type BlockedKeyKind } from './store.ts'

/**
 * Refuses a key that is blocked: reported or received in the clear, published as a test key, or on an imported list.
 * SBR 6.1.1.3. Where the list cannot be read the error is not a refusal, so the request fails closed, as a fault of
 * this side. Throws `key_blocked`.
 */
export async function requireNotBlocked(
  deps: { readonly database: Database; readonly crypto: Crypto },
  key: { readonly spki: Uint8Array; readonly spkiSha256: string },
): Promise<void> {
  const debian = await debianModulusFingerprint(deps.crypto, key.spki)
  const blocked =
    isPublishedTestKey(key.spkiSha256) || (await readBlocked(deps.database, key.spkiSha256, debian)) !== null
  if (!blocked) return
  throw new DomainError('key_blocked', 'This key is known to others and must not be used. Make a new key.')
}

const linesPerBatch = 5_000

/** One line of a list: 64 hexadecimal digits are an SPKI's SHA-256, 20 are Debian's short hash of a modulus. */
const kindOf = (fingerprint: string): BlockedKeyKind | null => {
  if (/^[0-9a-f]{64}$/.test(fingerprint)) return 'spki-sha256'
  return /^[0-9a-f]{20}$/.test(fingerprint) ? 'debian-modulus' : null
}

/** What an import did. */
export interface BlocklistImport {
  readonly imported: number
  /** Numbers of the lines that are no fingerprint, from 1. */
  readonly unreadable: readonly number[]
}

/**
 * Imports a list: one fingerprint a line, `#` begins a comment. Nothing is imported where a line cannot be read, so
 * that a file of another kind is not half taken. `progress` is told how many lines are done.
 */
export async function importBlocklist(
  deps: { readonly database: Database; readonly now: number },
  list: string,
  progress: (done: number, all: number) => void,
): Promise<BlocklistImport> {
  const lines = list.split('\n').map((line) => line.replace(/#.*/, '').trim().toLowerCase())
  const unreadable = lines.flatMap((line, index) => (line === '' || kindOf(line) !== null ? [] : [index + 1]))
  if (unreadable.length > 0) return { imported: 0, unreadable }
  const fingerprints = lines.filter((line) => line !== '')
  for (let start = 0; start < fingerprints.length; start += linesPerBatch) {
    const byKind = Map.groupBy(fingerprints.slice(start, start + linesPerBatch), kindOf)
    const commands = [...byKind].flatMap(([kind, of]) => (kind === null ? [] : [blockKeys(kind, of, deps.now)]))
    await deps.database.batch(commands)
    progress(Math.min(start + linesPerBatch, fingerprints.length), fingerprints.length)
  }
  return { imported: fingerprints.length, unreadable }
}
