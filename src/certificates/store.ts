import { pageOfFaults } from '../ports/authority.ts'
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
  type RowOf,
} from '../ports/database.ts'
import type { Macs } from '../ports/row-mac.ts'
import type { CertificateUse } from '../api/shapes.ts'
import { caRevocationState } from '../api/admin-shapes.ts'
import { use } from '../api/columns.ts'
import { dayHolding } from './days.ts'
import { certificateAuthority as authority } from './trusted-certificates.ts'

const certificateState = oneOf('valid', 'superseded', 'revoked', 'expired')

export interface NewCertificate {
  readonly id: string
  readonly request: string
  readonly subscriber: string
  readonly device: string
  readonly mailbox: string
  readonly use: CertificateUse
  readonly connection: string
  readonly requestedAt: number
  readonly authority: string
  readonly serialNumberIndex: string
  readonly keyIndex: string
  readonly fingerprintIndex: string
  readonly factsSealed: Uint8Array
  readonly certificateSealed: Uint8Array
  readonly notAfterDay: number
  /** `superseded` where one that was asked for later is valid already. */
  readonly state: 'valid' | 'superseded'
  /** The day on which its holder is told that it runs out; null for never. */
  readonly remindDay: number | null
  readonly createdAt: number
}

export const insertCertificate = (keys: Macs, row: NewCertificate): Command =>
  command(
    `INSERT INTO certificates
       (id, request, subscriber, device, mailbox, usage, state, connection, requested_at, authority, serial_index,
        key_index, fingerprint_index, facts_sealed, certificate_sealed, not_after_day, remind_day, created_at,
        authority_mac)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    row.id,
    row.request,
    row.subscriber,
    row.device,
    row.mailbox,
    row.use,
    row.state,
    row.connection,
    row.requestedAt,
    row.authority,
    row.serialNumberIndex,
    row.keyIndex,
    row.fingerprintIndex,
    row.factsSealed,
    row.certificateSealed,
    row.notAfterDay,
    row.remindDay,
    row.createdAt,
    authority.of(keys, row),
  )

/** Ends a certificate. Guard `certificate_ended`: it is not valid any more. */
export const endCertificate = (id: string, state: 'superseded' | 'expired'): Command[] => [
  command(`UPDATE certificates SET state = ?, remind_day = NULL WHERE id = ? AND state = 'valid'`, state, id),
  requireOneChange('certificate_ended'),
]

/**
 * Ends a certificate that came when its successor was valid already. Guard `certificate_ended`: the successor has ended.
 */
export const endLateCertificate = (id: string, successor: string): Command[] => [
  command(
    `UPDATE certificates SET state = 'superseded', remind_day = NULL
     WHERE id = ? AND EXISTS (SELECT 1 FROM certificates c WHERE c.id = ? AND c.state = 'valid')`,
    id,
    successor,
  ),
  requireOneChange('certificate_ended'),
]

/** What the MAC of a certificate stands over. */
const authorityColumns = {
  id: text,
  request: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  connection: text,
  requestedAt: integer,
  authority: text,
  serialNumberIndex: text,
  keyIndex: text,
  createdAt: integer,
  authorityMac: blob,
}

const certificateColumns = {
  ...authorityColumns,
  state: certificateState,
  factsSealed: blob,
  certificateSealed: blob,
}

/** As `certificateColumns` reads them. */
const certificateSelection = `id, request, subscriber, device, mailbox, usage AS use, state, connection, requested_at AS requestedAt,
  authority, serial_index AS serialNumberIndex, key_index AS keyIndex, facts_sealed AS factsSealed,
  certificate_sealed AS certificateSealed, created_at AS createdAt, authority_mac AS authorityMac`
/** A certificate, also one whose MAC does not fit: see `isTrustedCertificate`. */
export type CertificateRow = RowOf<typeof certificateColumns>

export const readCertificate = (database: Database, id: string) =>
  database.first(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE id = ?`,
      id,
    ),
  )

/** One page of all certificates, by id: in words, those whose MAC does not fit. */
export const readCertificateFaults = async (
  deps: { readonly database: Database; readonly keys: Macs },
  after: string,
  limit: number,
) => {
  const rows = await deps.database.all(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, authority.faults(deps.keys, rows))
}

/** The valid certificate of a device for a mailbox and a use. */
export const readValidCertificate = (
  database: Database,
  of: { device: string; mailbox: string; use: CertificateUse },
) =>
  database.first(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE device = ? AND mailbox = ? AND usage = ? AND state = 'valid'`,
      of.device,
      of.mailbox,
      of.use,
    ),
  )

/** The certificate that is said to have this serial number of an authority. */
export const readCertificateBySerialNumber = (database: Database, authority: string, serialNumberIndex: string) =>
  database.first(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE authority = ? AND serial_index = ?`,
      authority,
      serialNumberIndex,
    ),
  )

export const readCertificateOfRequest = (database: Database, request: string) =>
  database.first(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE request = ?`,
      request,
    ),
  )

export const readCertificatesOf = (
  database: Database,
  subscriber: string,
  before: { at: number; id: string },
  limit: number,
) =>
  database.all(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates
       WHERE subscriber = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`,
      subscriber,
      before.at,
      before.id,
      limit,
    ),
  )

