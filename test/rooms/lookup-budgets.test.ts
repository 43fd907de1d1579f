import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ListenerBindings } from '../../src/adapters/http-listener.ts'
import { openNodeService } from '../../src/node.ts'
import { command, query, text } from '../../src/ports/database.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import { Api, type Answer } from '../support/api.ts'
import { readLog } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { MailPool } from '../support/mail.ts'
import { temporaryFolder, testConfig } from '../support/node-process.ts'
import { register, type Registered } from '../support/story.ts'
import { moveMailbox } from '../../src/registration/mailbox/store.ts'
import {
  changeMailboxesElsewhere,
  Answered,
  countEverything,
  countRows,
  day,
  expectProblem,
  findLeaks,
  hour,
  race,
} from './support.ts'

const newSubscriber = 5
const subscriber = 8
const domain = 12
/** A quarter of the domain's budget is for those who have asked for a hundredth of it, or for one address. */
const shares = 3
const settings = {
  LOOKUP_BUDGET_NEW_SUBSCRIBER: String(newSubscriber),
  LOOKUP_BUDGET_SUBSCRIBER: String(subscriber),
  LOOKUP_BUDGET_DOMAIN: String(domain),
}

let strangers = 0
/** Addresses that nobody has asked for. */
const fresh = (count: number): string[] =>
  Array.from({ length: count }, () => `stranger.${(strangers += 1)}@elsewhere.example`)

const ask = (asker: Pick<Registered, 'api'>, addresses: readonly string[]): Promise<Answer> =>
  asker.api.post('/v1/lookups', { addresses, use: 'encrypt' })

const expectSpent = (answer: Answer): void => {
  expectProblem(answer, 429, 'lookup_budget_spent')
  expect(JSON.stringify(answer.body)).not.toMatch(/elsewhere|company/)
}

