import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { equalBytes } from '../../src/pki/encoding.ts'
import { deviceFacts, policyVersion } from '../support/story.ts'
import { openWorld, ownOf, registerBy, registrationOf, settle, type World } from './world.ts'

const collect = async <Item>(items: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('a mail app with the client library', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld()
  })
  afterAll(() => world.close())

  test('registers, certifies two keys, publishes, and another finds what it may encrypt to', async () => {
    const alice = await settle(world, 'alice@example.com')
    const bob = await settle(world, 'bob@example.com')
    const found = await bob.client.lookup(['Alice@example.com', 'nobody@example.com', 'no address'], 'encrypt')
    expect(found.rejected).toEqual([])
    expect(found.results.map(({ address, status }) => [address, status])).toEqual([
      ['Alice@example.com', 'found'],
      ['nobody@example.com', 'not_found'],
      ['no address', 'invalid'],
    ])
    const [certificate] = found.results[0]?.certificates ?? []
    expect(certificate?.key).toEqual({ algorithm: 'EC', curve: 'P-256' })
    expect(equalBytes(certificate?.spki ?? new Uint8Array(), alice.keyPairs.encrypt.spki)).toBe(true)
    expect(certificate?.fingerprintSha256).toBe(alice.certificates.encrypt.fingerprintSha256)
    const signing = await bob.client.lookup(['alice@example.com'], 'sign')
    expect(signing.results[0]?.certificates[0]?.fingerprintSha256).toBe(alice.certificates.sign.fingerprintSha256)
  })

  test('its private keys cannot be taken out of Web Crypto, and its public keys can', async () => {
    const client = world.client()
    for (const kind of ['P-256', 'RSA-3072'] as const) {
      for (const pair of Object.values(await client.makeKeyPairs({ kind }))) {
        expect(pair.privateKey.extractable).toBe(false)
        await expect(crypto.subtle.exportKey('pkcs8', pair.privateKey)).rejects.toThrow()
        expect(new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey))).toEqual(pair.spki)
      }
    }
    const { privateKey } = await client.makeKeyPair('encrypt', { extractable: true })
    expect(privateKey.extractable).toBe(true)
  })

  test.each(['sign', 'encrypt'] as const)('an RSA key of 3072 bits is certified to %s', async (use) => {
    const email = `rsa-${use}@example.com`
    const { credential } = await registerBy(world.client(), world, email)
    const client = world.client({ credential })
    const pair = await client.makeKeyPair(use, { kind: 'RSA-3072' })
    const certificate = ownOf(await client.certificates.certify(pair, email))
    const read = new X509Certificate(Buffer.from(certificate.certificate, 'base64'))
    expect(read.publicKey.asymmetricKeyDetails?.modulusLength).toBe(3072)
    expect([certificate.use, read.subjectAltName]).toEqual([use, `email:${email}`])
  })

  test('an address beyond ASCII is certified under its own kind of name', async () => {
    const { client } = await settle(world, 'jörg@bücher.example')
    const { results, rejected } = await client.lookup(['jörg@xn--bcher-kva.example'], 'encrypt')
    expect([results[0]?.status, rejected]).toEqual(['found', []])
  })

  test('renews: a new key pair for the same mailbox and use, published as the older one was', async () => {
    const carol = await settle(world, 'carol@example.com')
    const next = await carol.client.makeKeyPair('encrypt')
    const renewed = ownOf(await carol.client.certificates.renew(carol.certificates.encrypt, next))
    expect(renewed.published).toBe(true)
    const older = await carol.client.certificates.read(carol.certificates.encrypt.id)
    expect([older.state, older.published]).toEqual(['superseded', false])
    const { results } = await carol.client.lookup(['carol@example.com'], 'encrypt')
    expect(results[0]?.certificates.map(({ fingerprintSha256 }) => fingerprintSha256)).toEqual([
      renewed.fingerprintSha256,
    ])
    await expect(carol.client.certificates.renew(carol.certificates.sign, next)).rejects.toMatchObject({
      code: 'private_key_unsuitable',
    })
  })

  test('withdraws and revokes, and lists what it has', async () => {
    const dave = await settle(world, 'dave@example.com')
    const { sign, encrypt } = dave.certificates
    await dave.client.certificates.withdraw(encrypt.id)
    expect((await dave.client.lookup(['dave@example.com'], 'encrypt')).results[0]?.status).toBe('not_found')
    const revoked = await dave.client.certificates.revoke(sign.id, 'keyCompromise')
    expect(revoked.state).toBe('revoked')
    const listed = await collect(dave.client.certificates.list())
    expect(listed.map(({ id, state }) => [id, state])).toEqual(
      expect.arrayContaining([
        [encrypt.id, 'valid'],
        [sign.id, 'revoked'],
      ]),
    )
    expect(await collect(dave.client.certificates.requests())).toHaveLength(2)
  })

  test('reads who it is, the policy, and its devices', async () => {
    const erin = await settle(world, 'erin@example.com')
    const me = await erin.client.account.read()
    expect([me.deviceId, me.mailboxes.map(({ address }) => address)]).toEqual([
      erin.device.deviceId,
      ['erin@example.com'],
    ])
    expect((await world.client().policy()).version).toBe(policyVersion)
    const devices = await collect(erin.client.account.devices())
    expect(devices.map(({ id, current }) => [id, current])).toEqual([[erin.device.deviceId, true]])
    expect((await erin.client.account.changeLanguage('de')).language).toBe('de')
  })

  test('checks in, and learns when to do it again', async () => {
    const { client } = await settle(world, 'frank@example.com')
    expect(await client.account.checkIn(deviceFacts)).toEqual({ nextInSeconds: 300, renew: [], renewNow: [] })
  })

  test('rotates its credential: the new one ends the old one when it is used', async () => {
    const { client } = await settle(world, 'grace@example.com')
    const next = client.withCredential(await client.account.rotateCredential())
    await client.account.read()
    await next.account.read()
    await expect(client.account.read()).rejects.toMatchObject({ code: 'credential_invalid', status: 401 })
  })

  test('a second device joins by approval', async () => {
    const phone = await settle(world, 'heidi@example.com')
    const { registrations } = world.client()
    const pending = await registrations.start(registrationOf('heidi@example.com'))
    const found = registrations.readChallenge(await world.harness.mails.challengeOf(pending.id), [pending])
    await registrations.confirm(pending, found?.token ?? '')
    await expect(registrations.credential(pending, { waitForApproval: true })).rejects.toMatchObject({
      code: 'approval_pending',
      status: 409,
    })
    const [newcomer] = (await collect(phone.client.account.devices())).filter(
      ({ state }) => state === 'awaiting_approval',
    )
    await phone.client.account.approveDevice(newcomer?.id ?? '')
    const tablet = await registrations.waitForCredential(pending)
    expect(tablet.subscriberId).toBe(phone.device.subscriberId)
    expect(tablet.deviceId).not.toBe(phone.device.deviceId)
    await phone.client.account.endDevice(tablet.deviceId)
    await expect(world.client({ credential: tablet.credential }).account.read()).rejects.toMatchObject({
      code: 'credential_invalid',
    })
  })

  test('adds a mailbox, proves it from its mail, and removes it', async () => {
    const { client } = await settle(world, 'ivan@example.com')
    world.harness.clock.now += 1000
    const pending = await client.mailboxes.add('ivan@work.example', 'exchange')
    const found = client.mailboxes.readChallenge(await world.harness.mails.challengeOf(pending.challenge), [pending])
    expect((await client.mailboxes.prove(pending, found?.token ?? '')).address).toBe('ivan@work.example')
    const { mailboxes } = await client.account.read()
    expect(mailboxes.map(({ address }) => address)).toEqual(['ivan@example.com', 'ivan@work.example'])
    await client.mailboxes.remove(mailboxes[1]?.id ?? '')
    expect((await client.account.read()).mailboxes).toHaveLength(1)
  })

  test('proves a mailbox again where the last proof is too old for a change', async () => {
    const { client } = await settle(world, 'judy@example.com', 'unpublished')
    world.harness.clock.now += 16 * 60_000
    await expect(client.mailboxes.add('judy@work.example', 'imap')).rejects.toMatchObject({
      code: 'mailbox_proof_required',
      status: 403,
    })
    const [own] = (await client.account.read()).mailboxes
    const pending = await client.mailboxes.askForProof(own?.id ?? '', { act: 'mailbox_add' })
    const found = client.mailboxes.readChallenge(await world.harness.mails.challengeOf(pending.challenge), [pending])
    await client.mailboxes.prove(pending, found?.token ?? '')
    expect((await client.mailboxes.add('judy@work.example', 'imap')).state).toBe('pending')
  })
})
