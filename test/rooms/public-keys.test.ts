import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkService } from '../support/check-service.ts'
import { makeCsr } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certifyKey, holdKey, keyKinds, privateOnly, prove, type KeyKind } from '../support/key-holder.ts'
import { certify, lookUp, publish, register, type Registered } from '../support/story.ts'

const kinds = Object.keys(keyKinds) as KeyKind[]
const profiles = {
  'sbr-strict': {},
  private: { CA_PROFILE: 'private', CA_POLICY_OID: '1.3.6.1.4.1.32473.1.1' },
} as const

describe.each(engines)('bare public keys on %s', (engine) => {
  describe.each(Object.keys(profiles) as (keyof typeof profiles)[])('under the profile %s', (profile) => {
    let harness: RoomHarness
    let alice: Registered
    let origin: string

    beforeAll(async () => {
      harness = await openRoomHarness(engine, { settings: profiles[profile] })
      alice = await register(harness.api, harness.mails, 'alice@example.com')
      origin = new URL(harness.config.publicUrl).origin
    })
    afterAll(async () => {
      await harness.settled()
      await harness.runJob('audit-seal')
      const { service, journal, keys } = harness
      await checkService({ service, shards: journal.shards(), keys, answered: [], addresses: [] })
      await harness.close()
    })

    test.each(kinds.filter((kind) => profile === 'private' || !privateOnly(kind)))(
      '%s: challenge, proof, certificate',
      async (kind) => {
        const key = await holdKey(kind)
        const answer = await certifyKey(alice.api, key, origin)
        expect([answer.status, answer.body.state, answer.body.use]).toEqual([201, 'issued', key.use])
        const certificate = new X509Certificate(Buffer.from(answer.body.certificate.certificate, 'base64'))
        expect(certificate.subjectAltName).toBe('email:alice@example.com')
        const spki = Buffer.from(key.spki)
        expect(Buffer.from(certificate.raw).includes(spki)).toBe(true)
      },
    )

    test.each(kinds.filter((kind) => profile === 'sbr-strict' && privateOnly(kind)))('%s is refused', async (kind) => {
      const key = await holdKey(kind)
      const answer = await alice.api.post('/v1/public-keys', { publicKey: key.publicKey, use: key.use })
      expect([answer.status, answer.body.code]).toEqual([422, 'key_not_in_profile'])
    })
  })

  describe('as one story with refusals', () => {
    let harness: RoomHarness
    let origin: string
    beforeAll(async () => {
      harness = await openRoomHarness(engine)
      origin = new URL(harness.config.publicUrl).origin
    })
    afterAll(() => harness.close())

    test('two keys: one signs by CSR, one encrypts by a challenge; each is found for its use', async () => {
      const { api, mails } = harness
      const carol = await register(api, mails, 'carol@example.com')
      const dave = await register(api, mails, 'dave@example.com')
      const signing = await certify(carol, { csr: await makeCsr(), use: 'sign' })
      const answer = await certifyKey(carol.api, await holdKey('P-256 to encrypt'), origin)
      await publish(carol, signing.id)
      await publish(carol, answer.body.certificate.id)
      const [toEncrypt] = await lookUp(dave, ['carol@example.com'], 'encrypt')
      const [toVerify] = await lookUp(dave, ['carol@example.com'], 'sign')
      expect(toEncrypt.certificates.map(({ id }: { id: string }) => id)).toEqual([answer.body.certificate.id])
      expect(toVerify.certificates.map(({ id }: { id: string }) => id)).toEqual([signing.id])
    })

    test('a proof has one try, within ten minutes, by the device that asked', async () => {
      const { api, mails } = harness
      const erin = await register(api, mails, 'erin@example.com')
      const mallory = await register(api, mails, 'mallory@example.com')
      const key = await holdKey('P-256 to sign')
      const ask = async () => (await erin.api.post('/v1/public-keys', { publicKey: key.publicKey, use: 'sign' })).body
      const answer = (by: Registered, id: string, proof: string) =>
        by.api.post(`/v1/public-keys/${id}/proof`, { proof })

      const stolen = await ask()
      const stolenProof = await prove(key, stolen, origin)
      expect((await answer(mallory, stolen.id, stolenProof)).body.code).toBe('challenge_ended')

      const wrong = await ask()
      expect((await answer(erin, wrong.id, stolenProof)).body.code).toBe('proof_wrong')
      expect((await answer(erin, wrong.id, await prove(key, wrong, origin))).body.code).toBe('challenge_ended')

      const late = await ask()
      const lateProof = await prove(key, late, origin)
      harness.clock.now += 10 * 60_000
      expect((await answer(erin, late.id, lateProof)).body.code).toBe('challenge_ended')
      expect((await answer(erin, 'no-such-challenge', lateProof)).body.code).toBe('challenge_ended')

      const good = await ask()
      const issued = await answer(erin, good.id, await prove(key, good, origin))
      expect(issued.status).toBe(201)
      const again = await ask()
      const repeated = await answer(erin, again.id, await prove(key, again, origin))
      expect([repeated.status, repeated.body.id]).toEqual([200, issued.body.id])
    })

    test('a report by proof blocks the key and revokes what stands on it, whoever reports', async () => {
      const { api, mails } = harness
      const frank = await register(api, mails, 'frank@example.com')
      const key = await holdKey('Ed25519 to sign')
      const issued = await certifyKey(frank.api, key, origin)
      await publish(frank, issued.body.certificate.id)
      const made = await api.post('/v1/key-compromise', { publicKey: key.publicKey })
      expect(made.status).toBe(201)
      const path = `/v1/key-compromise/${made.body.id}/proof`
      const asPossession = await frank.api.post('/v1/public-keys', { publicKey: key.publicKey, use: 'sign' })
      const foreignProof = await prove(key, asPossession.body, origin)
      expect((await api.post(path, { proof: foreignProof })).body.code).toBe('proof_wrong')
      const second = await api.post('/v1/key-compromise', { publicKey: key.publicKey })
      const proof = await prove(key, second.body, origin, 'compromise')
      const blocked = await api.post(`/v1/key-compromise/${second.body.id}/proof`, { proof })
      expect([blocked.status, blocked.body]).toEqual([200, { state: 'blocked' }])
      expect((await frank.api.get(`/v1/certificates/${issued.body.certificate.id}`)).body).toMatchObject({
        state: 'revoked',
        published: false,
      })
      const again = await certifyKey(frank.api, key, origin)
      expect(again.body.code).toBe('key_blocked')
    })

    test('a report by the private key itself blocks it, and keeps nothing of it', async () => {
      const { api, mails } = harness
      const grace = await register(api, mails, 'grace@example.com')
      const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
      const certificate = await certify(grace, { csr: await makeCsr({ keys: pair }) })
      const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', pair.privateKey)).toString('base64')
      const privateKey = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`
      const blocked = await api.post('/v1/key-compromise', { privateKey })
      expect([blocked.status, blocked.body]).toEqual([200, { state: 'blocked' }])
      expect((await grace.api.get(`/v1/certificates/${certificate.id}`)).body.state).toBe('revoked')
      expect(harness.log.join('\n')).not.toContain(pkcs8.slice(20, 60))
      expect((await api.post('/v1/key-compromise', { privateKey: 'nothing of the kind' })).body.code).toBe(
        'private_key_unreadable',
      )
      const both = await api.post('/v1/key-compromise', { privateKey, publicKey: 'x' })
      expect(both.body.code).toBe('private_key_refused')
    })
  })
})
