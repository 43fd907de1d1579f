import { sha256 } from '../../src/adapters/key-ring.ts'
import type { AuditDeps } from '../../src/audit/entries.ts'
import assert from 'node:assert/strict'
import { expect } from 'vitest'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { authorityOf } from '../../src/ports/authority.ts'
import { command, integer, query, text, type Command, type Database, type SqlValue } from '../../src/ports/database.ts'
import { sealText } from '../../src/ports/keys.ts'
import { readCertificatesOf } from '../../src/certificates/store.ts'
import { certificateAuthority } from '../../src/certificates/trusted-certificates.ts'
import { endDevice, insertDevice, readDevice } from '../../src/registration/device/store.ts'
import { moveMailbox, readMailboxesOf, type MailboxRow } from '../../src/registration/mailbox/store.ts'
import type { Answer, Json } from '../support/api.ts'
import { checkService, formsOf, type AnsweredLookup } from '../support/check-service.ts'
import type { RoomHarness } from '../support/engines.ts'
import { deviceFacts, lookUp, type Registered } from '../support/story.ts'

export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

/** How many rows there are of what follows `FROM`. */
export async function countRows(database: Database, from: string, ...values: readonly SqlValue[]): Promise<number> {
  const row = await database.first(query({ rows: integer }, `SELECT COUNT(*) AS "rows" FROM ${from}`, ...values))
  return row?.rows ?? 0
}

const databasesOf = (harness: RoomHarness): Database[] => [harness.main, ...harness.journal.shards()]

const tablesOf = async (database: Database): Promise<string[]> => {
  const rows = await database.all(
    query(
      { name: text },
      `SELECT name FROM sqlite_schema
       WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 4) <> '_cf_' ORDER BY name`,
    ),
  )
  return rows.map((row) => row.name)
}

/** One value a database, from one question: the test asks often, and D1 answers slowly. */
const readOne = async (database: Database, expression: string): Promise<string> => {
  const row = await database.first(query({ value: text }, `SELECT ${expression} AS value`))
  return row?.value ?? ''
}

/** Seals and the head of the audit log, and whose credential was used first. */
const laterWritten = new Set(['audit_seals', 'audit_head', 'caller_changes'])

/** What the rooms write into the audit log with, in the hands of a test. */
export const auditDepsOf = (harness: RoomHarness): AuditDeps => ({
  keys: harness.keys,
  sha256,
  random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) },
  clock: () => harness.clock.now,
})

/**
 * Every table of every database with its number of rows: equal before and after a call that must keep nothing. Seals
 * are left out, as they come later than what they seal, and whose credential was used first.
 */
export async function countEverything(harness: RoomHarness): Promise<string[]> {
  const counts: string[] = []
  for (const [number, database] of databasesOf(harness).entries()) {
    const tables = (await tablesOf(database)).filter((table) => !laterWritten.has(table))
    const parts = tables.map((table) => `'${number} ${table} ' || (SELECT COUNT(*) FROM "${table}")`)
    counts.push(...(await readOne(database, parts.join(` || ',' || `))).split(','))
  }
  return counts
}

/** Everything that the databases hold, as hexadecimal. */
async function everythingAsHex(harness: RoomHarness): Promise<string> {
  const values: string[] = []
  for (const database of databasesOf(harness)) {
    for (const table of await tablesOf(database)) {
      const columns = await database.all(query({ name: text }, `SELECT name FROM pragma_table_info(?)`, table))
      const parts = columns.map(({ name }) => `COALESCE(hex("${name}"), '')`)
      // D1 takes no expression that is nested deeper than 100.
      const groups = Array.from({ length: Math.ceil(parts.length / 20) }, (_, at) => parts.slice(at * 20, at * 20 + 20))
      const row = groups.map((group) => `(${group.join(` || ' ' || `)})`).join(` || ' ' || `)
      values.push(await readOne(database, `(SELECT COALESCE(group_concat(${row}, ' '), '') FROM "${table}")`))
    }
  }
  return values.join('\n')
}

/** The ways in which a value that is no address could lie in a file. */
const formsOfSecret = (secret: string): { form: string; bytes: Buffer }[] => {
  const bytes = Buffer.from(secret, 'utf8')
  const encodings = ['base64', 'base64url', 'hex'] as const
  return [
    { form: 'utf-8', bytes },
    ...encodings.map((form) => ({ form, bytes: Buffer.from(bytes.toString(form).replace(/=+$/, '')) })),
  ]
}

/** In which ways the databases and the log hold values that they must not hold. */
export async function findLeaks(harness: RoomHarness, ...secrets: readonly string[]): Promise<string[]> {
  const stored = await everythingAsHex(harness)
  const logged = harness.log.join('\n')
  return secrets.flatMap((secret) =>
    (secret.includes('@') ? formsOf(secret) : formsOfSecret(secret)).flatMap(({ form, bytes }) => [
      ...(stored.includes(bytes.toString('hex').toUpperCase()) ? [`a database holds ${secret} as ${form}`] : []),
      ...(logged.includes(bytes.toString()) ? [`the log holds ${secret} as ${form}`] : []),
    ]),
  )
}

/** Asserts one whole RFC 9457 answer. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.body?.code], JSON.stringify(answer.body)).toEqual([status, code])
  expect(answer.headers.get('Content-Type')).toBe('application/problem+json')
  expect(answer.headers.get('Cache-Control')).toBe('no-store')
  expect(answer.body).toEqual({
    type: `urn:certbook:problem:${code}`,
    title: expect.stringMatching(/\S/),
    status,
    code,
    detail: expect.stringMatching(/\S/),
    instance: expect.stringMatching(/^\//),
  })
}

/** A problem without the path that was asked for. */
export const withoutInstance = (answer: Answer): Json => ({ ...answer.body, instance: null })

