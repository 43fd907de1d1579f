import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { integer, query, text } from '../../src/ports/database.ts'
import { openText } from '../../src/ports/keys.ts'
import { blob } from '../../src/ports/database.ts'
import type { Answer, Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { linksIn, readMail, tokenIn } from '../support/mail.ts'
import { confirmRegistration, deviceFacts, policyVersion, register, startRegistration } from '../support/story.ts'
import {
  Answered,
  countEverything,
  countRows,
  day,
  expectProblem,
  findLeaks,
  hour,
  race,
  withoutInstance,
} from './support.ts'

const body = (changes: Json = {}): Json => ({
  email: 'alice@example.com',
  accountType: 'imap',
  policyVersion,
  device: deviceFacts,
  ...changes,
})

const headersOf = (message: string): string => message.split('\r\n\r\n')[0] ?? ''

const pemPrivateKey = [
  '-----BEGIN PRIVATE KEY-----',
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYm9ndXNib2d1c2Jv',
  '-----END PRIVATE KEY-----',
].join('\n')

describe.each(engines)('registration on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  const start = (changes: Json = {}): Promise<Answer> => harness.api.post('/v1/registrations', body(changes))
  const confirm = (started: Json, token: string): Promise<Answer> =>
    harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/confirmation`, { token })
  const stateOf = async (started: Json): Promise<string> =>
    (await harness.api.with(started.deviceSecret).get(`/v1/registrations/${started.id}`)).body.state
  const mint = (started: Json): Promise<Answer> =>
    harness.api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`)
  const tokenOf = async (started: Json): Promise<string> => tokenIn(await harness.mails.challengeOf(started.id))
  /** The challenges that were mailed to an address. */
  const mailsTo = async (address: string): Promise<string[]> => {
    await harness.settled()
    const heads = harness.mails.messages.map(headersOf)
    return heads.filter((head) => head.includes(`To: ${address}\r\n`) && /^Certbook-Token: /m.test(head))
  }

  describe('what is refused', () => {
    test.each([
      ['address_malformed', 'alice.example.com'],
      ['address_malformed', 'Alice <alice@example.com>'],
      ['address_malformed', ' alice@example.com'],
      ['address_malformed', 'alice@example.com\r\nBcc: mallory@example.com'],
      ['address_malformed', 'alice@example.com,mallory@example.com'],
      ['address_quoted_local_part', '"alice"@example.com'],
      ['address_comment', 'alice(work)@example.com'],
      ['address_literal', 'alice@[192.0.2.1]'],
      ['address_too_long', `${'a'.repeat(65)}@example.com`],
      ['address_too_long', `alice@${'a.'.repeat(130)}example`],
      ['address_domain_invalid', 'alice@localhost'],
      ['address_domain_invalid', 'alice@exa_mple.com'],
      // Decomposed: u and a combining diaeresis.
      ['address_local_part_not_nfc', 'ju\u0308rgen@example.com'],
    ])('%s: %j', async (code, email) => {
      const before = await countEverything(harness)
      const answer = await start({ email })
      expectProblem(answer, 422, code)
      expect(answer.body.detail).not.toContain(email)
      expect(await countEverything(harness)).toEqual(before)
      expect(harness.log.join('\n')).not.toContain(email)
    })

    test.each([
      ['an unknown field', { password: 'hunter2-secret' }],
      ['an unknown field of the device', { device: { ...deviceFacts, phoneNumber: 'hunter2-secret' } }],
      ['a secret as the name of a field', { device: { ...deviceFacts, 'hunter2-secret': 'x' } }],
      ['an account type that is none', { accountType: 'hunter2-secret' }],
      ['a missing address', { email: undefined }],
      ['an empty address', { email: '' }],
      ['an address of another type', { email: ['alice@example.com'] }],
      ['a flood for an address', { email: `hunter2-secret${'a'.repeat(1_000)}@example.com` }],
      ['a serial number left out', { device: { ...deviceFacts, serialNumber: undefined } }],
      ['a language that is none', { device: { ...deviceFacts, language: 'hunter2-secret!' } }],
      ['no device', { device: undefined }],
    ])('invalid_request: %s', async (_, changes) => {
      const before = await countEverything(harness)
      const answer = await start(changes)
      expectProblem(answer, 422, 'invalid_request')
      expect(JSON.stringify(answer.body)).not.toContain('hunter2')
      expect(harness.log.join('\n')).not.toContain('hunter2')
      expect(await countEverything(harness)).toEqual(before)
    })

    test.each([['[]'], ['null'], ['"alice@example.com"'], ['{}']])('invalid_request: the body %j', async (raw) => {
      expectProblem(await harness.api.raw('POST', '/v1/registrations', raw, 'application/json'), 422, 'invalid_request')
    })

    test('a policy version that is not in force', async () => {
      expectProblem(await start({ policyVersion: '2025-01' }), 409, 'policy_version_not_in_force')
    })

    test('a serial number, unless it is of Android', async () => {
      const device = { ...deviceFacts, serialNumber: 'SN-0123-4567' }
      const before = await countEverything(harness)
      const refused = await start({ email: 'serial@example.com', device })
      expectProblem(refused, 422, 'serial_number_not_android')
      expect(JSON.stringify(refused.body)).not.toContain('SN-0123')
      expect(await countEverything(harness)).toEqual(before)
      const taken = await start({
        email: 'serial@example.com',
        device: { ...device, deviceType: 'Pixel', osVersion: 'Android 16' },
      })
      expect(taken.status).toBe(202)
      expect(await findLeaks(harness, 'SN-0123-4567')).toEqual([])
    })

    test.each([[''], ['{'], ['{"email":}'], ['email=alice@example.com']])('malformed JSON: %s', async (raw) => {
      expectProblem(await harness.api.raw('POST', '/v1/registrations', raw, 'application/json'), 400, 'malformed_json')
    })

    test.each([
      ['text/plain'],
      ['application/x-www-form-urlencoded'],
      ['multipart/form-data'],
      // For other endpoints, yes; not for this one.
      ['application/pkcs10'],
      ['application/x-pem-file'],
    ])('a body of type %s', async (type) => {
      const answer = await harness.api.raw('POST', '/v1/registrations', JSON.stringify(body()), type)
      expectProblem(answer, 415, 'unsupported_media_type')
    })

    test('JSON with a charset is taken', async () => {
      const raw = JSON.stringify(body({ email: 'charset@example.com' }))
      expect((await harness.api.raw('POST', '/v1/registrations', raw, 'application/json; charset=utf-8')).status).toBe(
        202,
      )
    })

    /** Sends a body without a length, as HTTP/1.1 does in chunks and HTTP/2 does as it likes. */
    const streamed = async (content: string, headers: Record<string, string>): Promise<Answer> => {
      const init: RequestInit & { duplex: 'half' } = {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: new Blob([content]).stream(),
        duplex: 'half',
      }
      const response = await harness.service.fetch(new Request('http://127.0.0.1/v1/registrations', init))
      return { status: response.status, headers: response.headers, body: await response.json() }
    }
    const ways: [string, (content: string) => Promise<Answer>][] = [
      ['with its length', (content) => harness.api.raw('POST', '/v1/registrations', content, 'application/json')],
      ['in chunks', (content) => streamed(content, { 'Transfer-Encoding': 'chunked' })],
      ['without a length', (content) => streamed(content, {})],
    ]

    test.each(ways)('a body that is too large, sent %s', async (_, send) => {
      expectProblem(await send(JSON.stringify(body({ email: 'a'.repeat(200_000) }))), 413, 'payload_too_large')
    })

    test.each(ways)('a body that is not too large is taken, sent %s', async (way, send) => {
      expect((await send(JSON.stringify(body({ email: `${way.replaceAll(' ', '.')}@example.com` })))).status).toBe(202)
    })

    test.each(ways)('a private key, sent %s, of which nothing stays', async (_, send) => {
      const before = await countEverything(harness)
      const answer = await send(JSON.stringify(body({ device: { ...deviceFacts, appVersion: pemPrivateKey } })))
      expectProblem(answer, 422, 'private_key_refused')
      expect(JSON.stringify(answer.body)).not.toContain('MIGHAgEA')
      await harness.settled()
      expect(await countEverything(harness)).toEqual(before)
      expect(await findLeaks(harness, 'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYm9ndXNib2d1c2Jv')).toEqual([])
    })
  })

  test('the answer does not tell whether the address is known', async () => {
    await register(harness.api, harness.mails, 'known@example.com')
    const known = await start({ email: 'known@example.com' })
    const unknown = await start({ email: 'unknown@example.com' })
    const shape = ({ status, headers, body }: Answer) => ({
      status,
      headers: [...headers],
      body: Object.entries(body as Record<string, string>).map(([name, value]) => [name, value.length]),
    })
    expect(known.status).toBe(202)
    expect(shape(known)).toEqual(shape(unknown))
    expect(Object.keys(known.body)).toEqual(['id', 'deviceSecret', 'userCode', 'expiresAt'])
    expect(known.body.deviceSecret).toMatch(/^cb_reg_[\w-]{43}$/)
    expect(known.body.userCode).toMatch(/^[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}$/)
    expect(known.body.expiresAt).toBe(new Date(harness.clock.now + day).toISOString())
    expect((await mailsTo('known@example.com')).length).toBe(2)
    expect((await mailsTo('unknown@example.com')).length).toBe(1)
  })

  test('what is kept of a registration names nobody in the clear, and its secrets are hashes', async () => {
    const email = 'leak.test@example.com'
    const started = await startRegistration(harness.api, email)
    const token = await tokenOf(started)
    await harness.settled()
    expect(await findLeaks(harness, email, token, started.deviceSecret, started.userCode)).toEqual([])
    const mail = await harness.main.first(
      query(
        { size: integer, state: text },
        `SELECT length(content_sealed) AS size, state FROM outgoing_mail
        WHERE dedupe_key = ?`,
        `challenge/${started.id}`,
      ),
    )
    expect(mail).toEqual({ size: 0, state: 'sent' })
  })

  describe('mail limits', () => {
    const startMany = async (email: string, times: number): Promise<void> => {
      for (const answer of await race(times, () => start({ email }))) {
        expect([answer.status, Object.keys(answer.body).length]).toEqual([202, 4])
      }
    }

    test('three an hour and six a day to one address; the answer stays the same', async () => {
      const email = 'flooded@example.com'
      await startMany(email, 20)
      expect((await mailsTo(email)).length).toBe(3)
      const withheld = harness.log.filter((line) => line.includes('"event":"mail_withheld"'))
      expect(withheld).toHaveLength(17)
      expect(withheld.every((line) => /"registration":"[\w-]+"}$/.test(line))).toBe(true)
      harness.clock.now += hour - 1
      await startMany('Flooded@EXAMPLE.com', 1)
      expect((await mailsTo('Flooded@example.com')).length).toBe(0)
      harness.clock.now += 1
      await startMany(email, 4)
      expect((await mailsTo(email)).length).toBe(6)
      harness.clock.now += hour
      await startMany(email, 2)
      expect((await mailsTo(email)).length).toBe(6)
      expect((await start({ email: 'not.flooded@example.com' })).status).toBe(202)
      expect((await mailsTo('not.flooded@example.com')).length).toBe(1)
      harness.clock.now += 22 * hour
      await startMany(email, 4)
      expect((await mailsTo(email)).length).toBe(9)
    })

    test('the nightly job does not forget them too early', async () => {
      const email = 'pruned@example.com'
      await startMany(email, 3)
      await harness.settled()
      harness.clock.now += hour / 2
      await harness.runJob('mail-prune')
      await startMany(email, 1)
      expect((await mailsTo(email)).length).toBe(3)
      harness.clock.now += 3 * day
      await harness.runJob('mail-prune')
      const row = await harness.main.first(query({ rows: integer }, `SELECT COUNT(*) AS "rows" FROM outgoing_mail`))
      expect(row).toEqual({ rows: 0 })
    })
  })

  describe('the challenge', () => {
    test('goes to the address alone, with its headers, and without what only the device may know', async () => {
      const started = await startRegistration(harness.api, 'Challenge@BÜCHER.example')
      const message = await harness.mails.challengeOf(started.id)
      const token = await tokenOf(started)
      const head = headersOf(message)
      expect(head).toContain('To: Challenge@xn--bcher-kva.example\r\n')
      expect(head).not.toMatch(/^(Cc|Bcc):/im)
      expect(head).toContain(`Certbook-Registration: ${started.id}\r\n`)
      expect(head).toContain(`Certbook-Token: ${token}\r\n`)
      expect(head).toContain(`Certbook-Origin: ${new URL(harness.config.publicUrl).origin}\r\n`)
      expect(head).toContain('Auto-Submitted: auto-generated\r\n')
      expect(Buffer.from(token, 'base64url').length).toBeGreaterThanOrEqual(16)
      const { text: content, html } = await readMail(message)
      expect(linksIn(content)).toEqual([`${harness.config.publicUrl}/confirm/${started.id}#${token}`])
      expect(content).toContain('iPhone')
      expect(content + html).not.toContain(started.userCode)
      expect(message).not.toContain(started.deviceSecret)
    })

    test.each([
      ['de', 'en', 'möchte diese Adresse registrieren'],
      ['de-AT', 'en', 'möchte diese Adresse registrieren'],
      ['DE', 'en', 'möchte diese Adresse registrieren'],
      ['en-GB', 'en', 'asks to register this address'],
      ['fr', 'en', 'asks to register this address'],
    ])('is written for %s where MAIL_LANGUAGE is %s', async (language, _, subject) => {
      const answer = await start({ email: `${language}@example.com`, device: { ...deviceFacts, language } })
      expect((await readMail(await harness.mails.challengeOf(answer.body.id))).subject).toContain(subject)
    })
  })

  describe('confirmation', () => {
    const audited = `audit_entries WHERE subject = ? AND action = 'registration.ended'`

    test('a wrong token is refused, the fifth ends the registration for good', async () => {
      const started = await startRegistration(harness.api, 'guessed@example.com')
      const token = await tokenOf(started)
      for (const wrong of ['x', token.slice(0, -1), `${token}x`, token.toLowerCase()]) {
        expectProblem(await confirm(started, wrong), 403, 'token_wrong')
      }
      expect(await stateOf(started)).toBe('pending')
      expectProblem(await confirm(started, 'fifth'), 410, 'registration_ended')
      expect(await stateOf(started)).toBe('ended')
      expectProblem(await confirm(started, token), 410, 'registration_ended')
      expectProblem(await mint(started), 410, 'registration_ended')
      expect(await countRows(harness.main, audited, started.id)).toBe(1)
    })

    test('four wrong tokens leave the right one good', async () => {
      const started = await startRegistration(harness.api, 'clumsy@example.com')
      for (const wrong of ['1', '2', '3', '4']) expectProblem(await confirm(started, wrong), 403, 'token_wrong')
      expect((await confirm(started, await tokenOf(started))).body).toEqual({ state: 'confirmed' })
    })

    test('of twenty wrong tokens at once no more than four leave the registration open', async () => {
      const started = await startRegistration(harness.api, 'guessed.at.once@example.com')
      const answers = await race(20, (index) => confirm(started, `wrong ${index}`))
      for (const answer of answers) {
        expect(['token_wrong', 'registration_ended']).toContain(answer.body.code)
      }
      expect(answers.filter((answer) => answer.status === 403).length).toBeLessThanOrEqual(4)
      expectProblem(await confirm(started, await tokenOf(started)), 410, 'registration_ended')
      expect(await countRows(harness.main, audited, started.id)).toBe(1)
    })

    test("another registration's token is a wrong token", async () => {
      const one = await startRegistration(harness.api, 'one@example.com')
      const other = await startRegistration(harness.api, 'one@example.com')
      expectProblem(await confirm(one, await tokenOf(other)), 403, 'token_wrong')
    })

    test('an unknown id, a wrong secret and another one’s secret are refused alike', async () => {
      const started = await startRegistration(harness.api, 'secret@example.com')
      const other = await startRegistration(harness.api, 'secret.other@example.com')
      const token = await tokenOf(started)
      const answers = [
        await confirm({ id: 'AAAAAAAAAAAAAAAAAAAAAA', deviceSecret: started.deviceSecret }, token),
        await confirm({ id: started.id, deviceSecret: `cb_reg_${'A'.repeat(43)}` }, token),
        await confirm({ id: started.id, deviceSecret: other.deviceSecret }, token),
        await mint({ id: started.id, deviceSecret: other.deviceSecret }),
        await harness.api.with('wrong').get(`/v1/registrations/${started.id}`),
      ]
      for (const answer of answers) {
        expectProblem(answer, 401, 'credential_invalid')
        expect(answer.headers.get('WWW-Authenticate')).toBe('Bearer realm="certbook"')
        expect(withoutInstance(answer)).toEqual(withoutInstance(answers[0]!))
      }
      expectProblem(await harness.api.get(`/v1/registrations/${started.id}`), 401, 'credential_required')
      expect(await stateOf(started)).toBe('pending')
    })

    test('is good for 24 hours', async () => {
      const inTime = await startRegistration(harness.api, 'in.time@example.com')
      const late = await startRegistration(harness.api, 'late@example.com')
      const confirmedOnly = await startRegistration(harness.api, 'confirmed.only@example.com')
      await confirmRegistration(harness.api, harness.mails, confirmedOnly)
      harness.clock.now += day - 1
      await confirmRegistration(harness.api, harness.mails, inTime)
      expect((await mint(inTime)).status).toBe(201)
      harness.clock.now += 1
      expect(await stateOf(late)).toBe('ended')
      expectProblem(await confirm(late, await tokenOf(late)), 410, 'registration_ended')
      expectProblem(await confirm(late, 'wrong'), 410, 'registration_ended')
      expectProblem(await mint(confirmedOnly), 410, 'registration_ended')
    })

    test('can be repeated, and changes nothing then', async () => {
      const started = await startRegistration(harness.api, 'repeated@example.com')
      await confirmRegistration(harness.api, harness.mails, started)
      await confirmRegistration(harness.api, harness.mails, started)
      expect(
        await countRows(
          harness.main,
          `audit_entries WHERE subject = ? AND action = 'registration.confirmed'`,
          started.id,
        ),
      ).toBe(1)
      expect((await mint(started)).status).toBe(201)
      await confirmRegistration(harness.api, harness.mails, started)
      expect(await stateOf(started)).toBe('confirmed')
      expectProblem(await confirm(started, 'wrong'), 403, 'token_wrong')
    })

    test('a registration is forgotten two days after it has expired', async () => {
      const started = await startRegistration(harness.api, 'forgotten@example.com')
      harness.clock.now += 3 * day
      await harness.runJob('registrations-prune')
      expect(await countRows(harness.main, 'registrations WHERE id = ?', started.id)).toBe(1)
      harness.clock.now += 1
      await harness.runJob('registrations-prune')
      expect(await countRows(harness.main, 'registrations WHERE id = ?', started.id)).toBe(0)
      const answer = await harness.api.with(started.deviceSecret).get(`/v1/registrations/${started.id}`)
      expectProblem(answer, 401, 'credential_invalid')
    })
  })

  describe('the credential', () => {
    test('is not given before the mailbox is proved', async () => {
      const started = await startRegistration(harness.api, 'hasty@example.com')
      expectProblem(await mint(started), 409, 'registration_not_confirmed')
      expect(await countRows(harness.main, 'devices WHERE registration = ?', started.id)).toBe(0)
    })

    test('is replaced by a repeat until it is used, and not from then on', async () => {
      const started = await startRegistration(harness.api, 'Lost.Answer@example.com')
      await confirmRegistration(harness.api, harness.mails, started)
      const lost = await mint(started)
      const kept = await mint(started)
      expect([lost.status, kept.status]).toEqual([201, 201])
      expect({ ...kept.body, credential: null }).toEqual({ ...lost.body, credential: null })
      expect(kept.body.mailbox).toBe('Lost.Answer@example.com')
      expect(kept.body.credential).toMatch(/^cb_dev_[\w-]{43}$/)
      expectProblem(await harness.api.with(lost.body.credential).get('/v1/me'), 401, 'credential_invalid')
      const me = await harness.api.with(kept.body.credential).get('/v1/me')
      expect(me.body).toMatchObject({
        subscriberId: kept.body.subscriberId,
        deviceId: kept.body.deviceId,
        language: 'en',
        restricted: false,
        mailboxes: [{ address: 'Lost.Answer@example.com', accountType: 'imap' }],
      })
      expectProblem(await mint(started), 409, 'registration_completed')
      expect((await harness.api.with(kept.body.credential).get('/v1/me')).status).toBe(200)
      await harness.settled()
      expect(await findLeaks(harness, kept.body.credential)).toEqual([])
    })

    test('makes one subscriber a mailbox, however it is spelled: the last who proved it', async () => {
      const owners: string[] = []
      for (const email of ['taken@example.com', 'TAKEN@Example.COM']) {
        owners.push((await register(harness.api, harness.mails, email)).subscriberId)
      }
      const now = await harness.main.all(
        query(
          { owner: text },
          'SELECT subscriber AS owner FROM mailboxes WHERE address_index = ? AND ended_at IS NULL',
          harness.keys.blindIndex('taken@example.com'),
        ),
      )
      expect(now).toEqual([{ owner: owners[1] }])
    })

    test('the terms that were acknowledged are on record', async () => {
      const subscriber = await register(harness.api, harness.mails, 'terms@example.com')
      const record = await harness.main.all(
        query(
          { purpose: text, act: text, version: text, device: text },
          `SELECT purpose, act, text_version AS version, device FROM consent_records WHERE subscriber = ?`,
          subscriber.subscriberId,
        ),
      )
      expect(record).toEqual([
        { purpose: 'terms', act: 'acknowledged', version: policyVersion, device: subscriber.deviceId },
      ])
      const device = await harness.main.first(
        query(
          { id: text, sealed: blob },
          `SELECT id, facts_sealed AS sealed FROM devices WHERE id = ?`,
          subscriber.deviceId,
        ),
      )
      const place = { table: 'devices', column: 'facts_sealed', row: subscriber.deviceId }
      expect(JSON.parse(openText(harness.keys.main, place, device!.sealed))).toEqual(deviceFacts)
    })
  })

  describe('races', () => {
    test('twenty confirmations of one token, then twenty calls for the credential, make one subscriber', async () => {
      const totals = async () =>
        Promise.all(['subscribers', 'devices', 'mailboxes'].map((table) => countRows(harness.main, table)))
      const started = await startRegistration(harness.api, 'raced@example.com')
      const token = await tokenOf(started)
      const before = await totals()
      for (const answer of await race(20, () => confirm(started, token))) {
        expect([answer.status, answer.body]).toEqual([200, { state: 'confirmed' }])
      }
      expect(
        await countRows(
          harness.main,
          `audit_entries WHERE subject = ? AND action = 'registration.confirmed'`,
          started.id,
        ),
      ).toBe(1)
      const minted = await race(20, () => mint(started))
      expect(new Set(minted.map((answer) => answer.status))).toEqual(new Set([201]))
      expect(new Set(minted.map(({ body }) => `${body.subscriberId} ${body.deviceId} ${body.mailbox}`)).size).toBe(1)
      expect(await totals()).toEqual(before.map((rows) => rows + 1))
      expect(await countRows(harness.main, 'devices WHERE registration = ?', started.id)).toBe(1)
      expect(await countRows(harness.main, 'consent_records WHERE subscriber = ?', minted[0]!.body.subscriberId)).toBe(
        1,
      )
      const used = await Promise.all(minted.map(({ body }) => harness.api.with(body.credential).get('/v1/me')))
      expect(used.filter((answer) => answer.status === 200).map((answer) => answer.body.subscriberId)).toEqual([
        minted[0]!.body.subscriberId,
      ])
      expect(used.filter((answer) => answer.body.code === 'credential_invalid').length).toBe(19)
      expectProblem(await mint(started), 409, 'registration_completed')
    })

    test('confirmations and credential calls all at once end in one subscriber too', async () => {
      const started = await startRegistration(harness.api, 'raced.all@example.com')
      const token = await tokenOf(started)
      const answers = await race(20, (index) => (index % 2 === 0 ? confirm(started, token) : mint(started)))
      for (const answer of answers) {
        expect([200, 201, 409]).toContain(answer.status)
        if (answer.status === 409) expect(answer.body.code).toBe('registration_not_confirmed')
      }
      expect((await mint(started)).status).toBe(201)
      expect(await countRows(harness.main, 'devices WHERE registration = ?', started.id)).toBe(1)
    })
  })

  test('the service is whole', () => answered.check(harness))
})

test('a device that speaks neither German nor English gets the mail in MAIL_LANGUAGE', async () => {
  const harness = await openRoomHarness('sqlite', { settings: { MAIL_LANGUAGE: 'de' } })
  try {
    for (const [language, word] of [
      ['fr', 'registrieren'],
      ['en-US', 'register'],
    ] as const) {
      const device = { ...deviceFacts, language }
      const answer = await harness.api.post('/v1/registrations', body({ email: `${language}@example.com`, device }))
      const mail = await readMail(await harness.mails.challengeOf(answer.body.id))
      expect(mail.text).toMatch(new RegExp(`\\b${word}\\b`))
    }
  } finally {
    await harness.close()
  }
})
