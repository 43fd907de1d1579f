import { authorityOf, type AuthorityDeps } from '../../ports/authority.ts'
import type { Macs } from '../../ports/row-mac.ts'
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
import type { CaKeyKind } from '../../pki/ca-key.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'

const keyKind = oneOf('p256', 'p384', 'rsa3072', 'rsa4096')

/** What of a CA decides: which one it is, and which one is above it. */
const authority = authorityOf('certificate_authorities', [
  'id',
  'role',
  'slot',
  'issuer',
  'keyKind',
  'certificate',
  'identity',
])

const authorityColumns = {
  id: text,
  role: oneOf('root', 'issuing', 'connected'),
  slot: text,
  issuer: text,
  keyKind: nullable(keyKind),
  certificate: blob,
  privateKeySealed: nullable(blob),
  identity: nullable(text),
  authorityMac: blob,
}

/** As `authorityColumns` reads them. */
const authoritySelection = `id, role, slot, issuer, key_kind AS keyKind, certificate,
  private_key_sealed AS privateKeySealed, identity, authority_mac AS authorityMac`

/** The two CAs inside, whoever wrote their rows; none before the first start. */
export const readAuthorities = (database: Database) =>
  database.all(
    query(
      authorityColumns,
      `SELECT ${authoritySelection}
       FROM certificate_authorities WHERE slot IN ('root-1', 'issuing-1') ORDER BY created_at, role DESC`,
    ),
  )
export type AuthorityRow = Awaited<ReturnType<typeof readAuthorities>>[number]

/** Whether the row of a CA is as this service has made it. */
export const isOwnAuthority = (keys: Macs, row: AuthorityRow): boolean => authority.fits(keys, row)

const readAllAuthorities = (database: Database) =>
  database.all(
    query(
      authorityColumns,
      `SELECT /* scan: a few for each connection */ ${authoritySelection} FROM certificate_authorities`,
    ),
  )

/** In words, the CAs whose MAC does not fit. */
export const readAuthorityFaults = async ({ database, keys }: { readonly database: Database; readonly keys: Macs }) =>
  authority.faults(keys, await readAllAuthorities(database))