/** Lookups that were answered, as the log must hold them. */
export class Answered {
  readonly #lookups: AnsweredLookup[] = []

  /** Looks addresses up and remembers that each distinct one must be in the log. */
  async lookUp(asker: Registered, addresses: readonly string[], use = 'encrypt'): Promise<Json[]> {
    const results = await lookUp(asker, addresses, use)
    const valid = addresses.filter((_, index) => results[index].status !== 'invalid').map(parseMailboxAddress)
    const distinct = new Map(valid.map(({ matchingKey, address }) => [matchingKey, address]))
    this.#lookups.push({ asker: asker.subscriberId, addresses: [...distinct.values()] })
    return results
  }

  /** The statuses alone, in the order of the question. */
  async statuses(asker: Registered, addresses: readonly string[], use = 'encrypt'): Promise<string[]> {
    return (await this.lookUp(asker, addresses, use)).map((result) => result.status)
  }

  /** Lets background work end and asserts the invariants of the whole service. */
  async check(harness: RoomHarness): Promise<void> {
    await harness.settled()
    await harness.runJob('audit-seal')
    await checkService({
      service: harness.service,
      shards: harness.journal.shards(),
      keys: harness.keys,
      answered: this.#lookups,
      addresses: [],
    })
  }
}

/** Has a subscriber's certificates belong to a device that did not ask for them, so that the next supersedes none. */
export async function moveToAnotherDevice({ main, keys, clock }: RoomHarness, subscriber: string): Promise<void> {
  const id = crypto.randomUUID()
  const facts = { table: 'devices', column: 'facts_sealed', row: id }
  const certificates = await readCertificatesOf(main, subscriber, { at: Number.MAX_SAFE_INTEGER, id: '' }, 1_000)
  const moved = certificates.map((row) =>
    command(
      `UPDATE certificates SET device = ?, authority_mac = ?
       WHERE id = ? AND device IN (SELECT id FROM devices WHERE credential_used_at IS NOT NULL)`,
      id,
      certificateAuthority.after(keys, row, { device: id }),
      row.id,
    ),
  )
  await main.batch([
    insertDevice(keys, {
      id,
      subscriber,
      registration: id,
      credentialVerifier: new TextEncoder().encode(id),
      credentialUsedAt: null,
      factsSealed: sealText(keys.main, facts, JSON.stringify(deviceFacts)),
      createdAt: clock.now,
      seenAt: clock.now,
    }),
    ...moved,
  ])
}

/** What another process of the service reads with. All that it reads was written by the service. */
export const readingElsewhere = ({ main, keys }: RoomHarness) => ({
  database: main,
  keys,
  events: { authorityRefused: ({ table }: { table: string }) => assert.fail(table) },
})

/** Ends a device as another process of the service would. */
export async function endDeviceElsewhere(harness: RoomHarness, id: string): Promise<void> {
  const device = await readDevice(readingElsewhere(harness), id)
  assert.ok(device !== null)
  await harness.main.batch(endDevice(harness.keys, device, harness.clock.now))
}

/** What ends of a subscriber without the consequences, as if another process had only just written it. */
export const endElsewhere: Readonly<
  Record<'mailbox' | 'device', (harness: RoomHarness, of: Registered) => Promise<void>>
> = {
  mailbox: (harness, { subscriberId }) => changeMailboxesElsewhere(harness, subscriberId, moveMailbox),
  device: (harness, { deviceId }) => endDeviceElsewhere(harness, deviceId),
}

/** Changes all mailboxes of a subscriber as another process of the service would. */
export async function changeMailboxesElsewhere(
  harness: RoomHarness,
  subscriber: string,
  change: (keys: RoomHarness['keys'], row: MailboxRow, now: number) => Command[],
): Promise<void> {
  const rows = await readMailboxesOf(readingElsewhere(harness), subscriber)
  await harness.main.batch(rows.flatMap((row) => change(harness.keys, row, harness.clock.now)))
}

/** Restricts the processing of a subscriber's data, or ends that, as the service would. */
export async function restrict({ main, keys }: RoomHarness, id: string, restrictedAt: number | null): Promise<void> {
  const mac = authorityOf('subscribers', ['id', 'restrictedAt']).of(keys, { id, restrictedAt })
  await main.batch([
    command(`UPDATE subscribers SET restricted_at = ?, authority_mac = ? WHERE id = ?`, restrictedAt, mac, id),
  ])
}

/** Lets time pass for people who use their devices now and then, so that no credential of theirs expires. */
export async function passUntil(harness: RoomHarness, until: number, people: readonly Registered[]): Promise<void> {
  const seldom = 100 * day
  while (until - harness.clock.now > seldom) {
    harness.clock.now += seldom
    for (const { api } of people) expect((await api.get('/v1/me')).status).toBe(200)
  }
  harness.clock.now = until
}

/** Runs one thing many times at once. */
export const race = <T>(times: number, run: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: times }, (_, index) => run(index)))

/** The body of an answer that is no refusal. */
export async function did(asking: Promise<Answer>): Promise<Json> {
  const { status, body } = await asking
  expect(status, JSON.stringify(body)).toBeLessThan(300)
  return body
}
