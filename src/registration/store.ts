import {
  authorityOf,
  pageOfFaults,
  requireAsRead,
  requireNoneUnseen,
  requireUnchanged,
  type AuthorityDeps,
} from '../ports/authority.ts'
import type { Macs } from '../ports/row-mac.ts'
import {
  blob,
  command,
  integer,
  nullable,
  oneOf,
  query,
  requireNoRow,
  requireOneChange,
  requireRow,
  text,
  type Command,
  type Database,
  type RowOf,
} from '../ports/database.ts'
import type { AccountType } from '../api/shapes.ts'

export interface NewRegistration {
  readonly id: string
  readonly addressSealed: Uint8Array
  readonly addressIndex: Uint8Array
  readonly accountType: AccountType
  readonly policyVersion: string
  readonly deviceSealed: Uint8Array
  readonly deviceSecretVerifier: Uint8Array
  readonly tokenVerifier: Uint8Array
  readonly tokenSealed: Uint8Array
  readonly networkIndex: Uint8Array
  readonly userCodeSealed: Uint8Array
  readonly createdAt: number
  readonly expiresAt: number
}

/** What reads registrations. One whose MAC does not fit counts as absent. */
type ReadDeps = AuthorityDeps & { readonly database: Database }

/** What of a registration grants or ends authority. */
const authority = authorityOf('registrations', [
  'id',
  'state',
  'addressIndex',
  'accountType',
  'deviceSecretVerifier',
  'tokenVerifier',
  'expiresAt',
  'confirmedAt',
  'device',
  'approvedBy',
  'approvedFor',
])

/** So many registrations of one address and network can wait for a mail. The token of a further one is not kept. */
const waitingPerNetwork = 4

export const insertRegistration = (keys: Macs, row: NewRegistration): Command =>
  command(
    `INSERT INTO registrations
       (id, state, address_sealed, address_index, account_type, policy_version, device_sealed, device_secret_verifier,
        token_verifier, token_sealed, network_index, user_code_sealed, wrong_tries, created_at, expires_at,
        authority_mac)
     VALUES (?, 'pending', ?, ?, ?, ?, ?, ?, ?,
             CASE WHEN (SELECT COUNT(*) FROM registrations
                        WHERE address_index = ? AND network_index = ? AND token_sealed IS NOT NULL
                          AND state = 'pending' AND expires_at > ?) < ? THEN ? END,
             ?, ?, 0, ?, ?, ?)`,
    row.id,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.policyVersion,
    row.deviceSealed,
    row.deviceSecretVerifier,
    row.tokenVerifier,
    row.addressIndex,
    row.networkIndex,
    row.createdAt,
    waitingPerNetwork,
    row.tokenSealed,
    row.networkIndex,
    row.userCodeSealed,
    row.createdAt,
    row.expiresAt,
    authority.of(keys, {
      ...row,
      state: 'pending',
      confirmedAt: null,
      device: null,
      approvedBy: null,
      approvedFor: null,
    }),
  )

const columns = {
  id: text,
  state: oneOf('pending', 'confirmed', 'completed', 'ended'),
  addressSealed: blob,
  addressIndex: blob,
  accountType: oneOf('imap', 'exchange'),
  policyVersion: text,
  deviceSealed: blob,
  deviceSecretVerifier: blob,
  tokenVerifier: blob,
  userCodeSealed: blob,
  wrongTries: integer,
  createdAt: integer,
  expiresAt: integer,
  confirmedAt: nullable(integer),
  device: nullable(text),
  approvedBy: nullable(text),
  approvedFor: nullable(text),
  authorityMac: blob,
}

/** As `columns` reads them. */
const registrationSelection = `id, state, address_sealed AS addressSealed, address_index AS addressIndex, account_type AS accountType,
  policy_version AS policyVersion, device_sealed AS deviceSealed, device_secret_verifier AS deviceSecretVerifier,
  token_verifier AS tokenVerifier, user_code_sealed AS userCodeSealed, wrong_tries AS wrongTries,
  created_at AS createdAt, expires_at AS expiresAt, confirmed_at AS confirmedAt, device,
  approved_by AS approvedBy, approved_for AS approvedFor, authority_mac AS authorityMac`
