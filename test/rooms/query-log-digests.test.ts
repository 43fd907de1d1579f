import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/adapters/key-ring.ts'
import { command, integer, query, text, type Command, type Database } from '../../src/ports/database.ts'
import { blankLookups } from '../../src/query-log/days/digest.ts'
import { lowestIdAt } from '../../src/query-log/log-ids.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { lookUp, register, type Registered } from '../support/story.ts'
import { Answered, countRows, day, minute } from './support.ts'

const keptDays = 10
/** So far from a row's id that none of the same call is there, and still on the same day. */
const elsewhere = 4_000

describe.each(engines)('the digests of the query log on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let bob: Registered
  let shard: Database

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings: { QUERY_LOG_DAYS: String(keptDays) } })
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    bob = await register(harness.api, harness.mails, 'bob@company.example')
    shard = harness.journal.shard(alice.subscriberId)
  })
  afterAll(() => harness.close())

  const faults = async (): Promise<readonly string[]> => (await harness.service.verifyAudit(null)).faults
  const today = (): string => new Date(harness.clock.now).toISOString().slice(0, 10)

  /** A day on which both ask, and the night after it. Returns its name. */
  const aDay = async (...addresses: readonly string[]): Promise<string> => {
    const name = today()
    if (addresses.length > 0) for (const somebody of [alice, bob]) await lookUp(somebody, [...addresses])
    harness.clock.now += day
    await night()
    return name
  }
  const night = async (): Promise<void> => {
    await harness.runJob('query-log-digest')
    await harness.runJob('query-log-prune')
    await harness.settled()
    await harness.runJob('audit-seal')
  }

  const digests = async (): Promise<{ day: string; rows: number; root: string }[]> => {
    const entries = await harness.main.all(
      query(
        { day: text, facts: text },
        `SELECT subject AS day, facts FROM audit_entries WHERE action = 'query_log.day_digested' ORDER BY position`,
      ),
    )
    return entries.map(({ day: name, facts }) => ({ day: name, ...JSON.parse(facts) }))
  }

  const rowsOf = (name: string) =>
    shard.all(
      query(
        { id: integer, at: integer },
        `SELECT id, at FROM query_log WHERE id >= ? AND id < ? AND asker = ? ORDER BY id`,
        lowestIdAt(Date.parse(name)),
        lowestIdAt(Date.parse(name) + day),
        alice.subscriberId,
      ),
    )

  /** Changes the rows as somebody could who has the file, checks, and puts the row back. */
  const tamper = async (id: number, change: Command, found: string): Promise<void> => {
    const kept = 'id, at, asker, device, interface, status, address_key, payer, address_sealed, salt, commitment'
    await shard.batch([command(`CREATE TABLE aside AS SELECT ${kept} FROM query_log WHERE id = ?`, id), change])
    try {
      expect(await faults()).toEqual([found])
    } finally {
      await shard.batch([
        command(`DELETE FROM query_log WHERE id = ? OR id = ?`, id, id + elsewhere),
        command(`INSERT INTO query_log (${kept}) SELECT ${kept} FROM aside`),
        command(`DROP TABLE aside`),
      ])
    }
    expect(await faults()).toEqual([])
  }

  test('each day that is over has one in the audit log, also a day on which nobody asked', async () => {
    const first = await aDay('one@example.org', 'two@example.org', 'three@example.org')
    const quiet = await aDay()
    const third = await aDay('one@example.org')
    const root = expect.stringMatching(/^[0-9a-f]{64}$/)
    expect(await digests()).toEqual([
      { day: first, rows: 6, root },
      { day: quiet, rows: 0, root: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
      { day: third, rows: 2, root },
    ])
    await night()
    expect((await digests()).length).toBe(3)
    expect(await faults()).toEqual([])
  })

  test('a day is digested minutes after it is over, and not before its last rows are there', async () => {
    const over = today()
    harness.clock.now = Date.parse(over) + day + 4 * minute
    await harness.runJob('query-log-digest')
    expect((await digests()).map((digest) => digest.day)).not.toContain(over)
    harness.clock.now += minute
    await harness.runJob('query-log-digest')
    await harness.runJob('query-log-digest')
    expect((await digests()).filter((digest) => digest.day === over)).toHaveLength(1)
    await harness.runJob('audit-seal')
    expect(await faults()).toEqual([])
  })

  test('nights that were missed are made up for', async () => {
    await lookUp(alice, ['late@example.org'])
    harness.clock.now += 3 * day
    await night()
    const made = await digests()
    expect(made.slice(4).map(({ rows }) => rows)).toEqual([1, 0, 0])
    expect(await faults()).toEqual([])
  })

  test('rows that nobody has moved yet are moved first', async () => {
    harness.clock.now = Date.parse(today()) + day - minute
    await lookUp(bob, ['before.midnight@example.org'])
    harness.clock.now += 4 * 60 * minute
    await night()
    expect((await digests()).at(-1)).toMatchObject({ rows: 1 })
    await harness.runJob('query-log-move')
    expect(await faults()).toEqual([])
  })

  test('what was changed in a row, added or taken away is found', async () => {
    const name = await aDay('one@example.org', 'two@example.org', 'three@example.org')
    const [, second] = await rowsOf(name)
    const id = second?.id ?? 0
    const [digest] = (await digests()).filter((made) => made.day === name)
    const rows = digest?.rows ?? 0
    const changed = `query log of ${name}: a row is not what it was`
    for (const change of [
      `asker = 'somebody else'`,
      `device = NULL`,
      `status = 'found'`,
      `at = at + 1`,
      `address_key = x'00'`,
      `payer = COALESCE(payer, 0) + 1`,
      `address_sealed = x'00'`,
      `salt = x'00'`,
    ]) {
      await tamper(id, command(`UPDATE query_log SET ${change} WHERE id = ?`, id), changed)
    }
    await tamper(id, command(`UPDATE query_log SET id = id + ? WHERE id = ?`, elsewhere, id), changed)
    await tamper(
      id,
      command(`DELETE FROM query_log WHERE id = ?`, id),
      `query log of ${name}: it had ${rows} rows, and has ${rows - 1}`,
    )
    await tamper(
      id,
      command(
        `INSERT INTO query_log (id, at, asker, interface, status, address_key, address_sealed, salt)
         SELECT id + ?, at, asker, interface, status, address_key, address_sealed, salt FROM query_log WHERE id = ?`,
        elsewhere,
        id,
      ),
      `query log of ${name}: it had ${rows} rows, and has ${rows + 1}`,
    )
    const made = `asker = NULL, device = NULL, address_key = NULL, payer = NULL, address_sealed = NULL, salt = NULL, commitment = x'00'`
    await tamper(id, command(`UPDATE query_log SET ${made} WHERE id = ?`, id), changed)
  })

  test('a row that is blanked says no more who asked for what, and the digest goes on to fit', async () => {
    const name = await aDay('secret@example.org', 'two@example.org')
    const [first] = await rowsOf(name)
    const id = first?.id ?? 0
    await blankLookups(sha256, shard, [id, id])
    expect(await faults()).toEqual([])
    const blanked = `query_log WHERE id = ? AND asker IS NULL AND device IS NULL AND address_key IS NULL
      AND address_sealed IS NULL AND payer IS NULL AND salt IS NULL`
    expect(await countRows(shard, blanked, id)).toBe(1)
    expect((await alice.api.get('/v1/me/lookups?limit=200')).body.items).not.toContainEqual(
      expect.objectContaining({ address: 'secret@example.org' }),
    )
    await tamper(
      id,
      command(`UPDATE query_log SET status = 'found' WHERE id = ?`, id),
      `query log of ${name}: a row is not what it was`,
    )
  })

  test('days whose rows are deleted by rule break nothing, and the log says from when on they are whole', async () => {
    const before = await digests()
    for (let night = 0; night < keptDays; night += 1) await aDay()
    expect((await digests()).length).toBe(before.length + keptDays)
    expect(await countRows(shard, 'query_log')).toBe(0)
    expect(await faults()).toEqual([])
    const [pruned] = await harness.main.all(
      query(
        { first: text },
        `SELECT subject AS first FROM audit_entries WHERE action = 'query_log.days_pruned' ORDER BY position DESC LIMIT 1`,
      ),
    )
    expect(pruned?.first).toMatch(/^\d{4}-\d{2}-\d{2}$/)
  })

  test('rows that are deleted before their time are missed, also after others were deleted by rule', async () => {
    const name = await aDay('one@example.org')
    const [row] = await rowsOf(name)
    await tamper(
      row?.id ?? 0,
      command(`DELETE FROM query_log WHERE id = ?`, row?.id ?? 0),
      `query log of ${name}: it had 2 rows, and has 1`,
    )
  })

  test('the service is whole', () => new Answered().check(harness))
})
