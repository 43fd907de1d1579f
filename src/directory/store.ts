import { authorityOf, pageOfFaults, requireNoneUnseen, type AuthorityDeps } from '../ports/authority.ts'
import type { Macs } from '../ports/row-mac.ts'
import { isTrustedSubscriber } from '../registration/store.ts'
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
  type Reader,
  type RowOf,
} from '../ports/database.ts'
import type { Audience } from '../api/shapes.ts'
import type { Successor } from '../certificates/deps.ts'
import { isTrustedCertificate } from '../certificates/trusted-certificates.ts'
import { equalBytes } from '../pki/encoding.ts'

/** What of a publication grants or ends authority: who is shown which certificate under which address. */
const authority = authorityOf('publications', ['id', 'addressIndex', 'audience', 'consent', 'publishedAt'])

/**
 * The published certificates of some addresses, newest first, for every audience and use. They are valid, and their
 * subscriber is not restricted. Those not in time yet are included. What ended with its mailbox or device is not
 * published any more. What nobody here has published, made a certificate of its subscriber, or set free of a restriction,
 * is left out.
 */
export const readPublished = async (deps: AuthorityDeps, reader: Reader, addressIndexesHex: readonly string[]) => {
  const rows = await reader.all(
    query(
      {
        addressIndex: blob,
        audience: oneOf('members', 'public'),
        consent: text,
        publishedAt: integer,
        authorityMac: blob,
        id: text,
        request: text,
        subscriber: text,
        device: text,
        mailbox: text,
        use: oneOf('sign', 'encrypt', 'dual'),
        state: oneOf('valid'),
        connection: text,
        requestedAt: integer,
        authority: text,
        serialNumberIndex: text,
        keyIndex: text,
        factsSealed: blob,
        certificateSealed: blob,
        createdAt: integer,
        certificateMac: blob,
        restrictedAt: nullable(integer),
        subscriberMac: blob,
      },
      `SELECT p.address_index AS addressIndex, p.audience AS audience, p.consent AS consent,
              p.published_at AS publishedAt, p.authority_mac AS authorityMac, c.id AS id, c.request AS request,
              c.subscriber AS subscriber, c.device AS device, c.mailbox AS mailbox, c.usage AS use, c.state AS state,
              c.connection AS connection, c.requested_at AS requestedAt, c.authority AS authority,
              c.serial_index AS serialNumberIndex, c.key_index AS keyIndex, c.facts_sealed AS factsSealed,
              c.certificate_sealed AS certificateSealed,
              c.created_at AS createdAt, c.authority_mac AS certificateMac, s.restricted_at AS restrictedAt, s.authority_mac AS subscriberMac
       FROM publications p
         JOIN certificates c ON c.id = p.certificate
         JOIN subscribers s ON s.id = c.subscriber
       WHERE p.address_index IN (SELECT unhex(value) FROM json_each(?))
         AND c.state = 'valid' AND s.restricted_at IS NULL
       ORDER BY c.created_at DESC, c.id DESC`,
      JSON.stringify(addressIndexesHex),
    ),
  )
  return rows.filter(
    (row) =>
      authority.trusted(deps, row) !== null &&
      isTrustedCertificate(deps, { ...row, authorityMac: row.certificateMac }) &&
      isTrustedSubscriber(deps, {
        id: row.subscriber,
        restrictedAt: row.restrictedAt,
        authorityMac: row.subscriberMac,
      }),
  )
}
export type PublishedRow = Awaited<ReturnType<typeof readPublished>>[number]

const readyColumns = {
  id: integer,
  addressIndex: blob,
  serves: integer,
  answerSealed: nullable(blob),
  validFrom: integer,
  validUntil: integer,
}

/** As `readyColumns` reads them. */
const readyAnswerSelection = `id, address_index AS addressIndex, serves, answer_sealed AS answerSealed, valid_from AS validFrom,
  valid_until AS validUntil`
export type ReadyRow = NonNullable<Awaited<ReturnType<typeof readReady>>>

/** The ready answer of one address for the askers and uses of `serves`. Null: nothing is found. */
export const readReady = (reader: Reader, addressIndex: Uint8Array, serves: number) =>
  reader.first(
    query(
      readyColumns,
      `SELECT ${readyAnswerSelection}
       FROM ready_answers WHERE address_index = ? AND serves & ? <> 0`,
      addressIndex,
      serves,
    ),
  )

/** The ready answers of several addresses. */
export const readReadyOf = (reader: Reader, addressIndexesHex: readonly string[], serves: number) =>
  reader.all(
    query(
      readyColumns,
      `SELECT ${readyAnswerSelection}
       FROM ready_answers
       WHERE address_index IN (SELECT unhex(value) FROM json_each(?)) AND serves & ? <> 0`,
      JSON.stringify(addressIndexesHex),
      serves,
    ),
  )