export type RegistrationRow = RowOf<typeof columns>

export const readRegistration = async (deps: ReadDeps, id: string) =>
  authority.trusted(
    deps,
    await deps.database.first(
      query(
        columns,
        `SELECT ${registrationSelection}
         FROM registrations WHERE id = ?`,
        id,
      ),
    ),
  )

/** Pending registrations of an address whose tokens no mail has, oldest first. */
export const readWaitingForMail = async (deps: ReadDeps, addressIndex: Uint8Array, now: number, limit: number) => {
  const rows = await deps.database.all(
    query(
      { ...columns, tokenSealed: blob, networkIndex: blob },
      `SELECT ${registrationSelection}, token_sealed AS tokenSealed,
              network_index AS networkIndex
       FROM registrations
       WHERE address_index = ? AND token_sealed IS NOT NULL AND state = 'pending' AND expires_at > ?
       ORDER BY created_at LIMIT ?`,
      addressIndex,
      now,
      limit,
    ),
  )
  return rows.filter((row) => authority.trusted(deps, row) !== null)
}
export type WaitingForMail = Awaited<ReturnType<typeof readWaitingForMail>>[number]

/** Forgets the tokens of registrations that a queued mail has. Changes nothing if that mail was withheld. */
export const forgetTokens = (registrations: readonly string[], mail: string): Command =>
  command(
    `UPDATE registrations SET token_sealed = NULL
     WHERE id IN (SELECT value FROM json_each(?)) AND EXISTS (SELECT 1 FROM outgoing_mail WHERE id = ?)`,
    JSON.stringify(registrations),
    mail,
  )

