import { isChangedMeanwhile, pageOfFaults, requireUnchanged, type AuthorityDeps } from '../../ports/authority.ts'
import type { Macs } from '../../ports/row-mac.ts'
import {
  ConstraintFailed,
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireOneChange,
  requireRow,
  text,
  type Command,
  type Database,
  type RowOf,
} from '../../ports/database.ts'
import { guardedAct, type AccountType, type GuardedAct } from '../../api/shapes.ts'
import { isTrustedMailbox, mailboxAuthority as authority } from '../trusted-mailboxes.ts'

/** Whether a batch failed because another call has changed who has the mailbox. Decide again. */
export const isHoldingChanged = (error: unknown): boolean =>
  isChangedMeanwhile(error) ||
  (error instanceof ConstraintFailed && error.kind === 'unique' && error.constraint === 'mailboxes.address_index')

/** What reads mailboxes. A mailbox whose MAC does not fit counts as absent. */
type ReadDeps = AuthorityDeps & { readonly database: Database }

export const insertMailbox = (
  keys: Macs,
  row: {
    id: string
    subscriber: string
    addressSealed: Uint8Array
    addressIndex: Uint8Array
    accountType: AccountType
    verifiedAt: number
    createdAt: number
  },
): Command =>
  command(
    `INSERT INTO mailboxes
       (id, subscriber, address_sealed, address_index, account_type, verified_at, created_at, authority_mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.verifiedAt,
    row.createdAt,
    authority.of(keys, { ...row, endedAt: null, endReason: null }),
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
  authorityMac: blob,
}

/** As `mailboxColumns` reads them. */
const mailboxSelection = `id, subscriber, address_sealed AS addressSealed, address_index AS addressIndex, account_type AS accountType,
  verified_at AS verifiedAt, created_at AS createdAt, ended_at AS endedAt, end_reason AS endReason,
  settled_at AS settledAt, authority_mac AS authorityMac`
export type MailboxRow = RowOf<typeof mailboxColumns>

/** All mailboxes that a subscriber has or had, oldest first. */
export const readMailboxesOf = async (deps: ReadDeps, subscriber: string) => {
  const rows = await deps.database.all(
    query(
      mailboxColumns,
      `SELECT ${mailboxSelection}
       FROM mailboxes WHERE subscriber = ? ORDER BY created_at, id`,
      subscriber,
    ),
  )
  return rows.filter((row) => isTrustedMailbox(deps, row))
}

/** Who has an address: its active mailbox; or the id of one that nobody here wrote, which keeps its place in the index. */
export interface Holding {
  readonly holder: MailboxRow | null
  readonly forged: string | null
}

export const readHolding = async (deps: ReadDeps, addressIndex: Uint8Array): Promise<Holding> => {
  const row = await deps.database.first(
    query(
      mailboxColumns,
      `SELECT ${mailboxSelection}
       FROM mailboxes WHERE address_index = ? AND ended_at IS NULL`,
      addressIndex,
    ),
  )
  const holder = authority.trusted(deps, row)
  return { holder, forged: holder === null ? (row?.id ?? null) : null }
}

/** One page of all mailboxes, by id: in words, those whose MAC does not fit. */
export const readMailboxFaults = async (deps: Pick<ReadDeps, 'database' | 'keys'>, after: string, limit: number) => {
  const rows = await deps.database.all(
    query(
      mailboxColumns,
      `SELECT ${mailboxSelection}
       FROM mailboxes WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, authority.faults(deps.keys, rows))
}

/** Changes who has a mailbox. Guard `requireUnchanged`, also for one whose end has had its consequences. */
const changeMailbox = (
  keys: Macs,
  row: MailboxRow,
  change: Partial<Pick<MailboxRow, 'verifiedAt' | 'endedAt' | 'endReason'>>,
): Command[] => {
  const next = { ...row, ...change }
  return [
    command(
      `UPDATE mailboxes SET verified_at = ?, ended_at = ?, end_reason = ?, authority_mac = ?
       WHERE id = ? AND authority_mac = ? AND settled_at IS NULL`,
      next.verifiedAt,
      next.endedAt,
      next.endReason,
      authority.after(keys, row, change),
      row.id,
      row.authorityMac,
    ),
    requireUnchanged(),
  ]
}