/** The certificates that can still be revoked and are said to be on a key, whoever's they are. */
export const readCertificatesWithKey = (database: Database, keyIndex: string) =>
  database.all(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE key_index = ? AND state IN ('valid', 'superseded')`,
      keyIndex,
    ),
  )

/** The certificates of a mailbox or of a device that can still be revoked, or ended today. */
export const readRevocableOf = (
  database: Database,
  of: { kind: 'mailbox' | 'device'; id: string },
  now: number,
  limit: number,
) =>
  database.all(
    query(
      certificateColumns,
      `SELECT ${certificateSelection}
       FROM certificates WHERE mailbox = ? AND state IN ('valid', 'superseded') AND not_after_day > ?
       UNION ALL
       SELECT ${certificateSelection}
       FROM certificates WHERE device = ? AND state IN ('valid', 'superseded') AND not_after_day > ?
       LIMIT ?`,
      of.kind === 'mailbox' ? of.id : null,
      now,
      of.kind === 'device' ? of.id : null,
      now,
      limit,
    ),
  )

/** Revokes a certificate. Guard `certificate_ended`: it was revoked before, or the day in which its term ends is over. */
export const revokeCertificateRow = (id: string, revocationSealed: Uint8Array, now: number): Command[] => [
  command(
    `UPDATE certificates SET state = 'revoked', revocation_sealed = ?, remind_day = NULL
     WHERE id = ? AND state IN ('valid', 'superseded') AND not_after_day > ?`,
    revocationSealed,
    id,
    now,
  ),
  requireOneChange('certificate_ended'),
]

/** Valid certificates whose term may be over: the day in which it ends has begun. */
export const readRunOut = (database: Database, now: number, limit: number) =>
  database.all(
    query(
      { id: text, factsSealed: blob },
      `SELECT id, facts_sealed AS factsSealed FROM certificates
       WHERE state = 'valid' AND not_after_day < ? ORDER BY not_after_day LIMIT ?`,
      dayHolding(now),
      limit,
    ),
  )

export const countValid = (database: Database) =>
  database.first(
    query({ certificates: integer }, `SELECT COUNT(*) AS certificates FROM certificates WHERE state = 'valid'`),
  )

/** The certificates of an authority that can still be revoked, among those that are said to have these serial numbers. */
export const readRevocableAmong = (database: Database, authority: string, serialNumberIndexes: readonly string[]) =>
  database.all(
    query(
      authorityColumns,
      `SELECT c.id AS id, c.request AS request, c.subscriber AS subscriber, c.device AS device, c.mailbox AS mailbox,
              c.usage AS use, c.connection AS connection, c.requested_at AS requestedAt, c.authority AS authority,
              c.serial_index AS serialNumberIndex, c.key_index AS keyIndex, c.created_at AS createdAt,
              c.authority_mac AS authorityMac
       FROM json_each(?) l CROSS JOIN certificates c ON c.authority = ? AND c.serial_index = l.value
       WHERE c.state IN ('valid', 'superseded')`,
      JSON.stringify(serialNumberIndexes),
      authority,
    ),
  )

/** Certificates that should have been revoked when what they rest on was settled. */
export const readLeftUnrevoked = (database: Database, now: number) =>
  database.all(
    query(
      { id: text },
      `SELECT /* scan: an invariant is checked on all rows */ c.id AS id
       FROM certificates c JOIN mailboxes m ON m.id = c.mailbox JOIN devices d ON d.id = c.device
       WHERE c.state IN ('valid', 'superseded') AND c.not_after_day > ?
         AND (m.settled_at IS NOT NULL OR d.settled_at IS NOT NULL)`,
      now,
    ),
  )

/** What administrators read: everything but the bytes. */
const readingColumns = {
  id: text,
  request: text,
  subscriber: text,
  device: text,
  mailbox: text,
  use,
  state: certificateState,
  connection: text,
  factsSealed: blob,
  createdAt: integer,
  revocationSealed: nullable(blob),
  caRevocation: nullable(text),
  caRevocationState: nullable(oneOf(...caRevocationState.options)),
}

/** What administrators read of certificates, with the revocation and what the CA was told of it. */
const readings = `SELECT c.id, c.request, c.subscriber, c.device, c.mailbox, c.usage AS use, c.state, c.connection,
  c.facts_sealed AS factsSealed, c.created_at AS createdAt, c.revocation_sealed AS revocationSealed,
  v.id AS caRevocation, v.state AS caRevocationState
  FROM certificates c
  LEFT JOIN ca_revocations v ON v.fingerprint_index = c.fingerprint_index`

export const readCertificateWithoutBytes = (database: Database, id: string) =>
  database.first(
    query(
      readingColumns,
      `${readings}
       WHERE c.id = ?`,
      id,
    ),
  )
export type CertificateWithoutBytes = NonNullable<Awaited<ReturnType<typeof readCertificateWithoutBytes>>>

/** A serial number is unique for one authority: several may have given the same. */
export const readBySerialNumber = (database: Database, serialNumberIndex: string, limit: number) =>
  database.all(
    query(
      readingColumns,
      `${readings}
       WHERE c.serial_index = ? LIMIT ?`,
      serialNumberIndex,
      limit,
    ),
  )

export const readByFingerprint = (database: Database, fingerprintIndex: string, limit: number) =>
  database.all(
    query(
      readingColumns,
      `${readings}
       WHERE c.fingerprint_index = ? LIMIT ?`,
      fingerprintIndex,
      limit,
    ),
  )

/** The newest certificates of a subscriber. */
export const readNewestCertificatesOf = (database: Database, subscriber: string, limit: number) =>
  database.all(
    query(
      readingColumns,
      `${readings}
       WHERE c.subscriber = ? ORDER BY c.created_at DESC, c.id DESC LIMIT ?`,
      subscriber,
      limit,
    ),
  )

export const countValidCertificates = (database: Database, now: number) =>
  database.first(
    query(
      { certificates: integer },
      `SELECT COUNT(*) AS certificates FROM certificates WHERE state = 'valid' AND not_after_day > ?`,
      now,
    ),
  )