describe.each(engines)('the budgets of lookups on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()
  let companies = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings })
  })
  afterAll(() => harness.close())

  const member = (email: string): Promise<Registered> => register(harness.api, harness.mails, email)
  const newCompany = (): string => `company-${(companies += 1)}.example`
  const alone = (): Promise<Registered> => member(`alice@${newCompany()}`)
  const nextDay = (): number => (Math.floor(harness.clock.now / day) + 1) * day

  describe('of a subscriber', () => {
    test('end with the distinct addresses of the day', async () => {
      const alice = await alone()
      await answered.lookUp(alice, fresh(newSubscriber))
      const before = await countEverything(harness)
      const refused = await ask(alice, fresh(1))
      expectSpent(refused)
      expect(refused.headers.get('Retry-After')).toBe(String((nextDay() - harness.clock.now) / 1_000))
      expect(await countEverything(harness)).toEqual(before)
      expect(harness.log.findLast((line) => line.includes('lookup_budget_spent'))).toContain('"of":"subscriber"')
    })

    test('refuse a call that passes them as a whole, and take one that does not', async () => {
      const alice = await alone()
      await answered.lookUp(alice, fresh(newSubscriber - 2))
      expectSpent(await ask(alice, fresh(3)))
      await answered.lookUp(alice, fresh(2))
      expectSpent(await ask(alice, fresh(1)))
    })

    test('let the same addresses be asked for twenty times on a day, and no more: each time is a row of the log', async () => {
      const alice = await alone()
      const known = fresh(newSubscriber)
      for (let time = 0; time < 20; time += 1) await answered.lookUp(alice, known)
      expectSpent(await ask(alice, known.slice(0, 1)))
    })

    test('are not spent by what was asked for on the day before, in whatever spelling', async () => {
      const alice = await alone()
      const known = fresh(newSubscriber)
      await answered.lookUp(alice, known)
      for (let round = 0; round < 3; round += 1) await answered.lookUp(alice, known)
      await answered.lookUp(
        alice,
        known.map((address) => address.toUpperCase()),
      )
      expectSpent(await ask(alice, [...known, ...fresh(1)]))
      await answered.lookUp(alice, known.slice(0, 1))
    })

    test('are not spent by what is no address', async () => {
      const alice = await alone()
      await answered.lookUp(
        alice,
        Array.from({ length: 50 }, (_, index) => `no address ${index}`),
      )
      await answered.lookUp(alice, fresh(newSubscriber))
      expect(await answered.statuses(alice, ['no address'])).toEqual(['invalid'])
    })

    test('are fresh with the UTC day, not before', async () => {
      const alice = await alone()
      const asked = fresh(newSubscriber)
      await answered.lookUp(alice, asked)
      const midnight = nextDay()
      harness.clock.now = midnight - 1
      const refused = await ask(alice, fresh(1))
      expectSpent(refused)
      expect(refused.headers.get('Retry-After')).toBe('1')
      harness.clock.now = midnight
      await answered.lookUp(alice, [...fresh(newSubscriber - 1), asked[0] ?? ''])
      expectSpent(await ask(alice, asked.slice(1, 2)))
    })

    test('grow 24 hours after the registration', async () => {
      harness.clock.now = nextDay() + 9 * hour
      const alice = await alone()
      harness.clock.now += day - 1
      await answered.lookUp(alice, fresh(newSubscriber))
      expectSpent(await ask(alice, fresh(1)))
      harness.clock.now += 1
      await answered.lookUp(alice, fresh(subscriber - newSubscriber))
      expectSpent(await ask(alice, fresh(1)))
    })

    test('are not fresh for who registers the same mailbox anew', async () => {
      const alice = await alone()
      await answered.lookUp(alice, fresh(newSubscriber))
      const again = await member(alice.email.toUpperCase())
      expect(again.subscriberId).not.toBe(alice.subscriberId)
      expectSpent(await ask(again, fresh(1)))
      harness.clock.now += day
      await answered.lookUp(again, fresh(subscriber))
      // Not even the share that an asker of a domain has: it is one account.
      expectSpent(await ask(await member(alice.email), fresh(1)))
    })

    test.each([
      ['a domain of their own', (tag: string) => `ann${tag}@tags.example`, 'bob+2@tags.example'],
      ['a provider that ignores dots', (tag: string) => `a.n_n${tag}@gmail.com`, 'bob_@gmail.com'],
    ])('are those of one account, whatever tags it is registered with, at %s', async (_where, address, other) => {
      const forms = ['', '+1', '+2', '+3', '+work'].map(address)
      if (other.endsWith('gmail.com')) forms.push('an_n@googlemail.com')
      harness.clock.now = nextDay()
      const askers: Registered[] = []
      for (const [index, form] of forms.entries()) {
        // The mails to one account are counted together too.
        if (index === 3) harness.clock.now += hour
        askers.push(await member(form))
      }
      const [first, ...others] = askers
      if (first === undefined) throw new Error('nobody is registered')
      await answered.lookUp(first, fresh(newSubscriber))
      for (const same of others) expectSpent(await ask(same, fresh(1)))
      await answered.lookUp(await member(other), fresh(1))
      harness.clock.now += 2 * day
      const last = others.at(-1) ?? first
      await answered.lookUp(last, fresh(subscriber))
      expectSpent(await ask(first, fresh(1)))
    })

    test('are the same for every use', async () => {
      const alice = await alone()
      const known = fresh(newSubscriber)
      await answered.lookUp(alice, known)
      await answered.lookUp(alice, known, 'sign')
      expectSpent(await alice.api.post('/v1/lookups', { addresses: fresh(1), use: 'sign' }))
    })

    test('let no call of twenty at once past their edge', async () => {
      const alice = await alone()
      await answered.lookUp(alice, fresh(newSubscriber - 2))
      const answers = await race(20, () => ask(alice, fresh(1)))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(2)
      for (const answer of answers.filter(({ status }) => status !== 200)) expectSpent(answer)
      const rows = await readLog(harness.journal.shards(), harness.keys)
      expect(rows.filter((row) => row.asker === alice.subscriberId)).toHaveLength(newSubscriber)
    })

    test('count an address once that twenty calls ask for at once', async () => {
      const alice = await alone()
      const [address = ''] = fresh(1)
      const answers = await race(20, () => ask(alice, [address]))
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
      await answered.lookUp(alice, fresh(newSubscriber - 1))
      expectSpent(await ask(alice, fresh(1)))
    })
  })

  describe('of a domain', () => {
    const colleagues = (names: readonly string[], at: string): Promise<Registered[]> =>
      Promise.all(names.map((name) => member(`${name}@${at}`)))

    test('are those of all its subscribers together', async () => {
      const company = newCompany()
      const [first, second, third, fourth] = await colleagues(['a', 'b', 'c', 'd'], company)
      const known = fresh(newSubscriber)
      if (!first || !second || !third || !fourth) throw new Error('four are missing')
      await answered.lookUp(first, known)
      await answered.lookUp(second, fresh(newSubscriber))
      await answered.lookUp(third, fresh(2))
      const before = await countEverything(harness)
      expectSpent(await ask(third, fresh(1)))
      expectSpent(await ask(fourth, fresh(2)))
      expect(await countEverything(harness)).toEqual(before)
      expect(harness.log.findLast((line) => line.includes('lookup_budget_spent'))).toContain('"of":"domain"')
      // What a colleague has asked for counts anew for who asks for it too; what one has asked for oneself does not.
      expectSpent(await ask(fourth, known.slice(0, 2)))
      await answered.lookUp(first, known)
      await answered.lookUp(await alone(), fresh(1))
    })

    test('have a share for each that others cannot spend, up to what is kept for shares', async () => {
      const [first, second, third, ...others] = await colleagues(['a', 'b', 'c', 'd', 'e', 'f', 'g'], newCompany())
      if (!first || !second || !third) throw new Error('three are missing')
      await answered.lookUp(first, fresh(newSubscriber))
      await answered.lookUp(second, fresh(newSubscriber))
      await answered.lookUp(third, fresh(domain - 2 * newSubscriber))
      for (const colleague of others.slice(0, shares)) {
        expectSpent(await ask(colleague, fresh(2)))
        const [own = ''] = fresh(1)
        await answered.lookUp(colleague, [own])
        expectSpent(await ask(colleague, fresh(1)))
        await answered.lookUp(colleague, [own])
      }
      const last = others[shares]
      if (!last) throw new Error('one is missing')
      expectSpent(await ask(last, fresh(1)))
    })

    test('are shared by what lies below it, and by nothing beside it', async () => {
      const company = newCompany()
      const [first] = await colleagues(['a'], company)
      const [second] = await colleagues(['a'], `mail.${company}`)
      const [third] = await colleagues(['a'], `deep.er.${company}`)
      if (!first || !second || !third) throw new Error('three are missing')
      await answered.lookUp(first, fresh(newSubscriber))
      await answered.lookUp(second, fresh(newSubscriber))
      expectSpent(await ask(third, fresh(3)))
      await answered.lookUp(await alone(), fresh(3))
    })

    test.each([
      ['apart below a public suffix', 'one.example.co.uk', 'example.org.uk', true],
      ['shared below a suffix of a hosting company', 'one.example.github.io', 'example-two.github.io', false],
    ])('are %s', async (_why, left, right, apart) => {
      const askers = await colleagues(['a', 'b'], left)
      for (const asker of askers) await answered.lookUp(asker, fresh(newSubscriber))
      const [other] = await colleagues(['a'], right)
      if (!other) throw new Error('one is missing')
      const answer = await ask(other, fresh(3))
      if (apart) expect(answer.status).toBe(200)
      else expectSpent(answer)
    })

    test('do not bind the subscribers of a large provider', async () => {
      // Nobody's: that provider gives out no names with an underscore.
      const askers = await colleagues(['_a_', '_b_', '_c_', '_d_'], 'gmail.com')
      for (const asker of askers) {
        await answered.lookUp(asker, fresh(newSubscriber))
        expectSpent(await ask(asker, fresh(1)))
      }
    })

    test('let no call of many colleagues at once past their edge', async () => {
      const askers = await colleagues(['a', 'b', 'c', 'd', 'e'], newCompany())
      for (const asker of askers) await answered.lookUp(asker, fresh(1))
      const answers = await race(20, (index) => {
        const asker = askers[index % askers.length]
        if (!asker) throw new Error('an asker is missing')
        return ask(asker, fresh(1))
      })
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(domain - askers.length)
      for (const answer of answers.filter(({ status }) => status !== 200)) expectSpent(answer)
      const ids = new Set(askers.map(({ subscriberId }) => subscriberId))
      const rows = await readLog(harness.journal.shards(), harness.keys)
      expect(rows.filter((row) => ids.has(row.asker))).toHaveLength(domain)
    })
  })

  test('a lookup that cannot be logged leaves no row, and costs what lies in another shard than the log only', async () => {
    const company = newCompany()
    const alice = await member(`alice@${company}`)
    const own = harness.journal.shard(alice.subscriberId)
    const mailbox = Buffer.from(harness.keys.blindIndex(alice.email)).toString('hex')
    const elsewhere = [`domain:${company}`, `mailbox:${mailbox}`, `account:${mailbox}`].map((name) =>
      harness.journal.shard(name),
    )
    const counted = () =>
      Promise.all(harness.journal.shards().map((shard) => countRows(shard, 'lookup_budget_addresses')))
    const before = await counted()
    const rename = (from: string, to: string) => own.batch([command(`ALTER TABLE ${from} RENAME TO ${to}`)])
    await rename('query_log_recent', 'query_log_away')
    try {
      expectProblem(await ask(alice, fresh(3)), 503, 'log_unavailable')
    } finally {
      await rename('query_log_away', 'query_log_recent')
    }
    const cost = (await counted()).map((count, index) => count - (before[index] ?? 0))
    const inOthers = harness.journal
      .shards()
      .map((shard) => (shard === own ? [] : elsewhere.filter((of) => of === shard)))
    expect(cost).toEqual(inOthers.map((scopes) => 3 * scopes.length))
    await answered.lookUp(alice, fresh(newSubscriber - 3))
  })

  test('who has no mailbox any more is told so, and looks nothing up', async () => {
    const alice = await alone()
    await answered.lookUp(alice, fresh(1))
    await changeMailboxesElsewhere(harness, alice.subscriberId, moveMailbox)
    const before = await countEverything(harness)
    expectProblem(await ask(alice, fresh(1)), 403, 'mailbox_moved')
    expect(await countEverything(harness)).toEqual(before)
  })

  test('nothing that counts names an address or a domain, nor the same subscriber on two days', async () => {
    const company = `unmistakable-${newCompany()}`
    const alice = await member(`alice@${company}`)
    const [address = ''] = fresh(1)
    await answered.lookUp(alice, [address])
    expect(await findLeaks(harness, company, address, alice.email)).toEqual([])
    const scopes = async (): Promise<number> => {
      const counted = query({ scopes: text }, `SELECT hex(scope) AS scopes FROM lookup_budgets`)
      const paying = query({ scopes: text }, `SELECT hex(scopes) AS scopes FROM lookup_payers`)
      const rows = await Promise.all(
        harness.journal.shards().flatMap((shard) => [shard.all(counted), shard.all(paying)]),
      )
      // A scope is named by 8 bytes where it is counted in memory, and by 16 in a table.
      const length = 2 * (engine === 'sqlite' ? 8 : 16)
      return new Set(rows.flat().flatMap((row) => row.scopes.match(new RegExp(`.{${length}}`, 'g')) ?? [])).size
    }
    const before = await scopes()
    harness.clock.now = nextDay()
    await answered.lookUp(alice, [address])
    expect(await scopes()).toBe(before + 3)
  })

  test('the nightly job forgets the days before, and today not', async () => {
    harness.clock.now = nextDay() + 12 * hour
    const alice = await alone()
    await answered.lookUp(alice, fresh(newSubscriber))
    harness.clock.now = nextDay() + 3 * hour
    await answered.lookUp(alice, fresh(newSubscriber))
    await harness.runJob('lookup-budgets-prune')
    const today = Math.floor(harness.clock.now / day)
    for (const shard of harness.journal.shards()) {
      expect(await countRows(shard, `lookup_budgets WHERE day < ?`, today)).toBe(0)
      expect(await countRows(shard, `lookup_budget_addresses WHERE day < ?`, today)).toBe(0)
      expect(await countRows(shard, `lookup_payers WHERE day < ?`, today)).toBe(0)
    }
    expectSpent(await ask(alice, fresh(1)))
  })

  test('a count that does not fit what is kept is found by the check', async () => {
    const alice = await alone()
    await answered.lookUp(alice, fresh(2))
    const change = async (by: number): Promise<void> => {
      for (const shard of harness.journal.shards()) {
        await shard.batch([
          command(`UPDATE lookup_budgets SET used = used + ?`, by),
          command(`UPDATE query_log_recent SET payer = payer + ? WHERE asker = ?`, 1_000 * by, alice.subscriberId),
        ])
      }
    }
    const faults = async (): Promise<string[]> =>
      (await harness.service.check()).filter((fault) => fault.includes('lookup budgets'))
    await change(1)
    expect(await faults()).not.toEqual([])
    await change(-1)
    expect(await faults()).toEqual([])
  })

  test('the service is whole', () => answered.check(harness))
})

