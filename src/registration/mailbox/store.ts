import {
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Database,
} from '../../ports/database.ts'
import type { AccountType } from '../../api/shapes.ts'

export const insertMailbox = (row: {
  id: string
  subscriber: string
  addressSealed: Uint8Array
  addressIndex: Uint8Array
  accountType: AccountType
  verifiedAt: number
  createdAt: number
}): Command =>
  command(
    `INSERT INTO mailboxes (id, subscriber, address_sealed, address_index, account_type, verified_at, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.verifiedAt,
    row.createdAt,
  )

const mailboxColumns = {
  id: text,
  subscriber: text,
  addressSealed: blob,
  addressIndex: blob,
  accountType: oneOf('imap', 'exchange'),
  verifiedAt: integer,
  createdAt: integer,
  endedAt: nullable(integer),
  endReason: nullable(oneOf('moved', 'removed')),
  settledAt: nullable(integer),
}
export type MailboxRow = Awaited<ReturnType<typeof readMailboxesOf>>[number]

/** Every mailbox that a subscriber has or had, oldest first. */
export const readMailboxesOf = (database: Database, subscriber: string) =>
  database.all(
    query(
      mailboxColumns,
      `SELECT id, subscriber, address_sealed AS addressSealed, address_index AS addressIndex,
              account_type AS accountType, verified_at AS verifiedAt, created_at AS createdAt, ended_at AS endedAt,
              end_reason AS endReason, settled_at AS settledAt
       FROM mailboxes WHERE subscriber = ? ORDER BY created_at, id`,
      subscriber,
    ),
  )

/** Who has the mailbox of an address now. */
export const readHolder = (database: Database, addressIndex: Uint8Array) =>
  database.first(
    query(
      mailboxColumns,
      `SELECT id, subscriber, address_sealed AS addressSealed, address_index AS addressIndex,
              account_type AS accountType, verified_at AS verifiedAt, created_at AS createdAt, ended_at AS endedAt,
              end_reason AS endReason, settled_at AS settledAt
       FROM mailboxes WHERE address_index = ? AND ended_at IS NULL`,
      addressIndex,
    ),
  )

/** Notes a proof of a mailbox that a subscriber has; broken where it has ended meanwhile. An older proof changes nothing. */
export const renewProof = (id: string, subscriber: string, verifiedAt: number): Command[] => [
  command(
    `UPDATE mailboxes SET verified_at = MAX(verified_at, ?) WHERE id = ? AND subscriber = ? AND ended_at IS NULL`,
    verifiedAt,
    id,
    subscriber,
  ),
  requireOneChange('mailbox_changed'),
]

/** Takes an active mailbox from the subscriber that has it, since another one proved it at `provedAt` and not earlier. */
export const moveMailbox = (id: string, now: number, provedAt: number): Command[] => [
  command(
    `UPDATE mailboxes SET ended_at = ?, end_reason = 'moved', settled_at = NULL
     WHERE id = ? AND ended_at IS NULL AND verified_at <= ?`,
    now,
    id,
    provedAt,
  ),
  requireOneChange('mailbox_changed'),
]

/** Gives a mailbox that moved away back to its subscriber; broken where the consequences are drawn already. */
export const returnMailbox = (id: string, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE mailboxes SET ended_at = NULL, end_reason = NULL, verified_at = ?
     WHERE id = ? AND subscriber = ? AND end_reason = 'moved' AND settled_at IS NULL`,
    now,
    id,
    subscriber,
  ),
  requireOneChange('mailbox_changed'),
]