/** One page of all ready answers by id, after `after`. */
export const readReadyAfter = (reader: Reader, after: number, limit: number) =>
  reader.all(
    query(
      readyColumns,
      `SELECT ${readyAnswerSelection}
       FROM ready_answers WHERE id > ? ORDER BY id LIMIT ?`,
      after,
      limit,
    ),
  )

/** Addresses whose answers are out of date, or end by `now`. */
export const readReadyDue = (reader: Reader, now: number, limit: number) =>
  reader.all(
    query(
      { addressIndex: blob },
      `SELECT address_index AS addressIndex FROM ready_answers WHERE valid_until <= ? ORDER BY valid_until LIMIT ?`,
      now,
      limit,
    ),
  )

/** The address index of a published certificate. Null if it is not published. */
export const readPublishedAddress = (reader: Reader, certificate: string) =>
  reader.first(
    query(
      { addressIndex: blob },
      `SELECT address_index AS addressIndex FROM publications WHERE certificate = ?`,
      certificate,
    ),
  )

/** Addresses with publications and without any ready answer. */
export const readUnanswered = (reader: Reader) =>
  reader.all(
    query(
      { addressIndex: blob },
      `SELECT /* scan: an invariant is checked on all rows */ DISTINCT p.address_index AS addressIndex
       FROM publications p
       WHERE NOT EXISTS (SELECT 1 FROM ready_answers r WHERE r.address_index = p.address_index)`,
    ),
  )

/**
 * Replaces all ready answers of an address. Guard `answer_changed`: the row `id` is gone, because the answers changed
 * meanwhile.
 */
export const replaceReady = (
  id: number,
  addressIndex: Uint8Array,
  answers: readonly Omit<ReadyRow, 'id' | 'addressIndex'>[],
): Command[] => [
  command(`DELETE FROM ready_answers WHERE id = ?`, id),
  requireOneChange('answer_changed'),
  command(`DELETE FROM ready_answers WHERE address_index = ?`, addressIndex),
  ...answers.map((answer) =>
    command(
      `INSERT INTO ready_answers (address_index, serves, answer_sealed, valid_from, valid_until)
       VALUES (?, ?, ?, ?, ?)`,
      addressIndex,
      answer.serves,
      answer.answerSealed,
      answer.validFrom,
      answer.validUntil,
    ),
  ),
]

/**
 * Publishes a certificate under the address of its mailbox, or changes its audience. Guard: the certificate is valid and
 * in time, its mailbox has this address, and its mailbox and device are active.
 */
export const publish = (
  keys: Macs,
  row: {
    certificate: string
    addressIndex: Uint8Array
    audience: Audience
    consent: string
    publishedAt: number
  },
): Command[] => [
  command(
    `INSERT INTO publications (certificate, address_index, audience, consent, published_at, authority_mac)
     SELECT c.id, m.address_index, ?, ?, ?, ?
     FROM certificates c JOIN mailboxes m ON m.id = c.mailbox JOIN devices d ON d.id = c.device
     WHERE c.id = +? AND c.state = 'valid' AND c.not_after_day > ? AND m.address_index = +? AND m.ended_at IS NULL
       AND d.ended_at IS NULL
     ON CONFLICT (certificate) DO UPDATE
       SET address_index = excluded.address_index, audience = excluded.audience, consent = excluded.consent,
           published_at = excluded.published_at, authority_mac = excluded.authority_mac`,
    row.audience,
    row.consent,
    row.publishedAt,
    authority.of(keys, { ...row, id: row.certificate }),
    row.certificate,
    row.publishedAt,
    row.addressIndex,
  ),
  requireOneChange('certificate_not_valid'),
]

/** Withdraws a certificate, or the one that took its place and, with it, its consent. */
export const withdraw = (subscriber: string, certificate: string): Command[] => [
  command(
    `DELETE FROM publications
     WHERE certificate = ?
        OR consent IN (
          SELECT id FROM consent_records WHERE subscriber = ? AND purpose = 'publication' AND subject = ?
        )`,
    certificate,
    subscriber,
    certificate,
  ),
  requireOneChange('not_published'),
]

/** Withdraws certificates that end in the same batch. */
export const dropPublications = (certificates: readonly string[]): Command =>
  command(
    `DELETE FROM publications WHERE certificate IN (SELECT value FROM json_each(?))`,
    JSON.stringify(certificates),
  )

/** Withdraws all certificates for a mailbox that ends for its subscriber. */
export const dropPublicationsOfMailbox = (mailbox: string): Command =>
  command(
    `DELETE FROM publications WHERE certificate IN (SELECT c.id FROM certificates c WHERE c.mailbox = ?)`,
    mailbox,
  )

/** Withdraws all certificates of a device that ends. */
export const dropPublicationsOfDevice = (device: string): Command =>
  command(`DELETE FROM publications WHERE certificate IN (SELECT c.id FROM certificates c WHERE c.device = ?)`, device)

/** Whether another subscriber has the mailbox of a certificate now. It explains a broken guard. */
export const readMailboxMoved = (reader: Reader, certificate: string) =>
  reader.first(
    query(
      { mailbox: text },
      `SELECT m.id AS mailbox FROM certificates c JOIN mailboxes m ON m.id = c.mailbox
       WHERE c.id = ? AND m.end_reason = 'moved'`,
      certificate,
    ),
  )

