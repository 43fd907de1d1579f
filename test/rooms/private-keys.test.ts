import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { integer, query } from '../../src/ports/database.ts'
import { checkService } from '../support/check-service.ts'
import { engines, migrationScripts, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { register, type Registered } from '../support/story.ts'
import { privateKeyForms, publicKeyOf } from '../standards/private-key-forms.ts'

/** Every endpoint that takes a body. */
const entrances = [
  ['POST', '/v1/registrations'],
  ['POST', '/v1/registrations/x/confirmation'],
  ['POST', '/v1/certificate-requests?use=dual'],
  ['POST', '/v1/certificates/x/revocation'],
  ['PUT', '/v1/certificates/x/publication'],
  ['POST', '/v1/public-keys'],
  ['POST', '/v1/public-keys/x/proof'],
  ['POST', '/v1/key-compromise'],
  ['POST', '/v1/key-compromise/x/proof'],
  ['POST', '/v1/lookups'],
  ['POST', '/ocsp/x'],
  ['POST', '/nothing/is/here'],
] as const

const tables = migrationScripts('main').flatMap((script) =>
  [...script.matchAll(/CREATE TABLE (\w+)/g)].map((match) => match[1] ?? ''),
)
/** What a refused key may leave: that it is blocked, and the audit of it. */
const mayGrow = new Set(['blocked_keys', 'audit_entries', 'audit_private', 'audit_seals'])

const countRows = async (harness: RoomHarness): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const table of tables) {
    const row = await harness.main.first(query({ rows: integer }, `SELECT COUNT(*) AS rows FROM ${table}`))
    counts[table] = row?.rows ?? 0
  }
  return counts
}

const isBlocked = async (harness: RoomHarness, key: string): Promise<boolean> => {
  const fingerprint = createHash('sha256').update(publicKeyOf(key)).digest('hex')
  const blocked = await harness.main.first(
    query({ rows: integer }, `SELECT COUNT(*) AS rows FROM blocked_keys WHERE fingerprint = ?`, fingerprint),
  )
  return blocked?.rows === 1
}

test('there are at least forty forms', () => {
  expect(privateKeyForms.length).toBeGreaterThanOrEqual(40)
})

describe.each(engines)('private keys on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    await harness.settled()
  })
  afterAll(async () => {
    await harness.settled()
    await harness.runJob('audit-seal')
    const { service, journal, keys } = harness
    await checkService({ service, shards: journal.shards(), keys, answered: [], addresses: [] })
    await harness.close()
  })

  // All forms at the cheap engine; on D1, where each refusal costs round trips, every form at one entrance in turn.
  const visited = privateKeyForms.flatMap((form, index) =>
    entrances
      .filter((_, place) => engine === 'sqlite' || place === index % entrances.length)
      .map(([method, path]) => ({ form, method, path })),
  )

  test(`are refused at every entrance, in every form (${visited.length} bodies), and leave nothing`, async () => {
    const before = await countRows(harness)
    harness.log.length = 0
    const wrong: string[] = []
    for (const { form, method, path } of visited) {
      const answer = await harness.ask(path, {
        method,
        headers: {
          Authorization: `Bearer ${alice.credential}`,
          'Content-Type': form.contentType,
          'Content-Length': String(form.body.length),
        },
        body: new Uint8Array(form.body),
      })
      const text = await answer.text()
      const refused = answer.status === 422 && text.includes('"code":"private_key_refused"')
      if (!refused) wrong.push(`${form.name} at ${method} ${path}: ${answer.status} ${text.slice(0, 80)}`)
      if (text.length > 600) wrong.push(`${form.name} at ${path}: a long answer`)
    }
    expect(wrong).toEqual([])
    await harness.settled()
    const after = await countRows(harness)
    const grown = tables.filter((table) => after[table] !== before[table] && !mayGrow.has(table))
    expect(grown).toEqual([])
    const log = harness.log.join('\n')
    expect(log).toContain('private_key_refused')
    for (const { name, body } of privateKeyForms) {
      const middle = Buffer.from(body).subarray(body.length >> 1, (body.length >> 1) + 24)
      expect([name, log.includes(middle.toString('latin1')), log.includes(middle.toString('base64'))]).toEqual([
        name,
        false,
        false,
      ])
    }
  })

  test('a form that can be read blocks its own key', async () => {
    const readable = privateKeyForms.filter(({ recoverable, key }) => recoverable && key !== 'brainpool')
    const missing: string[] = []
    for (const { name, key } of readable) {
      if (key === null || !(await isBlocked(harness, key))) missing.push(name)
    }
    expect(missing).toEqual([])
  })
})

test('a forged file with the public part of a stranger blocks nothing of the stranger', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    const forged = privateKeyForms.flatMap(({ stranger, ...form }) =>
      stranger === null ? [] : [{ ...form, stranger }],
    )
    expect(forged.length).toBeGreaterThan(10)
    for (const { name, body, contentType, stranger } of forged) {
      const answer = await harness.ask('/v1/lookups', {
        method: 'POST',
        headers: { 'Content-Type': contentType, 'Content-Length': String(body.length) },
        body: new Uint8Array(body),
      })
      expect([name, answer.status]).toEqual([name, 422])
      expect([name, await isBlocked(harness, stranger)]).toEqual([name, false])
    }
  } finally {
    await harness.close()
  }
})
