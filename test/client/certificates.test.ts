import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { proveBySigning, ProofError, type CertbookClient, type Fetch } from '../../src/client/index.ts'
import { checkCertificateRequest } from '../support/certificate-request.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import type { Json } from '../support/api.ts'
import { openWorld, ownOf, registerBy, settle, type World } from './world.ts'

let world: World
let other: Awaited<ReturnType<typeof settle>>
beforeAll(async () => {
  world = await openWorld()
  other = await settle(world, 'mallory@example.com')
})
afterAll(() => world.close())

/** A service that alters its true answers to one kind of call. */
const altering =
  (call: RegExp, alter: (answer: Json) => Json): Fetch =>
  async (url, init) => {
    const answer = await world.fetch(url, init)
    if (!call.test(`${init.method} ${url}`)) return answer
    return Response.json(alter(await answer.json()), { status: answer.status })
  }

const newDevice = async (email: string, fetch: Fetch = world.fetch): Promise<CertbookClient> => {
  const { credential } = await registerBy(world.client(), world, email)
  return world.client({ credential, fetch })
}

const requests = /POST .*(certificate-requests|proof)$/

describe('a certificate that comes back for a key of this device is refused', () => {
  test.each(['sign', 'encrypt'] as const)('where it holds another key, to %s', async (use) => {
    const hostile = altering(requests, (answer) => ({ ...answer, certificate: other.certificates[use] }))
    const client = await newDevice(`other-key-${use}@example.com`, hostile)
    const keyPair = await client.makeKeyPair(use)
    await expect(client.certificates.certify(keyPair, `other-key-${use}@example.com`)).rejects.toMatchObject({
      code: 'certificate_refused',
      detail: expect.stringContaining('mailbox_differs'),
    })
    await expect(client.certificates.certify(keyPair, 'mallory@example.com')).rejects.toMatchObject({
      code: 'mailbox_not_yours',
    })
  })

  test('where it holds an older key of the same mailbox', async () => {
    const older = await settle(world, 'older@example.com', 'unpublished')
    const hostile = altering(requests, (answer) => ({ ...answer, certificate: older.certificates.encrypt }))
    const client = world.client({ credential: older.device.credential, fetch: hostile })
    const renewed = client.certificates.renew(older.certificates.encrypt, await client.makeKeyPair('encrypt'))
    await expect(renewed).rejects.toMatchObject({
      code: 'certificate_refused',
      detail: expect.stringContaining('another key'),
    })
  })

  test('where it is for another use, or by a CA that the app does not trust', async () => {
    const {
      keyPairs,
      certificates,
      device: { credential },
    } = await settle(world, 'use@example.com', 'unpublished')
    const hostile = altering(requests, (answer) => ({ ...answer, certificate: certificates.encrypt }))
    const device = { credential, fetch: hostile }
    await expect(world.client(device).certificates.certify(keyPairs.sign, 'use@example.com')).rejects.toMatchObject({
      detail: expect.stringContaining('key_usage_unfit'),
    })
    await expect(
      world.client({ ...device, anchors: [] }).certificates.certify(keyPairs.encrypt, 'use@example.com'),
    ).rejects.toMatchObject({ detail: expect.stringContaining('chain_untrusted') })
  })
})

describe('a challenge that is none of this service for this key', () => {
  test('is not answered', async () => {
    const mallory = await world.client({ credential: other.device.credential }).makeKeyPair('encrypt')
    let challenge: Json
    const keeping = altering(/public-keys$/, (answer) => (challenge = answer))
    await world
      .client({ credential: other.device.credential, fetch: keeping })
      .certificates.certify(mallory, 'mallory@example.com')
    const client = await newDevice(
      'challenged@example.com',
      altering(/public-keys$/, () => challenge),
    )
    const refused = client.certificates.certify(await client.makeKeyPair('encrypt'), 'challenged@example.com')
    await expect(refused).rejects.toBeInstanceOf(ProofError)
    await expect(refused).rejects.toMatchObject({ code: 'challenge_refused' })
  })
})

