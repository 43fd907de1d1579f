import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CertbookClient, CertbookError, type Fetch } from '../../src/client/index.ts'
import { deviceFacts, policyVersion } from '../support/story.ts'
import { openWorld, ownOf, registrationOf, settle, type World } from './world.ts'

/** Has the service do what is asked, and loses its answer, as often as `losses` says for a call. */
function losing(fetch: Fetch, losses: Readonly<Record<string, number>>) {
  const left = new Map(Object.entries(losses))
  const calls: string[] = []
  const lossy: Fetch = async (url, init) => {
    const call = `${init.method} ${new URL(url).pathname.replace(/(?<=\/)[\w-]{22}(?=\/|$)/, '{id}')}`
    calls.push(call)
    const answer = await fetch(url, init)
    const times = left.get(call) ?? 0
    if (times === 0) return answer
    left.set(call, times - 1)
    throw new TypeError('the connection broke')
  }
  return { fetch: lossy, calls, unused: () => [...left].filter(([, times]) => times > 0) }
}

describe('answers that are lost after the service did what was asked', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld()
  })
  afterAll(() => world.close())

  test('at each step from the confirmation to the publication leave one subscriber, key and certificate', async () => {
    const lost = losing(world.fetch, {
      'POST /v1/registrations/{id}/confirmation': 2,
      'GET /v1/registrations/{id}': 2,
      'POST /v1/registrations/{id}/credential': 2,
      'POST /v1/certificate-requests': 2,
      'POST /v1/public-keys': 2,
      'POST /v1/public-keys/{id}/proof': 2,
      'PUT /v1/certificates/{id}/publication': 2,
      'DELETE /v1/certificates/{id}/publication': 2,
      'POST /v1/certificates/{id}/revocation': 2,
      'POST /v1/lookups': 2,
      'POST /v1/check-ins': 2,
    })
    const stranger = world.client({ fetch: lost.fetch })
    const { registrations } = stranger
    const pending = await registrations.start(registrationOf('alice@example.com'))
    const found = registrations.readChallenge(await world.harness.mails.challengeOf(pending.id), [pending])
    await registrations.confirm(pending, found?.token ?? '')
    await registrations.waitUntilConfirmed(pending)
    const { credential } = await registrations.credential(pending, { waitForApproval: false })
    const client = stranger.withCredential(credential)
    const keyPairs = await client.makeKeyPairs()
    const sign = ownOf(await client.certificates.certify(keyPairs.sign, 'alice@example.com'))
    const encrypt = ownOf(await client.certificates.certify(keyPairs.encrypt, 'alice@example.com'))
    const consent = { consentVersion: policyVersion, audience: 'members' } as const
    expect((await client.certificates.publish(encrypt.id, consent)).published).toBe(true)
    expect((await client.lookup(['alice@example.com'], 'encrypt')).results[0]?.status).toBe('found')
    await client.certificates.withdraw(encrypt.id)
    expect((await client.certificates.revoke(sign.id, 'superseded')).state).toBe('revoked')
    await client.account.checkIn(deviceFacts)
    expect(lost.unused()).toEqual([])

    const listed = []
    for await (const certificate of client.certificates.list()) listed.push(certificate.id)
    expect(new Set(listed)).toEqual(new Set([sign.id, encrypt.id]))
    const requests = []
    for await (const request of client.certificates.requests()) requests.push(request.id)
    expect(requests).toHaveLength(2)
    expect(await world.harness.service.check()).toEqual([])
  })

  test('of a registration are not asked for again by themselves: each asks for a mail', async () => {
    const lost = losing(world.fetch, { 'POST /v1/registrations': 1 })
    const { registrations } = world.client({ fetch: lost.fetch })
    await expect(registrations.start(registrationOf('bob@example.com'))).rejects.toMatchObject({
      code: 'network_failed',
      status: null,
    })
    expect(lost.calls).toEqual(['POST /v1/registrations'])
    const pending = await registrations.start(registrationOf('bob@example.com'))
    const found = registrations.readChallenge(await world.harness.mails.challengeOf(pending.id), [pending])
    await registrations.confirm(pending, found?.token ?? '')
    expect(await registrations.state(pending)).toBe('confirmed')
  })

  test('of a state that was stored as JSON go on where it was', async () => {
    const { registrations } = world.client()
    const stored = JSON.stringify(await registrations.start(registrationOf('carol@example.com')))
    const pending = JSON.parse(stored)
    const found = registrations.readChallenge(await world.harness.mails.challengeOf(pending.id), [pending])
    await registrations.confirm(pending, found?.token ?? '')
    await registrations.credential(pending, { waitForApproval: false })
    const { credential } = await registrations.credential(pending, { waitForApproval: false })
    expect((await world.client({ credential }).account.read()).mailboxes).toHaveLength(1)
    await expect(registrations.credential(pending, { waitForApproval: false })).rejects.toMatchObject({
      code: 'registration_completed',
    })
  })

  test('of a rotation and a deletion are repeated', async () => {
    const dave = await settle(world, 'dave@example.com', 'unpublished')
    const lost = losing(world.fetch, { 'POST /v1/me/credential': 2, 'DELETE /v1/me/devices/{id}': 1 })
    const client = world.client({ fetch: lost.fetch, credential: dave.device.credential })
    const rotated = client.withCredential(await client.account.rotateCredential())
    expect((await rotated.account.read()).deviceId).toBe(dave.device.deviceId)
    expect(lost.calls.filter((call) => call === 'POST /v1/me/credential')).toHaveLength(3)
  })
})

