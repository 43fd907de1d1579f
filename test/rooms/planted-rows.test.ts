import { createHash, X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifiersOf } from '../../src/api/credentials.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { readPublication } from '../../src/directory/store.ts'
import { authorityOf } from '../../src/ports/authority.ts'
import { command, integer, query, text, type SqlValue } from '../../src/ports/database.ts'
import type { Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { holdKey, prove } from '../support/key-holder.ts'
import { tokenIn } from '../support/mail.ts'
import { localOperator, makeAdministrator } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import {
  certify,
  confirmRegistration,
  joinDevice,
  lookUp,
  proveMailbox,
  publish,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'
import { countRows, day, did, expectProblem, hour, minute, restrict } from './support.ts'

/** Somebody writes to the database, without the key ring. */
describe.each(engines)('rows that nobody of the service wrote, on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let mallory: Registered

  beforeEach(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    mallory = await register(harness.api, harness.mails, 'mallory@example.net')
    for (const { api } of [alice, mallory]) expect((await api.get('/v1/me')).status).toBe(200)
    await harness.settled()
    expect(await harness.service.check()).toEqual([])
  })
  afterEach(() => harness.close())

  const write = async (statement: string, ...values: readonly SqlValue[]): Promise<void> => {
    await harness.main.batch([command(statement, ...values)])
  }

  /** The check and the log name the rows, and no more than that. */
  const expectFound = async (table: string, ...ids: readonly string[]): Promise<void> => {
    const faults = await harness.service.check()
    expect(faults.length, faults.join('\n')).toBe(ids.length)
    for (const id of ids) expect(faults.join('\n')).toContain(`${table} ${id}: its MAC does not fit`)
  }
  const expectSaid = (table: string): void => {
    const said = harness.log.filter((line) => line.includes('"event":"authority_refused"'))
    expect(
      said.some((line) => line.includes(`"table":"${table}"`)),
      said.join('\n'),
    ).toBe(true)
  }

  describe('devices', () => {
    /** As good as one that the database holds elsewhere, and that somebody copies. */
    const verifierOf = (credential: string) => verifiersOf(harness.keys, 'devices.credential', credential)[0]
    const columns =
      'subscriber, registration, credential_verifier, credential_used_at, facts_sealed, created_at, seen_at'

    test('a planted one', async () => {
      const credential = `cb_dev_${'A'.repeat(43)}`
      await write(
        `INSERT INTO devices (id, ${columns}, seen_mac, authority_mac)
         SELECT 'planted', subscriber, 'planted', ?, credential_used_at, facts_sealed, created_at, seen_at, seen_mac,
                authority_mac
         FROM devices WHERE id = ?`,
        verifierOf(credential),
        alice.deviceId,
      )
      expectProblem(await harness.api.with(credential).get('/v1/me'), 401, 'credential_invalid')
      expectSaid('devices')
      const faults = await harness.service.check()
      expect(faults.some((fault) => fault.includes('devices planted: its MAC does not fit'))).toBe(true)
      const { items } = (await alice.api.get('/v1/me/devices')).body
      expect(items.map(({ id }: { id: string }) => id)).toEqual([alice.deviceId])
    })

    test('one that was given to somebody else', async () => {
      await write(`UPDATE devices SET subscriber = ? WHERE id = ?`, alice.subscriberId, mallory.deviceId)
      expectProblem(await mallory.api.get('/v1/me'), 401, 'credential_invalid')
      expectSaid('devices')
      await expectFound('devices', mallory.deviceId)
    })

    test('one whose credential was exchanged', async () => {
      const credential = `cb_dev_${'B'.repeat(43)}`
      for (const column of ['credential_verifier', 'next_credential_verifier']) {
        await write(
          `UPDATE devices SET ${column} = ? WHERE id = ?`,
          verifierOf(column === 'credential_verifier' ? `${credential}x` : credential),
          alice.deviceId,
        )
      }
      for (const tried of [credential, `${credential}x`]) {
        expectProblem(await harness.api.with(tried).get('/v1/me'), 401, 'credential_invalid')
      }
      await expectFound('devices', alice.deviceId)
    })

    test('one that had ended', async () => {
      const tablet = await joinDevice(harness.api, harness.mails, alice)
      await proveMailbox(alice, harness.mails, { act: 'device_end' })
      expect((await alice.api.delete(`/v1/me/devices/${tablet.deviceId}`)).status).toBe(204)
      await write(`UPDATE devices SET ended_at = NULL, settled_at = NULL WHERE id = ?`, tablet.deviceId)
      expectProblem(await tablet.api.get('/v1/me'), 401, 'credential_invalid')
      await expectFound('devices', tablet.deviceId)
    })

    test('one that has ended while the note of it was kept from other processes', async () => {
      const tablet = await joinDevice(harness.api, harness.mails, alice)
      // The first use of a credential changes its row; from the second on the caller is remembered.
      for (let call = 0; call < 2; call += 1) expect((await tablet.api.get('/v1/me')).status).toBe(200)
      const notes = await harness.main.all(
        query({ name: text }, `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%caller_changes%'`),
      )
      for (const { name } of notes) await write(`DROP TRIGGER ${name}`)
      await proveMailbox(alice, harness.mails, { act: 'device_end' })
      expect((await alice.api.delete(`/v1/me/devices/${tablet.deviceId}`)).status).toBe(204)
      harness.clock.now += 10 * minute
      expectProblem(await tablet.api.get('/v1/me'), 401, 'credential_invalid')
    })

    test('one whose credential had expired', async () => {
      harness.clock.now += 182 * day
      await write(`UPDATE devices SET seen_at = ? WHERE id = ?`, harness.clock.now, mallory.deviceId)
      expectProblem(await mallory.api.get('/v1/me'), 401, 'credential_invalid')
      expectSaid('devices.seen_at')
      await expectFound('devices.seen_at', mallory.deviceId)
    })
  })

  describe('mailboxes', () => {
    const idsOf = async ({ subscriberId }: Registered): Promise<string[]> => {
      const rows = await harness.main.all(
        query({ id: text }, `SELECT id FROM mailboxes WHERE subscriber = ?`, subscriberId),
      )
      return rows.map(({ id }) => id)
    }

    test('one that was given to somebody else', async () => {
      const own = await certify(alice)
      await publish(alice, own.id)
      const bob = await register(harness.api, harness.mails, 'bob@example.org')
      const [id = ''] = await idsOf(alice)
      await write(`UPDATE mailboxes SET subscriber = ? WHERE id = ?`, mallory.subscriberId, id)
      const asked = { csr: await makeCsr(), use: 'dual', mailbox: alice.email }
      expectProblem(await mallory.api.post('/v1/certificate-requests', asked), 403, 'mailbox_not_yours')
      expectSaid('mailboxes')
      await expectFound('mailboxes', id)
      // A lookup goes on, and who proves the mailbox has it again.
      expect((await lookUp(bob, [alice.email]))[0].status).toBe('found')
      const again = await register(harness.api, harness.mails, alice.email)
      expect((await certify(again)).id).toEqual(expect.any(String))
      await expectFound('mailboxes', id)
    })

    test('one that had moved away', async () => {
      const second = await register(harness.api, harness.mails, alice.email)
      const [[lost = ''], [taken = '']] = [await idsOf(alice), await idsOf(second)]
      await write(`UPDATE mailboxes SET ended_at = 1, end_reason = 'removed' WHERE id = ?`, taken)
      await write(`UPDATE mailboxes SET ended_at = NULL, end_reason = NULL WHERE id = ?`, lost)
      const asked = { csr: await makeCsr(), use: 'dual' }
      expectProblem(await alice.api.post('/v1/certificate-requests', asked), 403, 'mailbox_moved')
      await expectFound('mailboxes', lost, taken)
    })
  })

  describe('registrations', () => {
    const mint = (started: Json) =>
      harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`)

    test('one that nobody has confirmed', async () => {
      const started = await startRegistration(harness.api, alice.email)
      await write(
        `UPDATE registrations SET state = 'confirmed', confirmed_at = ? WHERE id = ?`,
        harness.clock.now,
        started.id,
      )
      expectProblem(await mint(started), 401, 'credential_invalid')
      expectSaid('registrations')
      await expectFound('registrations', started.id)
    })

    test('one of their own that was pointed at an address of somebody else', async () => {
      const started = await startRegistration(harness.api, 'mallory@example.org')
      const index = harness.keys.blindIndex(parseMailboxAddress(alice.email).matchingKey)
      await write(`UPDATE registrations SET address_index = ? WHERE id = ?`, index, started.id)
      const token = tokenIn(await harness.mails.challengeOf(started.id))
      const confirmed = await harness.api
        .with(started.deviceSecret)
        .post(`/v1/registrations/${started.id}/confirmation`, { token })
      expectProblem(confirmed, 401, 'credential_invalid')
      await expectFound('registrations', started.id)
    })

    test('one that no device has let in', async () => {
      const started = await startRegistration(harness.api, alice.email)
      await confirmRegistration(harness.api, harness.mails, started)
      await write(
        `UPDATE registrations SET approved_by = ?, approved_for = ? WHERE id = ?`,
        alice.deviceId,
        alice.subscriberId,
        started.id,
      )
      expectProblem(await mint(started), 401, 'credential_invalid')
      await expectFound('registrations', started.id)
    })
  })

  describe('challenges to mailboxes', () => {
    beforeEach(() => {
      harness.clock.now += hour
    })
    const idOf = async (somebody: Registered): Promise<string> =>
      (await somebody.api.get('/v1/me')).body.mailboxes[0].id
    const tokenOf = async (asked: Json): Promise<string> => tokenIn(await harness.mails.challengeOf(asked.challenge))
    const answer = async (asked: Json, token: string) =>
      mallory.api.post(`/v1/me/mailboxes/${asked.id}/proof`, { token })
    const add = async (email: string) => mallory.api.post('/v1/me/mailboxes', { email, accountType: 'imap' })
    const addProved = async (email: string): Promise<Json> => {
      await proveMailbox(mallory, harness.mails, { act: 'mailbox_add' })
      const asked = await add(email)
      expect(asked.status).toBe(202)
      return asked.body
    }
    const askFor = async (act: string): Promise<Json> => {
      const asked = await mallory.api.post(`/v1/me/mailboxes/${await idOf(mallory)}/proof`, { act })
      expect(asked.status).toBe(202)
      return asked.body
    }
    const expectNotTaken = async (): Promise<void> => {
      const { mailboxes } = (await mallory.api.get('/v1/me')).body
      expect(mailboxes.map(({ address }: Json) => address)).toEqual([mallory.email])
      expect((await certify(alice)).id).toEqual(expect.any(String))
    }

    test('one to somebody else that expects a token of their own', async () => {
      const own = await addProved('mallory2@example.net')
      const other = await addProved(alice.email)
      await write(
        `UPDATE mailbox_challenges
         SET token_verifier = (SELECT token_verifier FROM mailbox_challenges WHERE id = ?) WHERE id = ?`,
        own.challenge,
        other.challenge,
      )
      expectProblem(await answer(other, await tokenOf(own)), 404, 'not_found')
      await expectNotTaken()
      expectSaid('mailbox_challenges')
      await expectFound('mailbox_challenges', other.challenge)
    })

    test('one to an address of their own that was pointed at somebody else', async () => {
      const own = await addProved('evil@attacker.example')
      await write(
        `UPDATE mailbox_challenges SET address_index = (SELECT address_index FROM mailboxes WHERE subscriber = ?)
         WHERE id = ?`,
        alice.subscriberId,
        own.challenge,
      )
      expectProblem(await answer(own, await tokenOf(own)), 404, 'not_found')
      await expectNotTaken()
      await expectFound('mailbox_challenges', own.challenge)
    })

    test('a planted one', async () => {
      const own = await addProved('mallory2@example.net')
      const columns = `subscriber, device, address_sealed, account_type, token_verifier, state, wrong_tries, created_at,
        expires_at, authority_mac`
      await write(
        `INSERT INTO mailbox_challenges (id, purpose, mailbox, address_index, ${columns})
         SELECT 'planted', purpose, 'planted', (SELECT address_index FROM mailboxes WHERE subscriber = ?), ${columns}
         FROM mailbox_challenges WHERE id = ?`,
        alice.subscriberId,
        own.challenge,
      )
      expectProblem(await answer({ id: 'planted' }, await tokenOf(own)), 404, 'not_found')
      await expectNotTaken()
      await expectFound('mailbox_challenges', 'planted')
    })

    test('one that is over: it was used, had five wrong tokens, or its mailbox had moved away', async () => {
      const mailbox = await idOf(mallory)
      const asked = { used: await askFor('mailbox_add'), wrong: await askFor('mailbox_end') }
      expect((await answer(asked.used, await tokenOf(asked.used))).status).toBe(200)
      for (let tries = 0; tries < 5; tries += 1)
        expect((await answer(asked.wrong, 'wrong')).status).toBeGreaterThan(399)
      expectProblem(await answer(asked.wrong, await tokenOf(asked.wrong)), 410, 'challenge_ended')
      const late = await askFor('device_end')
      const owner = await register(harness.api, harness.mails, mallory.email)
      expectProblem(await answer(late, await tokenOf(late)), 410, 'challenge_ended')
      await write(`UPDATE mailbox_challenges SET state = 'pending', wrong_tries = 0 WHERE mailbox = ?`, mailbox)
      expectProblem(await answer(late, await tokenOf(late)), 410, 'challenge_ended')
      await write(`UPDATE mailbox_challenges SET mailbox_ended_at = ? WHERE id = ?`, harness.clock.now, late.challenge)
      for (const one of [asked.used, asked.wrong, late]) {
        expectProblem(await answer(one, await tokenOf(one)), 410, 'challenge_ended')
      }
      expect((await owner.api.get('/v1/me')).body.mailboxes[0].state).toBe('active')
      await expectFound('mailbox_challenges', asked.used.challenge, asked.wrong.challenge, late.challenge)
    })

    test('one that had expired', async () => {
      const late = await addProved('mallory2@example.net')
      harness.clock.now += 25 * hour
      await write(`UPDATE mailbox_challenges SET expires_at = ? WHERE id = ?`, harness.clock.now + hour, late.challenge)
      expectProblem(await answer(late, await tokenOf(late)), 404, 'not_found')
      await expectFound('mailbox_challenges', late.challenge)
    })

    test.each([
      ['for another act', `act = 'mailbox_add'`],
      ['that is good for longer', 'act_until = 9000000000000'],
    ])('a proof %s', async (_, forgery) => {
      const { challenge, ...asked } = await askFor(forgery.startsWith('act =') ? 'device_end' : 'mailbox_add')
      expect((await answer(asked, await tokenOf({ challenge }))).status).toBe(200)
      harness.clock.now += forgery.startsWith('act =') ? 0 : hour
      await write(`UPDATE mailbox_challenges SET ${forgery} WHERE id = ?`, challenge)
      expectProblem(await add('x@attacker.example'), 403, 'mailbox_proof_required')
      expectSaid('mailbox_challenges')
      await expectFound('mailbox_challenges', challenge)
    })

    test('a proof that was used, and one that another device gave', async () => {
      const { challenge: used } = await proveFor(mallory)
      expect((await add('mallory2@example.net')).status).toBe(202)
      const until = harness.clock.now + hour
      await write(`UPDATE mailbox_challenges SET act_until = ? WHERE id = ?`, until, used)
      expectProblem(await add('x@attacker.example'), 403, 'mailbox_proof_required')
      const { challenge: other } = await proveFor(alice)
      await write(
        `UPDATE mailbox_challenges SET device = ?, subscriber = ?,
           address_index = (SELECT address_index FROM mailboxes WHERE subscriber = ?) WHERE id = ?`,
        mallory.deviceId,
        mallory.subscriberId,
        mallory.subscriberId,
        other,
      )
      expectProblem(await add('x@attacker.example'), 403, 'mailbox_proof_required')
      await expectFound('mailbox_challenges', used, other)
    })

    const proveFor = async (somebody: Registered): Promise<Json> => {
      const id = await idOf(somebody)
      const asked = await somebody.api.post(`/v1/me/mailboxes/${id}/proof`, { act: 'mailbox_add' })
      const token = await tokenOf(asked.body)
      expect((await somebody.api.post(`/v1/me/mailboxes/${id}/proof`, { token })).status).toBe(200)
      return asked.body
    }

    test('a registration that is said to be of just now opens no act', async () => {
      expectProblem(await add('x@attacker.example'), 403, 'mailbox_proof_required')
      await write(`UPDATE registrations SET confirmed_at = ? WHERE device = ?`, harness.clock.now, mallory.deviceId)
      expectProblem(await add('x@attacker.example'), 403, 'mailbox_proof_required')
      expectSaid('registrations')
      await write(
        `UPDATE registrations SET confirmed_at = ? WHERE device = ?`,
        harness.clock.now - hour,
        mallory.deviceId,
      )
      expect(await harness.service.check()).toEqual([])
    })

    test('a mailbox that moved away, and that somebody put back, opens no act', async () => {
      await proveFor(mallory)
      const [mailbox, owner] = [await idOf(mallory), await register(harness.api, harness.mails, mallory.email)]
      const taken = await idOf(owner)
      await write(`UPDATE mailboxes SET ended_at = 1, end_reason = 'removed' WHERE id = ?`, taken)
      await write(`UPDATE mailboxes SET ended_at = NULL, end_reason = NULL WHERE id = ?`, mailbox)
      expectProblem(await add('x@attacker.example'), 403, 'mailbox_proof_required')
      await expectFound('mailboxes', mailbox, taken)
    })

    test('of two that are used up together, each keeps its MAC', async () => {
      const [first, second] = [await askFor('device_end'), await askFor('device_end')]
      expect((await answer(first, await tokenOf(first))).status).toBe(200)
      expect(await harness.service.check()).toEqual([])
      await write(`UPDATE mailbox_challenges SET state = 'pending' WHERE id = ?`, second.challenge)
      await expectFound('mailbox_challenges', second.challenge)
    })
  })

  describe('publications', () => {
    let bob: Registered
    beforeEach(async () => {
      bob = await register(harness.api, harness.mails, 'bob@example.org')
    })
    const published = async (somebody: Registered): Promise<string> => {
      const { id } = await certify(somebody)
      await publish(somebody, id)
      return id
    }
    const given = async (email: string): Promise<string[]> => {
      const [result] = await lookUp(bob, [email])
      return result.certificates.map(({ id }: { id: string }) => id)
    }

    test("a stranger's certificate at the address of another", async () => {
      const [own, forged] = [await published(alice), await published(mallory)]
      const index = harness.keys.blindIndex(parseMailboxAddress(alice.email).matchingKey)
      await write(`UPDATE publications SET address_index = ? WHERE certificate = ?`, index, forged)
      expect([await given(alice.email), await given(mallory.email)]).toEqual([[own], []])
      await harness.settled()
      expect(await given(alice.email)).toEqual([own])
      expectSaid('publications')
      await expectFound('publications', forged)
    })

    test('a publication that was passed on to the certificate of another', async () => {
      const [own, other] = [await published(alice), (await certify(mallory)).id]
      await write(`UPDATE publications SET certificate = ? WHERE certificate = ?`, other, own)
      expect(await given(alice.email)).toEqual([])
      const faults = await harness.service.check()
      expect(faults.some((fault) => fault.includes(`publications ${other}: its MAC does not fit`))).toBe(true)
    })

    test('one for another audience, and one that its holder never asked for', async () => {
      const id = await published(alice)
      await write(`UPDATE publications SET audience = 'public' WHERE certificate = ?`, id)
      expect(await given(alice.email)).toEqual([])
      const faults = await harness.service.check()
      expect(faults.some((fault) => fault.includes(`publications ${id}: its MAC does not fit`))).toBe(true)
      // Published again by its holder, it is whole again.
      await publish(alice, id)
      expect(await given(alice.email)).toEqual([id])
      expect(await harness.service.check()).toEqual([])
    })

    test('a forged one is not passed on to a successor', async () => {
      const id = await published(alice)
      await write(`UPDATE publications SET audience = 'public' WHERE certificate = ?`, id)
      await certify(alice)
      expect(await given(alice.email)).toEqual([])
      expect(await countRows(harness.main, 'publications')).toBe(0)
    })

    test('of a subscriber whose restriction was taken away', async () => {
      await published(alice)
      await restrict(harness, alice.subscriberId, harness.clock.now)
      expect(await given(alice.email)).toEqual([])
      await write(`UPDATE subscribers SET restricted_at = NULL WHERE id = ?`, alice.subscriberId)
      expect(await given(alice.email)).toEqual([])
      expectSaid('subscribers')
      await expectFound('subscribers', alice.subscriberId)
    })

    test('an answer that was made ready is not one of another address, and without it the tables are read', async () => {
      const [own, forged] = [await published(alice), await published(mallory)]
      const index = harness.keys.blindIndex(parseMailboxAddress(alice.email).matchingKey)
      const other = harness.keys.blindIndex(parseMailboxAddress(mallory.email).matchingKey)
      expect([await given(alice.email), await given(mallory.email)]).toEqual([[own], [forged]])
      await write(`UPDATE ready_answers SET answer_sealed = NULL WHERE address_index = ?`, index)
      expect(await given(alice.email)).toEqual([own])
      await harness.settled()
      await write(`DELETE FROM ready_answers WHERE address_index = ?`, index)
      expect(await given(alice.email)).toEqual([])
      await write(`UPDATE ready_answers SET address_index = ? WHERE address_index = ?`, index, other)
      expect([await given(alice.email), await given(mallory.email)]).toEqual([[own], []])
      expectSaid('ready_answers')
    })
  })

  describe('challenges to holders of keys', () => {
    const planted = new Uint8Array(32).fill(7)
    const plantedSha256 = (): Uint8Array => new Uint8Array(createHash('sha256').update(planted).digest())
    const answer = { proof: Buffer.from(planted).toString('base64') }

    test("a report of a stranger's key, with an answer of one's own", async () => {
      const { id, certificate } = await certify(alice)
      const { publicKey } = new X509Certificate(Buffer.from(certificate, 'base64'))
      const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
      const asked = await did(harness.api.post('/v1/key-compromise', { publicKey: spki }))
      await write(
        `UPDATE key_challenges SET method = 'decrypt', expected_sha256 = ? WHERE id = ?`,
        plantedSha256(),
        asked.id,
      )
      expectProblem(await harness.api.post(`/v1/key-compromise/${asked.id}/proof`, answer), 410, 'challenge_ended')
      expect((await alice.api.get(`/v1/certificates/${id}`)).body.state).toBe('valid')
      expect(await countRows(harness.main, 'blocked_keys')).toBe(0)
      expectSaid('key_challenges')
      await expectFound('key_challenges', asked.id)
    })

    test("a stranger's key to be certified, with an answer of one's own", async () => {
      const { publicKey } = await holdKey('P-256 to encrypt')
      const asked = await did(mallory.api.post('/v1/public-keys', { publicKey, use: 'encrypt' }))
      await write(`UPDATE key_challenges SET expected_sha256 = ? WHERE id = ?`, plantedSha256(), asked.id)
      expectProblem(await mallory.api.post(`/v1/public-keys/${asked.id}/proof`, answer), 410, 'challenge_ended')
      expect(await countRows(harness.main, 'certificates')).toBe(0)
      expectSaid('key_challenges')
      await expectFound('key_challenges', asked.id)
    })

    test.each([
      ['for another device', `UPDATE key_challenges SET device = ?`],
      [
        'for another person, device and mailbox',
        `UPDATE key_challenges SET subscriber = 'x', mailbox = 'y', device = ?`,
      ],
    ])('one that was made %s', async (_, forgery) => {
      const key = await holdKey('P-256 to encrypt')
      const asked = await did(alice.api.post('/v1/public-keys', { publicKey: key.publicKey, use: 'encrypt' }))
      const proof = await prove(key, asked, new URL(harness.config.publicUrl).origin)
      await write(forgery, mallory.deviceId)
      expectProblem(await mallory.api.post(`/v1/public-keys/${asked.id}/proof`, { proof }), 410, 'challenge_ended')
      await expectFound('key_challenges', asked.id)
    })

    test('one that was used, or had expired', async () => {
      const key = await holdKey('P-256 to encrypt')
      const ask = () => did(alice.api.post('/v1/public-keys', { publicKey: key.publicKey, use: 'encrypt' }))
      const [used, expired] = [await ask(), await ask()]
      const proof = await prove(key, used, new URL(harness.config.publicUrl).origin)
      const path = `/v1/public-keys/${used.id}/proof`
      expectProblem(await alice.api.post(path, { proof: 'AAAA' }), 403, 'proof_wrong')
      expect(await harness.service.check()).toEqual([])
      await write(`UPDATE key_challenges SET used_at = NULL WHERE id = ?`, used.id)
      expectProblem(await alice.api.post(path, { proof }), 410, 'challenge_ended')
      await write(`UPDATE key_challenges SET expires_at = expires_at + 1 WHERE id = ?`, expired.id)
      await expectFound('key_challenges', used.id, expired.id)
    })
  })

  describe('certificates', () => {
    const given = async (by: Registered, email: string): Promise<string[]> => {
      const [result] = await lookUp(by, [email])
      return result.certificates.map(({ id }: { id: string }) => id)
    }
    /** The check may say more: it finds the publication of such a row wrong too. */
    const expectAmongFaults = async (id: string): Promise<void> =>
      expect((await harness.service.check()).join('\n')).toContain(`certificates ${id}: its MAC does not fit`)
    const published = async (): Promise<string> => {
      const { id } = await certify(alice)
      await publish(alice, id)
      return id
    }
    const giveToMallory = (id: string): Promise<void> =>
      write(
        `UPDATE certificates
         SET subscriber = ?, device = ?, mailbox = (SELECT id FROM mailboxes WHERE subscriber = ?) WHERE id = ?`,
        mallory.subscriberId,
        mallory.deviceId,
        mallory.subscriberId,
        id,
      )

    test('one that was given to somebody else is no predecessor: its publication is not passed on', async () => {
      const bob = await register(harness.api, harness.mails, 'bob@example.org')
      const own = await published()
      await giveToMallory(own)
      harness.clock.now += 1_000
      const { id } = await certify(mallory)
      expect(await given(bob, alice.email)).toEqual([])
      expect(await given(bob, mallory.email)).toEqual([])
      expect(await countRows(harness.main, 'publications')).toBe(0)
      expectSaid('certificates')
      await expectAmongFaults(own)
      // What nobody has touched goes on: the next one of each takes its place.
      await publish(mallory, id)
      const next = await certify(mallory)
      expect(await given(bob, mallory.email)).toEqual([next.id])
    })

    test('one that was given to somebody else is not theirs, and not shown with their requests', async () => {
      const own = await published()
      await giveToMallory(own)
      expectProblem(await mallory.api.get(`/v1/certificates/${own}`), 404, 'not_found')
      expect((await mallory.api.get('/v1/certificates')).body).toEqual({ items: [], next: null })
      const reason = { reason: 'superseded' }
      expectProblem(await mallory.api.post(`/v1/certificates/${own}/revocation`, reason), 404, 'not_found')
      expectProblem(await mallory.api.delete(`/v1/certificates/${own}/publication`), 404, 'not_found')
      expectSaid('certificates')
      await expectAmongFaults(own)
      const rule = { position: 1, domain: 'example.net', connectionId: 'embedded', approvals: 1 }
      await did(localOperator(harness).post('/v1/admin/routing-rules', rule))
      const asked = await did(mallory.api.post('/v1/certificate-requests', { csr: await makeCsr(), use: 'dual' }))
      await write(`UPDATE certificates SET request = ? WHERE id = ?`, asked.id, own)
      const read = await mallory.api.get(`/v1/certificate-requests/${asked.id}`)
      expect([read.status, read.body.certificate]).toEqual([200, null])
    })

    test('one whose restricted subscriber was exchanged', async () => {
      const bob = await register(harness.api, harness.mails, 'bob@example.org')
      const own = await published()
      await restrict(harness, alice.subscriberId, harness.clock.now)
      expect(await given(bob, alice.email)).toEqual([])
      await write(`UPDATE certificates SET subscriber = ? WHERE id = ?`, mallory.subscriberId, own)
      await write(`DELETE FROM ready_answers`)
      await write(
        `INSERT INTO ready_answers (address_index, serves, valid_from, valid_until)
         SELECT address_index, 15, 0, 0 FROM publications`,
      )
      expect(await given(bob, alice.email)).toEqual([])
      expectSaid('certificates')
      await expectAmongFaults(own)
    })

    test('one that was tied to the key of somebody else, who reports it or revokes for it', async () => {
      const own = await published()
      const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
      const other = await certify(mallory, { csr: await makeCsr({ keys: pair }) })
      const exchange = (from: string, to: string): Promise<void> =>
        write(
          `UPDATE certificates SET key_index = (SELECT key_index FROM certificates WHERE id = ?) WHERE id = ?`,
          from,
          to,
        )
      await exchange(other.id, own)
      const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
      const privateKey = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`
      expect((await harness.api.post('/v1/key-compromise', { privateKey })).status).toBe(200)
      const stateOf = async (id: string) => {
        const rows = await harness.main.all(query({ state: text }, `SELECT state FROM certificates WHERE id = ?`, id))
        return rows.map(({ state }) => state)
      }
      expect([await stateOf(own), await stateOf(other.id)]).toEqual([['valid'], ['revoked']])
      await expectAmongFaults(own)
      // An administrator ends a forged one by its name. That blocks the key in it, and no other.
      const free = await certify(alice, { csr: await makeCsr(), use: 'sign' })
      await exchange(free.id, own)
      const blocked = await countRows(harness.main, 'blocked_keys')
      await did(localOperator(harness).post(`/v1/admin/certificates/${own}/revocation`, { reason: 'keyCompromise' }))
      expect([await stateOf(own), await stateOf(free.id)]).toEqual([['revoked'], ['valid']])
      expect(await countRows(harness.main, 'blocked_keys')).toBe(blocked + 1)
    })

    test('a publication at another address than that of the successor is not passed on, whatever its MAC', async () => {
      const bob = await register(harness.api, harness.mails, 'bob@example.org')
      const own = await published()
      const addressIndex = harness.keys.blindIndex(parseMailboxAddress(mallory.email).matchingKey)
      const publication = await readPublication(harness.main, own)
      if (publication === null) throw new Error('the certificate is published')
      const columns = ['id', 'addressIndex', 'audience', 'consent', 'publishedAt'] as const
      const mac = authorityOf('publications', columns).after(harness.keys, publication, { addressIndex })
      await write(
        `UPDATE publications SET address_index = ?, authority_mac = ? WHERE certificate = ?`,
        addressIndex,
        mac,
        own,
      )
      expect(await given(bob, mallory.email)).toEqual([own])
      await certify(alice)
      expect(await given(bob, mallory.email)).toEqual([])
      expect(await countRows(harness.main, 'publications')).toBe(0)
    })

    test('one that was made to rest on a device that ends', async () => {
      const own = await published()
      const tablet = await joinDevice(harness.api, harness.mails, mallory)
      const theirs = await certify(tablet)
      await write(`UPDATE certificates SET device = ? WHERE id = ?`, tablet.deviceId, own)
      await proveMailbox(mallory, harness.mails, { act: 'device_end' })
      expect((await mallory.api.delete(`/v1/me/devices/${tablet.deviceId}`)).status).toBe(204)
      await harness.settled()
      await harness.runJob('consequences')
      expect(await countRows(harness.main, `certificates WHERE state = 'revoked' AND id = ?`, own)).toBe(0)
      expect(await countRows(harness.main, `certificates WHERE state = 'revoked' AND id = ?`, theirs.id)).toBe(1)
      expectSaid('certificates')
      await expectAmongFaults(own)
    })
  })

  describe('the way to a CA', () => {
    const rules = '/v1/admin/routing-rules'
    const ask = async (somebody: Registered) =>
      somebody.api.post('/v1/certificate-requests', { csr: await makeCsr(), use: 'dual' })
    const allows = async (position: number, domain: string, approvals: number): Promise<string> =>
      (await did(localOperator(harness).post(rules, { position, domain, connectionId: 'embedded', approvals }))).id

    test('a rule that was changed, moved or taken away certifies nothing', async () => {
      const first = await allows(1, 'example.com', 1)
      await allows(2, '*.example.com', 2)
      expect((await ask(alice)).body.state).toBe('awaiting_approval')
      const held = await harness.main.all(
        query({ id: text, approvals: integer }, `SELECT id, approvals FROM routing_rules`),
      )
      expect(held).toHaveLength(2)
      for (const [forgery, repair] of [
        [`UPDATE routing_rules SET approvals = 0 WHERE id = ?`, `UPDATE routing_rules SET approvals = 1 WHERE id = ?`],
        [`UPDATE routing_rules SET position = 3 WHERE id = ?`, `UPDATE routing_rules SET position = 1 WHERE id = ?`],
        [
          `UPDATE routing_rules SET domain = 'example.net' WHERE id = ?`,
          `UPDATE routing_rules SET domain = 'example.com' WHERE id = ?`,
        ],
      ] as const) {
        await write(forgery, first)
        expectProblem(await ask(alice), 422, 'not_certified_here')
        expect((await harness.service.check()).join()).toContain('routing_rules: the MAC over all of them does not fit')
        await write(repair, first)
        expect(await harness.service.check()).toEqual([])
      }
      await write(`DELETE FROM routing_rules WHERE id = ?`, first)
      expectProblem(await ask(alice), 422, 'not_certified_here')
      expectSaid('routing_rules')
      // Whoever removes what is left may begin anew.
      for (const { id } of held.filter(({ id: other }) => other !== first)) {
        expectProblem(
          await localOperator(harness).put(`${rules}/${id}`, { position: 2, connectionId: 'embedded' }),
          422,
          'not_certified_here',
        )
        expect((await localOperator(harness).delete(`${rules}/${id}`)).status).toBe(204)
      }
      expect((await ask(alice)).body.state).toBe('issued')
    })

    test.each([
      ['with their MAC', ['routing_rules', 'routing_rule_sets']],
      ['without their MAC', ['routing_rules']],
    ])('all rules taken away, %s: nothing is certified until an administrator makes one', async (_, tables) => {
      await allows(1, 'example.com', 2)
      for (const table of tables) await write(`DELETE FROM ${table}`)
      expectProblem(await ask(alice), 422, 'not_certified_here')
      expect((await harness.service.check()).join()).toContain('routing_rules: the MAC over all of them does not fit')
      await allows(1, 'example.com', 2)
      expect(await countRows(harness.main, `audit_entries WHERE facts LIKE '%"anew"%'`)).toBe(1)
      expect((await ask(alice)).body.state).toBe('awaiting_approval')
      expect(await harness.service.check()).toEqual([])
    })

    test('the certificate of a CA that was exchanged stands in no chain', async () => {
      await write(`UPDATE certificate_authorities SET certificate = x'3000' WHERE role = 'root'`)
      await publish(alice, (await certify(alice)).id)
      const [found] = await lookUp(mallory, [alice.email])
      expect(found.status).toBe('found')
      expect(JSON.stringify(found)).not.toContain('"MAA="')
      expectSaid('certificate_authorities')
      const faults = (await harness.service.check()).join()
      expect(faults).toMatch(/certificate_authorities [\w-]+: its MAC does not fit/)
    })

    test('a connection that leads elsewhere, or that somebody else has resumed', async () => {
      await did(localOperator(harness).post('/v1/admin/ca-connections/embedded/pause'))
      await write(`UPDATE ca_connections SET state = 'active' WHERE id = 'embedded'`)
      expectProblem(await ask(alice), 422, 'not_certified_here')
      expectSaid('ca_connections')
      await expectFound('ca_connections', 'embedded')
      await write(`UPDATE ca_connections SET state = 'paused' WHERE id = 'embedded'`)
      await did(localOperator(harness).post('/v1/admin/ca-connections/embedded/resumption'))
      expect((await ask(alice)).body.state).toBe('issued')
    })

    test('an approval that nobody gave, and a request that nobody made so', async () => {
      await allows(1, 'example.com', 2)
      const one = (await ask(alice)).body.id
      for (const administrator of ['planted', 'another']) {
        await write(
          `INSERT INTO request_approvals (request, administrator, decision, at, authority_mac)
           VALUES (?, ?, 'approved', 1, x'0001')`,
          one,
          administrator,
        )
      }
      await write(`UPDATE certificate_requests SET state = 'received', due_at = 1 WHERE id = ?`, one)
      await harness.runJob('requests-resume')
      await harness.settled()
      expect(await countRows(harness.main, `certificates WHERE request = ?`, one)).toBe(0)
      expectSaid('request_approvals')
      const faults = (await harness.service.check()).filter((fault) => fault.includes(`request_approvals ${one}`))
      expect(faults).toHaveLength(2)
      const other = (await ask(alice)).body.id
      await write(
        `UPDATE certificate_requests SET approvals_needed = 0, state = 'received', due_at = 1 WHERE id = ?`,
        other,
      )
      await harness.runJob('requests-resume')
      await harness.settled()
      expect(await countRows(harness.main, 'certificates')).toBe(0)
      expectSaid('certificate_requests')
      expect((await harness.service.check()).join()).toContain(`certificate_requests ${other}: its MAC does not fit`)
    })
  })

  describe('administrators', () => {
    test('a planted one', async () => {
      const credential = `cb_adm_${'A'.repeat(43)}`
      const real = await makeAdministrator(harness, 'owner')
      await write(
        `INSERT INTO administrators
           (id, name_sealed, roles, credential_verifier, created_at, created_by, seen_at, seen_mac, authority_mac)
         SELECT 'planted', name_sealed, '["owner"]', ?, created_at, created_by, seen_at, seen_mac, authority_mac
         FROM administrators WHERE id = ?`,
        verifiersOf(harness.keys, 'administrators.credential', credential)[0],
        real.id,
      )
      expectProblem(await harness.api.with(credential).get('/v1/admin/me'), 401, 'credential_invalid')
      expectSaid('administrators')
      const faults = await harness.service.check()
      expect(faults.some((fault) => fault.includes('administrators planted: its MAC does not fit'))).toBe(true)
    })

    test('one with another role', async () => {
      const auditor = await makeAdministrator(harness, 'auditor')
      await write(`UPDATE administrators SET roles = '["owner"]' WHERE id = ?`, auditor.id)
      expectProblem(await auditor.api.get('/v1/admin/me'), 401, 'credential_invalid')
      await expectFound('administrators', auditor.id)
    })

    test('one that had ended', async () => {
      const [owner, ended] = [await makeAdministrator(harness, 'owner'), await makeAdministrator(harness, 'owner')]
      expect((await owner.api.delete(`/v1/admin/administrators/${ended.id}`)).status).toBe(204)
      await write(`UPDATE administrators SET ended_at = NULL WHERE id = ?`, ended.id)
      expectProblem(await ended.api.get('/v1/admin/me'), 401, 'credential_invalid')
      await expectFound('administrators', ended.id)
    })
  })
})