describe('a request that is not decided at once', () => {
  test('is waited for, and its certificate judged then', async () => {
    const email = 'patient@example.com'
    let pending = 2
    const slow: Fetch = async (url, init) => {
      const answer = await world.fetch(url, init)
      const isRequest = /certificate-requests/.test(url)
      if (!isRequest || pending-- <= 0) return answer
      const body: Json = await answer.json()
      const headers = { 'Retry-After': '9' }
      return Response.json({ ...body, state: 'pending', certificate: null }, { status: 202, headers })
    }
    const client = await newDevice(email, slow)
    const keyPair = await client.makeKeyPair('sign')
    const request = await client.certificates.certify(keyPair, email)
    expect([request.state, request.certificate]).toEqual(['pending', null])
    world.waits.length = 0
    const decided = await client.certificates.waitForCertificate(request, keyPair)
    expect(ownOf(decided).mailbox).toBe(email)
    expect(world.waits).toEqual([9000 * 1.125])
    await expect(
      client.certificates.waitForCertificate(request, await client.makeKeyPair('sign')),
    ).rejects.toMatchObject({ code: 'certificate_refused' })
  })

  test('tells the app meanwhile what it waits for, and in the end what a person said', async () => {
    const email = 'curious@example.com'
    const waitingFor = { kind: 'ca_mailbox_challenge', sender: 'validation@ca.example', whatToDo: 'Open its mail.' }
    const forwarded = { to: 'Example Trust Services GmbH', at: '2026-11-21T12:00:00.000Z' }
    const before = { certificate: null, state: 'pending' }
    const answers: Json[] = [
      { ...before, state: 'awaiting_approval' },
      { ...before, forwarded },
      { ...before, forwarded, waitingFor },
      { ...before, state: 'rejected', reason: 'rejected_by_approver', explanation: 'Shared mailboxes get none.' },
    ]
    const telling = altering(/certificate-requests/, (answer) => ({ ...answer, ...answers.shift() }))
    const client = await newDevice(email, telling)
    const keyPair = await client.makeKeyPair('sign')
    const request = await client.certificates.certify(keyPair, email)
    expect(request.state).toBe('awaiting_approval')
    const seen: Json[] = []
    const decided = await client.certificates.waitForCertificate(request, keyPair, {
      underWay: (now) => seen.push([now.state, now.forwarded, now.waitingFor]),
    })
    expect(seen).toEqual([
      ['pending', forwarded, null],
      ['pending', forwarded, waitingFor],
    ])
    expect([decided.state, decided.reason, decided.explanation]).toEqual([
      'rejected',
      'rejected_by_approver',
      'Shared mailboxes get none.',
    ])
    expect(await client.certificates.readRequest(request.id)).toMatchObject({ id: request.id, state: 'issued' })
  })

  test('is refused where the service puts it, or its certificate, under another mailbox', async () => {
    const email = 'swapped@example.com'
    const unlike = { mailbox: 'mallory@example.com', state: 'pending', certificate: null }
    const swapping = altering(requests, (answer) => ({ ...answer, ...unlike }))
    const { credential } = await registerBy(world.client(), world, email)
    const { certificates } = world.client({ credential })
    const keyPair = await world.client().makeKeyPair('sign')
    const refused = { code: 'certificate_refused' }
    const swapped = world.client({ credential, fetch: swapping }).certificates.certify(keyPair, email)
    await expect(swapped).rejects.toMatchObject(refused)
    const { id } = await certificates.certify(keyPair, email)
    expect((await certificates.waitForCertificate({ id, mailbox: email }, keyPair)).state).toBe('issued')
    const other = { id, mailbox: 'mallory@example.com' }
    await expect(certificates.waitForCertificate(other, keyPair)).rejects.toMatchObject(refused)
  })
})

describe('what an app makes by itself', () => {
  test('a public key whose private part another provider holds is certified by the proof of that', async () => {
    const client = await newDevice('provider@example.com')
    const held = await client.makeKeyPair('sign')
    const seen: Json[] = []
    const request = await client.certificates.certifyPublicKey({
      spki: held.spki,
      use: 'sign',
      prove: async ({ id, origin, challenge }) => {
        seen.push([origin, challenge.kind])
        const toBeSigned = new Uint8Array(Buffer.from('toBeSigned' in challenge ? challenge.toBeSigned : '', 'base64'))
        return proveBySigning(crypto, { origin, challengeId: id, spki: held.spki, toBeSigned }, held.privateKey)
      },
    })
    expect([request.state, seen]).toEqual(['issued', [[world.harness.config.publicUrl, 'sign']]])
  })

  test.each(['P-256', 'RSA-3072'] as const)('the CSR for a %s key names the mailbox and nothing else', async (kind) => {
    let csr = ''
    const client = await newDevice(`csr-${kind.toLowerCase()}@example.com`, (url, init) => {
      if (url.endsWith('/certificate-requests')) csr = JSON.parse(init.body ?? '').csr
      return world.fetch(url, init)
    })
    const mailbox = parseMailboxAddress(`csr-${kind.toLowerCase()}@example.com`)
    const keyPair = await client.makeKeyPair('sign', { kind })
    await client.certificates.certify(keyPair, mailbox.address)
    const der = new Uint8Array(Buffer.from(csr, 'base64'))
    const rules = { use: 'sign', otherContents: 'refused' } as const
    const { spki } = await checkCertificateRequest(crypto, der, mailbox, rules)
    expect(spki).toEqual(keyPair.spki)
    await expect(
      checkCertificateRequest(crypto, der, parseMailboxAddress('other@example.com'), rules),
    ).rejects.toMatchObject({ code: 'csr_address_mismatch' })
  })
})
