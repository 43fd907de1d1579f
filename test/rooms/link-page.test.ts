import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { integer, query, text } from '../../src/ports/database.ts'
import type { Answer, Json } from '../support/api.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { linksIn, readMail } from '../support/mail.ts'
import { confirmRegistration, deviceFacts, policyVersion } from '../support/story.ts'
import {
  Answered,
  countEverything,
  countRows,
  day,
  expectProblem,
  findLeaks,
  race,
  withoutInstance,
} from './support.ts'

interface Linked {
  readonly id: string
  readonly deviceSecret: string
  readonly userCode: string
  readonly token: string
}

const anId = 'AAAAAAAAAAAAAAAAAAAAAA'

describe.each(engines)('the page behind a mailed link on %s', (engine) => {
  let harness: RoomHarness
  const answered = new Answered()

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
  })
  afterAll(() => harness.close())

  /** Starts a registration and reads the link in its mail. */
  const startLinked = async (name: string, device: Json = {}): Promise<Linked> => {
    const started = await harness.api.post('/v1/registrations', {
      email: `${name.replaceAll(/\W+/g, '.')}@example.com`,
      accountType: 'imap',
      policyVersion,
      device: { ...deviceFacts, ...device },
    })
    expect(started.status).toBe(202)
    const { text } = await readMail(await harness.mails.challengeOf(started.body.id))
    const link = new URL(linksIn(text)[0]!)
    expect(link.pathname).toBe(`/confirm/${started.body.id}`)
    return { ...started.body, token: link.hash.slice(1) }
  }
  const facts = (id: string, token: string): Promise<Answer> => harness.api.post(`/confirm/${id}/facts`, { token })
  const confirm = (id: string, token: string, userCode: string): Promise<Answer> =>
    harness.api.post(`/confirm/${id}`, { token, userCode })
  const refuse = (id: string, token: string): Promise<Answer> => harness.api.post(`/confirm/${id}/refusal`, { token })
  const onDevice = async (linked: Linked): Promise<string> =>
    (await harness.api.with(linked.deviceSecret).get(`/v1/registrations/${linked.id}`)).body.state
  const mint = (linked: Linked): Promise<Answer> =>
    harness.api.with(linked.deviceSecret).post(`/v1/registrations/${linked.id}/credential`)
  const audited = (action: string, id: string): Promise<number> =>
    countRows(harness.main, 'audit_entries WHERE action = ? AND subject = ?', action, id)
  const wrongTries = async (id: string): Promise<number | undefined> =>
    (
      await harness.main.first(
        query({ tries: integer }, `SELECT wrong_tries AS tries FROM registrations WHERE id = ?`, id),
      )
    )?.tries

  describe('the page itself', () => {
    const page = async (path: string, wanted?: string) => {
      const answer = await harness.ask(path, wanted === undefined ? {} : { headers: { 'Accept-Language': wanted } })
      return { status: answer.status, headers: answer.headers, bytes: await answer.text() }
    }

    test('is the same for every id, and a GET changes nothing', async () => {
      const linked = await startLinked('same page')
      await harness.settled()
      const before = await countEverything(harness)
      const known = await page(`/confirm/${linked.id}`)
      const unknown = await page(`/confirm/${anId}`)
      expect([known.status, unknown.status]).toEqual([200, 200])
      expect(known.bytes).toBe(unknown.bytes)
      expect([...known.headers]).toEqual([...unknown.headers])
      expect(await countEverything(harness)).toEqual(before)
      expect(await onDevice(linked)).toBe('pending')
      expect(known.bytes).not.toContain(linked.id)
    })

    test('runs what was written here alone, is framed by nobody, and tells its address to nobody', async () => {
      const { headers, bytes } = await page(`/confirm/${anId}`)
      const policy = headers.get('Content-Security-Policy')?.split('; ') ?? []
      expect(policy.map((directive) => directive.replace(/'sha256-[\w+/=]{44}'/, 'HASH'))).toEqual([
        "default-src 'none'",
        'script-src HASH',
        'style-src HASH',
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
      ])
      expect(headers.get('Content-Type')).toBe('text/html; charset=UTF-8')
      expect(headers.get('Referrer-Policy')).toBe('no-referrer')
      expect(headers.get('X-Frame-Options')).toBe('DENY')
      expect(headers.get('Cache-Control')).toBe('no-store')
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
      for (const element of ['script', 'style']) {
        const content = new RegExp(`<${element}>(.*)</${element}>`, 's').exec(bytes)?.[1] ?? ''
        const hash = createHash('sha256').update(content).digest('base64')
        expect(policy.find((directive) => directive.startsWith(element))).toBe(`${element}-src 'sha256-${hash}'`)
      }
      expect(bytes).not.toMatch(/https?:|\bsrc=|\bhref=|\son\w+=|style=/)
    })

    test.each([
      ['de', 'de'],
      ['de-CH', 'de'],
      ['DE-at;q=0.5, fr', 'de'],
      ['en;q=0.8, de;q=0.9', 'de'],
      ['de;q=0.1, en-US', 'en'],
      ['de;q=0, fr', 'en'],
      ['fr, *;q=0.1', 'en'],
      ['', 'en'],
      [undefined, 'en'],
    ])('for Accept-Language %j is in %s', async (wanted, language) => {
      const { headers, bytes } = await page(`/confirm/${anId}`, wanted)
      expect(headers.get('Content-Language')).toBe(language)
      expect(headers.get('Vary')).toContain('Accept-Language')
      expect(bytes).toContain(`<html lang="${language}">`)
    })

    test('and what it asks stand in the OpenAPI document', async () => {
      const { body } = await harness.api.get('/openapi.json')
      expect(Object.keys(body.paths)).toEqual(
        expect.arrayContaining(['/confirm/{id}', '/confirm/{id}/facts', '/confirm/{id}/refusal']),
      )
      expect(Object.keys(body.paths['/confirm/{id}'])).toEqual(['get', 'post'])
    })
  })

  test('link and code together confirm; the device polls until then, and mints', async () => {
    const linked = await startLinked('right code')
    expect((await facts(linked.id, linked.token)).body).toEqual({
      deviceType: 'iPhone',
      appVersion: '8.1.0',
      osVersion: '26.1',
      startedAt: new Date(harness.clock.now).toISOString(),
    })
    expect(await onDevice(linked)).toBe('pending')
    const confirmed = await confirm(linked.id, linked.token, linked.userCode)
    expect([confirmed.status, confirmed.body]).toEqual([200, { state: 'confirmed' }])
    expect(await onDevice(linked)).toBe('confirmed')
    expect((await confirm(linked.id, linked.token, linked.userCode)).status, 'a repeat').toBe(200)
    const minted = await mint(linked)
    expect([minted.status, minted.body.mailbox]).toEqual([201, 'right.code@example.com'])
    expect((await confirm(linked.id, linked.token, linked.userCode)).status, 'a late repeat').toBe(200)
    expect(await audited('registration.confirmed', linked.id)).toBe(1)
    expect(await findLeaks(harness, linked.token, linked.userCode)).toEqual([])
  })

  test.each([
    ['small letters', (code: string) => code.toLowerCase()],
    ['no hyphen', (code: string) => code.replace('-', '')],
    ['spaces', (code: string) => ` ${code.slice(0, 2)} ${code.slice(2)} `],
  ])('a code is taken with %s', async (way, typed) => {
    const linked = await startLinked(`typed with ${way}`)
    expect((await confirm(linked.id, linked.token, typed(linked.userCode))).status).toBe(200)
  })

  test('what the device says of itself is shown as a few words only', async () => {
    const linked = await startLinked('hostile device', {
      deviceType: '<script>alert(1)</script> go to https://evil.example',
      appVersion: '"><img src=x onerror=alert(1)>',
      osVersion: `26.1 ${'please call us '.repeat(5)}`,
    })
    const { body } = await facts(linked.id, linked.token)
    for (const value of [body.deviceType, body.appVersion, body.osVersion]) {
      expect(value).toMatch(/^[\p{L}\p{N} .-]{1,30}$/u)
    }
  })

  describe('who has the link alone cannot confirm', () => {
    test('without a code, or with an empty one', async () => {
      const linked = await startLinked('no code')
      const before = await countEverything(harness)
      for (const body of [{ token: linked.token }, { token: linked.token, userCode: '' }, { userCode: '' }]) {
        expectProblem(await harness.api.post(`/confirm/${linked.id}`, body), 422, 'invalid_request')
      }
      expectProblem(await confirm(linked.id, linked.token, '- -'), 403, 'code_wrong')
      expect(await countEverything(harness)).toEqual(before)
      expect(await onDevice(linked)).toBe('pending')
      expectProblem(await mint(linked), 409, 'registration_not_confirmed')
    })

    test('with the code of a registration that the attacker started', async () => {
      const [linked, attackers] = [await startLinked('phished'), await startLinked('attacker')]
      expectProblem(await confirm(linked.id, linked.token, attackers.userCode), 403, 'code_wrong')
      expectProblem(await confirm(linked.id, attackers.token, attackers.userCode), 403, 'token_wrong')
      expect(await onDevice(linked)).toBe('pending')
    })

    test('from another site, whose forms cannot send JSON', async () => {
      const linked = await startLinked('cross site')
      const content = JSON.stringify({ token: linked.token, userCode: linked.userCode })
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
        for (const path of ['', '/facts', '/refusal']) {
          const answer = await harness.api.raw('POST', `/confirm/${linked.id}${path}`, content, type)
          expectProblem(answer, 415, 'unsupported_media_type')
        }
      }
      expect(await onDevice(linked)).toBe('pending')
    })
  })

  describe('five wrong tries', () => {
    test('of codes end the registration, and the right code comes too late', async () => {
      const linked = await startLinked('five codes')
      for (let number = 0; number < 4; number += 1) {
        expectProblem(await confirm(linked.id, linked.token, `AAAA-AAA${number}`), 403, 'code_wrong')
      }
      expect(await onDevice(linked)).toBe('pending')
      expectProblem(await confirm(linked.id, linked.token, 'AAAA-AAAA'), 410, 'registration_ended')
      expectProblem(await confirm(linked.id, linked.token, linked.userCode), 410, 'registration_ended')
      expectProblem(await facts(linked.id, linked.token), 410, 'registration_ended')
      expect(await onDevice(linked)).toBe('ended')
      expectProblem(await mint(linked), 410, 'registration_ended')
      expect(await audited('registration.ended', linked.id)).toBe(1)
    })

    test('of tokens and codes together, by link and by device', async () => {
      const linked = await startLinked('five mixed')
      const device = harness.api.with(linked.deviceSecret)
      expectProblem(await confirm(linked.id, 'x', linked.userCode), 403, 'token_wrong')
      expectProblem(await confirm(linked.id, linked.token, 'AAAA-AAAA'), 403, 'code_wrong')
      expectProblem(await refuse(linked.id, 'x'), 403, 'token_wrong')
      const byDevice = await device.post(`/v1/registrations/${linked.id}/confirmation`, { token: 'x' })
      expectProblem(byDevice, 403, 'token_wrong')
      expect(await onDevice(linked)).toBe('pending')
      expectProblem(await confirm(linked.id, linked.token, 'AAAA-AAAA'), 410, 'registration_ended')
      expect(await onDevice(linked)).toBe('ended')
    })

    test('are not made by reading the facts', async () => {
      const linked = await startLinked('facts only')
      const before = await countEverything(harness)
      for (let number = 0; number < 7; number += 1) {
        expectProblem(await facts(linked.id, `x${number}`), 403, 'token_wrong')
      }
      expect(await wrongTries(linked.id)).toBe(0)
      expect(await countEverything(harness)).toEqual(before)
    })

    test('are five, of twenty wrong ones at once', async () => {
      const linked = await startLinked('race of wrong')
      const answers = await race(20, (number) => confirm(linked.id, linked.token, `AAAA-AA${10 + number}`))
      const codes = answers.map((answer) => answer.body.code)
      expect(codes.filter((code) => code === 'registration_ended').length).toBeGreaterThanOrEqual(16)
      expect(codes.filter((code) => code !== 'registration_ended').every((code) => code === 'code_wrong')).toBe(true)
      expect(await wrongTries(linked.id)).toBe(5)
      expect(await audited('registration.ended', linked.id)).toBe(1)
      expectProblem(await confirm(linked.id, linked.token, linked.userCode), 410, 'registration_ended')
    })

    test('leave a right one among twenty at once no more than its place in the row', async () => {
      const linked = await startLinked('race with right')
      const answers = await race(20, (number) =>
        confirm(linked.id, linked.token, number === 19 ? linked.userCode : `AAAA-AA${10 + number}`),
      )
      const won = answers.filter((answer) => answer.status === 200).length
      const state = await onDevice(linked)
      expect([won, state]).toEqual(won === 1 ? [1, 'confirmed'] : [0, 'ended'])
      expect(await wrongTries(linked.id)).toBeLessThanOrEqual(won === 1 ? 4 : 5)
    })
  })

  test('twenty right ones at once confirm once, and all hear so', async () => {
    const linked = await startLinked('race of right')
    const answers = await race(20, () => confirm(linked.id, linked.token, linked.userCode))
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200))
    expect(await audited('registration.confirmed', linked.id)).toBe(1)
  })

  test('an unknown id and a wrong token differ in nothing, whatever has become of the registration', async () => {
    const pending = await startLinked('oracle pending')
    const ended = await startLinked('oracle ended')
    expect((await refuse(ended.id, ended.token)).status).toBe(200)
    const confirmed = await startLinked('oracle confirmed')
    expect((await confirm(confirmed.id, confirmed.token, confirmed.userCode)).status).toBe(200)
    const ways = [
      (id: string) => facts(id, 'x'),
      (id: string) => confirm(id, 'x', 'x'),
      (id: string) => refuse(id, 'x'),
    ]
    for (const ask of ways) {
      const [unknown, ...known] = await Promise.all([anId, pending.id, ended.id, confirmed.id].map(ask))
      expectProblem(unknown!, 403, 'token_wrong')
      for (const answer of known) {
        expect(withoutInstance(answer)).toEqual(withoutInstance(unknown!))
        expect([...answer.headers]).toEqual([...unknown!.headers])
      }
    }
  })

  describe('"this was not me"', () => {
    test('ends the registration; a repeat changes nothing', async () => {
      const linked = await startLinked('not me')
      for (let number = 0; number < 2; number += 1) {
        const answer = await refuse(linked.id, linked.token)
        expect([answer.status, answer.body]).toEqual([200, { state: 'ended' }])
      }
      expect(await onDevice(linked)).toBe('ended')
      expectProblem(await confirm(linked.id, linked.token, linked.userCode), 410, 'registration_ended')
      await expect(confirmRegistration(harness.api, harness.mails, linked)).rejects.toThrow('registration_ended')
      expectProblem(await mint(linked), 410, 'registration_ended')
      expect(await audited('registration.refused', linked.id)).toBe(1)
    })

    test('ends one that was confirmed, as long as no device has come of it', async () => {
      const linked = await startLinked('not me after all')
      expect((await confirm(linked.id, linked.token, linked.userCode)).status).toBe(200)
      expect((await refuse(linked.id, linked.token)).status).toBe(200)
      expectProblem(await mint(linked), 410, 'registration_ended')
    })

    test('comes too late for a device that is registered', async () => {
      const linked = await startLinked('not me too late')
      expect((await confirm(linked.id, linked.token, linked.userCode)).status).toBe(200)
      expect((await mint(linked)).status).toBe(201)
      expectProblem(await refuse(linked.id, linked.token), 409, 'registration_completed')
    })

    test('and the credential at once: one of the two wins', async () => {
      const linked = await startLinked('not me at once')
      expect((await confirm(linked.id, linked.token, linked.userCode)).status).toBe(200)
      const [minted, refused] = await Promise.all([mint(linked), refuse(linked.id, linked.token)])
      expect([
        [201, 409],
        [410, 200],
      ]).toContainEqual([minted.status, refused.status])
    })
  })

  test('after a day the link has ended', async () => {
    const linked = await startLinked('old link')
    harness.clock.now += day
    expectProblem(await facts(linked.id, linked.token), 410, 'registration_ended')
    expectProblem(await confirm(linked.id, linked.token, linked.userCode), 410, 'registration_ended')
  })

  test('the audit log names link and code', async () => {
    const linked = await startLinked('audited')
    await confirm(linked.id, linked.token, linked.userCode)
    const row = await harness.main.first(
      query(
        { kind: text, actions: text },
        `SELECT MAX(actor_kind) AS kind, group_concat(action) AS actions FROM audit_entries WHERE subject = ?`,
        linked.id,
      ),
    )
    expect(row).toEqual({ kind: 'anyone', actions: 'registration.started,registration.confirmed' })
  })

  test('the service is whole', () => answered.check(harness))
})
