import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { command } from '../../src/ports/database.ts'
import type { Keys } from '../../src/ports/keys.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { confirmRegistration, register, startRegistration, type Registered } from '../support/story.ts'
import { expectProblem, race } from './support.ts'

/** Every way to write a secret's hash that needs no key. */
const hashesWithoutKey = (secret: string): Uint8Array[] => {
  const sha256 = createHash('sha256').update(secret).digest()
  return [sha256, Buffer.concat([Buffer.of(0, 1), sha256])]
}

/** Somebody who writes to the database, has no key of the ring, and has chosen the secrets whose hashes they plant. */
describe.each(engines)('planted credentials on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  let olga: Administrator

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
    olga = await makeAdministrator(harness, 'owner')
  })
  afterAll(() => harness.close())

  const deviceCredential = `cb_dev_${'d'.repeat(43)}`
  const administratorCredential = `cb_adm_${'a'.repeat(43)}`

  /** It was found by no verifier, so no MAC was looked at (`planted-rows.test.ts`). */
  const expectUnknown = async (credential: string, path: string): Promise<void> => {
    const said = harness.log.length
    expectProblem(await harness.api.with(credential).get(path), 401, 'credential_invalid')
    expect(harness.log.slice(said).filter((line) => line.includes('"event":"authority_refused"'))).toEqual([])
  }

  test('a device is not recognised by a planted hash', async () => {
    for (const [number, hash] of hashesWithoutKey(deviceCredential).entries()) {
      const id = `planted-${number}`
      await harness.main.batch([
        command(
          `INSERT INTO devices (id, subscriber, registration, credential_verifier, credential_used_at, facts_sealed,
             created_at, seen_at, seen_mac, authority_mac)
           SELECT ?, subscriber, ?, ?, 1, facts_sealed, created_at, seen_at, seen_mac, authority_mac
           FROM devices WHERE id = ?`,
          id,
          id,
          hash,
          alice.deviceId,
        ),
      ])
    }
    await expectUnknown(deviceCredential, '/v1/me')
  })

  test('neither by one that waits for its first use', async () => {
    for (const hash of hashesWithoutKey(deviceCredential)) {
      await harness.main.batch([
        command(`UPDATE devices SET next_credential_verifier = ? WHERE id = ?`, hash, alice.deviceId),
      ])
      await expectUnknown(deviceCredential, '/v1/me')
    }
  })

  test('nobody confirms a registration with a token whose hash was planted, nor asks for its credential', async () => {
    const started = await startRegistration(harness.api, 'victim@example.org')
    const secret = `cb_reg_${'r'.repeat(43)}`
    const token = 't'.repeat(43)
    const own = harness.api.with(started.deviceSecret)
    for (const hash of hashesWithoutKey(token)) {
      await harness.main.batch([command(`UPDATE registrations SET token_verifier = ? WHERE id = ?`, hash, started.id)])
      expectProblem(
        await own.post(`/v1/registrations/${started.id}/confirmation`, { token }),
        401,
        'credential_invalid',
      )
    }
    for (const hash of hashesWithoutKey(secret)) {
      await harness.main.batch([
        command(`UPDATE registrations SET device_secret_verifier = ? WHERE id = ?`, hash, started.id),
      ])
      const asked = await harness.api.with(secret).get(`/v1/registrations/${started.id}`)
      expectProblem(asked, 401, 'credential_invalid')
    }
  })

  test('an administrator is not recognised by a planted hash', async () => {
    for (const [number, hash] of hashesWithoutKey(administratorCredential).entries()) {
      await harness.main.batch([
        command(
          `INSERT INTO administrators (id, name_sealed, roles, credential_verifier, created_at, created_by, seen_at,
             seen_mac, authority_mac)
           SELECT ?, x'', roles, ?, created_at, created_by, seen_at, seen_mac, authority_mac
           FROM administrators WHERE id = ?`,
          `planted-${number}`,
          hash,
          olga.id,
        ),
      ])
    }
    await expectUnknown(administratorCredential, '/v1/admin/me')
  })
})

/** Verifiers of a ring that holds these secrets, newest first. The ring of the test has one; the others are made of it. */
const verifiersOf = (keys: Keys, [newest, ...older]: readonly [string, ...string[]]): Keys['verifiers'] => {
  const under = (secret: string, purpose: string, value: Uint8Array | string): Uint8Array =>
    keys.verifiers(purpose, secret === 'first' ? value : `${secret}/${value.toString()}`)[0]
  return (purpose, value) => [under(newest, purpose, value), ...older.map((secret) => under(secret, purpose, value))]
}

describe.each(engines)('verifiers of an older key on %s', (engine) => {
  let held: readonly [string, ...string[]] = ['first']
  let harness: RoomHarness

  beforeAll(async () => {
    harness = await openRoomHarness(engine, {
      around: (parts) => ({
        ...parts,
        keys: {
          main: parts.keys.main,
          mac: (purpose, value) => parts.keys.mac(purpose, value),
          macFits: (purpose, value, mac) => parts.keys.macFits(purpose, value, mac),
          journal: parts.keys.journal,
          blindIndex: (matchingKey) => parts.keys.blindIndex(matchingKey),
          verifiers: (purpose, value) => verifiersOf(parts.keys, held)(purpose, value),
        },
      }),
    })
  })
  beforeEach(() => {
    held = ['first']
  })
  afterAll(() => harness.close())

  /** Uses a credential with both keys, then shows that the newer one alone recognises it. */
  const staysWith = async (credential: string, path: string): Promise<void> => {
    const uses = async (): Promise<number> => (await harness.api.with(credential).get(path)).status
    held = ['second', 'first']
    expect(await uses()).toBe(200)
    held = ['second']
    // Somebody who is remembered is read anew.
    await harness.main.batch([command('UPDATE devices SET credential_used_at = credential_used_at')])
    expect(await uses()).toBe(200)
  }

  test('still recognise, and are kept under the newest key from the next use on: devices', async () => {
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    await staysWith(alice.credential, '/v1/me')
  })

  test('a used device too, and its next credential', async () => {
    const bob = await register(harness.api, harness.mails, 'bob@example.com')
    expect((await bob.api.get('/v1/me')).status).toBe(200)
    const { body: next } = await bob.api.post('/v1/me/credential')
    await staysWith(bob.credential, '/v1/me')
    await staysWith(next.credential, '/v1/me')
    expectProblem(await bob.api.get('/v1/me'), 401, 'credential_invalid')
  })

  test('administrators, who can then rotate', async () => {
    const { api, credential } = await makeAdministrator(harness, 'owner')
    await staysWith(credential, '/v1/admin/me')
    held = ['second']
    expect((await api.post('/v1/admin/credential')).status).toBe(201)
  })

  test('ten first uses at once are one', async () => {
    const carol = await register(harness.api, harness.mails, 'carol@example.com')
    held = ['second', 'first']
    const answers = await race(10, () => carol.api.get('/v1/me'))
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200))
  })

  test('registrations that began before', async () => {
    const started = await startRegistration(harness.api, 'dora@example.com')
    held = ['second', 'first']
    await confirmRegistration(harness.api, harness.mails, started)
  })
})