describe('what is tried again, and when', () => {
  const waits: number[] = []
  let calls = 0
  const client = (answers: readonly (() => Response | Promise<Response>)[], attempts?: number): CertbookClient => {
    waits.length = 0
    calls = 0
    return new CertbookClient({
      baseUrl: 'https://certbook.example',
      anchors: [],
      credential: 'cb_dev_any',
      ...(attempts === undefined ? {} : { attempts }),
      now: () => Date.parse('2026-11-21T12:00:00Z'),
      random: () => 0.5,
      sleep: async (milliseconds) => void waits.push(milliseconds),
      fetch: async () => {
        const answer = answers[Math.min(calls++, answers.length - 1)]
        if (answer === undefined) throw new Error('no answer is left')
        return answer()
      },
    })
  }
  const problem =
    (status: number, code: string, headers: Record<string, string> = {}) =>
    () =>
      Response.json({ type: 't', title: 't', status, code, detail: 'Do this.', instance: '/' }, { status, headers })
  const broken = (): never => {
    throw new TypeError('fetch failed')
  }
  const checkedIn = () => Response.json({ nextInSeconds: 300, renew: [], renewNow: [] })
  const empty = (status: number) => () => new Response(null, { status })

  test('what may be repeated, with growing waits that are spread', async () => {
    expect(
      await client([broken, empty(502), problem(500, 'internal_error'), checkedIn]).account.checkIn(deviceFacts),
    ).toEqual({
      nextInSeconds: 300,
      renew: [],
      renewNow: [],
    })
    expect(waits).toEqual([375, 750, 1500])
  })

  test('not for ever: the last error is the one', async () => {
    const tried = client([broken, empty(503)]).account.checkIn(deviceFacts)
    await expect(tried).rejects.toMatchObject({ code: 'refusal_unknown', status: 503 })
    expect(calls).toBe(4)
    await expect(client([broken], 1).account.checkIn(deviceFacts)).rejects.toMatchObject({ code: 'network_failed' })
    expect([calls, waits]).toEqual([1, []])
  })

  test.each([
    ['seconds', '7'],
    ['a date', 'Sat, 21 Nov 2026 12:00:07 GMT'],
  ])('never sooner than Retry-After says, in %s', async (_, retryAfter) => {
    await client([problem(503, 'overloaded', { 'Retry-After': retryAfter }), checkedIn]).account.checkIn(deviceFacts)
    expect(waits).toEqual([7375])
  })

  test('not where Retry-After is longer than a person waits', async () => {
    const spent = problem(429, 'lookup_budget_spent', { 'Retry-After': '40000' })
    await expect(client([spent]).lookup(['bob@example.com'], 'encrypt')).rejects.toMatchObject({
      code: 'lookup_budget_spent',
      status: 429,
      detail: 'Do this.',
      retryAfterSeconds: 40_000,
    })
    const later = problem(429, 'too_many_requests', { 'Retry-After': '31' })
    await expect(client([later]).account.checkIn(deviceFacts)).rejects.toMatchObject({ code: 'too_many_requests' })
    expect(calls).toBe(1)
  })

  test.each([
    ['a refusal', problem(403, 'token_wrong'), 'token_wrong'],
    ['a refusal of a later version', problem(409, 'not_known_here'), 'refusal_unknown'],
    ['an answer of another service', () => Response.json({ hello: 'world' }), 'answer_malformed'],
    ['a page', () => new Response('<html></html>'), 'answer_malformed'],
  ])('not %s', async (_, answer, code) => {
    await expect(client([answer]).account.checkIn(deviceFacts)).rejects.toMatchObject({ code })
    expect(calls).toBe(1)
  })

  test.each([
    ['a broken connection', broken],
    ['a failure on the way', empty(502)],
    ['a failure of the service', problem(500, 'internal_error')],
  ])('a call that mails not after %s, since it may have been done', async (_, answer) => {
    await expect(client([answer]).mailboxes.add('a@example.com', 'imap')).rejects.toBeInstanceOf(CertbookError)
    expect(calls).toBe(1)
  })

  test('a call that mails, where the service says that nothing was done', async () => {
    const pending = { id: 'x', challenge: 'y', state: 'pending', expiresAt: '2026-11-22T12:00:00.000Z' }
    const answers = [problem(429, 'too_many_requests', { 'Retry-After': '2' }), () => Response.json(pending)]
    expect(await client(answers).mailboxes.add('a@example.com', 'imap')).toEqual(pending)
  })

  test('a deletion that is not found any more after a lost answer was done', async () => {
    await client([broken, problem(404, 'not_found')]).account.endDevice('any')
    await expect(client([problem(404, 'not_found')]).account.endDevice('any')).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})

describe('what ends a call', () => {
  /** A service that never answers, and says why it was left. */
  const silent: Fetch = (_, { signal }) =>
    new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('left'))))
  const client = (options: { timeoutSeconds?: number } = {}) =>
    new CertbookClient({ baseUrl: 'https://certbook.example', anchors: [], fetch: silent, attempts: 1, ...options })

  test('its time: timeout', async () => {
    await expect(client({ timeoutSeconds: 0.001 }).policy()).rejects.toMatchObject({ code: 'timeout', status: null })
  })

  test('the app, before and while it waits: aborted', async () => {
    const controller = new AbortController()
    const waiting = client().policy(controller.signal)
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
    await expect(client().policy(controller.signal)).rejects.toMatchObject({ code: 'aborted' })
  })

  test('the app, while it waits for the next try: aborted', async () => {
    const controller = new AbortController()
    const fetch: Fetch = async () => {
      queueMicrotask(() => controller.abort())
      throw new TypeError('fetch failed')
    }
    const client = new CertbookClient({ baseUrl: 'https://certbook.example', anchors: [], fetch })
    await expect(client.policy(controller.signal)).rejects.toMatchObject({ code: 'aborted' })
  })
})