/** The slot is unique. If two processes make the first CA at once, one of them stores nothing. */
export const insertAuthority = (
  keys: Macs,
  row: {
    id: string
    role: 'root' | 'issuing'
    slot: string
    issuer: string
    keyKind: CaKeyKind
    certificate: Uint8Array
    privateKeySealed: Uint8Array
    createdAt: number
  },
): Command =>
  command(
    `INSERT INTO certificate_authorities
       (id, role, slot, issuer, key_kind, certificate, private_key_sealed, created_at, authority_mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.role,
    row.slot,
    row.issuer,
    row.keyKind,
    row.certificate,
    row.privateKeySealed,
    row.createdAt,
    authority.of(keys, { ...row, identity: null }),
  )

/** A CA, with its issuer. The issuer of a root is the root itself. One whose MAC does not fit counts as absent. */
export const readAuthorityStep = async (deps: AuthorityDeps & { readonly database: Database }, id: string) =>
  authority.trusted(
    deps,
    await deps.database.first(
      query(authorityColumns, `SELECT ${authoritySelection} FROM certificate_authorities WHERE id = ?`, id),
    ),
  )

/** Stores a connected CA in the chain of a kept certificate. A known one stays as it is. */
export const insertConnectedAuthority = (
  keys: Macs,
  row: {
    id: string
    slot: string
    issuer: string
    certificate: Uint8Array
    identity: string
    createdAt: number
  },
): Command =>
  command(
    `INSERT INTO certificate_authorities
       (id, role, slot, issuer, key_kind, certificate, private_key_sealed, identity, created_at, authority_mac)
     VALUES (?, 'connected', ?, ?, NULL, ?, NULL, ?, ?, ?)
     ON CONFLICT (slot) DO NOTHING`,
    row.id,
    row.slot,
    row.issuer,
    row.certificate,
    row.identity,
    row.createdAt,
    authority.of(keys, { ...row, role: 'connected', keyKind: null }),
  )

/** The connected CAs that have issued kept certificates, and the CAs above them. */
export const readConnectedAuthorities = async (deps: AuthorityDeps & { readonly database: Database }) => {
  const rows = await readAllAuthorities(deps.database)
  return rows.filter((row) => row.role === 'connected' && authority.trusted(deps, row) !== null)
}

/** The column of a revocation reason. Null means `unspecified`. */
export const reason = oneOf(
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
)

/** Notes that a serial number was issued. A repeat changes nothing. */
export const insertStatus = (row: { authority: string; serialNumber: string; notAfter: number }): Command =>
  command(
    `INSERT INTO certificate_statuses (authority, serial_number, not_after) VALUES (?, ?, ?)
     ON CONFLICT (authority, serial_number) DO NOTHING`,
    row.authority,
    row.serialNumber,
    row.notAfter,
  )

/**
 * Notes the serial number of a new certificate. Breaks if the same CA gave it to another certificate, also under
 * another certificate of the CA: RFC 5280 section 4.1.2.2.
 */
export const insertFreshStatus = (row: { authority: string; serialNumber: string; notAfter: number }): Command[] => [
  command(
    `INSERT INTO certificate_statuses (authority, serial_number, not_after)
     SELECT ?, ?, ?
     WHERE NOT EXISTS (
       SELECT 1 FROM certificate_authorities a
       JOIN certificate_authorities b ON b.identity = a.identity
       JOIN certificate_statuses s ON s.authority = b.id AND s.serial_number = +?
       WHERE a.id = +?
     )
     ON CONFLICT (authority, serial_number) DO NOTHING`,
    row.authority,
    row.serialNumber,
    row.notAfter,
    row.serialNumber,
    row.authority,
  ),
  requireOneChange('serial_number_reused'),
]

/** Whether a connected CA gave this serial number to a certificate that is known here. */
export const readSerialNumberUse = (database: Database, authority: string, serialNumber: string) =>
  database.first(
    query(
      { authority: text },
      `SELECT s.authority AS authority FROM certificate_authorities a
       JOIN certificate_authorities b ON b.identity = a.identity
       JOIN certificate_statuses s ON s.authority = b.id AND s.serial_number = ?
       WHERE a.id = ? LIMIT 1`,
      serialNumber,
      authority,
    ),
  )

/** Deletes statuses that nobody asks about any more. */
export const deleteStatusesExpiredBefore = (before: number): Command =>
  command(`DELETE FROM certificate_statuses /* scan: once a day */ WHERE not_after < ?`, before)

/** Marks a certificate as revoked. Breaks if it is revoked already. */
export const revokeStatus = (
  of: { authority: string; serialNumber: string },
  at: number,
  why: RevocationReason | null,
): Command[] => [
  command(
    `UPDATE certificate_statuses SET revoked_at = ?, reason = ?
     WHERE authority = ? AND serial_number = ? AND revoked_at IS NULL`,
    at,
    why,
    of.authority,
    of.serialNumber,
  ),
  requireOneChange('revoked_already'),
]

/** The status of a serial number. Null if the authority never issued it. */
export const readStatus = (database: Database, authority: string, serialNumber: string) =>
  database.first(
    query(
      { notAfter: integer, revokedAt: nullable(integer), reason: nullable(reason) },
      `SELECT not_after AS notAfter, revoked_at AS revokedAt, reason
       FROM certificate_statuses WHERE authority = ? AND serial_number = ?`,
      authority,
      serialNumber,
    ),
  )
export type StatusRow = NonNullable<Awaited<ReturnType<typeof readStatus>>>

/** The revoked certificates of an authority that had not expired at `expiredAfter`, or are on no list yet. */
export const readRevoked = (database: Database, authority: string, expiredAfter: number) =>
  database.all(
    query(
      { serialNumber: text, revokedAt: integer, reason: nullable(reason), listedIn: nullable(integer) },
      `SELECT serial_number AS serialNumber, revoked_at AS revokedAt, reason, listed_in AS listedIn
       FROM certificate_statuses
       WHERE authority = ? AND revoked_at IS NOT NULL AND (not_after > ? OR listed_in IS NULL)`,
      authority,
      expiredAfter,
    ),
  )

/** Whether a revocation waits for its first list. */
export const readUnlisted = (database: Database, authority: string) =>
  database.first(
    query(
      { serialNumber: text },
      `SELECT serial_number AS serialNumber
       FROM certificate_statuses WHERE authority = ? AND revoked_at IS NOT NULL AND listed_in IS NULL LIMIT 1`,
      authority,
    ),
  )

/** Marks revocations as listed. */
export const markListed = (authority: string, serialNumbers: readonly string[], number: number): Command =>
  command(
    `UPDATE certificate_statuses SET listed_in = ?
     WHERE authority = ? AND serial_number IN (SELECT value FROM json_each(?))`,
    number,
    authority,
    JSON.stringify(serialNumbers),
  )

export interface RevocationListRow {
  readonly authority: string
  readonly number: number
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly list: Uint8Array
}

/** Stores a list as the newest of its authority. Breaks if there is a newer one. */
export const keepRevocationList = (row: RevocationListRow): Command[] => [
  command(
    `INSERT INTO certificate_revocation_lists (authority, number, this_update, next_update, list)
     VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (authority) DO UPDATE
       SET number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update,
           list = excluded.list
       WHERE excluded.number > certificate_revocation_lists.number`,
    row.authority,
    row.number,
    row.thisUpdate,
    row.nextUpdate,
    row.list,
  ),
  requireOneChange('newer_list'),
]

/** When the newest list was made, without the list, which may be long. */
export const readListDate = (database: Database, authority: string) =>
  database.first(
    query(
      { thisUpdate: integer },
      `SELECT this_update AS thisUpdate FROM certificate_revocation_lists WHERE authority = ?`,
      authority,
    ),
  )

export const readRevocationList = (database: Database, authority: string) =>
  database.first(
    query(
      { authority: text, number: integer, thisUpdate: integer, nextUpdate: integer, list: blob },
      `SELECT authority, number, this_update AS thisUpdate, next_update AS nextUpdate, list
       FROM certificate_revocation_lists WHERE authority = ?`,
      authority,
    ),
  )
