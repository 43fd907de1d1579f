import type { ConnectionUses, RequestCounts } from '../../cas/deps.ts'
import { integer, oneOf, query, requireNoRow, text, type Command, type Database } from '../../ports/database.ts'
import type { Clock } from '../../ports/runtime.ts'
import { isOpen } from '../transitions.ts'

const countWaiting = (database: Database) =>
  database.all(
    query(
      { connection: text, requests: integer },
      `SELECT connection, COUNT(*) AS requests FROM certificate_requests WHERE state = 'received' GROUP BY connection`,
    ),
  )

const countAtCas = (database: Database) =>
  database.all(
    query(
      { connection: text, state: oneOf('pending', 'outcome_unknown'), requests: integer },
      `SELECT connection, state, COUNT(*) AS requests FROM certificate_requests
       WHERE open_at_ca = 1 AND state IN ('pending', 'outcome_unknown') GROUP BY connection, state`,
    ),
  )

/** The CA may have made certificates for these. Only an operator can find out. */
const countLeft = (database: Database) =>
  database.all(
    query(
      { connection: text, requests: integer },
      `SELECT connection, COUNT(*) AS requests FROM certificate_requests
       WHERE open_at_ca = 1 AND state IN ('cancelled', 'failed') AND due_at IS NULL
         AND connection IN (SELECT /* scan: a handful of connections */ k.id FROM ca_connections k WHERE k.state <> 'removed')
       GROUP BY connection`,
    ),
  )

async function countRequests(database: Database): Promise<ReadonlyMap<string, RequestCounts>> {
  const counts = new Map<string, RequestCounts>()
  const add = (connection: string, part: Partial<RequestCounts>): void => {
    const before = counts.get(connection) ?? { waiting: 0, pending: 0, unknown: 0, left: 0 }
    counts.set(connection, { ...before, ...part })
  }
  for (const { connection, requests } of await countWaiting(database)) add(connection, { waiting: requests })
  for (const { connection, state, requests } of await countAtCas(database)) {
    add(connection, state === 'pending' ? { pending: requests } : { unknown: requests })
  }
  for (const { connection, requests } of await countLeft(database)) add(connection, { left: requests })
  return counts
}

const countByHand = (database: Database) =>
  database.all(
    query(
      { connection: text, revocations: integer },
      `SELECT /* scan: of an index that holds what is not confirmed */ connection, COUNT(*) AS revocations
       FROM ca_revocations WHERE state <> 'confirmed' AND state = 'by_hand' GROUP BY connection`,
    ),
  )

const countValid = (database: Database, connection: string, now: number) =>
  database.first(
    query(
      { certificates: integer },
      `SELECT COUNT(*) AS certificates FROM certificates WHERE connection = ? AND state = 'valid' AND not_after_day > ?`,
      connection,
      now,
    ),
  )

const readSentThrough = (database: Database, connections: readonly string[]) =>
  database.all(
    query(
      { connection: text },
      `SELECT k.value AS connection FROM json_each(?) k
       WHERE EXISTS (
         SELECT /* scan: stops at the first request of a connection that was removed */ 1
         FROM certificate_requests r WHERE r.connection = k.value AND r.submitted_at IS NOT NULL
       )`,
      JSON.stringify(connections),
    ),
  )

const readKeptThrough = (database: Database, connections: readonly string[]) =>
  database.all(
    query(
      { connection: text },
      `SELECT /* scan: once a night, and stops at the first row of a connection that was removed */ k.value AS connection
       FROM json_each(?) k
       WHERE EXISTS (SELECT 1 FROM certificate_requests r WHERE r.connection = k.value)
          OR EXISTS (SELECT 1 FROM ca_revocations v WHERE v.connection = k.value)`,
      JSON.stringify(connections),
    ),
  )

const requireNothingAtCa = (connection: string): Command =>
  requireNoRow(
    'connection_has_orders',
    query(
      { one: integer },
      `SELECT 1 AS one FROM certificate_requests WHERE connection = ? AND open_at_ca = 1`,
      connection,
    ),
  )

const requireNoRequests = (connection: string): Command =>
  requireNoRow(
    'connection_has_requests',
    query(
      { one: integer },
      `SELECT 1 AS one FROM certificate_requests
       WHERE connection = ? AND ${isOpen}`,
      connection,
    ),
  )

const requireNoValidCertificates = (connection: string, now: number): Command =>
  requireNoRow(
    'connection_has_certificates',
    query(
      { one: integer },
      `SELECT 1 AS one FROM certificates WHERE connection = ? AND state = 'valid' AND not_after_day > ?`,
      connection,
      now,
    ),
  )

const requireRevocationsConfirmed = (connection: string): Command =>
  requireNoRow(
    'connection_owes_revocations',
    query(
      { one: integer },
      `SELECT 1 AS one FROM ca_revocations WHERE connection = ? AND state <> 'confirmed'`,
      connection,
    ),
  )

/** Tells the CA room about the requests, certificates and revocations of its connections. */
export const createConnectionUses = ({
  database,
  clock,
}: {
  readonly database: Database
  readonly clock: Clock
}): ConnectionUses => ({
  countRequests: () => countRequests(database),
  countRevocationsByHand: async () =>
    new Map((await countByHand(database)).map((row) => [row.connection, row.revocations])),
  countValidCertificates: async (connection) => (await countValid(database, connection, clock()))?.certificates ?? 0,
  sentThrough: async (connections) =>
    new Set((await readSentThrough(database, connections)).map(({ connection }) => connection)),
  keptThrough: async (connections) =>
    new Set((await readKeptThrough(database, connections)).map(({ connection }) => connection)),
  requireNothingAtCa,
  requireUnused: (connection) => [
    requireRevocationsConfirmed(connection),
    requireNoValidCertificates(connection, clock()),
    requireNoRequests(connection),
    requireNothingAtCa(connection),
  ],
})
