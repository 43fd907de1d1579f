import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blob, command, integer, query, text } from '../../src/ports/database.ts'
import { openText, sealText } from '../../src/ports/keys.ts'
import { DeliveryFailed } from '../../src/ports/mailer.ts'
import type { Json } from '../support/api.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { linksIn, MailPool, readMail, tokenIn, type ReadMail } from '../support/mail.ts'
import {
  certify,
  confirmRegistration,
  deviceFacts,
  policyVersion,
  publish,
  register,
  type Registered,
} from '../support/story.ts'
import { Answered, countRows, day, minute, passUntil, race } from './support.ts'

const publicUrl = 'https://keys.example.com'
const controller = `Müller & Söhne <b>"GmbH"</b> 'Keys'`
const settings = { PUBLIC_URL: publicUrl, CONTROLLER: controller }
const languages = ['en', 'de'] as const
type Language = (typeof languages)[number]

/** 2026-11-21T12:00:00Z, as the harness has it, in local form. */
const when = { en: '21 November 2026 at 12:00 UTC', de: '21. November 2026 um 12:00 Uhr (UTC)' }

/** What would make a mail look like one that wants something: pictures, styles, scripts, forms, fetched content. */
const suspicious = /<(img|link|style|script|form|iframe|object|video|svg|base|meta http)|src=|style=|url\(|cid:/i

const visible = (html: string): string =>
  html
    .replaceAll(/<head>.*<\/head>/gs, '')
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ')
    .trim()

/** What every mail keeps to. */
function expectHonest(mail: ReadMail, language: Language): void {
  expect(mail.header('Auto-Submitted')).toBe('auto-generated')
  expect(mail.parsed.headers.get('content-type')).toMatchObject({ value: 'multipart/alternative' })
  expect(mail.parsed.attachments).toEqual([])
  expect(mail.html).not.toMatch(suspicious)
  expect(mail.html).toContain(`<html lang="${language}">`)
  expect(visible(mail.html)).toBe(mail.text.replaceAll(/\s+/g, ' ').trim())
  expect(mail.text).toContain('keys.example.com')
  expect(mail.text).toContain(controller)
  const anchors = [...mail.html.matchAll(/<a href="([^"]*)">([^<]*)<\/a>/g)]
  expect(anchors.length).toBe([...mail.html.matchAll(/<a\b/g)].length)
  for (const [, target, words] of anchors) expect(words).toBe(target)
  expect(linksIn(mail.text)).toEqual(anchors.map(([, target]) => target))
  expect(anchors.length).toBeLessThanOrEqual(1)
}

describe.each(engines)('mail on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()

  beforeAll(async () => {
    harness = await openRoomHarness(engine, { settings })
  })
  afterAll(() => harness.close())

  const start = async (email: string, device: Json = {}): Promise<Json> => {
    const facts = { ...deviceFacts, ...device }
    const answer = await harness.api.post('/v1/registrations', {
      email,
      accountType: 'imap',
      policyVersion,
      device: facts,
    })
    expect(answer.status).toBe(202)
    return answer.body
  }

  /** The mails to an address so far, of which the subject fits. */
  const mailsTo = async (address: string, subject = /./): Promise<ReadMail[]> => {
    await harness.settled()
    const mails = await Promise.all(harness.mails.messages.map(readMail))
    return mails.filter((mail) => mail.parsed.to?.text === address && subject.test(mail.subject))
  }

  const registerIn = async (language: Language, email: string): Promise<Registered> => {
    const subscriber = await register(harness.api, harness.mails, email)
    if (language === 'de') {
      await harness.main.batch([
        command(`UPDATE subscribers SET language = 'de-AT' WHERE id = ?`, subscriber.subscriberId),
      ])
    }
    return subscriber
  }

  describe('the challenge', () => {
    test.each([
      ['en', 'A mail app asks to register this address', ['nothing to do', 'enter the code', 'This was not me']],
      ['de', 'Eine Mail-App möchte diese Adresse registrieren', ['ist nichts zu tun', 'Code ein', 'Das war ich nicht']],
    ] as const)('in %s says what happened and what to do, in text and HTML', async (language, subject, words) => {
      const email = `challenge.${language}@example.com`
      harness.clock.now = Date.parse('2026-11-21T12:00:00Z')
      const started = await start(email, { language })
      const mail = await readMail(await harness.mails.challengeOf(started.id))
      expectHonest(mail, language)
      expect(mail.subject).toBe(subject)
      expect(mail.header('Certbook-Registration')).toBe(started.id)
      expect(mail.text).toContain(when[language])
      expect(mail.text).toContain('(iPhone)')
      for (const word of words) expect(mail.text).toContain(word)
      expect(linksIn(mail.text)).toEqual([`${publicUrl}/confirm/${started.id}#${mail.header('Certbook-Token')}`])
      for (const secret of [started.userCode, started.deviceSecret]) {
        expect(mail.text + mail.html).not.toContain(secret)
      }
    })

    test.each([
      [`<img src=x onerror=alert(1)>`],
      [`<a href="https://evil.example">open</a>`],
      [`https://evil.example/login`],
      [`iPhone</title><script>`],
      [`win at evil.example now, call +49 30 123456 and tell them your password please`],
      [`&lt;b&gt;`],
      [`"><b>`],
      [`***`],
    ])('is no messenger for the device type %j', async (deviceType) => {
      for (const language of languages) {
        const started = await start(`hostile@${crypto.randomUUID()}.example`, { deviceType, language })
        const mail = await readMail(await harness.mails.challengeOf(started.id))
        expectHonest(mail, language)
        expect(linksIn(mail.text).length).toBe(1)
        expect(mail.text + mail.html).not.toContain('evil.example')
        const shown = /\(([^)]*)\)/.exec(mail.text.split('\n')[0] ?? '')?.[1] ?? ''
        expect(shown).toMatch(/^[\p{L}\p{N} -]{0,30}$/u)
      }
    })

    test('is written when it is sent, from what was queued', async () => {
      const started = await start('before@example.com')
      const token = (await readMail(await harness.mails.challengeOf(started.id))).header('Certbook-Token')
      await harness.settled()
      const id = 'queued-before'
      await insertQueued(id, 'challenge', {
        recipient: 'before@example.com',
        language: 'de',
        kind: 'challenge',
        parameters: {
          registration: started.id,
          token,
          purpose: 'registration',
          act: null,
          deviceType: 'iPhone',
          startedAt: Date.UTC(2026, 10, 20, 9, 30),
          also: [],
        },
      })
      await harness.runJob('mail-send')
      const [mail] = await mailsTo('before@example.com', /möchte diese Adresse registrieren/)
      expectHonest(mail!, 'de')
      expect(mail!.text).toContain('20. November 2026 um 09:30 Uhr (UTC)')
      expect(linksIn(mail!.text)).toEqual([`${publicUrl}/confirm/${started.id}#${token}`])
      expect(await stateOf(id)).toEqual({ state: 'sent', attempts: 1, size: 0, failure: '' })
    })

    test.each([
      ['of another version', 'challenge', { recipient: 'a@example.com', language: 'en', parameters: { pages: 3 } }],
      ['of another kind than its row', 'new_device', { ...deviceMail('challenge-as-device@example.com') }],
      [
        'of a language that is none',
        'new_device',
        { ...deviceMail('a@example.com'), kind: 'new_device', language: 'fr' },
      ],
    ])('is given up at once where its content is %s', async (reason, kind, content) => {
      const id = `unreadable-${reason}`
      await insertQueued(id, kind, content)
      const before = harness.mails.messages.length
      await harness.runJob('mail-send')
      expect(harness.mails.messages.length).toBe(before)
      const row = await stateOf(id)
      expect(row).toMatchObject({ state: 'given_up', attempts: 1, size: 0 })
      expect(row?.failure).not.toContain('@')
      expect(harness.log.join('\n')).not.toContain('a@example.com')
    })
  })

  const insertQueued = async (id: string, kind: string, content: Json): Promise<void> => {
    const place = { table: 'outgoing_mail', column: 'content_sealed', row: id }
    await harness.main.batch([
      command(
        `INSERT INTO outgoing_mail
           (id, dedupe_key, kind, recipient_index, content_sealed, created_at, state, attempts, next_attempt_at)
         VALUES (?, ?, ?, ?, ?, ?, 'queued', 0, ?)`,
        id,
        `test/${id}`,
        kind,
        new Uint8Array(32),
        sealText(harness.keys.main, place, JSON.stringify(content)),
        harness.clock.now,
        harness.clock.now,
      ),
    ])
  }

  const stateOf = (id: string) =>
    harness.main.first(
      query(
        { state: text, attempts: integer, size: integer, failure: text },
        `SELECT state, attempts, length(content_sealed) AS size, COALESCE(last_failure, '') AS failure
         FROM outgoing_mail WHERE id = ?`,
        id,
      ),
    )

  describe.each(languages)('announcements in %s', (language) => {
    const subjects = {
      en: { certificate: /^A new certificate/, publication: /is published$/, revocation: /is revoked$/ },
      de: { certificate: /^Ein neues Zertifikat/, publication: /ist veröffentlicht$/, revocation: /ist widerrufen$/ },
    }[language]
    const address = (name: string): string => `${name}.${language}@example.com`

    test('a new certificate, once for each, without a limit on their number', async () => {
      harness.clock.now = Date.parse('2026-11-21T12:00:00Z')
      const email = address('certificates')
      const alice = await registerIn(language, email)
      for (let number = 0; number < 7; number += 1) await certify(alice, { use: number % 2 === 0 ? 'dual' : 'sign' })
      const mails = await mailsTo(email, subjects.certificate)
      expect(mails.length).toBe(7)
      for (const mail of mails) expectHonest(mail, language)
      expect(mails[0]!.text).toContain(when[language])
      expect(mails[0]!.text).toContain(
        language === 'de' ? 'zum Signieren und Verschlüsseln' : 'for signing and encrypt',
      )
      expect(mails[1]!.text).toContain(language === 'de' ? 'zum Signieren ausgestellt' : 'for signing was issued')
      expect(mails[0]!.text).toContain(language === 'de' ? 'Wenn Sie das nicht waren' : 'If it was not you')
    })

    test('a new publication, once for each audience', async () => {
      const email = address('publications')
      const alice = await registerIn(language, email)
      const certificate = await certify(alice)
      await race(5, () => publish(alice, certificate.id))
      const [first, ...more] = await mailsTo(email, subjects.publication)
      expect(more).toEqual([])
      expectHonest(first!, language)
      expect(first!.text).toContain(language === 'de' ? 'die Teilnehmer dieses Dienstes' : 'the subscribers of this')
      harness.clock.now += 4 * day
      await harness.runJob('mail-prune')
      await publish(alice, certificate.id)
      expect((await mailsTo(email, subjects.publication)).length, 'a repeat, long after').toBe(1)
      await publish(alice, certificate.id, 'public')
      const [, second] = await mailsTo(email, subjects.publication)
      expect(second!.text).toContain(language === 'de' ? 'für alle veröffentlicht' : 'for everyone')
    })

    test('a revocation, once, with its reason', async () => {
      const email = address('revocations')
      const alice = await registerIn(language, email)
      const certificate = await certify(alice)
      const path = `/v1/certificates/${certificate.id}/revocation`
      await race(5, () => alice.api.post(path, { reason: 'superseded' }))
      await alice.api.post(path, { reason: 'keyCompromise' })
      const [mail, ...more] = await mailsTo(email, subjects.revocation)
      expect(more).toEqual([])
      expectHonest(mail!, language)
      expect(mail!.text).toContain(language === 'de' ? 'ein anderes Zertifikat' : 'another certificate took its place')
    })

    test('a revocation by somebody who reported the key', async () => {
      const email = address('reported')
      const alice = await registerIn(language, email)
      const keys = await makeKeys()
      await certify(alice, { csr: await makeCsr({ keys }) })
      const privateKey = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
      expect((await harness.api.post('/v1/key-compromise', { privateKey })).status).toBe(200)
      const [mail, ...more] = await mailsTo(email, subjects.revocation)
      expect(more).toEqual([])
      expect(mail!.text).toContain(language === 'de' ? 'vielleicht anderen bekannt' : 'may be known to others')
    })
  })

  describe.each(languages)('a certificate that runs out, in %s', (language) => {
    const subjects = {
      en: [/^A certificate of this address runs out soon$/, /^A certificate of this address runs out very soon$/],
      de: [/^Ein Zertifikat dieser Adresse läuft bald ab$/, /^Ein Zertifikat dieser Adresse läuft sehr bald ab$/],
    }[language]
    const words = {
      en: { open: 'Open the mail app', last: 'not much time left', keep: 'Keep the private key' },
      de: {
        open: 'Öffnen Sie die Mail-App',
        last: 'nicht mehr viel Zeit',
        keep: 'Behalten Sie den privaten Schlüssel',
      },
    }[language]

    test('a first time, and a last one, with when and what to do', async () => {
      harness.clock.now = Date.parse('2026-11-21T12:00:00Z')
      const email = `running-out.${language}@example.com`
      const alice = await registerIn(language, email)
      const certificate = await certify(alice, { use: 'sign' })
      const expiry = Date.parse(certificate.notAfter)
      const format = new Intl.DateTimeFormat(language === 'de' ? 'de-DE' : 'en-GB', {
        dateStyle: 'long',
        timeZone: 'UTC',
      })
      for (const [index, before] of [30 * day, 7 * day].entries()) {
        await passUntil(harness, expiry - before, [alice])
        await harness.runJob('renewal-reminders')
        const [mail, ...more] = await mailsTo(email, subjects[index])
        expect(more).toEqual([])
        expectHonest(mail!, language)
        expect(linksIn(mail!.text)).toEqual([])
        expect(mail!.text).toContain(format.format(expiry))
        expect(mail!.text).toContain(format.format(harness.clock.now))
        expect(mail!.text).toContain(language === 'de' ? 'zum Signieren' : 'for signing')
        expect(mail!.text).toContain(words.open)
        expect(mail!.text).toContain(words.keep)
        expect(mail!.text.includes(words.last)).toBe(index === 1)
      }
    })
  })

  describe.each(languages)('what devices and mailboxes do, in %s', (language) => {
    const subjects = {
      en: {
        device: /^A new device is registered/,
        here: /^This address is registered anew/,
        elsewhere: /^Another address of yours/,
        add: /asks to add this address$/,
        prove: /asks to prove this address again$/,
      },
      de: {
        device: /^Ein neues Gerät ist für diese Adresse/,
        here: /^Ein anderes Gerät hat diese Adresse/,
        elsewhere: /^Ein anderes Gerät hat eine weitere Adresse/,
        add: /möchte diese Adresse hinzufügen$/,
        prove: /möchte diese Adresse erneut nachweisen$/,
      },
    }[language]
    const address = (name: string): string => `${name}.${language}@example.com`

    test('a new device, with what it is and when', async () => {
      harness.clock.now = Date.parse('2026-11-21T12:00:00Z')
      const email = address('device')
      const started = await start(email, { language, deviceType: 'Pixel <9>' })
      await confirmRegistration(harness.api, harness.mails, started)
      const device = harness.api.with(started.deviceSecret)
      expect((await device.post(`/v1/registrations/${started.id}/credential`)).status).toBe(201)
      const [mail, ...more] = await mailsTo(email, subjects.device)
      expect(more).toEqual([])
      expectHonest(mail!, language)
      expect(mail!.text).toContain('(Pixel 9)')
      expect(mail!.text).toContain(when[language])
    })

    test('a challenge to prove or to add a mailbox has no link, since it takes a device', async () => {
      const alice = await registerIn(language, address('prover'))
      const [own] = (await alice.api.get('/v1/me')).body.mailboxes
      expect((await alice.api.post(`/v1/me/mailboxes/${own.id}/proof`, {})).status).toBe(202)
      const added = address('added')
      const asked = { email: added, accountType: 'imap' }
      expect((await alice.api.post('/v1/me/mailboxes', asked)).status).toBe(202)
      for (const [to, subject] of [
        [alice.email, subjects.prove],
        [added, subjects.add],
      ] as const) {
        const [mail, ...more] = await mailsTo(to, subject)
        expect(more).toEqual([])
        expectHonest(mail!, language)
        expect(linksIn(mail!.text)).toEqual([])
        expect(mail!.header('Certbook-Token')).toMatch(/^[\w-]{43}$/)
        expect(mail!.text).toContain('(iPhone)')
      }
    })

    test('a mailbox that moved is told of there, and at the other mailboxes of who had it', async () => {
      const alice = await registerIn(language, address('moved'))
      const other = address('stays')
      const asked = await alice.api.post('/v1/me/mailboxes', { email: other, accountType: 'imap' })
      const token = tokenIn(await harness.mails.challengeOf(asked.body.challenge))
      expect((await alice.api.post(`/v1/me/mailboxes/${asked.body.id}/proof`, { token })).status).toBe(200)
      harness.clock.now = Date.parse('2026-11-21T12:00:00Z')
      await register(harness.api, harness.mails, alice.email)
      const [here] = await mailsTo(alice.email, subjects.here)
      const [elsewhere] = await mailsTo(other, subjects.elsewhere)
      for (const mail of [here!, elsewhere!]) {
        expectHonest(mail, language)
        expect(mail.text).toMatch(
          language === 'de' ? /28\. November 2026 um .* Uhr \(UTC\)/ : /28 November 2026 at .* UTC/,
        )
      }
      expect(elsewhere!.text + elsewhere!.html).not.toContain(alice.email)
    })
  })

  test('what waits is sealed, and what was sent leaves nothing of its content', async () => {
    const alice = await register(harness.api, harness.mails, 'sealed@example.com')
    const certificate = await certify(alice)
    await harness.settled()
    const row = await harness.main.first(
      query(
        { id: text, kind: text, state: text, content: blob },
        `SELECT id, kind, state, content_sealed AS content FROM outgoing_mail WHERE dedupe_key = ?`,
        `new_certificate/${certificate.id}`,
      ),
    )
    expect(row).toMatchObject({ kind: 'new_certificate', state: 'sent', content: new Uint8Array() })
  })

  test('the service is whole', () => answered.check(harness))
})