/** Notes that an active mailbox was proved. An older proof changes nothing. */
export const renewProof = (keys: Macs, row: MailboxRow, verifiedAt: number): Command[] =>
  changeMailbox(keys, row, { verifiedAt: Math.max(row.verifiedAt, verifiedAt) })

/** Takes an active mailbox from its subscriber, because another one proved it. */
export const moveMailbox = (keys: Macs, row: MailboxRow, now: number): Command[] =>
  changeMailbox(keys, row, { endedAt: now, endReason: 'moved' })

/** Gives a moved mailbox back to its subscriber. Guard: the consequences of the move have not happened yet. */
export const returnMailbox = (keys: Macs, row: MailboxRow, now: number): Command[] =>
  changeMailbox(keys, row, { endedAt: null, endReason: null, verifiedAt: now })

/** Removes an active mailbox from its subscriber. Guard: it is not the last active one. */
export const removeMailbox = (keys: Macs, row: MailboxRow, now: number): Command[] => [
  ...changeMailbox(keys, row, { endedAt: now, endReason: 'removed' }),
  requireRow(
    'mailbox_is_last',
    query({ id: text }, `SELECT id FROM mailboxes WHERE subscriber = ? AND ended_at IS NULL`, row.subscriber),
  ),
]

/** Takes its place from a mailbox that nobody here wrote. Its MAC goes on not to fit. Guard: nobody did so before. */
export const endForgedMailbox = (id: string, now: number): Command[] => [
  command(`UPDATE mailboxes SET ended_at = ?, end_reason = 'removed' WHERE id = ? AND ended_at IS NULL`, now, id),
  requireUnchanged(),
]

/** Finds a device that was registered by a proof after a time, if its subscriber still has a mailbox. */
const justRegistered = `
  SELECT 1 FROM devices d
    JOIN registrations r ON r.id = d.registration
    JOIN mailboxes m ON m.subscriber = d.subscriber AND m.ended_at IS NULL
  WHERE d.id = ? AND d.ended_at IS NULL AND r.confirmed_at > ?`

/** Finds the proofs of a device for an act, at mailboxes that are still theirs, that are good for longer than a time. */
const provedForAct = `
  SELECT c.id FROM mailbox_challenges c
    JOIN devices d ON d.id = c.device
    JOIN mailboxes m ON m.address_index = c.address_index AND m.ended_at IS NULL AND m.subscriber = c.subscriber
  WHERE c.device = ? AND d.ended_at IS NULL AND c.act = ? AND c.act_until > ?`

/**
 * Uses up a proof of the device for an act. Where the device itself registered after `registeredAfter`, none is needed or
 * used up. Guard: there is one or the other.
 */
export const takeProofForAct = (
  by: { readonly subscriberId: string; readonly deviceId: string },
  act: GuardedAct,
  now: number,
  registeredAfter: number,
): Command[] => [
  command(
    `UPDATE subscribers SET language = language WHERE id = ? AND (EXISTS (${justRegistered}) OR EXISTS (${provedForAct}))`,
    by.subscriberId,
    by.deviceId,
    registeredAfter,
    by.deviceId,
    act,
    now,
  ),
  requireOneChange('mailbox_proof_required'),
  command(
    `UPDATE mailbox_challenges SET act_until = NULL
     WHERE id = (${provedForAct} ORDER BY c.act_until LIMIT 1) AND NOT EXISTS (${justRegistered})`,
    by.deviceId,
    act,
    now,
    by.deviceId,
    registeredAfter,
  ),
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
  readonly tokenVerifier: Uint8Array
  readonly createdAt: number
  readonly expiresAt: number
  readonly act: GuardedAct | null
}