const publicationColumns = {
  id: text,
  addressIndex: blob,
  audience: oneOf('members', 'public'),
  consent: text,
  publishedAt: integer,
  authorityMac: blob,
}

/** As `publicationColumns` reads them. */
const publicationSelection = `certificate AS id, address_index AS addressIndex, audience, consent, published_at AS publishedAt,
  authority_mac AS authorityMac`
export type PublicationRow = RowOf<typeof publicationColumns>

/** The publication of a certificate, also one that nobody here wrote. */
export const readPublication = (reader: Reader, certificate: string) =>
  reader.first(
    query(
      publicationColumns,
      `SELECT ${publicationSelection}
       FROM publications WHERE certificate = ?`,
      certificate,
    ),
  )

/**
 * For whom a certificate is published, and by which text. Null if it is not published, its time is over, or nobody here
 * has published it.
 */
export const readStandingPublication = async (
  deps: AuthorityDeps & { readonly database: Reader },
  certificate: string,
  now: number,
) =>
  authority.trusted(
    deps,
    await deps.database.first(
      query(
        { ...publicationColumns, textVersion: text },
        `SELECT p.certificate AS id, p.address_index AS addressIndex, p.audience AS audience, p.consent AS consent,
                p.published_at AS publishedAt, p.authority_mac AS authorityMac, c.text_version AS textVersion
         FROM publications p JOIN consent_records c ON c.id = p.consent JOIN certificates k ON k.id = p.certificate
         WHERE p.certificate = ? AND k.not_after_day > ?`,
        certificate,
        now,
      ),
    ),
  )

/**
 * Passes a publication, with its consent, on to the successor of a certificate. One that nobody here wrote goes, and one
 * for another address than the successor's. Guard: the publication is as it was read; null: there is none.
 */
export const passOnPublication = (
  keys: Macs,
  old: string,
  publication: PublicationRow | null,
  successor: Successor,
): Command[] => {
  const unseen = requireNoneUnseen(
    query({ certificate: text }, `SELECT certificate FROM publications WHERE certificate = ?`, old),
  )
  if (publication === null) return [unseen]
  const isOfSuccessor = equalBytes(publication.addressIndex, successor.addressIndex)
  if (!isOfSuccessor || !authority.fits(keys, publication)) return [dropPublications([old])]
  return [
    command(
      `UPDATE publications SET certificate = ?, authority_mac = ? WHERE certificate = ? AND authority_mac = ?`,
      successor.id,
      authority.after(keys, publication, { id: successor.id }),
      old,
      publication.authorityMac,
    ),
    unseen,
  ]
}

/** One page of all publications, by certificate: in words, those whose MAC does not fit. */
export const readPublicationFaults = async (
  deps: { readonly database: Reader; readonly keys: Macs },
  after: string,
  limit: number,
) => {
  const rows = await deps.database.all(
    query(
      publicationColumns,
      `SELECT ${publicationSelection}
       FROM publications WHERE certificate > ? ORDER BY certificate LIMIT ?`,
      after,
      limit,
    ),
  )
  return pageOfFaults(rows, authority.faults(deps.keys, rows))
}

export const readPublishedAmong = (reader: Reader, certificates: readonly string[]) =>
  reader.all(
    query(
      { certificate: text },
      `SELECT certificate FROM publications WHERE certificate IN (SELECT value FROM json_each(?))`,
      JSON.stringify(certificates),
    ),
  )

/**
 * Publications that break an invariant: the certificate is not valid or has expired, its mailbox or device has ended,
 * or there is no consent in force.
 */
export const readWrongPublications = (reader: Reader, expiredBefore: number) =>
  reader.all(
    query(
      { certificate: text, state: text, notAfterDay: integer },
      `SELECT /* scan: an invariant is checked on all rows */ p.certificate AS certificate, c.state AS state,
              c.not_after_day AS notAfterDay
       FROM publications p JOIN certificates c ON c.id = p.certificate
       WHERE c.state <> 'valid' OR c.not_after_day < ?
          OR EXISTS (SELECT 1 FROM mailboxes m WHERE m.id = c.mailbox AND m.ended_at IS NOT NULL)
          OR EXISTS (SELECT 1 FROM devices d WHERE d.id = c.device AND d.ended_at IS NOT NULL)
          OR NOT EXISTS (
            SELECT 1 FROM consent_records g
            WHERE g.id = p.consent AND g.subscriber = c.subscriber AND g.purpose = 'publication' AND g.act = 'given'
              AND g.audience = p.audience
          )
          OR EXISTS (
            SELECT 1 FROM consent_records w
            WHERE w.subscriber = c.subscriber AND w.purpose = 'publication' AND w.act = 'withdrawn'
              AND w.subject = p.certificate AND w.at > p.published_at
          )`,
      expiredBefore,
    ),
  )
