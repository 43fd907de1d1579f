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
  readonly userCodeSealed: Uint8Array
  readonly createdAt: number
  readonly expiresAt: number
}

export const insertRegistration = (row: NewRegistration): Command =>
  command(
    `INSERT INTO registrations
       (id, state, address_sealed, address_index, account_type, policy_version, device_sealed, device_secret_verifier,
        token_verifier, user_code_sealed, wrong_tries, created_at, expires_at)
     VALUES (?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
    row.id,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.policyVersion,
    row.deviceSealed,
    row.deviceSecretVerifier,
    row.tokenVerifier,
    row.userCodeSealed,
    row.createdAt,
    row.expiresAt,
  )

export const readRegistration = (database: Database, id: string) =>
  database.first(
    query(
      {
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
      },
      `SELECT id, state, address_sealed AS addressSealed, address_index AS addressIndex, account_type AS accountType,
              policy_version AS policyVersion, device_sealed AS deviceSealed,
              device_secret_verifier AS deviceSecretVerifier, token_verifier AS tokenVerifier,
              user_code_sealed AS userCodeSealed, wrong_tries AS wrongTries, created_at AS createdAt,
              expires_at AS expiresAt, confirmed_at AS confirmedAt, device, approved_by AS approvedBy,
              approved_for AS approvedFor
       FROM registrations WHERE id = ?`,
      id,
    ),
  )
export type RegistrationRow = NonNullable<Awaited<ReturnType<typeof readRegistration>>>

/** Uses up the token and confirms the registration. Guard: of several calls that race, one passes. */
export const confirmRegistration = (id: string, tokenVerifier: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE registrations SET state = 'confirmed', confirmed_at = ?
     WHERE id = ? AND state = 'pending' AND token_verifier = ? AND expires_at > ?`,
    now,
    id,
    tokenVerifier,
    now,
  ),
  requireOneChange('registration_not_pending'),
]

/** Counts a wrong try; the fifth ends the registration. Guard: `before` tries were counted so far. */
export const countWrongTry = (id: string, before: number): Command[] => [
  command(
    `UPDATE registrations
     SET wrong_tries = wrong_tries + 1, state = CASE WHEN wrong_tries >= 4 THEN 'ended' ELSE state END
     WHERE id = ? AND state = 'pending' AND wrong_tries = ?`,
    id,
    before,
  ),
  requireOneChange('another_try'),
]

/** Ties a confirmed registration to its new device. Guard: it is confirmed and nobody has completed it. */
export const completeRegistration = (id: string, device: string, now: number): Command[] => [
  command(
    `UPDATE registrations SET state = 'completed', device = ?
     WHERE id = ? AND state = 'confirmed' AND expires_at > ?`,
    device,
    id,
    now,
  ),
  requireOneChange('registration_not_confirmed'),
]

/**
 * Does what `completeRegistration` does, for a device that joins. Guard: a device of the subscriber has approved it.
 */
export const completeApproved = (id: string, device: string, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE registrations SET state = 'completed', device = ?
     WHERE id = ? AND state = 'confirmed' AND expires_at > ? AND approved_for = ?`,
    device,
    id,
    now,
    subscriber,
  ),
  requireOneChange('registration_not_confirmed'),
]

/**
 * Does what `completeRegistration` does, for a mailbox that leaves a subscriber. Guard: no device of theirs has
 * approved the new one meanwhile.
 */
export const completeUnapproved = (id: string, device: string, holder: string, now: number): Command[] => [
  command(
    `UPDATE registrations SET state = 'completed', device = ?
     WHERE id = ? AND state = 'confirmed' AND expires_at > ? AND approved_for IS NOT ?`,
    device,
    id,
    now,
    holder,
  ),
  requireOneChange('registration_not_confirmed'),
]

/**
 * Approves a device that waits. Guard: it proved an active mailbox of the subscriber, and the approving device is
 * active.
 */
export const approveRegistration = (
  id: string,
  by: { subscriberId: string; deviceId: string },
  now: number,
): Command[] => [
  command(
    `UPDATE registrations SET approved_by = ?, approved_for = ?
     WHERE id = ? AND state = 'confirmed' AND expires_at > ?
       AND EXISTS (
         SELECT 1 FROM mailboxes m
         WHERE m.address_index = registrations.address_index AND m.subscriber = ? AND m.ended_at IS NULL
       )
       AND EXISTS (SELECT 1 FROM devices d WHERE d.id = ? AND d.subscriber = ? AND d.ended_at IS NULL)`,
    by.deviceId,
    by.subscriberId,
    id,
    now,
    by.subscriberId,
    by.deviceId,
    by.subscriberId,
  ),
  requireOneChange('newcomer_not_waiting'),
]

/** Rejects a device that waits. Guard: it waits at an active mailbox of the subscriber. */
export const rejectRegistration = (id: string, subscriber: string, now: number): Command[] => [
  command(
    `UPDATE registrations SET state = 'ended'
     WHERE id = ? AND state = 'confirmed' AND expires_at > ?
       AND EXISTS (
         SELECT 1 FROM mailboxes m
         WHERE m.address_index = registrations.address_index AND m.subscriber = ? AND m.ended_at IS NULL
       )`,
    id,
    now,
    subscriber,
  ),
  requireOneChange('newcomer_not_waiting'),
]

/** Takes back the unused approvals of a device that another device removed. */
export const voidApprovals = (device: string, subscriber: string): Command =>
  command(
    `UPDATE registrations SET approved_by = NULL, approved_for = NULL
     WHERE state = 'confirmed' AND approved_by = ?
       AND address_index IN (SELECT m.address_index FROM mailboxes m WHERE m.subscriber = ?)`,
    device,
    subscriber,
  )

/** Devices that have proved an active mailbox of a subscriber and wait for approval, oldest first. */
export const readNewcomers = (database: Database, subscriber: string, now: number, limit: number) =>
  database.all(
    query(
      { id: text, deviceSealed: blob, createdAt: integer },
      `SELECT r.id AS id, r.device_sealed AS deviceSealed, r.created_at AS createdAt
       FROM mailboxes m JOIN registrations r ON r.address_index = m.address_index
       WHERE m.subscriber = ? AND m.ended_at IS NULL AND r.state = 'confirmed' AND r.expires_at > ?
       ORDER BY r.created_at, r.id LIMIT ?`,
      subscriber,
      now,
      limit,
    ),
  )

export const deleteRegistrationsExpiredBefore = (before: number): Command =>
  command(`DELETE FROM registrations WHERE expires_at < ?`, before)

export const insertSubscriber = (row: { id: string; language: string; createdAt: number }): Command =>
  command(`INSERT INTO subscribers (id, language, created_at) VALUES (?, ?, ?)`, row.id, row.language, row.createdAt)

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

/** Takes one from what a network may begin in an hour. Guard: something is left. */
export const takeFromNetworkBudget = (
  networkIndex: Uint8Array,
  purpose: 'registration' | 'key_report',
  hour: number,
  allowed: number,
): Command[] => [
  command(
    `INSERT INTO network_budgets (network_index, purpose, hour, used) VALUES (?, ?, ?, 1)
     ON CONFLICT (network_index, purpose, hour) DO UPDATE SET used = used + 1 WHERE used < ?`,
    networkIndex,
    purpose,
    hour,
    allowed,
  ),
  requireOneChange('network_budget_spent'),
]

export const deleteNetworkBudgetsBefore = (hour: number): Command =>
  command(`DELETE FROM network_budgets WHERE hour < ?`, hour)