test('with the numbers as they are, one credential lists 500 a day, a domain 2000, and with all shares 2500', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    const askers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => register(harness.api, harness.mails, `n${index}@company.example`)),
    )
    const enumerate = async (asker: Registered, atOnce: number): Promise<number> => {
      let listed = 0
      while ((await ask(asker, fresh(atOnce))).status === 200) listed += atOnce
      return listed
    }
    const [first, second, ...others] = askers
    if (first === undefined || second === undefined) throw new Error('nobody was registered')
    expect(await enumerate(first, 50)).toBe(50)
    harness.clock.now += day
    expect(await enumerate(first, 100)).toBe(500)
    const listed = await Promise.all([second, ...others].map((asker) => enumerate(asker, 20)))
    // Each of the others asks for its share first: 75 of them while the domain has something left, 24 thereafter.
    expect(listed.reduce((sum, count) => sum + count, 500)).toBe(2_000 + 24 * 20)
    const rows = await readLog(harness.journal.shards(), harness.keys)
    expect(new Set(rows.map(({ address }) => address)).size).toBe(50 + 2_000 + 24 * 20)
  } finally {
    await harness.close()
  }
})

test('a process that starts again knows what was counted before', async () => {
  const folder = await temporaryFolder()
  const mails = new MailPool()
  const mailer: Mailer = { deliver: async ({ raw }) => mails.add(Buffer.from(raw).toString('utf8')) }
  const bindings: ListenerBindings = { peer: '192.0.2.1', encrypted: true, pkiOnly: false }
  const within = async (run: (api: Api) => Promise<void>): Promise<void> => {
    const node = await openNodeService(testConfig(folder.path, settings), { mailer })
    try {
      await run(
        new Api(async (path, init) => node.service.fetch(new Request(`https://127.0.0.1${path}`, init), bindings)),
      )
    } finally {
      await node.settled()
      await node.close()
    }
  }
  const known = fresh(newSubscriber)
  let credential = ''
  try {
    await within(async (api) => {
      const alice = await register(api, mails, 'alice@company.example')
      credential = alice.credential
      expect((await ask(alice, known)).status).toBe(200)
    })
    await within(async (api) => {
      const alice = { api: api.with(credential) }
      expectSpent(await ask(alice, fresh(1)))
      expect((await ask(alice, known)).status).toBe(200)
      expectSpent(await ask(alice, fresh(1)))
    })
  } finally {
    await folder.remove()
  }
})