describe('waiting', () => {
  const answering = (answers: readonly (() => Response)[]) => {
    const waits: number[] = []
    let calls = 0
    const client = new CertbookClient({
      baseUrl: 'https://certbook.example',
      anchors: [],
      random: () => 0,
      sleep: async (milliseconds) => void waits.push(milliseconds),
      fetch: async () => answers[Math.min(calls++, answers.length - 1)]?.() ?? Response.error(),
    })
    return { client, waits }
  }
  const pending = { id: 'x', deviceSecret: 'cb_reg_x', userCode: 'ABCD-1234', expiresAt: '2026-11-22T12:00:00.000Z' }
  const state = (value: string) => () => Response.json({ state: value })

  test('for a confirmation asks ever less often', async () => {
    const { client, waits } = answering([...Array.from({ length: 7 }, () => state('pending')), state('confirmed')])
    await client.registrations.waitUntilConfirmed(pending)
    expect(waits).toEqual([2000, 3000, 4500, 6750, 10_125, 15_000, 15_000])
  })

  test('for a confirmation ends with the registration', async () => {
    const { client } = answering([state('pending'), state('ended')])
    await expect(client.registrations.waitUntilConfirmed(pending)).rejects.toMatchObject({ code: 'registration_ended' })
  })

  test.each([
    ['when the service says', '20', 20_000],
    ['every ten minutes, though the service says something absurd', '999999999', 600_000],
  ])('for an approval asks %s', async (_, retryAfter, wait) => {
    const headers = { 'Retry-After': retryAfter }
    const notYet = () => Response.json({ code: 'approval_pending', detail: 'Wait.' }, { status: 409, headers })
    const minted = { subscriberId: 's', deviceId: 'd', mailbox: 'alice@example.com', credential: 'cb_dev_x' }
    const { client, waits } = answering([notYet, () => Response.json(minted)])
    expect(await client.registrations.waitForCredential(pending)).toEqual(minted)
    expect(waits).toEqual([wait])
  })
})

describe('a redirect', () => {
  test('is not followed: a credential goes nowhere else', async () => {
    const asked: (string | undefined)[] = []
    const elsewhere = createServer((request, response) => {
      asked.push(request.headers.authorization)
      response.end('{}')
    })
    const listen = async (server: Server): Promise<string> => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }
    const target = await listen(elsewhere)
    const redirecting = createServer((_, response) => response.writeHead(307, { Location: `${target}/` }).end())
    const baseUrl = await listen(redirecting)
    const client = new CertbookClient({ baseUrl, anchors: [], credential: 'cb_dev_any', attempts: 1 })
    await expect(client.lookup(['bob@example.com'], 'encrypt')).rejects.toMatchObject({ code: 'network_failed' })
    expect(asked).toEqual([])
    for (const server of [elsewhere, redirecting]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})

describe('the address of the service', () => {
  const open = (baseUrl: string) => new CertbookClient({ baseUrl, anchors: [] })

  test.each(['https://certbook.example', 'https://certbook.example/mail/', 'http://127.0.0.1:8080', 'http://[::1]:80'])(
    '%s is taken',
    (baseUrl) => {
      expect(() => open(baseUrl)).not.toThrow()
    },
  )

  test.each([
    'http://certbook.example',
    'http://127.0.0.1.example',
    'ftp://certbook.example',
    'https://alice:secret@certbook.example',
    'https://certbook.example/?a=b',
    'certbook.example',
    '',
  ])('%s is refused: base_url_refused', (baseUrl) => {
    expect(() => open(baseUrl)).toThrow(CertbookError)
  })
})
