import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyIndex } from '../../src/certificates/fingerprints.ts'
import { integer, query } from '../../src/ports/database.ts'
import { checkService } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { changedTables, countRows } from '../support/row-counts.ts'
import { register, type Registered } from '../support/story.ts'
import { privateKeyForms, publicKeyOf } from '../standards/private-key-forms.ts'
import { thorough } from '../support/thorough.ts'

/** Every operation of the document that takes a body. Others do not read what is sent (`bodies.test.ts`). */
const entrancesOf = async (harness: RoomHarness): Promise<{ method: string; path: string }[]> => {
  const document = (await harness.api.get('/openapi.json')).body
  const taken = Object.entries<Record<string, { requestBody?: object }>>(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, { requestBody }]) => requestBody !== undefined)
      .map(([method]) => ({ method: method.toUpperCase(), path: path.replace('{id}', 'x') })),
  )
  return [...taken, { method: 'POST', path: '/ocsp/x' }]
}

/** What a refused key may leave: that it is blocked, as long as there is room. */
const mayGrow = new Set(['unknown_keys'])

const isBlocked = async (harness: RoomHarness, key: string): Promise<boolean> => {
  const index = keyIndex(harness.keys, createHash('sha256').update(publicKeyOf(key)).digest('hex'))
  const blocked = await harness.main.first(
    query({ rows: integer }, `SELECT COUNT(*) AS rows FROM unknown_keys WHERE key_index = ?`, index),
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

  test(`are refused at every entrance, in every form, and leave nothing`, async () => {
    const entrances = await entrancesOf(harness)
    expect(entrances.length).toBeGreaterThanOrEqual(25)
    // Every form at every entrance; on D1, where each refusal costs round trips, and in a short run at some in turn.
    const share = engine === 'd1' ? 1 : thorough ? entrances.length : 4
    const visited = privateKeyForms.flatMap((form, index) =>
      entrances
        .filter((_, place) => (place + index) % entrances.length < share)
        .map(({ method, path }) => ({ form, method, path })),
    )
    // The first use of a credential is written down.
    expect((await alice.api.get('/v1/me')).status).toBe(200)
    await harness.settled()
    const operator = harness.service.administration.localOperator()
    const before = await countRows(harness.main)
    harness.log.length = 0
    const wrong: string[] = []
    for (const { form, method, path } of visited) {
      const answer = await harness.ask(path, {
        method,
        headers: {
          Authorization: `Bearer ${path.startsWith('/v1/admin/') ? operator : alice.credential}`,
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
    const after = await countRows(harness.main)
    const grown = changedTables(before, after).filter((table) => !mayGrow.has(table))
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
      const answer = await harness.ask('/v1/registrations', {
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