/** One page of all registrations, by id: in words, those whose MAC does not fit. */
export const readRegistrationFaults = async (
  deps: Pick<ReadDeps, 'database' | 'keys'>,
  after: string,
  limit: number,
) => {
  const rows = await deps.database.all(
    query(
      columns,
      `SELECT ${registrationSelection}
       FROM registrations WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, authority.faults(deps.keys, rows))
}

/** Changes what a registration is good for. Guard `requireUnchanged`. */
const changeRegistration = (
  keys: Macs,
  row: RegistrationRow,
  change: Partial<Pick<RegistrationRow, 'state' | 'confirmedAt' | 'device' | 'approvedBy' | 'approvedFor'>>,
): Command[] => {
  const next = { ...row, ...change }
  return [
    command(
      `UPDATE registrations
       SET state = ?, confirmed_at = ?, device = ?, approved_by = ?, approved_for = ?, authority_mac = ?
       WHERE id = ? AND authority_mac = ?`,
      next.state,
      next.confirmedAt,
      next.device,
      next.approvedBy,
      next.approvedFor,
      authority.after(keys, row, change),
      row.id,
      row.authorityMac,
    ),
    requireUnchanged(),
  ]
}

/** Guard: a registration has not changed since it was read. */
export const requireRegistrationAsRead = ({ id, authorityMac }: RegistrationRow): Command =>
  requireAsRead(
    query({ id: text }, `SELECT id FROM registrations WHERE id = ? AND authority_mac = ?`, id, authorityMac),
  )

/** Confirms a pending registration, and so uses up its token. */
export const confirmRegistration = (keys: Macs, row: RegistrationRow, now: number): Command[] =>
  changeRegistration(keys, row, { state: 'confirmed', confirmedAt: now })

/** Counts a wrong try of a pending registration; `ends`: it was the last one. Guard: no other try was counted since. */
export const countWrongTry = (keys: Macs, row: RegistrationRow, ends: boolean): Command[] => [
  command(
    `UPDATE registrations SET wrong_tries = wrong_tries + 1
     WHERE id = ? AND authority_mac = ? AND wrong_tries = ?`,
    row.id,
    row.authorityMac,
    row.wrongTries,
  ),
  requireOneChange('another_try'),
  ...(ends ? endRegistration(keys, row) : []),
]

/** Ties a confirmed registration to its new device. */
export const completeRegistration = (keys: Macs, row: RegistrationRow, device: string): Command[] =>
  changeRegistration(keys, row, { state: 'completed', device })

/** Ends a registration of which no device has come. */
export const endRegistration = (keys: Macs, row: RegistrationRow): Command[] =>
  changeRegistration(keys, row, { state: 'ended' })

/**
 * Guard: a device waits, as it proved an active mailbox of the subscriber of another device, and that other device is
 * active.
 */
export const requireNewcomer = (
  id: string,
  by: { readonly subscriberId: string; readonly deviceId: string },
  now: number,
): Command =>
  requireRow(
    'newcomer_not_waiting',
    query(
      { id: text },
      `SELECT r.id AS id FROM registrations r
         JOIN mailboxes m ON m.address_index = r.address_index AND m.ended_at IS NULL
         JOIN devices d ON d.subscriber = m.subscriber
       WHERE r.id = ? AND r.state = 'confirmed' AND r.expires_at > ? AND m.subscriber = ? AND d.id = ?
         AND d.ended_at IS NULL`,
      id,
      now,
      by.subscriberId,
      by.deviceId,
    ),
  )

/** Approves a device that waits. */
export const approveRegistration = (
  keys: Macs,
  row: RegistrationRow,
  by: { readonly subscriberId: string; readonly deviceId: string },
): Command[] => changeRegistration(keys, row, { approvedBy: by.deviceId, approvedFor: by.subscriberId })

/** The waiting registrations that a device has approved, also forged ones. */
export const readApprovedBy = (database: Database, device: string) =>
  database.all(
    query(
      columns,
      `SELECT ${registrationSelection}
       FROM registrations WHERE approved_by = ? AND state = 'confirmed'`,
      device,
    ),
  )

/** Takes back the unused approvals of a device that another device removed. Guard: there are no others. */
export const voidApprovals = (keys: Macs, device: string, approved: readonly RegistrationRow[]): Command[] => [
  ...approved.flatMap((row) =>
    authority.fits(keys, row)
      ? changeRegistration(keys, row, { approvedBy: null, approvedFor: null })
      : [command(`UPDATE registrations SET approved_by = NULL, approved_for = NULL WHERE id = ?`, row.id)],
  ),
  requireNoneUnseen(
    query({ id: text }, `SELECT id FROM registrations WHERE approved_by = ? AND state = 'confirmed'`, device),
  ),
]

/** Devices that have proved an active mailbox of a subscriber and wait for approval, oldest first. */
export const readNewcomers = async (deps: ReadDeps, subscriber: string, now: number, limit: number) => {
  const rows = await deps.database.all(
    query(
      columns,
      `SELECT r.id AS id, r.state AS state, r.address_sealed AS addressSealed, r.address_index AS addressIndex,
              r.account_type AS accountType, r.policy_version AS policyVersion, r.device_sealed AS deviceSealed,
              r.device_secret_verifier AS deviceSecretVerifier, r.token_verifier AS tokenVerifier,
              r.user_code_sealed AS userCodeSealed, r.wrong_tries AS wrongTries, r.created_at AS createdAt,
              r.expires_at AS expiresAt, r.confirmed_at AS confirmedAt, r.device AS device,
              r.approved_by AS approvedBy, r.approved_for AS approvedFor, r.authority_mac AS authorityMac
       FROM mailboxes m JOIN registrations r ON r.address_index = m.address_index
       WHERE m.subscriber = ? AND m.ended_at IS NULL AND r.state = 'confirmed' AND r.expires_at > ?
       ORDER BY r.created_at, r.id LIMIT ?`,
      subscriber,
      now,
      limit,
    ),
  )
  return rows.filter((row) => authority.trusted(deps, row) !== null)
}

export const deleteRegistrationsExpiredBefore = (before: number): Command =>
  command(`DELETE FROM registrations WHERE expires_at < ?`, before)

/** What of a subscriber ends authority. */
const restriction = authorityOf('subscribers', ['id', 'restrictedAt'])

/** Whether the MAC of a subscriber fits; an event says so where it does not. */
export const isTrustedSubscriber = (
  deps: AuthorityDeps,
  row: { readonly id: string; readonly restrictedAt: number | null; readonly authorityMac: Uint8Array },
): boolean => restriction.trusted(deps, row) !== null

export const insertSubscriber = (
  keys: Macs,
  row: { readonly id: string; readonly language: string; readonly createdAt: number },
): Command =>
  command(
    `INSERT INTO subscribers (id, language, created_at, authority_mac) VALUES (?, ?, ?, ?)`,
    row.id,
    row.language,
    row.createdAt,
    restriction.of(keys, { id: row.id, restrictedAt: null }),
  )

/** One page of all subscribers, by id: in words, those whose MAC does not fit. */
export const readSubscriberFaults = async (deps: Pick<ReadDeps, 'database' | 'keys'>, after: string, limit: number) => {
  const rows = await deps.database.all(
    query(
      { id: text, restrictedAt: nullable(integer), authorityMac: blob },
      `SELECT id, restricted_at AS restrictedAt, authority_mac AS authorityMac
       FROM subscribers WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, restriction.faults(deps.keys, rows))
}

export const changeLanguage = (id: string, language: string): Command[] => [
  command(`UPDATE subscribers SET language = ? WHERE id = ?`, language, id),
  requireOneChange('no_subscriber'),
]

export const readSubscriber = (database: Database, id: string) =>
  database.first(
    query(
      { id: text, language: text, createdAt: integer, restrictedAt: nullable(integer) },
      `SELECT id, language, created_at AS createdAt, restricted_at AS restrictedAt FROM subscribers WHERE id = ?`,
      id,
    ),
  )

/** Takes one from what a network may begin in an hour, and within 24 hours. Guard: something is left of both. */
export const takeFromNetworkBudget = (
  networkIndex: Uint8Array,
  purpose: 'registration' | 'key_report',
  hour: number,
  allowed: { readonly perHour: number; readonly perDay: number },
): Command[] => [
  command(
    `INSERT INTO network_budgets (network_index, purpose, hour, used) VALUES (?, ?, ?, 1)
     ON CONFLICT (network_index, purpose, hour) DO UPDATE SET used = used + 1 WHERE used < ?`,
    networkIndex,
    purpose,
    hour,
    allowed.perHour,
  ),
  requireOneChange('network_budget_spent'),
  requireNoRow(
    'network_budget_spent',
    query(
      { used: integer },
      `SELECT SUM(used) AS used FROM network_budgets WHERE network_index = ? AND purpose = ? AND hour > ?
       HAVING SUM(used) > ?`,
      networkIndex,
      purpose,
      hour - 24,
      allowed.perDay,
    ),
  ),
]

export const deleteNetworkBudgetsBefore = (hour: number): Command =>
  command(`DELETE FROM network_budgets WHERE hour < ?`, hour)

/** Takes one from what a subscriber may do in a day. Guard: something is left. */
export const takeFromSubscriberBudget = (subscriber: string, day: number, allowed: number): Command[] => [
  command(
    `INSERT INTO subscriber_budgets (subscriber, day, used) VALUES (?, ?, 1)
     ON CONFLICT (subscriber, day) DO UPDATE SET used = used + 1 WHERE used < ?`,
    subscriber,
    day,
    allowed,
  ),
  requireOneChange('subscriber_budget_spent'),
]

export const deleteSubscriberBudgetsBefore = (day: number): Command =>
  command(`DELETE FROM subscriber_budgets WHERE day < ?`, day)