/** Keeps a challenge. Guard: the device has asked for fewer than `limit.allowed` since `limit.since`. */
export const insertMailboxChallenge = (
  row: NewMailboxChallenge,
  limit: { readonly since: number; readonly allowed: number },
): Command[] => [
  command(
    `INSERT INTO mailbox_challenges
       (id, purpose, mailbox, subscriber, device, address_sealed, address_index, account_type, token_verifier, state,
        wrong_tries, created_at, expires_at, act)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?, ?
     WHERE (SELECT COUNT(*) FROM mailbox_challenges WHERE device = ? AND created_at > ?) < ?`,
    row.id,
    row.purpose,
    row.mailbox,
    row.subscriber,
    row.device,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.tokenVerifier,
    row.createdAt,
    row.expiresAt,
    row.act,
    row.device,
    limit.since,
    limit.allowed,
  ),
  requireOneChange('too_many_challenges'),
]

/** The challenges of a subscriber to one mailbox, newest first. */
export const readChallenges = (database: Database, mailbox: string, subscriber: string) =>
  database.all(
    query(
      {
        id: text,
        purpose: oneOf('add', 'prove'),
        mailbox: text,
        device: text,
        addressSealed: blob,
        addressIndex: blob,
        accountType: oneOf('imap', 'exchange'),
        tokenVerifier: blob,
        state: oneOf('pending', 'used', 'ended'),
        wrongTries: integer,
        createdAt: integer,
        expiresAt: integer,
        act: nullable(oneOf(...guardedAct.options)),
      },
      `SELECT id, purpose, mailbox, device, address_sealed AS addressSealed, address_index AS addressIndex,
              account_type AS accountType, token_verifier AS tokenVerifier, state, wrong_tries AS wrongTries,
              created_at AS createdAt, expires_at AS expiresAt, act
       FROM mailbox_challenges WHERE mailbox = ? AND subscriber = ? ORDER BY created_at DESC, id`,
      mailbox,
      subscriber,
    ),
  )
export type MailboxChallengeRow = Awaited<ReturnType<typeof readChallenges>>[number]

/**
 * Uses up a challenge, and with it the other open challenges to the same mailbox that ask for no more than this one. Its
 * device may do what it asked for until `actUntil`. Guard: the challenge is open and has not expired.
 */
export const useMailboxChallenge = (
  row: Pick<MailboxChallengeRow, 'id' | 'mailbox' | 'device' | 'act'>,
  subscriber: string,
  now: number,
  actUntil: number,
): Command[] => [
  command(
    `UPDATE mailbox_challenges SET state = 'used', act_until = CASE WHEN act IS NULL THEN NULL ELSE ? END
     WHERE id = ? AND state = 'pending' AND expires_at > ?`,
    actUntil,
    row.id,
    now,
  ),
  requireOneChange('challenge_used'),
  command(
    `UPDATE mailbox_challenges SET state = 'used'
     WHERE mailbox = ? AND subscriber = ? AND state = 'pending' AND (act IS NULL OR (act = ? AND device = ?))`,
    row.mailbox,
    subscriber,
    row.act,
    row.device,
  ),
]

/**
 * Counts a wrong token against a challenge; the fifth ends it. Guard: the challenge has not changed since it was read.
 */
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

/**
 * Ends all open challenges to a mailbox that leaves its subscriber. Otherwise an old mail could take it from the next
 * one.
 */
export const endChallenges = (mailbox: string): Command =>
  command(`UPDATE mailbox_challenges SET state = 'ended' WHERE mailbox = ? AND state = 'pending'`, mailbox)

export const deleteMailboxChallengesExpiredBefore = (before: number): Command =>
  command(`DELETE FROM mailbox_challenges WHERE expires_at < ?`, before)

/**
 * Mailboxes that were removed, or moved before `movedBefore`, and whose consequences have not happened yet. One page
 * after a cursor.
 */
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

/** Guard: the mailbox has not come back, or ended again, since it was read as ended at `endedAt`. */
export const requireStillEnded = (id: string, endedAt: number): Command[] => [
  command(`UPDATE mailboxes SET ended_at = ended_at WHERE id = ? AND ended_at = ? AND settled_at IS NULL`, id, endedAt),
  requireOneChange('mailbox_changed'),
]

/** Notes that the consequences of a mailbox's end have happened. Guard: it has not come back. */
export const settleMailbox = (id: string, endedAt: number, now: number): Command[] => [
  command(`UPDATE mailboxes SET settled_at = ? WHERE id = ? AND ended_at = ? AND settled_at IS NULL`, now, id, endedAt),
  requireOneChange('mailbox_changed'),
]
