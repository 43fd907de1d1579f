import {
  blob,
  command,
  integer,
  oneOf,
  query,
  requireOneChange,
  text,
  type Command,
  type Reader,
} from '../ports/database.ts'
import type { Audience } from '../api/shapes.ts'

/**
 * The certificates that an audience may encrypt to (or verify with) at some addresses, newest first: published to it or
 * to all, valid, in time, fit for the use, their subscriber unrestricted. Every address takes the same one probe,
 * whatever it finds. What ended with its mailbox or device is not published any more.
 */
export const readPublished = (
  reader: Reader,
  addressIndexesHex: readonly string[],
  use: 'sign' | 'encrypt',
  audience: Audience,
  now: number,
) =>
  reader.all(
    query(
      {
        addressIndex: blob,
        id: text,
        device: text,
        use: oneOf('sign', 'encrypt', 'dual'),
        state: oneOf('valid'),
        authority: text,
        factsSealed: blob,
        certificateSealed: blob,
        notBefore: integer,
        notAfter: integer,
      },
      `SELECT p.address_index AS addressIndex, c.id AS id, c.device AS device, c.usage AS use, c.state AS state,
              c.authority AS authority, c.facts_sealed AS factsSealed, c.certificate_sealed AS certificateSealed,
              c.not_before AS notBefore, c.not_after AS notAfter
       FROM publications p
         JOIN certificates c ON c.id = p.certificate
         JOIN subscribers s ON s.id = c.subscriber
       WHERE p.address_index IN (SELECT unhex(value) FROM json_each(?)) AND p.audience IN (?, 'public')
         AND c.state = 'valid' AND c.usage IN (?, 'dual') AND c.not_before <= ? AND c.not_after > ?
         AND s.restricted_at IS NULL
       ORDER BY c.created_at DESC, c.id DESC`,
      JSON.stringify(addressIndexesHex),
      audience,
      use,
      now,
      now,
    ),
  )
export type PublishedRow = Awaited<ReturnType<typeof readPublished>>[number]

/** For whom a certificate is published; null where it is not. */
export const readAudience = async (reader: Reader, certificate: string): Promise<Audience | null> => {
  const row = await reader.first(
    query(
      { audience: oneOf('members', 'public') },
      `SELECT audience FROM publications WHERE certificate = ?`,
      certificate,
    ),
  )
  return row?.audience ?? null
}

/**
 * Publishes a certificate while it is valid and in time, and its mailbox and device are active, or changes its audience;
 * else the guard breaks.
 */
export const publish = (row: {
  certificate: string
  audience: Audience
  consent: string
  publishedAt: number
}): Command[] => [
  command(
    `INSERT INTO publications (certificate, address_index, audience, consent, published_at)
     SELECT c.id, m.address_index, ?, ?, ?
     FROM certificates c JOIN mailboxes m ON m.id = c.mailbox JOIN devices d ON d.id = c.device
     WHERE c.id = ? AND c.state = 'valid' AND c.not_after > ? AND m.ended_at IS NULL AND d.ended_at IS NULL
     ON CONFLICT (certificate) DO UPDATE
       SET audience = excluded.audience, consent = excluded.consent, published_at = excluded.published_at`,
    row.audience,
    row.consent,
    row.publishedAt,
    row.certificate,
    row.publishedAt,
  ),
  requireOneChange('certificate_not_valid'),
]

/**
 * Withdraws what is published of a certificate: itself, or the one that took its place and with it the consent that
 * was given for it.
 */
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

/** The directory's part where certificates end: none of them stays published. */
export const dropPublications = (certificates: readonly string[]): Command =>
  command(
    `DELETE FROM publications WHERE certificate IN (SELECT value FROM json_each(?))`,
    JSON.stringify(certificates),
  )

/** The directory's part where a mailbox ends for its subscriber: nothing for it stays published. */
export const dropPublicationsOfMailbox = (mailbox: string): Command =>
  command(
    `DELETE FROM publications WHERE certificate IN (SELECT c.id FROM certificates c WHERE c.mailbox = ?)`,
    mailbox,
  )

/** The directory's part where a device ends: nothing of its own stays published. */
export const dropPublicationsOfDevice = (device: string): Command =>
  command(`DELETE FROM publications WHERE certificate IN (SELECT c.id FROM certificates c WHERE c.device = ?)`, device)

/** Whether another subscriber has the mailbox of a certificate now; only asked to explain a broken guard. */
export const readMailboxMoved = (reader: Reader, certificate: string) =>
  reader.first(
    query(
      { mailbox: text },
      `SELECT m.id AS mailbox FROM certificates c JOIN mailboxes m ON m.id = c.mailbox
       WHERE c.id = ? AND m.end_reason = 'moved'`,
      certificate,
    ),
  )

/** The directory's part where one certificate takes another's place: the consent to publish passes on. */
export const passOnPublication = (old: string, successor: string): Command =>
  command(`UPDATE publications SET certificate = ? WHERE certificate = ?`, successor, old)

export const readPublishedAmong = (reader: Reader, certificates: readonly string[]) =>
  reader.all(
    query(
      { certificate: text },
      `SELECT certificate FROM publications WHERE certificate IN (SELECT value FROM json_each(?))`,
      JSON.stringify(certificates),
    ),
  )

/**
 * Publications that must not be: of a certificate that is not valid, has run out, or whose mailbox or device has ended,
 * or without a consent in force.
 */
export const readWrongPublications = (reader: Reader, expiredBefore: number) =>
  reader.all(
    query(
      { certificate: text, state: text, notAfter: integer },
      `SELECT /* scan: an invariant is checked on all rows */ p.certificate AS certificate, c.state AS state,
              c.not_after AS notAfter
       FROM publications p JOIN certificates c ON c.id = p.certificate
       WHERE c.state <> 'valid' OR c.not_after < ?
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