function deviceMail(recipient: string): Json {
  return { kind: 'challenge', recipient, language: 'en', parameters: { deviceType: 'iPhone', at: 0 } }
}

test('an announcement that the mail system does not take waits, sealed, and arrives once it does', async () => {
  const pool = new MailPool()
  let working = true
  const mailer = {
    deliver: async ({ raw }: { raw: Uint8Array }) => {
      if (!working) throw new DeliveryFailed('no answer from alice@example.com', false)
      pool.add(Buffer.from(raw).toString('utf8'))
    },
  }
  const harness = await openRoomHarness('sqlite', { settings, mailer })
  try {
    const alice = await register(harness.api, pool, 'alice@example.com')
    await harness.settled()
    const sent = pool.messages.length
    working = false
    const certificate = await certify(alice)
    await harness.settled()
    expect(pool.messages.length).toBe(sent)
    const key = `new_certificate/${certificate.id}`
    const row = await harness.main.first(
      query(
        { id: text, content: blob },
        `SELECT id, content_sealed AS content FROM outgoing_mail WHERE dedupe_key = ? AND state = 'queued'`,
        key,
      ),
    )
    const place = { table: 'outgoing_mail', column: 'content_sealed', row: row!.id }
    expect(JSON.parse(openText(harness.keys.main, place, row!.content))).toMatchObject({
      kind: 'new_certificate',
      recipient: 'alice@example.com',
    })
    expect(harness.log.join('\n')).not.toContain('alice@example.com')
    working = true
    harness.clock.now += 2 * minute
    await harness.runJob('mail-send')
    expect(pool.messages.length).toBe(sent + 1)
    expect((await readMail(pool.messages.at(-1)!)).header('Message-ID')).toBe(`<${row!.id}@localhost>`)
    expect(await countRows(harness.main, 'outgoing_mail WHERE dedupe_key = ?', key)).toBe(1)
  } finally {
    await harness.close()
  }
})
