import { authorityOf, pageOfFaults, requireUnchanged, type AuthorityDeps } from '../../ports/authority.ts'
import {
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  text,
  type Command,
  type Database,
  type RowOf,
} from '../../ports/database.ts'
import type { Macs } from '../../ports/row-mac.ts'
import type { CertificateUse } from '../../api/shapes.ts'

export type BlockedKeyKind = 'spki-sha256' | 'debian-modulus'
export type BlockSource = 'reported' | 'disclosed' | 'revocation' | 'imported'

/** Blocks a key; one that is blocked stays as it is. */
export const blockKey = (kind: BlockedKeyKind, index: string, source: BlockSource, addedAt: number): Command =>
  command(
    `INSERT INTO blocked_keys (kind, key_index, source, added_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (kind, key_index) DO NOTHING`,
    kind,
    index,
    source,
    addedAt,
  )

/** Blocks many keys of an imported list with one statement. */
export const blockKeys = (kind: BlockedKeyKind, indexes: readonly string[], addedAt: number): Command =>
  command(
    `INSERT INTO blocked_keys (kind, key_index, source, added_at)
     SELECT ?, value, 'imported', ? FROM json_each(?) WHERE true
     ON CONFLICT (kind, key_index) DO NOTHING`,
    kind,
    addedAt,
    JSON.stringify(indexes),
  )

/**
 * Blocks a key that is not known here for as long as there is room: for `ofSender` keys of one network and day, and for
 * `ofAll`. The oldest go first. One that is there already stays where it is.
 */
export const rememberUnknownKey = (
  row: { readonly keyIndex: string; readonly sender: Uint8Array },
  room: { readonly ofSender: number; readonly ofAll: number },
): Command[] => [
  command(
    `INSERT INTO unknown_keys (key_index, sender) VALUES (?, ?) ON CONFLICT (key_index) DO NOTHING`,
    row.keyIndex,
    row.sender,
  ),
  command(
    `DELETE FROM unknown_keys WHERE number <= (
       SELECT number FROM unknown_keys WHERE sender = ? ORDER BY number DESC LIMIT 1 OFFSET ?
     ) AND sender = ?`,
    row.sender,
    room.ofSender,
    row.sender,
  ),
  command(
    `DELETE FROM unknown_keys WHERE number <= (
       SELECT number FROM unknown_keys /* scan: so many steps from the end */ ORDER BY number DESC LIMIT 1 OFFSET ?
     )`,
    room.ofAll,
  ),
]

/** Whether a key is blocked for good. */
export const readIsListed = (database: Database, keyIndex: string) =>
  database.first(
    query({ source: text }, `SELECT source FROM blocked_keys WHERE kind = 'spki-sha256' AND key_index = ?`, keyIndex),
  )

/** Whether a key is blocked by either of its indexes. */
export const readBlocked = (database: Database, index: string, debianModulusIndex: string | null) =>
  database.first(
    query(
      { kind: oneOf('spki-sha256', 'debian-modulus') },
      `SELECT kind FROM blocked_keys WHERE kind = 'spki-sha256' AND key_index = ?
       UNION ALL SELECT kind FROM blocked_keys WHERE kind = 'debian-modulus' AND key_index = ?
       UNION ALL SELECT 'spki-sha256' FROM unknown_keys WHERE key_index = ?
       LIMIT 1`,
      index,
      debianModulusIndex,
      index,
    ),
  )

export interface NewChallenge {
  readonly id: string
  readonly purpose: 'possession' | 'compromise'
  readonly subscriber: string | null
  readonly device: string | null
  readonly mailbox: string | null
  readonly use: CertificateUse | null
  readonly method: 'sign' | 'decrypt'
  readonly spkiSealed: Uint8Array
  /** SHA-256 of the proof that answers a decryption challenge. */
  readonly expectedSha256: Uint8Array | null
  readonly createdAt: number
  readonly expiresAt: number
}

/** What of a challenge grants or ends authority: all of it. */
const authority = authorityOf('key_challenges', [
  'id',
  'purpose',
  'subscriber',
  'device',
  'mailbox',
  'use',
  'method',
  'spkiSealed',
  'expectedSha256',
  'createdAt',
  'expiresAt',
  'usedAt',
])

export const insertChallenge = (keys: Macs, row: NewChallenge): Command =>
  command(
    `INSERT INTO key_challenges
       (id, purpose, subscriber, device, mailbox, usage, method, spki_sealed, expected_sha256, created_at, expires_at,
        authority_mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.purpose,
    row.subscriber,
    row.device,
    row.mailbox,
    row.use,
    row.method,
    row.spkiSealed,
    row.expectedSha256,
    row.createdAt,
    row.expiresAt,
    authority.of(keys, { ...row, usedAt: null }),
  )

const challengeColumns = {
  id: text,
  purpose: oneOf('possession', 'compromise'),
  subscriber: nullable(text),
  device: nullable(text),
  mailbox: nullable(text),
  use: nullable(oneOf('sign', 'encrypt', 'dual')),
  method: oneOf('sign', 'decrypt'),
  spkiSealed: blob,
  expectedSha256: nullable(blob),
  createdAt: integer,
  expiresAt: integer,
  usedAt: nullable(integer),
  authorityMac: blob,
}

/** As `challengeColumns` reads them. */
const challengeSelection = `id, purpose, subscriber, device, mailbox, usage AS use, method, spki_sealed AS spkiSealed,
  expected_sha256 AS expectedSha256, created_at AS createdAt, expires_at AS expiresAt, used_at AS usedAt,
  authority_mac AS authorityMac`
export type ChallengeRow = RowOf<typeof challengeColumns>

/** A challenge, also a used one. One whose MAC does not fit counts as absent. */
export const readChallenge = async (deps: AuthorityDeps & { readonly database: Database }, id: string) =>
  authority.trusted(
    deps,
    await deps.database.first(
      query(
        challengeColumns,
        `SELECT ${challengeSelection}
         FROM key_challenges WHERE id = ?`,
        id,
      ),
    ),
  )

/** Uses a challenge up, whether its proof is right or wrong: each has one try. Guard `requireUnchanged`. */
export const useChallenge = (keys: Macs, row: ChallengeRow, now: number): Command[] => [
  command(
    `UPDATE key_challenges SET used_at = ?, authority_mac = ? WHERE id = ? AND authority_mac = ?`,
    now,
    authority.after(keys, row, { usedAt: now }),
    row.id,
    row.authorityMac,
  ),
  requireUnchanged(),
]

/** One page of all challenges, by id: in words, those whose MAC does not fit. */
export const readChallengeFaults = async (
  deps: { readonly database: Database; readonly keys: Macs },
  after: string,
  limit: number,
) => {
  const rows = await deps.database.all(
    query(
      challengeColumns,
      `SELECT ${challengeSelection}
       FROM key_challenges WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, authority.faults(deps.keys, rows))
}

export const deleteChallengesExpiredBefore = (before: number): Command =>
  command(`DELETE FROM key_challenges WHERE expires_at < ?`, before)
