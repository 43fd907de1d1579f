import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blob, command, integer, nullable, query, text, type Command } from '../../src/ports/database.ts'
import { sealText } from '../../src/ports/keys.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, publish, register, startRegistration, type Registered } from '../support/story.ts'
import { Answered, countRows, expectProblem, findLeaks, minute, race } from './support.ts'

describe.each(engines)('the audit log on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  const answered = new Answered()

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
  })
  afterAll(() => harness.close())

  const seal = async (): Promise<void> => {
    await harness.settled()
    await harness.runJob('audit-seal')
  }
  const faults = async (head: string | null = null): Promise<readonly string[]> =>
    (await harness.service.verifyAudit(head)).faults
  const lastPosition = () => countRows(harness.main, 'audit_entries')

  /** Changes what lies in the database as somebody could who has the file, checks, and puts everything back. */
  const tamper = async (
    change: readonly Command[],
    judge: () => Promise<void>,
    repair: readonly Command[],
  ): Promise<void> => {
    const triggers = await harness.main.all(
      query(
        { name: text, statement: text },
        `SELECT name, sql AS statement FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit_%'`,
      ),
    )
    expect(triggers.length).toBe(4)
    await harness.main.batch([...triggers.map(({ name }) => command(`DROP TRIGGER ${name}`)), ...change])
    try {
      await judge()
    } finally {
      await harness.main.batch([...repair, ...triggers.map(({ statement }) => command(statement))])
    }
    expect(await faults()).toEqual([])
  }

  const entryColumns = 'position, id, at, action, actor_kind, actor, subject_kind, subject, facts, commitments'
  /** The commands that put entries back that were deleted. */
  const entriesFrom = async (first: number, last: number): Promise<Command[]> => {
    const rows = await harness.main.all(
      query(
        {
          position: integer,
          id: text,
          at: integer,
          action: text,
          actor_kind: text,
          actor: nullable(text),
          subject_kind: text,
          subject: text,
          facts: text,
          commitments: text,
        },
        `SELECT ${entryColumns} FROM audit_entries WHERE position BETWEEN ? AND ? ORDER BY position`,
        first,
        last,
      ),
    )
    expect(rows.length).toBe(last - first + 1)
    return rows.map((row) =>
      command(
        `INSERT INTO audit_entries (${entryColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ...Object.values(row),
      ),
    )
  }
  const sealsFrom = async (first: number): Promise<Command[]> => {
    const rows = await harness.main.all(
      query(
        { number: integer, predecessor: text, first: integer, last: integer, hash: text, at: integer },
        `SELECT number, predecessor, first_position AS first, last_position AS last, hash, at
         FROM audit_seals WHERE number >= ? ORDER BY number`,
        first,
      ),
    )
    return rows.map((row) =>
      command(
        `INSERT INTO audit_seals (number, predecessor, first_position, last_position, hash, at)
         VALUES (?, ?, ?, ?, ?, ?)`,
        ...Object.values(row),
      ),
    )
  }

  test('thirty writers at once, with sealers racing: one whole chain', async () => {
    const before = await lastPosition()
    const writing = race(30, (index) => startRegistration(harness.api, `writer.${index}@example.com`))
    const sealing = race(15, () => harness.runJob('audit-seal'))
    await Promise.all([writing, sealing])
    await race(10, () => harness.runJob('audit-seal'))
    await seal()
    const found = await harness.service.verifyAudit(null)
    expect(found).toMatchObject({ entries: before + 30, unsealed: 0, faults: [] })
    expect(found.head).toMatch(/^[0-9a-f]{64}$/)
    const seals = await harness.main.all(
      query(
        { number: integer, first: integer, last: integer, predecessor: text, hash: text },
        `SELECT number, first_position AS first, last_position AS last, predecessor, hash
         FROM audit_seals ORDER BY number`,
      ),
    )
    expect(seals.length).toBe(found.seals)
    for (const [index, one] of seals.entries()) {
      expect([one.number, one.first, one.predecessor]).toEqual([
        index + 1,
        (seals[index - 1]?.last ?? 0) + 1,
        seals[index - 1]?.hash ?? '0'.repeat(64),
      ])
    }
    expect(seals.at(-1)?.last).toBe(await lastPosition())
    expect(await countRows(harness.main, `audit_entries WHERE action = 'registration.started'`)).toBe(31)
  })

  test('verification beside writers and sealers finds nothing either', async () => {
    const work = race(20, async (index) => {
      await startRegistration(harness.api, `beside.${index}@example.com`)
      return faults()
    })
    expect(new Set((await work).flat())).toEqual(new Set())
    await seal()
  })

  test('a change that was rolled back leaves neither an entry nor a gap', async () => {
    const { id } = await certify(alice)
    await seal()
    const before = await lastPosition()
    expect((await alice.api.delete(`/v1/certificates/${id}/publication`)).status).toBe(204)
    expect(await lastPosition()).toBe(before)
    await publish(alice, id)
    await seal()
    expect(await lastPosition()).toBe(before + 1)
    expect(await faults()).toEqual([])
  })

  test('an action names who, what and when; personal values stand as commitments and sealed', async () => {
    const { subscriberId, deviceId } = await register(harness.api, harness.mails, 'personal@example.com')
    const entry = await harness.main.first(
      query(
        { at: integer, action: text, actorKind: text, actor: nullable(text), facts: text, commitments: text },
        `SELECT at, action, actor_kind AS actorKind, actor, facts, commitments
         FROM audit_entries WHERE subject = ? AND action = 'subscriber.registered'`,
        subscriberId,
      ),
    )
    expect({ ...entry, commitments: JSON.parse(entry?.commitments ?? '') }).toEqual({
      at: harness.clock.now,
      action: 'subscriber.registered',
      actorKind: 'device',
      actor: deviceId,
      facts: expect.stringMatching(/^\{"mailbox":"[\w-]+","registration":"[\w-]+"\}$/),
      commitments: { address: expect.stringMatching(/^[0-9a-f]{64}$/) },
    })
    expect(await findLeaks(harness, 'personal@example.com')).toEqual([])
    await seal()
  })

  test.each([
    [`UPDATE audit_entries SET facts = '{}' WHERE position = 1`, 'audit_entries_append_only'],
    [`DELETE FROM audit_entries WHERE position = 1`, 'audit_entries_append_only'],
    [`UPDATE audit_seals SET hash = 'x' WHERE number = 1`, 'audit_seals_append_only'],
    [`DELETE FROM audit_seals WHERE number = 1`, 'audit_seals_append_only'],
  ])('the database refuses %s', async (statement, constraint) => {
    await expect(harness.main.batch([command(statement)])).rejects.toMatchObject({ kind: 'trigger', constraint })
  })

  describe('what was altered is found', () => {
    test.each([
      'at = at + 1',
      `action = 'x'`,
      `actor_kind = 'device'`,
      `actor = 'x'`,
      `subject_kind = 'x'`,
      `subject = 'x'`,
      `facts = '{"x":1}'`,
      `commitments = '{"x":1}'`,
      `id = 'x'`,
    ])('an entry with %s', async (change) => {
      const [original = command('')] = await entriesFrom(2, 2)
      await tamper(
        [command(`UPDATE audit_entries SET ${change} WHERE position = 2`)],
        async () => expect((await faults()).join('\n')).toMatch(/seal 1: its hash does not fit its entries/),
        [command(`DELETE FROM audit_entries WHERE position = 2`), original],
      )
    })

    test('an entry deleted from the middle, and the last entries', async () => {
      const last = await lastPosition()
      for (const [from, to] of [
        [3, 3],
        [last - 2, last],
      ] as const) {
        await tamper(
          [command(`DELETE FROM audit_entries WHERE position BETWEEN ? AND ?`, from, to)],
          async () => expect((await faults()).join('\n')).toMatch(/seal \d+: entries between \d+ and \d+ are missing/),
          await entriesFrom(from, to),
        )
      }
    })

    test('a seal that was changed, deleted, or moved', async () => {
      const { seals } = await harness.service.verifyAudit(null)
      expect(seals).toBeGreaterThan(3)
      const restored = [command(`DELETE FROM audit_seals WHERE number >= 2`), ...(await sealsFrom(2))]
      for (const change of [
        `UPDATE audit_seals SET hash = '${'0'.repeat(63)}1' WHERE number = 2`,
        `UPDATE audit_seals SET predecessor = '${'0'.repeat(63)}1' WHERE number = 2`,
        `UPDATE audit_seals SET last_position = last_position + 1 WHERE number = 2`,
        `DELETE FROM audit_seals WHERE number = 2`,
      ]) {
        await tamper([command(change)], async () => expect((await faults()).length).toBeGreaterThan(0), restored)
      }
    })

    test('a private value, altered or exchanged for another that is sealed as it should be', async () => {
      const row = await harness.main.first(
        query(
          { entry: text, field: text, salt: blob, sealed: blob },
          `SELECT entry, field, salt, value_sealed AS sealed FROM audit_private WHERE field = 'address' LIMIT 1`,
        ),
      )
      if (row === null) throw new Error('there is no private value')
      const where = `WHERE entry = '${row.entry}' AND field = 'address'`
      const update = (column: string, value: Uint8Array): Command =>
        command(`UPDATE audit_private SET ${column} = ? ${where}`, value)
      const flipped = new Uint8Array(row.sealed)
      flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
      const place = { table: 'audit_private', column: 'value_sealed', row: `${row.entry}/address` }
      const repair = [update('value_sealed', row.sealed), update('salt', row.salt)]
      await tamper(
        [update('value_sealed', flipped)],
        async () => expect(await faults()).toEqual([`entry ${row.entry}: the value of address cannot be opened`]),
        repair,
      )
      const misfit = [`entry ${row.entry}: the value of address does not fit its commitment`]
      await tamper(
        [update('value_sealed', sealText(harness.keys.main, place, 'mallory@example.com'))],
        async () => expect(await faults()).toEqual(misfit),
        repair,
      )
      await tamper([update('salt', new Uint8Array(16))], async () => expect(await faults()).toEqual(misfit), repair)
    })

    test('a head that was noted down and is not in the chain any more', async () => {
      const noted = await harness.service.verifyAudit(null)
      expect(await faults(noted.head)).toEqual([])
      const missing = ['the expected head is not part of the chain: the log was rewritten or cut']
      expect(await faults('f'.repeat(64))).toEqual(missing)
      const [, ...later] = await sealsFrom(noted.seals - 1)
      const firstOfLast = await harness.main.first(
        query({ first: integer }, `SELECT first_position AS first FROM audit_seals WHERE number = ?`, noted.seals),
      )
      const first = firstOfLast?.first ?? 0
      await tamper(
        [
          command(`DELETE FROM audit_entries WHERE position >= ?`, first),
          command(`DELETE FROM audit_seals WHERE number = ?`, noted.seals),
        ],
        async () => {
          // What was cut off cleanly shows by the noted head alone.
          expect(await faults()).toEqual([])
          expect(await faults(noted.head)).toEqual(missing)
        },
        [...(await entriesFrom(first, await lastPosition())), ...later],
      )
      await startRegistration(harness.api, 'after.the.head@example.com')
      await seal()
      expect(await faults(noted.head)).toEqual([])
    })
  })

  test('private values that were erased are no fault', async () => {
    const before = await harness.service.verifyAudit(null)
    expect(await countRows(harness.main, 'audit_private')).toBeGreaterThan(2)
    await harness.main.batch([command(`DELETE FROM audit_private`)])
    expect(await harness.service.verifyAudit(before.head)).toEqual(before)
  })

  test('an entry that nobody seals for over five minutes is a fault', async () => {
    await seal()
    const entry = command(
      `INSERT INTO audit_entries (id, at, action, actor_kind, subject_kind, subject, facts, commitments)
       VALUES ('unsealed', ?, 'registration.started', 'anyone', 'registration', 'x', '{}', '{}')`,
      harness.clock.now,
    )
    await harness.main.batch([entry])
    harness.clock.now += 5 * minute
    expect(await harness.service.verifyAudit(null)).toMatchObject({ unsealed: 1, faults: [] })
    harness.clock.now += 1
    const overdue = ['1 entries have not been sealed for over five minutes']
    expect(await faults()).toEqual(overdue)
    expect(await harness.service.check()).toEqual(overdue.map((fault) => `audit chain whole: ${fault}`))
    await harness.runJob('audit-seal')
    expect(await faults()).toEqual([])
  })

  test('refused calls leave no entry', async () => {
    const before = await lastPosition()
    expectProblem(await alice.api.get('/v1/certificates/x'), 404, 'not_found')
    expectProblem(await harness.api.post('/v1/registrations', {}), 422, 'invalid_request')
    expect(await lastPosition()).toBe(before)
  })

  test('the service is whole', () => answered.check(harness))
})
