import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Api, Json } from '../support/api.ts'
import { localOperator } from '../support/administrators.ts'
import {
  askForMany,
  askForOne,
  cfsslAt,
  connectCa,
  estAt,
  kept,
  minutesUntil,
  notExactlyOne,
  passMinutes,
  statesOf,
  untilAllIssued,
  type Asked,
} from '../support/ca-drill.ts'
import { countRows } from '../rooms/support.ts'
import { startCountingCa, type CountingCa } from '../support/counting-ca.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { tokenIn } from '../support/mail.ts'
import { proveMailbox, register, type Registered } from '../support/story.ts'
import { outgoingHere } from '../support/this-machine.ts'

/** How many orders a service has at a CA at a time: so far one can be ahead of another that was asked for before it. */
const atOnce = 8
const hour = 3_600_000
const day = 24 * hour
/** So many tokens a subscriber has mailed within an hour. */
const challengesAnHour = 20

describe.each(engines)('a CA that is down, on %s', (engine) => {
  let harness: RoomHarness
  let ca: CountingCa
  let operator: Api
  /** What the service has asked for, or tried to. */
  let called: string[]

  beforeEach(async () => {
    called = []
    const outgoing = outgoingHere()
    harness = await openRoomHarness(engine, {
      outgoing: {
        ...outgoing,
        exchange: (request) => {
          called.push(new URL(request.url).pathname)
          return outgoing.exchange(request)
        },
      },
    })
    ca = await startCountingCa(() => harness.clock.now)
    operator = localOperator(harness)
  })
  afterEach(async () => {
    await harness.close()
    await ca.close()
  })

  const registerSome = async (count: number): Promise<Registered[]> => {
    const all: Registered[] = []
    for (let number = 0; number < count; number += 1) {
      all.push(await register(harness.api, harness.mails, `waits.${number}@company-${number % 7}.example`))
    }
    return all
  }
  const addMailbox = async ({ api }: Registered, email: string): Promise<Json> =>
    (await api.post('/v1/me/mailboxes', { email, accountType: 'imap' })).body
  const metric = async (name: string, connection: string): Promise<string | undefined> => {
    const text = await (await harness.ask('/metrics')).text()
    return new RegExp(`^${name}\\{connection="${connection}"\\} (\\S+)$`, 'm').exec(text)?.[1]
  }
  const warnings = async (): Promise<string[]> => (await harness.api.get('/readyz')).body.warnings

  const [people, each] = engine === 'sqlite' ? [100, 10] : [10, 5]

  test('for an hour with many requests waiting: said, not asked in vain, and worked off in order', async () => {
    const connection = await connectCa(operator, cfsslAt(ca, ca.url))
    const subscribers = await registerSome(people)
    await ca.goDown()
    const asked: Asked[] = []
    for (let round = 0; round < each; round += 1) {
      for (const subscriber of subscribers) {
        asked.push(await askForOne(subscriber))
        harness.clock.now += 1
      }
    }
    await harness.settled()
    expect(await statesOf(operator, asked)).toEqual({ received: people * each })
    const shown = (await operator.get(`/v1/admin/ca-connections/${connection.id}`)).body
    expect(shown).toMatchObject({
      circuit: { state: 'open', lastFailure: 'unreachable' },
      requests: { waiting: people * each, pending: 0, unknown: 0 },
    })
    expect(await warnings()).toEqual([expect.stringContaining('Mail CA has failed')])
    if (engine === 'sqlite') {
      expect(await metric('certbook_ca_circuit_open', connection.id)).toBe('1')
      expect(await metric('certbook_ca_requests_waiting', connection.id)).toBe(String(people * each))
    }

    called = []
    await passMinutes(harness, 60)
    expect(await statesOf(operator, asked)).toEqual({ received: people * each })
    // Looks that issue nothing, less and less often.
    expect(new Set(called)).toEqual(new Set(['/api/v1/cfssl/info']))
    expect(called.length).toBeLessThan(30)
    expect(ca.asked).toEqual([])

    await ca.comeBack()
    await untilAllIssued(harness, asked)
    expect(notExactlyOne(ca, asked)).toEqual({})
    expect(ca.count()).toBe(people * each)
    const place = new Map(asked.map(({ key }, index) => [key, index]))
    const ahead = ca.arrivals.map(({ key }, index) => Math.abs((place.get(key) ?? Number.NaN) - index))
    expect(Math.max(...ahead)).toBeLessThan(atOnce)
    expect(await warnings()).toEqual([])
    expect(await harness.service.check()).toEqual([])
  })

  test('a credential that expires in mid-queue: nothing fails, and what waits goes on with a new one', async () => {
    ca.mood.password = 'as agreed'
    const connection = await connectCa(operator, estAt(ca, ca.url))
    const path = `/v1/admin/ca-connections/${connection.id}`
    const subscribers = await registerSome(6)
    expect((await operator.post(`${path}/pause`)).status).toBe(200)
    const asked = await askForMany(subscribers, 3)
    expect(await statesOf(operator, asked)).toEqual({ received: 18 })
    expect(await warnings()).toEqual([
      'The CA connection Mail CA is paused, and 18 requests wait: certbook connection resume.',
    ])

    ca.expireAfter(10)
    expect((await operator.post(`${path}/resumption`)).status).toBe(200)
    await harness.settled()
    const before = ca.count()
    expect(before).toBe(10)
    const states = await statesOf(operator, asked)
    expect(states).toMatchObject({ received: 8 })
    expect(kept(states)).toBe(10)
    const shown = (await operator.get(path)).body
    expect(shown.circuit).toMatchObject({ state: 'open', lastFailure: 'credential_refused' })
    expect(await warnings()).toEqual([expect.stringContaining('credential_refused')])
    const refused = ca.asked.length
    await passMinutes(harness, 30)
    // Only looks, each with its trial of the credential; no order among them.
    expect(ca.asked.slice(refused).filter((asked) => asked.endsWith('cacerts')).length * 2).toBe(
      ca.asked.length - refused,
    )
    expect(ca.count()).toBe(before)

    ca.mood.password = 'a new one'
    const changed = await operator.put(path, estAt(ca, ca.url, { password: 'a new one' }), {
      'If-Match': `"${shown.version}"`,
    })
    expect(changed.status, JSON.stringify(changed.body)).toBe(200)
    await harness.settled()
    expect(kept(await statesOf(operator, asked))).toBe(18)
    expect(notExactlyOne(ca, asked)).toEqual({})
    expect(await warnings()).toEqual([])
    expect(await harness.service.check()).toEqual([])
  })

  test('paused in mid-queue: what is under way ends, the rest waits until the connection is resumed', async () => {
    const connection = await connectCa(operator, cfsslAt(ca, ca.url))
    const path = `/v1/admin/ca-connections/${connection.id}`
    const subscribers = await registerSome(3)
    await operator.post(`${path}/pause`)
    const asked = await askForMany(subscribers, 4)
    const answers = Promise.withResolvers<void>()
    ca.mood.held = answers.promise
    await operator.post(`${path}/resumption`)
    await ca.arrived(atOnce)
    await operator.post(`${path}/pause`)
    answers.resolve()
    await harness.settled()
    await passMinutes(harness, 10)
    expect(kept(await statesOf(operator, asked))).toBe(atOnce)
    expect(ca.count()).toBe(atOnce)

    await operator.post(`${path}/resumption`)
    await harness.settled()
    expect(kept(await statesOf(operator, asked))).toBe(12)
    expect(notExactlyOne(ca, asked)).toEqual({})
    expect(await harness.service.check()).toEqual([])
  })

  test('for so long that the proofs of the mailboxes grow old: they are given again, and only then it goes on', async () => {
    await connectCa(operator, cfsslAt(ca, ca.url))
    const subscribers = await registerSome(10)
    await ca.goDown()
    const asked = await askForMany(subscribers, 1)
    harness.clock.now += 31 * day
    const [late] = subscribers.slice(-1)
    const newcomer = await register(harness.api, harness.mails, 'newcomer@example.com')
    const fresh = await askForMany([newcomer], 1)
    await ca.comeBack()
    await passMinutes(harness, 6)
    expect(await statesOf(operator, asked)).toEqual({ awaiting_mailbox_proof: 10 })
    // Who is proved does not wait for those who are not.
    expect(await statesOf(operator, fresh)).toEqual({ issued: 1 })
    expect(ca.count()).toBe(1)

    for (const { email, by } of asked.map((one) => ({ email: one.by.email, by: one.by }))) {
      if (by === late) continue
      const me = (await by.api.get('/v1/me')).body
      const [mailbox] = me.mailboxes
      const { items } = (await by.api.get('/v1/certificate-requests')).body
      const token = tokenIn(await harness.mails.challengeOf(items[0].mailboxChallenge.challenge))
      const proved = await by.api.post(`/v1/me/mailboxes/${mailbox.id}/proof`, { token })
      expect(proved.status, `${email}: ${JSON.stringify(proved.body)}`).toBe(200)
    }
    await harness.settled()
    await passMinutes(harness, 1)
    expect(await statesOf(operator, asked)).toEqual({ issued: 9, awaiting_mailbox_proof: 1 })
    await passMinutes(harness, 1, ['requests-unproved'])
    harness.clock.now += 8 * day
    await passMinutes(harness, 1, ['requests-unproved', 'requests-resume'])
    expect(await statesOf(operator, asked)).toEqual({ issued: 9, failed: 1 })
    expect(
      notExactlyOne(
        ca,
        asked.filter(({ by }) => by !== late),
      ),
    ).toEqual({})
    expect(await harness.service.check()).toEqual([])
  })

  test('for so long, and one subscriber has had too many proofs mailed already: theirs waits, and holds up nobody', async () => {
    await connectCa(operator, cfsslAt(ca, ca.url))
    const [busy] = await registerSome(1)
    if (busy === undefined) throw new Error('nobody has registered')
    await ca.goDown()
    const [first] = await askForMany([busy], 1)
    if (first === undefined) throw new Error('nothing was asked for')
    const other = await addMailbox(busy, 'busy.elsewhere@example.com')
    const answered = { token: tokenIn(await harness.mails.challengeOf(other.challenge)) }
    expect((await busy.api.post(`/v1/me/mailboxes/${other.id}/proof`, answered)).status).toBe(200)
    harness.clock.now += 31 * day
    await proveMailbox(busy, harness.mails, { address: 'busy.elsewhere@example.com' })
    for (let number = 1; number < challengesAnHour; number += 1) {
      expect((await busy.api.post(`/v1/me/mailboxes/${other.id}/proof`, {})).status).toBe(202)
    }
    const again = await register(harness.api, harness.mails, 'proved.lately@example.com')
    const others = await askForMany([again], 3)
    const { mailboxes } = (await busy.api.get('/v1/me')).body
    const mailbox = mailboxes.find(({ address }: Json) => address === busy.email)
    await ca.comeBack()
    await minutesUntil(harness, async () => kept(await statesOf(operator, others)) === others.length)
    expect(await statesOf(operator, [first])).toEqual({ awaiting_mailbox_proof: 1 })
    expect(await countRows(harness.main, 'mailbox_challenges WHERE mailbox = ?', mailbox.id)).toBe(0)

    harness.clock.now += hour
    const repeated = await busy.api.post('/v1/certificate-requests', {
      csr: first.csr,
      use: first.use,
      mailbox: busy.email,
    })
    expect(repeated.body).toMatchObject({ id: first.id, state: 'awaiting_mailbox_proof' })
    const token = tokenIn(await harness.mails.challengeOf(repeated.body.mailboxChallenge.challenge))
    expect((await busy.api.post(`/v1/me/mailboxes/${mailbox.id}/proof`, { token })).status).toBe(200)
    await harness.settled()
    await passMinutes(harness, 1)
    expect(await statesOf(operator, [first])).toEqual({ issued: 1 })
    expect(notExactlyOne(ca, [first, ...others])).toEqual({})
    expect(await harness.service.check()).toEqual([])
  })
})
