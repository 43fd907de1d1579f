import { createHash, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, query, text } from '../../src/ports/database.ts'
import { sealText } from '../../src/ports/keys.ts'
import { insertMailbox } from '../../src/registration/mailbox/store.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { certify, policyVersion, proveMailbox, publish, register, type Registered } from '../support/story.ts'
import {
  Answered,
  countEverything,
  countRows,
  day,
  expectProblem,
  findLeaks,
  passUntil,
  race,
  withoutInstance,
} from './support.ts'

const pkiUrl = 'http://pki.example.com'

const derOf = (pem: string): Buffer<ArrayBuffer> => Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')

const certificateOf = (base64: string): X509Certificate => new X509Certificate(Buffer.from(base64, 'base64'))

const spkiOf = (certificate: X509Certificate): string =>
  certificate.publicKey.export({ type: 'spki', format: 'der' }).toString('hex')

const spkiOfKeys = async (keys: CryptoKeyPair): Promise<string> =>
  Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey)).toString('hex')

describe.each(engines)('requests on %s', (engine) => {
  let harness: RoomHarness
  let bob: Registered
  const answered = new Answered()
  let registered = 0

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings: { PKI_URL: pkiUrl } })
    bob = await register(harness.api, harness.mails, 'bob@example.com')
  })
  afterAll(() => harness.close())

  const newcomer = (): Promise<Registered> => {
    registered += 1
    return register(harness.api, harness.mails, `Subscriber.${registered}@example.com`)
  }
  const ask = (subscriber: Registered, csr: string, use = 'dual', mailbox?: string): Promise<Answer> =>
    subscriber.api.post('/v1/certificate-requests', { csr, use, ...(mailbox === undefined ? {} : { mailbox }) })
  const own = async (subscriber: Registered, id: string): Promise<Json> =>
    (await subscriber.api.get(`/v1/certificates/${id}`)).body
  const found = async (address: string, use = 'encrypt'): Promise<string[]> => {
    const [result] = await answered.lookUp(bob, [address], use)
    return result.certificates.map((certificate: Json) => certificate.id)
  }

  describe('what is certified', () => {
    test.each(['P-256', 'RSA-2048'] as const)(
      'a %s key, whatever the subject, with every field told',
      async (choice) => {
        const alice = await newcomer()
        const keys = await makeKeys(choice)
        const csr = await makeCsr({
          keys,
          choice,
          subject: 'CN=Mallory, O=Bank of Example, C=DE',
          addresses: [alice.email.toLowerCase()],
        })
        const answer = await ask(alice, csr)
        expect(answer.status).toBe(201)
        const { certificate, ...request } = answer.body
        expect(request).toEqual({
          id: expect.stringMatching(/^[\w-]{22}$/),
          state: 'issued',
          mailbox: alice.email,
          use: 'dual',
          reason: null,
          explanation: null,
          forwarded: null,
          waitingFor: null,
          mailboxChallenge: null,
        })
        const leaf = certificateOf(certificate.certificate)
        expect(certificate).toEqual({
          id: expect.stringMatching(/^[\w-]{22}$/),
          mailbox: alice.email,
          use: 'dual',
          state: 'valid',
          published: false,
          serialNumber: leaf.serialNumber.toLowerCase(),
          fingerprintSha256: createHash('sha256').update(leaf.raw).digest('hex'),
          issuer: expect.stringContaining('certbook issuing CA'),
          notBefore: leaf.validFromDate.toISOString(),
          notAfter: leaf.validToDate.toISOString(),
          certificate: leaf.raw.toString('base64'),
          chain: [expect.any(String), expect.any(String)],
        })
        expect(leaf.subject).toBe(`CN=${alice.email}`)
        expect(leaf.subjectAltName).toBe(`email:${alice.email}`)
        expect(leaf.ca).toBe(false)
        expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.4'])
        expect(spkiOf(leaf)).toBe(await spkiOfKeys(keys))
        expect(leaf.validFromDate.getTime()).toBeLessThanOrEqual(harness.clock.now)
        expect(leaf.validFromDate.getTime()).toBeGreaterThan(harness.clock.now - day)
        expect(leaf.validToDate.getTime() - leaf.validFromDate.getTime() + 1_000).toBeLessThanOrEqual(397 * day)
        expect(BigInt(`0x${leaf.serialNumber}`) > 0n && leaf.serialNumber.length >= 16).toBe(true)
        expect(leaf.infoAccess).toMatch(
          new RegExp(
            `^(?=[^]*OCSP - URI:${pkiUrl}/ocsp/[\\w-]+$)[^]*CA Issuers - URI:${pkiUrl}/ca/[\\w-]+\\.cer$`,
            'm',
          ),
        )
        expect(leaf.raw.toString('latin1')).toMatch(new RegExp(`${pkiUrl}/ca/[\\w-]+\\.crl`))
        expect((await alice.api.get(`/v1/certificate-requests/${request.id}`)).body).toEqual(answer.body)
        expect(await own(alice, certificate.id)).toEqual(certificate)
      },
    )

    test('the chain: issuing CA first, root last, each signed by the next', async () => {
      const certificate = await certify(await newcomer())
      const [leaf, issuing, root] = [certificate.certificate, ...certificate.chain].map(certificateOf)
      if (leaf === undefined || issuing === undefined || root === undefined) throw new Error('the chain is too short')
      expect(leaf.checkIssued(issuing) && leaf.verify(issuing.publicKey)).toBe(true)
      expect(issuing.checkIssued(root) && issuing.verify(root.publicKey)).toBe(true)
      expect(root.checkIssued(root) && root.verify(root.publicKey)).toBe(true)
      expect([leaf.ca, issuing.ca, root.ca]).toEqual([false, true, true])
      expect(leaf.issuer).toBe(issuing.subject)
    })

    test('no two certificates have one serial number, and none stands in the clear', async () => {
      const alice = await newcomer()
      const certificates = [await certify(alice, { use: 'sign' }), await certify(alice, { use: 'encrypt' })]
      expect(new Set(certificates.map((certificate) => certificate.serialNumber)).size).toBe(2)
      expect(await findLeaks(harness, alice.email)).toEqual([])
    })
  })

  describe('the forms of a request', () => {
    test.each([
      ['JSON with PEM', (subscriber: Registered, pem: string) => ask(subscriber, pem)],
      ['JSON with base64 DER', (subscriber: Registered, pem: string) => ask(subscriber, derOf(pem).toString('base64'))],
      [
        'DER as application/pkcs10',
        (subscriber: Registered, pem: string) =>
          subscriber.api.raw('POST', '/v1/certificate-requests?use=dual', derOf(pem), 'application/pkcs10'),
      ],
      [
        'PEM as application/x-pem-file',
        (subscriber: Registered, pem: string) =>
          subscriber.api.raw('POST', '/v1/certificate-requests?use=dual', pem, 'application/x-pem-file'),
      ],
      [
        'PEM with its mailbox in the query',
        (subscriber: Registered, pem: string) =>
          subscriber.api.raw(
            'POST',
            `/v1/certificate-requests?use=dual&mailbox=${encodeURIComponent(subscriber.email)}`,
            pem,
            'application/x-pem-file; charset=us-ascii',
          ),
      ],
    ])('%s', async (_, send) => {
      const alice = await newcomer()
      const keys = await makeKeys()
      const answer = await send(alice, await makeCsr({ keys }))
      expect([answer.status, answer.body.state, answer.body.use]).toEqual([201, 'issued', 'dual'])
      expect(spkiOf(certificateOf(answer.body.certificate.certificate))).toBe(await spkiOfKeys(keys))
    })

    test('DER with its length, as a client sends it over a socket', async () => {
      const alice = await newcomer()
      const der = derOf(await makeCsr())
      const response = await harness.service.fetch(
        new Request('http://127.0.0.1/v1/certificate-requests?use=dual', {
          method: 'POST',
          headers: {
            Authorization: `Bearer ${alice.credential}`,
            'Content-Type': 'application/pkcs10',
            'Content-Length': String(der.length),
          },
          body: new Uint8Array(der),
        }),
      )
      expect([response.status, (await response.text()).slice(0, 6)]).toEqual([201, '{"id":'])
    })

    test('another type is refused, and so is a missing or wrong use', async () => {
      const pem = await makeCsr()
      const send = (type: string, parameters = '?use=dual') =>
        bob.api.raw('POST', `/v1/certificate-requests${parameters}`, pem, type)
      for (const type of ['text/plain', 'multipart/form-data', 'application/x-x509-user-cert']) {
        expectProblem(await send(type), 415, 'unsupported_media_type')
      }
      expectProblem(await send('application/x-pem-file', ''), 422, 'invalid_request')
      expectProblem(await send('application/x-pem-file', '?use=everything'), 422, 'invalid_request')
      expectProblem(await ask(bob, pem, 'everything'), 422, 'invalid_request')
      expectProblem(await bob.api.post('/v1/certificate-requests', { csr: pem }), 422, 'invalid_request')
      expectProblem(
        await bob.api.post('/v1/certificate-requests', { csr: pem, use: 'dual', validityYears: 30 }),
        422,
        'invalid_request',
      )
      expectProblem(await bob.api.post('/v1/certificate-requests?use=dual'), 415, 'unsupported_media_type')
    })
  })

  describe('what is refused, without a trace', () => {
    const refused = async (answer: () => Promise<Answer>, status: number, code: string): Promise<void> => {
      await harness.settled()
      const before = await countEverything(harness)
      expectProblem(await answer(), status, code)
      expect(await countEverything(harness)).toEqual(before)
    }

    test('a request that names another address', async () => {
      for (const options of [
        { addresses: ['mallory@example.com'] },
        { addresses: ['bob@example.com', 'mallory@example.com'] },
        { subject: 'CN=mallory@example.com' },
        { subject: 'E=mallory@example.com' },
      ]) {
        const csr = await makeCsr(options)
        await refused(() => ask(bob, csr), 422, 'csr_address_mismatch')
      }
    })

    test('what is no request, has more behind it, was altered, or is too large', async () => {
      const der = derOf(await makeCsr())
      const altered = Buffer.from(der)
      altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
      const text = (bytes: Buffer): string => bytes.toString('base64')
      await refused(() => ask(bob, 'no request'), 422, 'csr_malformed')
      await refused(() => ask(bob, text(Buffer.from('no request'))), 422, 'csr_malformed')
      await refused(() => ask(bob, text(Buffer.concat([der, Buffer.from([0])]))), 422, 'csr_trailing_bytes')
      await refused(() => ask(bob, text(altered)), 422, 'csr_signature_invalid')
      await refused(() => ask(bob, text(Buffer.concat([der, Buffer.alloc(66_000)]))), 413, 'csr_too_large')
    })

    test("a mailbox that is another's, unknown or malformed", async () => {
      const alice = await newcomer()
      const csr = await makeCsr()
      await refused(() => ask(bob, csr, 'dual', alice.email), 403, 'mailbox_not_yours')
      await refused(() => ask(bob, csr, 'dual', 'nobody@example.com'), 403, 'mailbox_not_yours')
      await refused(() => ask(bob, csr, 'dual', 'nobody'), 422, 'address_malformed')
      expect(withoutInstance(await ask(bob, csr, 'dual', alice.email))).toEqual(
        withoutInstance(await ask(bob, csr, 'dual', 'nobody@example.com')),
      )
    })

    test('a private key in any of the forms of a request, of which nothing stays', async () => {
      const keys = await makeKeys()
      const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
      const lines = (pkcs8.match(/.{1,64}/g) ?? []).join('\n')
      const pem = `${await makeCsr({ keys })}\n-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
      const path = '/v1/certificate-requests?use=dual'
      // What stays is that the key is blocked, and the audit of that.
      expectProblem(await ask(bob, pem), 422, 'private_key_refused')
      for (const type of ['application/x-pem-file', 'application/pkcs10']) {
        expectProblem(await bob.api.raw('POST', path, Buffer.from(pem), type), 422, 'private_key_refused')
      }
      expect(await findLeaks(harness, pkcs8.slice(0, 64), pkcs8.slice(64, 128))).toEqual([])
    })
  })

  test('with several mailboxes the request names one', async () => {
    const alice = await newcomer()
    const second = 'Second.Mailbox@example.com'
    const id = `second-${engine}`
    await harness.main.batch([
      insertMailbox(harness.keys, {
        id,
        subscriber: alice.subscriberId,
        addressSealed: sealText(harness.keys.main, { table: 'mailboxes', column: 'address_sealed', row: id }, second),
        addressIndex: harness.keys.blindIndex(parseMailboxAddress(second).matchingKey),
        accountType: 'exchange',
        verifiedAt: harness.clock.now,
        createdAt: harness.clock.now,
      }),
    ])
    const csr = await makeCsr()
    expectProblem(await ask(alice, csr), 422, 'mailbox_required')
    const answer = await ask(alice, csr, 'dual', 'second.mailbox@EXAMPLE.com')
    expect([answer.status, answer.body.mailbox]).toEqual([201, second])
    expect(certificateOf(answer.body.certificate.certificate).subjectAltName).toBe(`email:${second}`)
  })

  describe('keys that come again', () => {
    test('the same request again is the same one', async () => {
      const alice = await newcomer()
      const keys = await makeKeys()
      const first = await ask(alice, await makeCsr({ keys }))
      const again = await ask(alice, await makeCsr({ keys, subject: 'CN=another request, the same key' }))
      expect([first.status, again.status]).toEqual([201, 200])
      expect(again.body).toEqual(first.body)
      expect(await countRows(harness.main, 'certificates WHERE subscriber = ?', alice.subscriberId)).toBe(1)
    })

    test('one key may serve two uses of one device', async () => {
      const alice = await newcomer()
      const csr = await makeCsr()
      const [sign, encrypt] = [
        await certify(alice, { csr, use: 'sign' }),
        await certify(alice, { csr, use: 'encrypt' }),
      ]
      expect(sign.id).not.toBe(encrypt.id)
      expect([(await own(alice, sign.id)).state, (await own(alice, encrypt.id)).state]).toEqual(['valid', 'valid'])
    })

    test('a key of somebody else is refused, whatever became of its certificate', async () => {
      const alice = await newcomer()
      const csr = await makeCsr()
      await certify(alice, { csr })
      expectProblem(await ask(bob, csr), 409, 'key_belongs_to_another')
      expectProblem(await ask(bob, csr, 'sign'), 409, 'key_belongs_to_another')
      await certify(alice)
      expectProblem(await ask(bob, csr), 409, 'key_belongs_to_another')
      expect(await countRows(harness.main, 'certificate_requests WHERE subscriber = ?', bob.subscriberId)).toBe(0)
    })

    test('the next certificate of a use supersedes the last, takes its publication, and retires its key', async () => {
      const alice = await newcomer()
      const csr = await makeCsr()
      const first = await certify(alice, { csr, use: 'encrypt' })
      const other = await certify(alice, { use: 'sign' })
      await publish(alice, first.id)
      expect(await found(alice.email)).toEqual([first.id])
      const second = await certify(alice, { use: 'encrypt' })
      expect(second).toMatchObject({ state: 'valid', published: true })
      expect(await own(alice, first.id)).toMatchObject({ state: 'superseded', published: false })
      expect(await own(alice, other.id)).toMatchObject({ state: 'valid', published: false })
      expect(await found(alice.email)).toEqual([second.id])
      expectProblem(await ask(alice, csr, 'encrypt'), 409, 'key_already_used')
      expectProblem(await ask(alice, csr, 'sign'), 409, 'key_already_used')
      expectProblem(
        await alice.api.put(`/v1/certificates/${first.id}/publication`, {
          consentVersion: policyVersion,
          audience: 'public',
        }),
        409,
        'certificate_not_valid',
      )
      expect(await found(alice.email)).toEqual([second.id])
    })

    test('an unpublished certificate is followed by an unpublished one', async () => {
      const alice = await newcomer()
      await certify(alice)
      expect((await certify(alice)).published).toBe(false)
      expect(await found(alice.email)).toEqual([])
    })
  })

  describe('the end of a certificate', () => {
    test('it is not found a moment after its end, expired after the next job, and its key stays used', async () => {
      const alice = await newcomer()
      const csr = await makeCsr()
      const certificate = await certify(alice, { csr })
      await publish(alice, certificate.id)
      await harness.settled()
      await passUntil(harness, Date.parse(certificate.notAfter) - 1, [alice, bob])
      // Twice, so that what comes next could come from memory.
      expect(await found(alice.email)).toEqual([certificate.id])
      expect(await found(alice.email)).toEqual([certificate.id])
      harness.clock.now += 1_001
      expect(await found(alice.email)).toEqual([])
      expect(await found(alice.email, 'sign')).toEqual([])
      expectProblem(
        await alice.api.put(`/v1/certificates/${certificate.id}/publication`, {
          consentVersion: policyVersion,
          audience: 'members',
        }),
        409,
        'certificate_not_valid',
      )
      await race(3, () => harness.runJob('certificates-expire'))
      expect(await own(alice, certificate.id)).toMatchObject({ state: 'expired', published: false })
      expect(await countRows(harness.main, 'publications WHERE certificate = ?', certificate.id)).toBe(0)
      expect(
        await countRows(
          harness.main,
          `audit_entries WHERE subject = ? AND action = 'certificate.expired'`,
          certificate.id,
        ),
      ).toBe(1)
      expectProblem(await ask(alice, csr), 409, 'key_already_used')
      await proveMailbox(alice, harness.mails)
      const next = await certify(alice)
      expect(next).toMatchObject({ state: 'valid', published: false })
    })

    test('398 days on nothing is found, before and after the job', async () => {
      const alice = await newcomer()
      const certificate = await certify(alice)
      await publish(alice, certificate.id)
      expect(await found(alice.email)).toEqual([certificate.id])
      await passUntil(harness, harness.clock.now + 398 * day, [alice, bob])
      expect(await found(alice.email)).toEqual([])
      await harness.runJob('certificates-expire')
      expect((await own(alice, certificate.id)).state).toBe('expired')
      expect(await found(alice.email)).toEqual([])
    })
  })

  describe('lists', () => {
    const pages = async (subscriber: Registered, path: string, limit: number): Promise<string[][]> => {
      const seen: string[][] = []
      let cursor = ''
      do {
        const { body } = await subscriber.api.get(`${path}?limit=${limit}${cursor}`)
        seen.push(body.items.map((item: Json) => item.id))
        cursor = body.next === null ? '' : `&cursor=${encodeURIComponent(body.next)}`
      } while (cursor !== '' && seen.length < 20)
      return seen
    }

    test('newest first, page by page, each once, though several came in one millisecond', async () => {
      const alice = await newcomer()
      const batches: string[][] = []
      for (const count of [2, 3, 1]) {
        harness.clock.now += 1
        const ids: string[] = []
        for (let index = 0; index < count; index += 1) ids.push((await certify(alice)).id)
        batches.unshift(ids.toSorted().toReversed())
      }
      for (const path of ['/v1/certificates', '/v1/certificate-requests']) {
        const all = (await alice.api.get(path)).body
        expect([all.items.length, all.next]).toEqual([6, null])
        for (const limit of [1, 2, 4, 6]) {
          const seen = await pages(alice, path, limit)
          expect(seen.map((page) => page.length)).toEqual(
            Array.from({ length: Math.ceil(6 / limit) }, (_, page) => Math.min(limit, 6 - page * limit)),
          )
          expect(seen.flat()).toEqual(all.items.map((item: Json) => item.id))
        }
      }
      const certificates = (await alice.api.get('/v1/certificates?limit=200')).body.items
      expect(certificates.map((item: Json) => item.id)).toEqual(batches.flat())
      expect(certificates.filter((item: Json) => item.state === 'valid').length).toBe(1)
      expect((await (await newcomer()).api.get('/v1/certificates')).body).toEqual({ items: [], next: null })
    })

    test.each([
      'limit=0',
      'limit=201',
      'limit=-1',
      'limit=x',
      'limit=1&limit=2',
      'cursor=x',
      'cursor=1.%27--',
      'page=2',
    ])('?%s is refused', async (parameters) => {
      for (const path of ['/v1/certificates', '/v1/certificate-requests']) {
        expectProblem(await bob.api.get(`${path}?${parameters}`), 422, 'invalid_request')
      }
    })

    test("another's is as one that is not there", async () => {
      const alice = await newcomer()
      const { body } = await ask(alice, await makeCsr())
      for (const [path, id] of [
        ['/v1/certificates', body.certificate.id],
        ['/v1/certificate-requests', body.id],
      ]) {
        const foreign = await bob.api.get(`${path}/${id}`)
        expectProblem(foreign, 404, 'not_found')
        expect(withoutInstance(foreign)).toEqual(withoutInstance(await bob.api.get(`${path}/AAAAAAAAAAAAAAAAAAAAAA`)))
        expect((await bob.api.get(path)).body.items).toEqual([])
      }
    })
  })

  test.each([
    ['no credential', null, 401, 'credential_required'],
    ['an unknown credential', `cb_dev_${'A'.repeat(43)}`, 401, 'credential_invalid'],
    ['garbage', 'garbage', 401, 'credential_invalid'],
    ["an administrator's credential", 'cb_adm_x', 403, 'credential_of_another_kind'],
    ["a registration's secret", `cb_reg_${'A'.repeat(43)}`, 403, 'credential_of_another_kind'],
  ])('%s opens nothing', async (_, credential, status, code) => {
    const api = credential === null ? harness.api : harness.api.with(credential)
    const before = await countEverything(harness)
    const answers = [
      await api.get('/v1/me'),
      await api.get('/v1/certificates'),
      await api.get('/v1/certificates/x'),
      await api.get('/v1/certificate-requests'),
      await api.get('/v1/certificate-requests/x'),
      await api.post('/v1/certificate-requests', { csr: await makeCsr(), use: 'dual' }),
      await api.put('/v1/certificates/x/publication', { consentVersion: policyVersion, audience: 'members' }),
      await api.delete('/v1/certificates/x/publication'),
      await api.post('/v1/lookups', { addresses: ['bob@example.com'], use: 'encrypt' }),
      await api.get('/v1/me/lookups'),
    ]
    for (const answer of answers) {
      expectProblem(answer, status, code)
      expect(answer.headers.get('WWW-Authenticate')).toBe(status === 401 ? 'Bearer realm="certbook"' : null)
    }
    expect(await countEverything(harness)).toEqual(before)
  })

  describe('races', () => {
    test('fifty times the same request at once: one request, one certificate', async () => {
      const alice = await newcomer()
      const csr = await makeCsr()
      const answers = await race(50, () => ask(alice, csr))
      for (const answer of answers) expect([200, 201, 202]).toContain(answer.status)
      expect(answers.filter((answer) => answer.status === 201).length).toBe(1)
      expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1)
      expect(await countRows(harness.main, 'certificate_requests WHERE subscriber = ?', alice.subscriberId)).toBe(1)
      expect(await countRows(harness.main, 'certificates WHERE subscriber = ?', alice.subscriberId)).toBe(1)
      expect((await ask(alice, csr)).body.state).toBe('issued')
    })

    test('ten requests for one use at once: every one issued, one valid, and it alone is published', async () => {
      const alice = await newcomer()
      await publish(alice, (await certify(alice)).id)
      const csrs = await race(10, () => makeCsr())
      const answers = await Promise.all(csrs.map((csr) => ask(alice, csr)))
      expect(new Set(answers.map((answer) => answer.body.state))).toEqual(new Set(['issued']))
      const { items } = (await alice.api.get('/v1/certificates')).body
      expect(items.length).toBe(11)
      const valid = items.filter((item: Json) => item.state === 'valid')
      expect(valid.map((item: Json) => item.published)).toEqual([true])
      expect(await found(alice.email)).toEqual([valid[0].id])
      expect(items.filter((item: Json) => item.published).length).toBe(1)
    })

    test('ten subscribers with one key at once: one of them gets it', async () => {
      const subscribers: Registered[] = []
      for (let index = 0; index < 10; index += 1) subscribers.push(await newcomer())
      const csr = await makeCsr()
      const answers = await Promise.all(subscribers.map((subscriber) => ask(subscriber, csr)))
      expect(answers.filter((answer) => answer.status === 201).length).toBe(1)
      expect(answers.filter((answer) => answer.body.code === 'key_belongs_to_another').length).toBe(9)
    })
  })

  describe('a request whose process died after the intent was kept', () => {
    const leaseMilliseconds = 5 * 60_000

    /** Puts an issued request back to where it was while the CA was asked. */
    const strand = async (request: string): Promise<void> => {
      await harness.main.batch([
        command(`DELETE FROM certificates WHERE request = ?`, request),
        command(
          `UPDATE certificate_requests SET state = 'submitting', claim = 'gone', due_at = ?, updated_at = ? WHERE id = ?`,
          harness.clock.now + leaseMilliseconds,
          harness.clock.now,
          request,
        ),
      ])
    }

    test('is pending, and the job takes it up once its lease is over', async () => {
      const alice = await newcomer()
      const keys = await makeKeys()
      const csr = await makeCsr({ keys })
      const { body } = await ask(alice, csr)
      await strand(body.id)
      const repeated = await ask(alice, csr)
      expect([repeated.status, repeated.body]).toEqual([200, { ...body, state: 'pending', certificate: null }])
      expect(repeated.headers.get('Location')).toBe(`/v1/certificate-requests/${body.id}`)
      expect(Number(repeated.headers.get('Retry-After'))).toBeGreaterThan(0)
      harness.clock.now += leaseMilliseconds - 1_000
      await harness.runJob('requests-resume')
      const path = `/v1/certificate-requests/${body.id}`
      expect((await alice.api.get(path)).body.state).toBe('pending')
      harness.clock.now += 2_000
      await race(3, () => harness.runJob('requests-resume'))
      const resumed = (await alice.api.get(path)).body
      expect(resumed).toMatchObject({ id: body.id, state: 'issued', reason: null })
      expect(spkiOf(certificateOf(resumed.certificate.certificate))).toBe(await spkiOfKeys(keys))
      expect(await countRows(harness.main, 'certificates WHERE request = ?', body.id)).toBe(1)
      const states = await harness.main.all(
        query({ state: text }, `SELECT state FROM certificate_requests WHERE id = ?`, body.id),
      )
      expect(states).toEqual([{ state: 'issued' }])
    })

    test('taken up while its process lives after all, it still becomes one certificate', async () => {
      for (let round = 0; round < 5; round += 1) {
        const alice = await newcomer()
        const csr = await makeCsr()
        const answers: Answer[] = []
        const asking = ask(alice, csr).then((answer) => answers.push(answer))
        while (answers.length === 0) {
          harness.clock.now += leaseMilliseconds + 1
          await harness.runJob('requests-resume')
          await new Promise((resolve) => setImmediate(resolve))
        }
        await asking
        const [{ status, body } = { status: 0, body: null }] = answers
        expect([status, body.state]).toEqual([201, 'issued'])
        expect(await countRows(harness.main, 'certificates WHERE request = ?', body.id)).toBe(1)
        expect((await ask(alice, csr)).body).toEqual(body)
      }
    })

    test('one that cannot be resumed does not keep the others from it', async () => {
      const [alice, carol] = [await newcomer(), await newcomer()]
      const broken = (await ask(alice, await makeCsr())).body.id
      const sound = (await ask(carol, await makeCsr())).body.id
      await strand(broken)
      harness.clock.now += 1
      await strand(sound)
      await harness.main.batch([command(`UPDATE certificate_requests SET csr_sealed = x'00' WHERE id = ?`, broken)])
      harness.clock.now += leaseMilliseconds + 1
      await harness.runJob('requests-resume').catch(() => undefined)
      harness.clock.now += 1_000
      await harness.runJob('requests-resume').catch(() => undefined)
      expect((await carol.api.get(`/v1/certificate-requests/${sound}`)).body.state).toBe('issued')
      expect((await alice.api.get(`/v1/certificate-requests/${broken}`)).body.state).toBe('received')
    })
  })

  test('the service is whole', () => answered.check(harness))
})