/** Removes a mailbox from its subscriber; broken where it is the last active one, or not active. */
export const removeMailbox = (id: string, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE mailboxes SET ended_at = ?, end_reason = 'removed'
     WHERE id = ? AND subscriber = ? AND ended_at IS NULL
       AND EXISTS (SELECT 1 FROM mailboxes o WHERE o.subscriber = ? AND o.id <> ? AND o.ended_at IS NULL)`,
    now,
    id,
    subscriber,
    subscriber,
    id,
  ),
  requireOneChange('mailbox_is_last'),
]

/** Breaks the batch unless the subscriber has an active mailbox that was proved after `since`. */
export const requireProofSince = (subscriber: string, since: number): Command[] => [
  command(
    `UPDATE subscribers SET language = language
     WHERE id = ?
       AND EXISTS (
         SELECT 1 FROM mailboxes m WHERE m.subscriber = subscribers.id AND m.ended_at IS NULL AND m.verified_at > ?
       )`,
    subscriber,
    since,
  ),
  requireOneChange('mailbox_proof_required'),
]

export interface NewMailboxChallenge {
  readonly id: string
  readonly purpose: 'add' | 'prove'
  readonly mailbox: string
  readonly subscriber: string
  readonly device: string
  readonly addressSealed: Uint8Array
  readonly addressIndex: Uint8Array
  readonly accountType: AccountType
  readonly tokenSha256: Uint8Array
  readonly createdAt: number
  readonly expiresAt: number
}

/** Keeps a challenge; broken where the subscriber has had `limit.allowed` of them since `limit.since`. */
export const insertChallenge = (
  row: NewMailboxChallenge,
  limit: { readonly since: number; readonly allowed: number },
): Command[] => [
  command(
    `INSERT INTO mailbox_challenges
       (id, purpose, mailbox, subscriber, device, address_sealed, address_index, account_type, token_sha256, state,
        wrong_tries, created_at, expires_at)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?
     WHERE (SELECT COUNT(*) FROM mailbox_challenges WHERE subscriber = ? AND created_at > ?) < ?`,
    row.id,
    row.purpose,
    row.mailbox,
    row.subscriber,
    row.device,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.tokenSha256,
    row.createdAt,
    row.expiresAt,
    row.subscriber,
    limit.since,
    limit.allowed,
  ),
  requireOneChange('too_many_challenges'),
]

/** The challenges to a mailbox of a subscriber, newest first. */
export const readChallenges = (database: Database, mailbox: string, subscriber: string) =>
  database.all(
    query(
      {
        id: text,
        purpose: oneOf('add', 'prove'),
        mailbox: text,
        addressSealed: blob,
        addressIndex: blob,
        accountType: oneOf('imap', 'exchange'),
        tokenSha256: blob,
        state: oneOf('pending', 'used', 'ended'),
        wrongTries: integer,
        createdAt: integer,
        expiresAt: integer,
      },
      `SELECT id, purpose, mailbox, address_sealed AS addressSealed, address_index AS addressIndex,
              account_type AS accountType, token_sha256 AS tokenSha256, state, wrong_tries AS wrongTries,
              created_at AS createdAt, expires_at AS expiresAt
       FROM mailbox_challenges WHERE mailbox = ? AND subscriber = ? ORDER BY created_at DESC, id`,
      mailbox,
      subscriber,
    ),
  )
export type MailboxChallengeRow = Awaited<ReturnType<typeof readChallenges>>[number]

/**
 * Consumes a challenge; broken where it was consumed, has ended or expired. What else was asked of the same mailbox is
 * answered by it too.
 */
export const useChallenge = (row: { id: string; mailbox: string }, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE mailbox_challenges SET state = 'used' WHERE id = ? AND state = 'pending' AND expires_at > ?`,
    row.id,
    now,
  ),
  requireOneChange('challenge_used'),
  command(
    `UPDATE mailbox_challenges SET state = 'used' WHERE mailbox = ? AND subscriber = ? AND state = 'pending'`,
    row.mailbox,
    subscriber,
  ),
]

/** Counts a wrong token against a challenge, in a batch that breaks where it has changed since; the fifth ends it. */
export const countWrongProof = ({ id, wrongTries }: Pick<MailboxChallengeRow, 'id' | 'wrongTries'>): Command[] => [
  command(
    `UPDATE mailbox_challenges
     SET wrong_tries = wrong_tries + 1, state = CASE WHEN wrong_tries >= 4 THEN 'ended' ELSE state END
     WHERE id = ? AND state = 'pending' AND wrong_tries = ?`,
    id,
    wrongTries,
  ),
  requireOneChange('challenge_changed'),
]

/** Ends what was asked of a mailbox, where it leaves its subscriber: who has it next must not lose it to an old mail. */
export const endChallenges = (mailbox: string): Command =>
  command(`UPDATE mailbox_challenges SET state = 'ended' WHERE mailbox = ? AND state = 'pending'`, mailbox)

export const deleteChallengesExpiredBefore = (before: number): Command =>
  command(`DELETE FROM mailbox_challenges WHERE expires_at < ?`, before)

/** Mailboxes whose end has consequences that are due, after a cursor: removed, or moved by `movedBefore`. */
export const readUnsettledMailboxes = (
  database: Database,
  movedBefore: number,
  after: { at: number; id: string },
  limit: number,
) =>
  database.all(
    query(
      { id: text, subscriber: text, endedAt: integer },
      `SELECT id, subscriber, ended_at AS endedAt FROM mailboxes
       WHERE ended_at IS NOT NULL AND settled_at IS NULL AND (end_reason = 'removed' OR ended_at <= ?)
         AND (ended_at, id) > (?, ?)
       ORDER BY ended_at, id LIMIT ?`,
      movedBefore,
      after.at,
      after.id,
      limit,
    ),
  )

/** Breaks the batch where a mailbox has come back, or has ended anew, since it was read as ended at `endedAt`. */
export const requireStillEnded = (id: string, endedAt: number): Command[] => [
  command(`UPDATE mailboxes SET ended_at = ended_at WHERE id = ? AND ended_at = ? AND settled_at IS NULL`, id, endedAt),
  requireOneChange('mailbox_changed'),
]

/** Notes that the consequences of a mailbox's end are drawn; broken where it has come back meanwhile. */
export const settleMailbox = (id: string, endedAt: number, now: number): Command[] => [
  command(`UPDATE mailboxes SET settled_at = ? WHERE id = ? AND ended_at = ? AND settled_at IS NULL`, now, id, endedAt),
  requireOneChange('mailbox_changed'),
]
