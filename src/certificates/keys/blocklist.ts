import { commit } from '../../audit/commit.ts'
import type { AuditRoom } from '../../audit/room.ts'
import { DomainError } from '../../errors.ts'
import type { Database } from '../../ports/database.ts'
import type { Keys } from '../../ports/keys.ts'
import type { Clock } from '../../ports/runtime.ts'
import { debianModulusFingerprint } from '../../pki/debian-weak-keys.ts'
import { isPublishedTestKey } from '../../pki/published-test-keys.ts'
import { debianModulusIndex, keyIndex } from '../fingerprints.ts'
import { blockKeys, readBlocked, type BlockedKeyKind } from './store.ts'

/**
 * Refuses a key that is blocked: reported or received in the clear, published as a test key, or on an imported list.
 * SBR 6.1.1.3. Where the list cannot be read the error is not a refusal, so the request fails closed, as a fault of
 * this side. Throws `key_blocked`.
 */
export async function requireNotBlocked(
  deps: { readonly database: Database; readonly keys: Keys; readonly crypto: Crypto },
  key: { readonly spki: Uint8Array; readonly spkiSha256: string },
): Promise<void> {
  const debian = await debianModulusFingerprint(deps.crypto, key.spki)
  const modulusIndex = debian === null ? null : debianModulusIndex(deps.keys, debian)
  const isListed = async (): Promise<boolean> =>
    (await readBlocked(deps.database, keyIndex(deps.keys, key.spkiSha256), modulusIndex)) !== null
  if (!isPublishedTestKey(key.spkiSha256) && !(await isListed())) return
  throw new DomainError('key_blocked', 'This key is known to others and must not be used. Make a new key.')
}

/** One line of a list: 64 hexadecimal digits are an SPKI's SHA-256, 20 are Debian's short hash of a modulus. */
const kindOf = (fingerprint: string): BlockedKeyKind | null => {
  if (/^[0-9a-f]{64}$/.test(fingerprint)) return 'spki-sha256'
  return /^[0-9a-f]{20}$/.test(fingerprint) ? 'debian-modulus' : null
}

interface ImportDeps {
  readonly database: Database
  readonly keys: Keys
  readonly clock: Clock
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
}

/**
 * Blocks the keys of one list for an administrator: all or none. Resolves to how many were not blocked before. Throws
 * TypeError for what is no fingerprint, which the caller has ruled out.
 */
export async function blockImported(deps: ImportDeps, fingerprints: readonly string[], by: string): Promise<number> {
  const now = deps.clock()
  const blocking = [...Map.groupBy(fingerprints, kindOf)].map(([kind, of]) => {
    if (kind === null) throw new TypeError('not the fingerprint of a key')
    const index = kind === 'spki-sha256' ? keyIndex : debianModulusIndex
    return blockKeys(
      kind,
      of.map((fingerprint) => index(deps.keys, fingerprint)),
      now,
    )
  })
  const outcomes = await commit(deps, {
    commands: blocking,
    audit: {
      action: 'blocklist.imported',
      actorKind: 'administrator',
      actor: by,
      subjectKind: 'blocklist',
      subject: 'blocklist',
      facts: { keys: fingerprints.length },
    },
  })
  return outcomes.reduce((sum, { changes }) => sum + changes, 0)
}
