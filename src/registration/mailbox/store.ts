import {
  authorityOf,
  isChangedMeanwhile,
  pageOfFaults,
  requireAsRead,
  requireUnchanged,
  type AuthorityDeps,
} from '../../ports/authority.ts'
import { toHex } from '../../pki/encoding.ts'
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
import type { DeviceRow } from '../device/store.ts'
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

/** What of a challenge grants or ends authority. Wrong tries only count down to its end. */
const challengeAuthority = authorityOf('mailbox_challenges', [
  'id',
  'purpose',
  'mailbox',
  'subscriber',
  'device',
  'addressIndex',
  'accountType',
  'tokenVerifier',
  'state',
  'expiresAt',
  'act',
  'actUntil',
  'mailboxEndedAt',
])

const challengeColumns = {
  id: text,
  purpose: oneOf('add', 'prove'),
  mailbox: text,
  subscriber: text,
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
  actUntil: nullable(integer),
  mailboxEndedAt: nullable(integer),
  authorityMac: blob,
}

/** As `challengeColumns` reads them. */
const challengeSelection = `id, purpose, mailbox, subscriber, device, address_sealed AS addressSealed,
  address_index AS addressIndex, account_type AS accountType, token_verifier AS tokenVerifier, state,
  wrong_tries AS wrongTries, created_at AS createdAt, expires_at AS expiresAt, act, act_until AS actUntil,
  mailbox_ended_at AS mailboxEndedAt, authority_mac AS authorityMac`
export type MailboxChallengeRow = RowOf<typeof challengeColumns>

/** The proofs of a device for an act that are good for longer than a time, those first that end first. */
export const readProofsForAct = async (deps: ReadDeps, device: string, act: GuardedAct, now: number) => {
  const rows = await deps.database.all(
    query(
      challengeColumns,
      `SELECT ${challengeSelection}
       FROM mailbox_challenges WHERE device = ? AND act = ? AND act_until > ? ORDER BY act_until, id`,
      device,
      act,
      now,
    ),
  )
  return rows.filter((row) => challengeAuthority.trusted(deps, row) !== null)
}

/** Uses up a proof for an act. Guard `requireUnchanged`. */
export const useUpProof = (keys: Macs, row: MailboxChallengeRow): Command[] => [
  command(
    `UPDATE mailbox_challenges SET act_until = NULL, authority_mac = ? WHERE id = ? AND authority_mac = ?`,
    challengeAuthority.after(keys, row, { actUntil: null }),
    row.id,
    row.authorityMac,
  ),
  requireUnchanged(),
]

/** Guard: a device and a mailbox are of one subscriber, and neither has changed since it was read. */
export const requireMember = (
  device: Pick<DeviceRow, 'id' | 'authorityMac'>,
  mailbox: Pick<MailboxRow, 'id' | 'authorityMac'>,
): Command =>
  requireAsRead(
    query(
      { id: text },
      `SELECT m.id AS id FROM mailboxes m JOIN devices d ON d.subscriber = m.subscriber
       WHERE m.id = ? AND m.authority_mac = ? AND d.id = ? AND d.authority_mac = ?`,
      mailbox.id,
      mailbox.authorityMac,
      device.id,
      device.authorityMac,
    ),
  )

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
  /** When the mailbox had moved away; null where it has not. */
  readonly mailboxEndedAt: number | null
}

/** Keeps a challenge. Guard: the device has asked for fewer than `limit.allowed` since `limit.since`. */
export const insertMailboxChallenge = (
  keys: Macs,
  row: NewMailboxChallenge,
  limit: { readonly since: number; readonly allowed: number },
): Command[] => [
  command(
    `INSERT INTO mailbox_challenges
       (id, purpose, mailbox, subscriber, device, address_sealed, address_index, account_type, token_verifier, state,
        wrong_tries, created_at, expires_at, act, mailbox_ended_at, authority_mac)
     SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?, ?, ?, ?
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
    row.mailboxEndedAt,
    challengeAuthority.of(keys, { ...row, state: 'pending', actUntil: null }),
    row.device,
    limit.since,
    limit.allowed,
  ),
  requireOneChange('too_many_challenges'),
]

/** The challenges of a subscriber to one mailbox, newest first. One whose MAC does not fit counts as absent. */
export const readChallenges = async (deps: ReadDeps, mailbox: string, subscriber: string) => {
  const rows = await deps.database.all(
    query(
      challengeColumns,
      `SELECT ${challengeSelection}
       FROM mailbox_challenges WHERE mailbox = ? AND subscriber = ? ORDER BY created_at DESC, id`,
      mailbox,
      subscriber,
    ),
  )
  return rows.filter((row) => challengeAuthority.trusted(deps, row) !== null)
}

/** One page of all challenges, by id: in words, those whose MAC does not fit. */
export const readMailboxChallengeFaults = async (
  deps: Pick<ReadDeps, 'database' | 'keys'>,
  after: string,
  limit: number,
) => {
  const rows = await deps.database.all(
    query(
      challengeColumns,
      `SELECT ${challengeSelection}
       FROM mailbox_challenges WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, challengeAuthority.faults(deps.keys, rows))
}

/**
 * Uses up an open challenge. Its device may do what it asked for until `actUntil`. Guard: it has not changed since it was
 * read.
 */
export const useMailboxChallenge = (keys: Macs, row: MailboxChallengeRow, actUntil: number): Command[] => {
  const until = row.act === null ? null : actUntil
  return [
    command(
      `UPDATE mailbox_challenges SET state = 'used', act_until = ?, authority_mac = ?
       WHERE id = ? AND authority_mac = ?`,
      until,
      challengeAuthority.after(keys, row, { state: 'used', actUntil: until }),
      row.id,
      row.authorityMac,
    ),
    requireOneChange('challenge_used'),
  ]
}

/**
 * Uses up open challenges that a proof has made needless, in one command for however many there are. One that has changed
 * since it was read stays as it is.
 */
export const useUpChallenges = (keys: Macs, rows: readonly MailboxChallengeRow[]): Command =>
  command(
    `UPDATE mailbox_challenges SET state = 'used', authority_mac = unhex(used.value ->> 'mac')
     FROM json_each(?) AS used
     WHERE mailbox_challenges.id = used.value ->> 'id'
       AND mailbox_challenges.authority_mac = unhex(used.value ->> 'before')`,
    JSON.stringify(
      rows.map((row) => ({
        id: row.id,
        before: toHex(row.authorityMac),
        mac: toHex(challengeAuthority.after(keys, row, { state: 'used' })),
      })),
    ),
  )

/**
 * Counts a wrong token against an open challenge; `ends`: it was the last one. Guard: the challenge has not changed since
 * it was read.
 */
export const countWrongProof = (keys: Macs, row: MailboxChallengeRow, ends: boolean): Command[] => {
  const state = ends ? 'ended' : row.state
  return [
    command(
      `UPDATE mailbox_challenges SET wrong_tries = wrong_tries + 1, state = ?, authority_mac = ?
       WHERE id = ? AND authority_mac = ? AND wrong_tries = ?`,
      state,
      challengeAuthority.after(keys, row, { state }),
      row.id,
      row.authorityMac,
      row.wrongTries,
    ),
    requireOneChange('challenge_changed'),
  ]
}

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
