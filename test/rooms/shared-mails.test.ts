import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { command } from '../../src/ports/database.ts'
import { truncatedNetwork } from '../../src/ports/network.ts'
import { findChallenge } from '../../src/client/index.ts'
import type { Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { alsoIn, linksIn, readMail, type ReadMail } from '../support/mail.ts'
import { deviceFacts, policyVersion, register } from '../support/story.ts'
import { countRows, day, expectProblem, findLeaks, hour, race } from './support.ts'

const publicUrl = 'https://keys.example.com'

describe.each(engines)('registrations of one address that several networks begin, on %s', (engine) => {
  let harness: RoomHarness
  const connection = { network: '', address: '', local: false }
  let holders = 0
  let victim = ''

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { connection, settings: { PUBLIC_URL: publicUrl } })
  })
  afterAll(() => harness.close())
  beforeEach(() => {
    harness.clock.now += 2 * day
    victim = `victim.${(holders += 1)}@example.com`
  })

  const startFrom = async (address: string, { email = victim, deviceType = 'iPhone' } = {}): Promise<Json> => {
    Object.assign(connection, { network: truncatedNetwork(address), address })
    const answer = await harness.api.post('/v1/registrations', {
      email,
      accountType: 'imap',
      policyVersion,
      device: { ...deviceFacts, deviceType },
    })
    expect(answer.status).toBe(202)
    return answer.body
  }
  const stranger = (network: number): string => `198.51.${network}.7`
  const holder = '203.0.113.9'

  /** The challenges to an address so far. */
  const mailsTo = async (address = victim): Promise<readonly { raw: string; read: ReadMail }[]> => {
    await harness.settled()
    const mails = await Promise.all(harness.mails.messages.map(async (raw) => ({ raw, read: await readMail(raw) })))
    return mails.filter(({ read }) => read.parsed.to?.text === address)
  }
  const newestMail = async (): Promise<{ raw: string; read: ReadMail }> => {
    const newest = (await mailsTo()).at(-1)
    if (newest === undefined) throw new Error('there is no mail')
    return newest
  }
  const confirm = (started: Json, token: string) =>
    harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/confirmation`, { token })
  /** As the client library of the device does it. */
  const confirmFrom = async (raw: string, started: Json): Promise<void> => {
    const found = findChallenge(raw, [started], publicUrl)
    expect(found).not.toBeNull()
    expect((await confirm(started, found?.token ?? '')).status).toBe(200)
  }

  test('three starts of strangers do not use up the mail of the holder, nor do ten of one network', async () => {
    for (let begun = 0; begun < 10; begun += 1) await startFrom(stranger(1))
    expect(await mailsTo()).toHaveLength(3)
    const own = await startFrom(holder)
    expect(await mailsTo()).toHaveLength(4)
    const { raw, read } = await newestMail()
    expect(read.header('Certbook-Registration')).toBe(own.id)
    await confirmFrom(raw, own)
  })

  test('the mail of the reserve is one a day, and for a network that has had none to this mailbox', async () => {
    for (let begun = 0; begun < 4; begun += 1) await startFrom(stranger(1))
    expect(await mailsTo()).toHaveLength(3)
    await startFrom(stranger(2))
    expect(await mailsTo()).toHaveLength(4)
    for (const network of [2, 3, 4, 5]) await startFrom(stranger(network))
    expect(await mailsTo()).toHaveLength(4)
    harness.clock.now += hour
    for (const network of [1, 2, 3, 4, 5, 6, 7]) await startFrom(stranger(network))
    expect(await mailsTo()).toHaveLength(7)
    harness.clock.now += day - hour
    await startFrom(stranger(8))
    expect(await mailsTo()).toHaveLength(8)
  })

  test('sixty starts of ten networks at once are seven mails a day, and tags make no other mailbox', async () => {
    // Waits for the mails of each hour before the clock goes on: a mail that is being sent for so long is sent again.
    const begin = async (first: number, emailOf: (index: number) => string): Promise<void> => {
      await race(20, (index) => startFrom(stranger(first + (index % 10)), { email: emailOf(index) }))
      await harness.settled()
      harness.clock.now += hour
    }
    await begin(1, (index) => victim.replace('@', index % 2 === 0 ? '@' : `+${index}@`))
    await begin(20, () => victim)
    await begin(80, () => victim)
    const local = victim.split('@')[0] ?? ''
    expect(harness.mails.messages.filter((raw) => raw.includes(`To: ${local}`))).toHaveLength(7)
  })

  test('a start without a mail of its own gets its token with the next one, from whomever it is', async () => {
    for (const network of [1, 1, 1, 2, 3]) await startFrom(stranger(network))
    const own = await startFrom(holder, { deviceType: 'Holder phone' })
    expect(await mailsTo()).toHaveLength(4)
    for (const { raw } of await mailsTo()) expect(findChallenge(raw, [own], publicUrl)).toBeNull()
    harness.clock.now += hour
    const last = await startFrom(stranger(4))
    const { raw, read } = await newestMail()
    expect(read.header('Certbook-Registration')).toBe(last.id)
    const token = alsoIn(raw).get(own.id)
    expect(token).toMatch(/^[\w-]{43}$/)
    expect(read.text).toContain('(Holder phone)')
    expect(linksIn(read.text)).toContain(`${publicUrl}/confirm/${own.id}#${token}`)
    expect(linksIn(read.html)).toEqual(linksIn(read.text))
    await confirmFrom(raw, own)
    await confirmFrom(raw, last)
  })

  test('a mail speaks for four others at most, the oldest of each network, and the next one for the next', async () => {
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    const waiting = []
    for (const network of [11, 11, 12, 13, 14, 15]) {
      harness.clock.now += 1
      waiting.push((await startFrom(stranger(network))).id)
    }
    const [first, second, third, fourth, fifth, sixth] = waiting
    harness.clock.now += hour
    await startFrom(stranger(20))
    expect([...alsoIn((await newestMail()).raw).keys()]).toEqual([first, third, fourth, fifth])
    await startFrom(stranger(21))
    expect([...alsoIn((await newestMail()).raw).keys()]).toEqual([second, sixth])
    await startFrom(stranger(22))
    expect([...alsoIn((await newestMail()).raw).keys()]).toEqual([])
  })

  test('no mail has the token of another address, of an ended registration or of one too old', async () => {
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    await startFrom(stranger(3))
    await startFrom(stranger(4), { email: victim.replace('@', '+tag@') })
    harness.clock.now += day
    await startFrom(stranger(5))
    expect(alsoIn((await newestMail()).raw).size).toBe(0)
  })

  test('what has expired takes no place of what waits', async () => {
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    for (let begun = 0; begun < 4; begun += 1) await startFrom(stranger(3))
    harness.clock.now += day
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    const waits = await startFrom(stranger(3))
    harness.clock.now += hour
    await startFrom(stranger(5))
    expect([...alsoIn((await newestMail()).raw).keys()]).toEqual([waits.id])
  })

  test('no mail has the token of a registration that was pointed at its address in the database', async () => {
    const mallory = 'mallory@example.net'
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    const planted = await startFrom(stranger(3))
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network), { email: mallory })
    const index = harness.keys.blindIndex(mallory)
    await harness.main.batch([command(`UPDATE registrations SET address_index = ? WHERE id = ?`, index, planted.id)])
    harness.clock.now += hour
    await startFrom(stranger(4), { email: mallory })
    const newest = (await mailsTo(mallory)).at(-1)?.raw ?? ''
    expect(findChallenge(newest, [planted], publicUrl)).toBeNull()
    expect(newest).not.toContain(planted.id)
    expect(harness.log.findLast((line) => line.includes('authority_refused'))).toContain(planted.id)
    await harness.main.batch([command(`DELETE FROM registrations WHERE id = ?`, planted.id)])
  })

  test('tokens that wait are sealed, few of one network, and gone when their mail is queued', async () => {
    const waiting = (): Promise<number> => countRows(harness.main, 'registrations WHERE token_sealed IS NOT NULL')
    const before = await waiting()
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    expect(await waiting()).toBe(before)
    const own = await startFrom(stranger(3))
    for (let begun = 0; begun < 9; begun += 1) await startFrom(stranger(4))
    expect(await waiting()).toBe(before + 1 + 4)
    harness.clock.now += hour
    await startFrom(stranger(5))
    const token = alsoIn((await newestMail()).raw).get(own.id)
    expect(await findLeaks(harness, token ?? '', stranger(3), victim)).toEqual([])
    expect(await waiting()).toBe(before + 3)
  })

  test('a subscriber who adds a mailbox has a mail also where other subscribers have used up its limit', async () => {
    Object.assign(connection, { local: true })
    const adding = await Promise.all(
      ['m', 'n', 'o'].map((name) => register(harness.api, harness.mails, `${name}.${victim}`)),
    )
    const add = (subscriber: (typeof adding)[number] | undefined) =>
      subscriber?.api.post('/v1/me/mailboxes', { email: victim, accountType: 'imap' })
    const [mallory, own, other] = adding
    for (let asked = 0; asked < 4; asked += 1) expect((await add(mallory))?.status).toBe(202)
    expect(await mailsTo()).toHaveLength(3)
    expect((await add(own))?.status).toBe(202)
    expect((await add(other))?.status).toBe(202)
    expect(await mailsTo()).toHaveLength(4)
    Object.assign(connection, { local: false })
  })

  test('a token is for its own registration only', async () => {
    for (const network of [1, 1, 1, 2]) await startFrom(stranger(network))
    const own = await startFrom(holder)
    harness.clock.now += hour
    const last = await startFrom(stranger(4))
    const { raw, read } = await newestMail()
    expectProblem(await confirm(last, alsoIn(raw).get(own.id) ?? ''), 403, 'token_wrong')
    expectProblem(await confirm(own, read.header('Certbook-Token')), 403, 'token_wrong')
    await confirmFrom(raw, own)
  })
})
