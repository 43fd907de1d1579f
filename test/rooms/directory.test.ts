import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dayAfter } from '../../src/certificates/days.ts'
import { openFacts, sealFacts } from '../../src/certificates/present.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { blob, command, integer, nullable, query, text } from '../../src/ports/database.ts'
import type { Answer, Json } from '../support/api.ts'
import { readLog } from '../support/check-service.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, policyVersion, publish, register, type Registered } from '../support/story.ts'
import {
  Answered,
  countEverything,
  countRows,
  expectProblem,
  moveToAnotherDevice,
  restrict,
  race,
  withoutInstance,
} from './support.ts'

const unknownId = 'AAAAAAAAAAAAAAAAAAAAAA'

describe.each(engines)('the directory on %s', (engine) => {
  let harness: RoomHarness
  let bob: Registered
  const answered = new Answered()
  let registered = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings: { LOOKUP_BUDGET_NEW_SUBSCRIBER: '500' } })
    bob = await register(harness.api, harness.mails, 'bob@example.com')
  })
  afterAll(() => harness.close())

  const newcomer = (): Promise<Registered> => {
    registered += 1
    return register(harness.api, harness.mails, `Subscriber.${registered}@example.com`)
  }
  const ask = (addresses: readonly string[], use = 'encrypt'): Promise<Answer> =>
    bob.api.post('/v1/lookups', { addresses, use })
  const statusOf = async (subscriber: Registered, use = 'encrypt'): Promise<string | undefined> =>
    (await answered.statuses(bob, [subscriber.email], use))[0]
  const put = (subscriber: Registered, id: string, wish: Json): Promise<Answer> =>
    subscriber.api.put(`/v1/certificates/${id}/publication`, wish)
  const withdraw = (subscriber: Registered, id: string): Promise<Answer> =>
    subscriber.api.delete(`/v1/certificates/${id}/publication`)
  const logged = async (): Promise<string[]> => {
    const rows = await readLog(harness.journal.shards(), harness.keys)
    return rows.filter((row) => row.asker === bob.subscriberId).map((row) => row.address)
  }
  const consents = (subscriber: Registered) =>
    harness.main.all(
      query(
        { act: text, subject: text, version: text, audience: nullable(text), device: text },
        `SELECT act, subject, text_version AS version, audience, device FROM consent_records
         WHERE subscriber = ? AND purpose = 'publication' ORDER BY at`,
        subscriber.subscriberId,
      ),
    )

  describe('publication', () => {
    test('asks for the consent text in force', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      await harness.settled()
      const before = await countEverything(harness)
      expectProblem(
        await put(alice, id, { consentVersion: '2025-01', audience: 'members' }),
        409,
        'consent_version_not_in_force',
      )
      for (const wish of [
        { consentVersion: policyVersion },
        { audience: 'members' },
        { consentVersion: policyVersion, audience: 'everybody' },
        { consentVersion: policyVersion, audience: 'members', comment: 'please' },
      ]) {
        expectProblem(await put(alice, id, wish), 422, 'invalid_request')
      }
      expect(await countEverything(harness)).toEqual(before)
      expect(await statusOf(alice)).toBe('not_found')
    })

    test.each(['members', 'public'])('for %s, shown as it is to members', async (audience) => {
      const alice = await newcomer()
      const certificate = await certify(alice)
      const published = await publish(alice, certificate.id, audience)
      expect(published).toEqual({ ...certificate, published: true })
      expect((await alice.api.get(`/v1/certificates/${certificate.id}`)).body).toEqual(published)
      const [result] = await answered.lookUp(bob, [alice.email])
      const { published: _, ...shown } = certificate
      expect(result).toEqual({ address: alice.email, status: 'found', certificates: [shown] })
    })

    test('a withdrawal is at once, and can be repeated', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      await publish(alice, id)
      for (let round = 0; round < 3; round += 1) expect(await statusOf(alice)).toBe('found')
      const first = await withdraw(alice, id)
      expect([first.status, first.body]).toEqual([204, null])
      expect(await statusOf(alice)).toBe('not_found')
      expect((await alice.api.get(`/v1/certificates/${id}`)).body.published).toBe(false)
      expect((await withdraw(alice, id)).status).toBe(204)
      expect(await statusOf(alice)).toBe('not_found')
      await publish(alice, id, 'public')
      expect(await statusOf(alice)).toBe('found')
    })

    test('every consent and withdrawal stays on record', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      const tick = <T>(done: T): T => {
        harness.clock.now += 1
        return done
      }
      tick(await publish(alice, id))
      tick(await publish(alice, id, 'public'))
      expect(await countRows(harness.main, `publications WHERE certificate = ? AND audience = 'public'`, id)).toBe(1)
      tick(await withdraw(alice, id))
      tick(await withdraw(alice, id))
      const common = { subject: id, version: policyVersion, device: alice.deviceId }
      expect(await consents(alice)).toEqual([
        { ...common, act: 'given', audience: 'members' },
        { ...common, act: 'given', audience: 'public' },
        { ...common, act: 'withdrawn', audience: null },
      ])
      const audit = await harness.main.all(
        query({ action: text }, `SELECT action FROM audit_entries WHERE subject = ? ORDER BY position`, id),
      )
      expect(audit.map((entry) => entry.action)).toEqual([
        'certificate.issued',
        'certificate.published',
        'certificate.published',
        'certificate.withdrawn',
      ])
    })

    test("of another's certificate is as of one that is not there", async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      await publish(alice, id)
      const wish = { consentVersion: policyVersion, audience: 'public' }
      const before = await countEverything(harness)
      for (const [foreign, missing] of [
        [await put(bob, id, wish), await put(bob, unknownId, wish)],
        [await withdraw(bob, id), await withdraw(bob, unknownId)],
      ] as const) {
        expectProblem(foreign, 404, 'not_found')
        expect(withoutInstance(foreign)).toEqual(withoutInstance(missing))
      }
      expect(await countEverything(harness)).toEqual(before)
      expect(await statusOf(alice)).toBe('found')
    })

    test('racing with withdrawals it ends in one state that the directory and the owner agree on', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      const answers = await race(20, (index) =>
        index % 2 === 0 ? put(alice, id, { consentVersion: policyVersion, audience: 'members' }) : withdraw(alice, id),
      )
      for (const answer of answers) expect([200, 204]).toContain(answer.status)
      const { published } = (await alice.api.get(`/v1/certificates/${id}`)).body
      expect(await statusOf(alice)).toBe(published === true ? 'found' : 'not_found')
      expect((await withdraw(alice, id)).status).toBe(204)
      expect(await statusOf(alice)).toBe('not_found')
    })
  })

  describe('a lookup', () => {
    test('answers in the order of the question, as it was spelled, and logs each distinct valid address once', async () => {
      const [alice, carol] = [await newcomer(), await newcomer()]
      await publish(alice, (await certify(alice)).id)
      await certify(carol)
      const before = await logged()
      const question = [
        'nobody@example.com',
        alice.email.toUpperCase(),
        'no address',
        carol.email,
        alice.email,
        'nobody@EXAMPLE.com',
        'ju\u0308rgen@example.com',
        'post@bücher.example',
        'post@xn--bcher-kva.example',
      ]
      const results = await answered.lookUp(bob, question)
      expect(results.map((result) => [result.address, result.status])).toEqual([
        [question[0], 'not_found'],
        [question[1], 'found'],
        [question[2], 'invalid'],
        [question[3], 'not_found'],
        [question[4], 'found'],
        [question[5], 'not_found'],
        [question[6], 'invalid'],
        [question[7], 'not_found'],
        [question[8], 'not_found'],
      ])
      expect(results[1].certificates).toEqual(results[4].certificates)
      expect(
        (await logged())
          .slice(before.length)
          .map((address) => address.toLowerCase())
          .toSorted(),
      ).toEqual(
        [
          'nobody@example.com',
          alice.email.toLowerCase(),
          carol.email.toLowerCase(),
          'post@xn--bcher-kva.example',
        ].toSorted(),
      )
    })

    test('of nothing but malformed addresses is answered and leaves no row', async () => {
      const before = await countEverything(harness)
      expect(await answered.statuses(bob, ['x', '"alice"@example.com', 'alice@[192.0.2.1]'])).toEqual([
        'invalid',
        'invalid',
        'invalid',
      ])
      expect(await countEverything(harness)).toEqual(before)
    })

    test('takes up to a hundred addresses, and one more not even in part', async () => {
      const hundred = Array.from({ length: 100 }, (_, index) => `stranger.${index}@example.com`)
      expect(new Set(await answered.statuses(bob, hundred))).toEqual(new Set(['not_found']))
      const before = await countEverything(harness)
      const refused = await ask([...hundred, 'stranger.100@example.com'])
      expectProblem(refused, 422, 'invalid_request')
      expect(refused.body.detail).toBe('addresses: at most 100 items')
      expect((await ask([])).body.detail).toBe('addresses: at least 1 item')
      expectProblem(await ask(['']), 422, 'invalid_request')
      expectProblem(await ask(['bob@example.com'], 'dual'), 422, 'invalid_request')
      expectProblem(await bob.api.post('/v1/lookups', { addresses: ['bob@example.com'] }), 422, 'invalid_request')
      expectProblem(
        await bob.api.post('/v1/lookups', { addresses: ['bob@example.com'], use: 'encrypt', reason: 'x' }),
        422,
        'invalid_request',
      )
      expectProblem(
        await bob.api.raw('POST', '/v1/lookups', '{"addresses":', 'application/json'),
        400,
        'malformed_json',
      )
      expectProblem(await bob.api.raw('POST', '/v1/lookups', 'x', 'text/plain'), 415, 'unsupported_media_type')
      expectProblem(
        await bob.api.raw(
          'POST',
          '/v1/lookups',
          '{"addresses":["bob@example.com"],"use":"encrypt"}',
          'application/pkcs10',
        ),
        415,
        'unsupported_media_type',
      )
      expect(await countEverything(harness)).toEqual(before)
    })

    test('gives what is fit for the use', async () => {
      const uses = ['sign', 'encrypt', 'dual'] as const
      const fits = { sign: ['sign', 'dual'], encrypt: ['encrypt', 'dual'] } as const
      for (const use of uses) {
        const alice = await newcomer()
        const { id } = await certify(alice, { use })
        await publish(alice, id)
        for (const asked of ['sign', 'encrypt'] as const) {
          const [result] = await answered.lookUp(bob, [alice.email], asked)
          const expected = (fits[asked] as readonly string[]).includes(use) ? [id] : []
          expect(result.certificates.map((certificate: Json) => certificate.id)).toEqual(expected)
          expect(result.status).toBe(expected.length === 0 ? 'not_found' : 'found')
        }
      }
    })

    test('gives the newest of a device', async () => {
      const alice = await newcomer()
      const ids: Record<string, string> = {}
      for (const use of ['dual', 'sign', 'encrypt']) {
        harness.clock.now += 1
        ids[use] = (await certify(alice, { use })).id
        await publish(alice, ids[use] ?? '')
      }
      const given = async (use: string): Promise<string[]> => {
        const [result] = await answered.lookUp(bob, [alice.email], use)
        return result.certificates.map((certificate: Json) => certificate.id)
      }
      expect([await given('sign'), await given('encrypt')]).toEqual([[ids['sign']], [ids['encrypt']]])
      await withdraw(alice, ids['encrypt'] ?? '')
      expect(await given('encrypt')).toEqual([ids['dual']])
    })

    test('gives the newest of ten devices, and of no more', async () => {
      const alice = await newcomer()
      const ids: string[] = []
      const given = async (): Promise<string[]> => {
        const [result] = await answered.lookUp(bob, [alice.email])
        return result.certificates.map((certificate: Json) => certificate.id)
      }
      for (let device = 0; device < 11; device += 1) {
        harness.clock.now += 1
        const { id } = await certify(alice)
        await publish(alice, id)
        await moveToAnotherDevice(harness, alice.subscriberId)
        ids.unshift(id)
        if (device === 9) expect(await given()).toEqual(ids)
      }
      expect(await given()).toEqual(ids.slice(0, 10))
    })

    test('tells nobody why an address is not found', async () => {
      const unpublished = await newcomer()
      await certify(unpublished)
      const bare = await newcomer()
      const gone = await newcomer()
      const { id } = await certify(gone)
      await publish(gone, id)
      await withdraw(gone, id)
      const restricted = await newcomer()
      await publish(restricted, (await certify(restricted)).id)
      await restrict(harness, restricted.subscriberId, harness.clock.now)
      const signOnly = await newcomer()
      await publish(signOnly, (await certify(signOnly, { use: 'sign' })).id)
      const addresses = [
        'nobody@example.com',
        ...[unpublished, bare, gone, restricted, signOnly].map(({ email }) => email),
      ]
      for (const address of addresses) {
        const answer = await ask([address])
        expect([answer.status, [...answer.headers]]).toEqual([200, [...(await ask(['nobody@example.com'])).headers]])
        expect(answer.body).toEqual({ results: [{ address, status: 'not_found', certificates: [] }] })
      }
    })

    test('a restriction takes a subscriber out at once, and its end brings them back', async () => {
      const alice = await newcomer()
      await publish(alice, (await certify(alice)).id)
      expect([await statusOf(alice), await statusOf(alice)]).toEqual(['found', 'found'])
      await restrict(harness, alice.subscriberId, harness.clock.now)
      expect(await statusOf(alice)).toBe('not_found')
      expect((await alice.api.get('/v1/me')).body.restricted).toBe(true)
      await restrict(harness, alice.subscriberId, null)
      expect(await statusOf(alice)).toBe('found')
    })

    test('among many at once, none finds a certificate after its withdrawal was answered', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      // On D1 a lookup takes a hundred times as long.
      for (let round = 0; round < (engine === 'sqlite' ? 10 : 3); round += 1) {
        await publish(alice, id)
        let withdrawn = false
        const late: string[] = []
        const lookups = async (): Promise<void> => {
          const afterwards = withdrawn
          const [result] = (await ask([alice.email])).body.results
          if (afterwards) late.push(result.status)
        }
        await Promise.all([
          ...Array.from({ length: 10 }, lookups),
          withdraw(alice, id).then(async () => {
            withdrawn = true
            await race(5, lookups)
          }),
          ...Array.from({ length: 10 }, lookups),
        ])
        expect(late).toEqual(Array.from({ length: 5 }, () => 'not_found'))
        expect(await statusOf(alice)).toBe('not_found')
      }
    })

    test('finds its own certificates like any others', async () => {
      const alice = await newcomer()
      await publish(alice, (await certify(alice)).id)
      expect(await answered.statuses(alice, [alice.email])).toEqual(['found'])
    })
  })

  describe('an answer that is ready', () => {
    const readyOf = (email: string) =>
      countRows(
        harness.main,
        'ready_answers WHERE address_index = ? AND answer_sealed IS NOT NULL',
        harness.keys.blindIndex(parseMailboxAddress(email).matchingKey),
      )

    test('is there when the publisher is answered, one row for sign and encrypt', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      await publish(alice, id)
      expect(await readyOf(alice.email)).toBe(1)
      expect(await statusOf(alice)).toBe('found')
    })

    test('ends with any change of its certificate, and is made anew by the next lookup or the job', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      await publish(alice, id)
      const touch = command(`UPDATE certificates SET not_after_day = not_after_day WHERE id = ?`, id)
      await harness.main.batch([touch])
      expect(await readyOf(alice.email)).toBe(0)
      expect(await statusOf(alice)).toBe('found')
      await harness.settled()
      expect(await readyOf(alice.email)).toBe(1)
      await harness.main.batch([touch])
      await harness.runJob('ready-answers')
      expect(await readyOf(alice.email)).toBe(1)
    })

    /** Gives a certificate another end. */
    const endAt = async (id: string, notAfter: number): Promise<void> => {
      const row = await harness.main.first(
        query(
          { id: text, factsSealed: blob },
          `SELECT id, facts_sealed AS factsSealed FROM certificates WHERE id = ?`,
          id,
        ),
      )
      if (row === null) throw new Error('there is no such certificate')
      const facts = { ...openFacts(harness.keys, row), notAfter }
      await harness.main.batch([
        command(
          `UPDATE certificates SET facts_sealed = ?, not_after_day = ? WHERE id = ?`,
          sealFacts(harness.keys, id, facts),
          dayAfter(notAfter),
          id,
        ),
      ])
    }

    test('holds while its certificates are in time, whatever job has run', async () => {
      const alice = await newcomer()
      const { id } = await certify(alice)
      await publish(alice, id)
      const before = harness.clock.now
      await endAt(id, before + 1_000)
      try {
        expect(await statusOf(alice)).toBe('found')
        await harness.settled()
        expect(await readyOf(alice.email)).toBe(1)
        harness.clock.now = before + 999
        expect(await statusOf(alice)).toBe('found')
        harness.clock.now = before + 1_000
        expect(await statusOf(alice)).toBe('not_found')
      } finally {
        harness.clock.now = before
      }
      expect(await statusOf(alice)).toBe('found')
      await harness.settled()
      await endAt(id, before + 1e10)
    })

    test('that says something else than the tables is a fault of the service', async () => {
      const alice = await newcomer()
      await publish(alice, (await certify(alice)).id)
      const index = harness.keys.blindIndex(parseMailboxAddress(alice.email).matchingKey)
      const place = { table: 'ready_answers', column: 'answer_sealed', row: `${Buffer.from(index).toString('hex')}/3` }
      const seal = (text: string) => harness.keys.main.seal(place, text)
      const nothing = `0 ${Number.MAX_SAFE_INTEGER}\n`
      const row = await harness.main.first(
        query({ serves: integer }, `SELECT serves FROM ready_answers WHERE address_index = ?`, index),
      )
      expect(row).toEqual({ serves: 3 })
      await harness.main.batch([
        command(`UPDATE ready_answers SET answer_sealed = ? WHERE address_index = ?`, seal(nothing), index),
      ])
      expect(await harness.service.check()).toContainEqual(expect.stringContaining('ready answers say what the tables'))
      await harness.main.batch([command(`UPDATE publications SET audience = audience WHERE address_index = ?`, index)])
      expect(await harness.service.check()).toEqual([])
    })
  })

  test('the service is whole', () => answered.check(harness))
})
