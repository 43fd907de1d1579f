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
  readonly deviceSecretSha256: Uint8Array
  readonly tokenSha256: Uint8Array
  readonly userCodeSealed: Uint8Array
  readonly createdAt: number
  readonly expiresAt: number
}

export const insertRegistration = (row: NewRegistration): Command =>
  command(
    `INSERT INTO registrations
       (id, state, address_sealed, address_index, account_type, policy_version, device_sealed, device_secret_sha256,
        token_sha256, user_code_sealed, wrong_tries, created_at, expires_at)
     VALUES (?, 'pending', ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
    row.id,
    row.addressSealed,
    row.addressIndex,
    row.accountType,
    row.policyVersion,
    row.deviceSealed,
    row.deviceSecretSha256,
    row.tokenSha256,
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
        deviceSecretSha256: blob,
        tokenSha256: blob,
        expiresAt: integer,
        confirmedAt: nullable(integer),
        device: nullable(text),
      },
      `SELECT id, state, address_sealed AS addressSealed, address_index AS addressIndex, account_type AS accountType,
              policy_version AS policyVersion, device_sealed AS deviceSealed, device_secret_sha256 AS deviceSecretSha256, token_sha256 AS tokenSha256,
              expires_at AS expiresAt, confirmed_at AS confirmedAt, device
       FROM registrations WHERE id = ?`,
      id,
    ),
  )
export type RegistrationRow = NonNullable<Awaited<ReturnType<typeof readRegistration>>>

/** Consumes the token: of many that race, one changes the row. */
export const confirmRegistration = (id: string, tokenSha256: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE registrations SET state = 'confirmed', confirmed_at = ?
     WHERE id = ? AND state = 'pending' AND token_sha256 = ? AND expires_at > ?`,
    now,
    id,
    tokenSha256,
    now,
  ),
  requireOneChange('registration_not_pending'),
]

/** Counts a wrong token; the fifth ends the registration. */
export const countWrongToken = (id: string): Command =>
  command(
    `UPDATE registrations
     SET wrong_tries = wrong_tries + 1, state = CASE WHEN wrong_tries >= 4 THEN 'ended' ELSE state END
     WHERE id = ? AND state = 'pending'`,
    id,
  )

/** Ties a confirmed registration to the device that it becomes. */
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

export const deleteRegistrationsExpiredBefore = (before: number): Command =>
  command(`DELETE FROM registrations WHERE expires_at < ?`, before)

export const insertSubscriber = (row: { id: string; language: string; createdAt: number }): Command =>
  command(`INSERT INTO subscribers (id, language, created_at) VALUES (?, ?, ?)`, row.id, row.language, row.createdAt)

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

export const insertDevice = (row: {
  id: string
  subscriber: string
  registration: string
  credentialSha256: Uint8Array
  factsSealed: Uint8Array
  createdAt: number
}): Command =>
  command(
    `INSERT INTO devices (id, subscriber, registration, credential_sha256, facts_sealed, created_at)
     VALUES (?, ?, ?, ?, ?, ?)`,
    row.id,
    row.subscriber,
    row.registration,
    row.credentialSha256,
    row.factsSealed,
    row.createdAt,
  )

/** Gives a device another credential, as long as nobody has used the one before. */
export const replaceUnusedCredential = (registration: string, credentialSha256: Uint8Array): Command[] => [
  command(
    `UPDATE devices SET credential_sha256 = ? WHERE registration = ? AND credential_used_at IS NULL`,
    credentialSha256,
    registration,
  ),
  requireOneChange('credential_used'),
]

/** Notes the first use of a credential; broken where it was used or replaced meanwhile. */
export const markCredentialUsed = (device: string, credentialSha256: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE devices SET credential_used_at = ?
     WHERE id = ? AND credential_sha256 = ? AND credential_used_at IS NULL`,
    now,
    device,
    credentialSha256,
  ),
  requireOneChange('credential_used_or_replaced'),
]

export const readDeviceByCredential = (database: Database, credentialSha256: Uint8Array) =>
  database.first(
    query(
      { deviceId: text, subscriberId: text, usedAt: nullable(integer) },
      `SELECT id AS deviceId, subscriber AS subscriberId, credential_used_at AS usedAt
       FROM devices WHERE credential_sha256 = ?`,
      credentialSha256,
    ),
  )

export const readDeviceOfRegistration = (database: Database, registration: string) =>
  database.first(
    query({ id: text, subscriber: text }, `SELECT id, subscriber FROM devices WHERE registration = ?`, registration),
  )

export const readSubscriber = (database: Database, id: string) =>
  database.first(
    query(
      { id: text, language: text, createdAt: integer, restrictedAt: nullable(integer) },
      `SELECT id, language, created_at AS createdAt, restricted_at AS restrictedAt FROM subscribers WHERE id = ?`,
      id,
    ),
  )

const mailboxColumns = {
  id: text,
  subscriber: text,
  addressSealed: blob,
  addressIndex: blob,
  accountType: oneOf('imap', 'exchange'),
  verifiedAt: integer,
  createdAt: integer,
}

export const readMailboxesOf = (database: Database, subscriber: string) =>
  database.all(
    query(
      mailboxColumns,
      `SELECT id, subscriber, address_sealed AS addressSealed, address_index AS addressIndex,
              account_type AS accountType, verified_at AS verifiedAt, created_at AS createdAt
       FROM mailboxes WHERE subscriber = ? ORDER BY created_at, id`,
      subscriber,
    ),
  )
