import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createEraseAuditValues, createRecordAudit } from '../../src/audit/entries.ts'
import { readEntriesAfter, readSealsAfter } from '../../src/audit/store.ts'
import { sealHash } from '../../src/audit/seals.ts'
import { blob, command, integer, nullable, query, text, type Command } from '../../src/ports/database.ts'
import { sha256 } from '../../src/adapters/key-ring.ts'
import { sealText } from '../../src/ports/keys.ts'
import { paidWith } from '../../src/ports/row-budgets.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, publish, register, startRegistration, type Registered } from '../support/story.ts'
import { Answered, auditDepsOf, countRows, expectProblem, findLeaks, minute, race } from './support.ts'

const someEvent = {
  action: 'registration.started',
  actorKind: 'anyone',
  actor: null,
  subjectKind: 'registration',
  subject: 'x',
} as const

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
    expect(triggers.length).toBe(8)
    await harness.main.batch([...triggers.map(({ name }) => command(`DROP TRIGGER ${name}`)), ...change])
    try {
      await judge()
    } finally {
      await harness.main.batch([...repair, ...triggers.map(({ statement }) => command(statement))])
    }
    expect(await faults()).toEqual([])
  }

  const entryColumns = 'position, id, at, action, actor_kind, actor, subject_kind, subject, facts, commitments, mac'
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
          mac: blob,
        },
        `SELECT ${entryColumns} FROM audit_entries WHERE position BETWEEN ? AND ? ORDER BY position`,
        first,
        last,
      ),
    )
    expect(rows.length).toBe(last - first + 1)
    return rows.map((row) =>
      command(
        `INSERT INTO audit_entries (${entryColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        ...Object.values(row),
      ),
    )
  }
  const sealsFrom = async (first: number): Promise<Command[]> => {
    const rows = await harness.main.all(
      query(
        { number: integer, predecessor: text, first: integer, last: integer, hash: text, at: integer, mac: blob },
        `SELECT number, predecessor, first_position AS first, last_position AS last, hash, at, mac
         FROM audit_seals WHERE number >= ? ORDER BY number`,
        first,
      ),
    )
    return rows.map((row) =>
      command(
        `INSERT INTO audit_seals (number, predecessor, first_position, last_position, hash, at, mac)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
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
    [`DELETE FROM audit_head`, 'audit_head_stays'],
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
          `SELECT entry, field, salt_sealed AS salt, value_sealed AS sealed FROM audit_private WHERE field = 'address' LIMIT 1`,
        ),
      )
      if (row === null) throw new Error('there is no private value')
      const where = `WHERE entry = '${row.entry}' AND field = 'address'`
      const update = (column: string, value: Uint8Array): Command =>
        command(`UPDATE audit_private SET ${column} = ? ${where}`, value)
      const flipped = new Uint8Array(row.sealed)
      flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
      const place = { table: 'audit_private', column: 'value_sealed', row: `${row.entry}/address` }
      const repair = [update('value_sealed', row.sealed), update('salt_sealed', row.salt)]
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
      const otherSalt = harness.keys.main.seal({ ...place, column: 'salt_sealed' }, new Uint8Array(16))
      await tamper([update('salt_sealed', otherSalt)], async () => expect(await faults()).toEqual(misfit), repair)
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
          expect(await faults(noted.head)).toEqual([
            `the log was cut: it had ${noted.seals} seals over ${noted.entries} entries, and has ${noted.seals - 1} seals`,
            ...missing,
          ])
        },
        [...(await entriesFrom(first, await lastPosition())), ...later],
      )
      await startRegistration(harness.api, 'after.the.head@example.com')
      await seal()
      expect(await faults(noted.head)).toEqual([])
    })
  })

  describe('what somebody does who can write to the database, and has no key', () => {
    /** One seal over the entries as they stand, in place of all. */
    const resealed = async (mac: Uint8Array): Promise<Command[]> => {
      const entries = await readEntriesAfter(harness.main, 0, 10_000)
      const made = { number: 1, predecessor: '0'.repeat(64), at: harness.clock.now }
      const hash = sealHash(sha256, made, entries)
      return [
        command(`DELETE FROM audit_seals`),
        command(
          `INSERT INTO audit_seals (number, predecessor, first_position, last_position, hash, at, mac)
           VALUES (1, ?, 1, ?, ?, ?, ?)`,
          made.predecessor,
          entries.length,
          hash,
          made.at,
          mac,
        ),
        command(`UPDATE audit_head SET seals = 1, last_position = ?, hash = ?`, entries.length, hash),
      ]
    }
    const asItWas = async (): Promise<Command[]> => {
      const head = await harness.main.first(
        query(
          { seals: integer, last: integer, hash: text, mac: blob },
          `SELECT seals, last_position AS last, hash, mac FROM audit_head`,
        ),
      )
      if (head === null) throw new Error('there is no head')
      return [
        command(`DELETE FROM audit_seals`),
        ...(await sealsFrom(1)),
        command(`DELETE FROM audit_head`),
        command(
          `INSERT INTO audit_head (id, seals, last_position, hash, mac) VALUES (1, ?, ?, ?, ?)`,
          ...Object.values(head),
        ),
      ]
    }

    test('the tail is cut off, with its seals; what is logged afterwards does not hide it', async () => {
      const { seals, entries } = await harness.service.verifyAudit(null)
      const [newest] = await readSealsAfter(harness.main, seals - 1, 1)
      const first = newest?.firstPosition ?? 0
      const repair = [
        command(`DELETE FROM audit_entries WHERE position >= ?`, first),
        ...(await asItWas()),
        ...(await entriesFrom(first, entries)),
        command(`UPDATE sqlite_sequence SET seq = ? WHERE name = 'audit_entries'`, entries),
      ]
      const cut = `the log was cut: it had ${seals} seals over ${entries} entries, and has ${seals - 1} seals`
      await tamper(
        [
          command(`DELETE FROM audit_entries WHERE position >= ?`, first),
          command(`DELETE FROM audit_seals WHERE number = ?`, seals),
        ],
        async () => {
          expect(await faults()).toEqual([cut])
          await harness.main.batch(createRecordAudit(auditDepsOf(harness))(someEvent, paidWith('registration')))
          await seal()
          expect(await faults()).toContain(`seal ${seals + 1}: a seal before it is missing`)
        },
        repair,
      )
    })

    test('the head is set back, or taken away: nothing more is sealed', async () => {
      const whole = await harness.service.verifyAudit(null)
      const repair = await asItWas()
      for (const [change, fault] of [
        [`UPDATE audit_head SET seals = seals - 1`, 'the head of the log was not written by this service'],
        [`DELETE FROM audit_head`, 'the head of the log is missing'],
      ] as const) {
        await tamper(
          [command(change)],
          async () => {
            expect(await faults()).toEqual([fault])
            await harness.runJob('audit-seal').catch(() => undefined)
            expect(await harness.service.verifyAudit(null)).toMatchObject({ seals: whole.seals, faults: [fault] })
          },
          repair,
        )
      }
    })

    test('an entry is added, for the service to seal', async () => {
      await tamper(
        [
          command(
            `INSERT INTO audit_entries (id, at, action, actor_kind, subject_kind, subject, facts, commitments, mac)
             SELECT 'planted', at, action, actor_kind, subject_kind, subject, facts, commitments, mac
             FROM audit_entries WHERE position = 1`,
          ),
        ],
        async () => {
          const planted = ['entry planted: it was not written by this service']
          expect(await faults()).toEqual(planted)
          await seal()
          expect(await faults()).toEqual(planted)
        },
        [
          ...(await asItWas()),
          command(`DELETE FROM audit_entries WHERE id = 'planted'`),
          command(`UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit_entries'`),
        ],
      )
    })

    test('an entry is forged and the whole chain sealed anew, with MACs of other seals', async () => {
      const [original = command('')] = await entriesFrom(2, 2)
      const repair = [...(await asItWas()), command(`DELETE FROM audit_entries WHERE position = 2`), original]
      const [first] = await readSealsAfter(harness.main, 0, 1)
      const mac = first?.mac ?? new Uint8Array(0)
      await tamper(
        [command(`UPDATE audit_entries SET actor = 'somebody else' WHERE position = 2`)],
        async () => {
          await harness.main.batch(await resealed(mac))
          expect(await faults()).toEqual([
            'seal 1: it was not made by this service',
            expect.stringMatching(/^entry .*: it was not written by this service$/),
            'the head of the log was not written by this service',
          ])
        },
        repair,
      )
    })

    test('private values are deleted, or an erasure is made up', async () => {
      const row = await harness.main.first(
        query(
          { entry: text, field: text, salt: blob, sealed: blob },
          `SELECT entry, field, salt_sealed AS salt, value_sealed AS sealed FROM audit_private LIMIT 1`,
        ),
      )
      if (row === null) throw new Error('there is no private value')
      const { entry, field } = row
      const repair = [
        command(
          `INSERT INTO audit_private (entry, field, salt_sealed, value_sealed) VALUES (?, ?, ?, ?)`,
          ...Object.values(row),
        ),
        command(`DELETE FROM audit_erasures WHERE entry = ?`, entry),
      ]
      const gone = `entry ${entry}: the value of ${field} is gone, and nothing says that it was erased`
      await tamper(
        [command(`DELETE FROM audit_private WHERE entry = ? AND field = ?`, entry, field)],
        async () => expect(await faults()).toEqual([gone]),
        repair,
      )
      await tamper(
        [
          command(
            `INSERT INTO audit_erasures (entry, field, why, at, mac) VALUES (?, ?, 'a rule', 1, zeroblob(18))`,
            entry,
            field,
          ),
          command(`DELETE FROM audit_private WHERE entry = ? AND field = ?`, entry, field),
        ],
        async () =>
          expect(await faults()).toEqual([
            `entry ${entry}: the erasure of ${field} was not written by this service`,
            gone,
          ]),
        repair,
      )
    })
  })

  test('a private value that was erased says why, and is no fault; without that it cannot be deleted', async () => {
    const before = await harness.service.verifyAudit(null)
    const values = await harness.main.all(
      query({ entry: text, field: text }, `SELECT entry, field FROM audit_private ORDER BY entry LIMIT 3`),
    )
    expect(values.length).toBe(3)
    const refused = { kind: 'trigger', constraint: 'audit_private_leaves_an_erasure' }
    await expect(harness.main.batch([command(`DELETE FROM audit_private`)])).rejects.toMatchObject(refused)
    await harness.main.batch(createEraseAuditValues(auditDepsOf(harness))(values, 'the subscriber was erased'))
    expect(await harness.service.verifyAudit(before.head)).toEqual(before)
    const [erased] = values
    const left = `audit_private WHERE entry = ? AND field = ?`
    expect(await countRows(harness.main, left, erased?.entry ?? '', erased?.field ?? '')).toBe(0)
  })

  test('an entry that nobody seals for over five minutes is a fault', async () => {
    await seal()
    await harness.main.batch(createRecordAudit(auditDepsOf(harness))(someEvent, paidWith('registration')))
    harness.clock.now += 5 * minute
    expect(await harness.service.verifyAudit(null)).toMatchObject({ unsealed: 1, faults: [] })
    harness.clock.now += 1
    const overdue = ['1 entries have not been sealed for over five minutes']
    expect(await faults()).toEqual(overdue)
    expect(await harness.service.check()).toEqual(overdue.map((fault) => `audit chain whole: ${fault}`))
    await harness.runJob('audit-seal')
    expect(await faults()).toEqual([])
  })

  test('after a rotation of the ring, new seals name the new secret, and those of the old one go on to hold', async () => {
    await seal()
    const before = await harness.service.verifyAudit(null)
    await harness.keys.rotateMain()
    harness.clock.now += 6 * minute
    await startRegistration(harness.api, 'after.the.rotation@example.com')
    await seal()
    const after = await harness.service.verifyAudit(before.head)
    expect(after).toMatchObject({ faults: [], entries: before.entries + 1 })
    const secrets = (await readSealsAfter(harness.main, 0, 10_000)).map(({ mac }) => mac[1])
    expect([secrets[0], secrets.at(-1)]).toEqual([1, 2])
  })

  test('refused calls leave no entry', async () => {
    const before = await lastPosition()
    expectProblem(await alice.api.get('/v1/certificates/x'), 404, 'not_found')
    expectProblem(await harness.api.post('/v1/registrations', {}), 422, 'invalid_request')
    expect(await lastPosition()).toBe(before)
  })

  test('the service is whole', () => answered.check(harness))
})

test.each(engines)(
  'a log that was taken away as a whole is found, also after the service went on, on %s',
  async (engine) => {
    const harness = await openRoomHarness(engine)
    try {
      await register(harness.api, harness.mails, 'alice@example.com')
      await harness.settled()
      await harness.runJob('audit-seal')
      expect((await harness.service.verifyAudit(null)).faults).toEqual([])
      const triggers = await harness.main.all(
        query({ name: text }, `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'audit_%'`),
      )
      await harness.main.batch([
        ...triggers.map(({ name }) => command(`DROP TRIGGER ${name}`)),
        ...['private', 'erasures', 'seals', 'head', 'entries'].map((table) => command(`DELETE FROM audit_${table}`)),
        command(`DELETE FROM sqlite_sequence WHERE name = 'audit_entries'`),
      ])
      const emptied = ['the log does not begin with the making of the CAs: it was emptied']
      expect((await harness.service.verifyAudit(null)).faults).toEqual(emptied)
      await register(harness.api, harness.mails, 'bob@example.com')
      await harness.settled()
      await harness.runJob('audit-seal')
      expect((await harness.service.verifyAudit(null)).faults).toEqual(emptied)
    } finally {
      await harness.close()
    }
  },
)
