import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { errorCodes } from '../../src/errors.ts'
import { command } from '../../src/ports/database.ts'
import { problemKinds, problemTable } from '../../src/problem.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { register, type Registered } from '../support/story.ts'
import { Answered, countEverything, expectProblem } from './support.ts'

describe.each(engines)('refusals and failures on %s', (engine) => {
  let harness: RoomHarness
  let alice: Registered
  const answered = new Answered()

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    alice = await register(harness.api, harness.mails, 'alice@example.com')
  })
  afterAll(() => harness.close())

  describe('paths and methods', () => {
    test.each([
      '/v1',
      '/v1/',
      '/v1/me/',
      '/v1/lookups/x',
      '/v2/me',
      '/v1/certificates/x/publication/x',
      '/.env',
      '/%00',
    ])('GET %s is not there', async (path) => {
      const answer = await alice.api.get(path)
      expectProblem(answer, 404, 'not_found')
      expect(answer.body.instance).toBe(path)
    })

    test.each([
      ['GET', '/v1/registrations', 'POST'],
      ['DELETE', '/v1/registrations/x', 'GET'],
      ['GET', '/v1/registrations/x/confirmation', 'POST'],
      ['PUT', '/v1/certificate-requests', 'GET, POST'],
      ['DELETE', '/v1/certificates', 'GET'],
      ['POST', '/v1/certificates/x', 'GET'],
      ['POST', '/v1/certificates/x/publication', 'PUT, DELETE'],
      ['GET', '/v1/lookups', 'POST'],
      ['OPTIONS', '/v1/lookups', 'POST'],
      ['POST', '/v1/me/lookups', 'GET'],
      ['POST', '/healthz', 'GET'],
    ])('%s %s is refused and says %s', async (method, path, allowed) => {
      const answer = await alice.api.send(method, path)
      expectProblem(answer, 405, 'method_not_allowed')
      expect((answer.headers.get('Allow') ?? '').split(', ').toSorted()).toEqual(allowed.split(', ').toSorted())
    })

    test('an address that somebody puts into a path or a query does not reach the log', async () => {
      await alice.api.get('/v1/lookups/in.path@example.com')
      await alice.api.get('/v1/certificates/in.path@example.com')
      await alice.api.get('/v1/certificates/in.path%40example.com?address=in.path@example.com')
      await harness.api.with('in.path@example.com').get('/v1/me')
      expect(harness.log.join('\n')).not.toContain('in.path')
    })

    test('every answer says that it is not to be stored and not to be guessed at', async () => {
      for (const path of ['/v1/me', '/v1/policy', '/healthz', '/openapi.json', '/v1/certificates']) {
        const answer = await alice.api.get(path)
        expect([
          answer.status,
          answer.headers.get('Cache-Control'),
          answer.headers.get('X-Content-Type-Options'),
        ]).toEqual([200, 'no-store', 'nosniff'])
      }
    })
  })

  describe('a failure on this side', () => {
    /** Alice changes too: a caller is remembered until something of theirs changes. */
    const rename = (from: string, to: string) =>
      harness.main.batch([
        command(`INSERT INTO caller_changes (subscriber) VALUES (?)`, alice.subscriberId),
        command(`ALTER TABLE ${from} RENAME TO ${to}`),
      ])
    let repair: (() => Promise<unknown>) | null = null
    afterEach(async () => {
      await repair?.()
      repair = null
    })

    test('tells the caller nothing, and the log everything but addresses', async () => {
      await rename('devices', 'devices_away')
      repair = () => rename('devices_away', 'devices')
      const from = harness.log.length
      for (const answer of [
        await alice.api.get('/v1/me'),
        await alice.api.post('/v1/lookups', { addresses: ['secret@example.com'], use: 'encrypt' }),
        await alice.api.post('/v1/certificate-requests', { csr: 'x', use: 'dual' }),
      ]) {
        expectProblem(answer, 500, 'internal_error')
        expect(JSON.stringify(answer.body)).not.toMatch(/devices|SELECT|sqlite|D1|no such|\.ts|at /i)
      }
      const failures = harness.log.slice(from).filter((line) => line.includes('"request_failed"'))
      expect(failures.length).toBe(3)
      for (const line of failures) {
        expect(line).toContain('no such table')
        expect(line).toContain('devices')
        expect(line).not.toContain('secret@example.com')
        expect(line).not.toContain(alice.credential)
      }
      expect(failures.map((line) => JSON.parse(line).route)).toEqual([
        '/v1/me',
        '/v1/lookups',
        '/v1/certificate-requests',
      ])
    })

    test('of a write leaves nothing half done', async () => {
      await harness.settled()
      const before = await countEverything(harness)
      await harness.main.batch([
        command(`CREATE TRIGGER audit_full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'disk full'); END`),
      ])
      repair = () => harness.main.batch([command(`DROP TRIGGER audit_full`)])
      const answer = await harness.api.post('/v1/registrations', {
        email: 'half@example.com',
        accountType: 'imap',
        policyVersion: '2026-11',
        device: { appVersion: '1', deviceType: 'iPhone', osVersion: '1', language: 'en', serialNumber: null },
      })
      expectProblem(answer, 500, 'internal_error')
      await harness.settled()
      expect(await countEverything(harness)).toEqual(before)
      expect(harness.mails.messages.some((message) => message.includes('half@example.com'))).toBe(false)
    })

    test.each(['main', 'journal'] as const)(
      '/readyz says that %s is unusable, /healthz that the service lives',
      async (role) => {
        const databases = role === 'main' ? [harness.main] : harness.journal.shards()
        const change = async (from: string, to: string): Promise<void> => {
          for (const database of databases) {
            await database.batch([command(`ALTER TABLE ${from} RENAME TO ${to}`)])
          }
        }
        expect(await alice.api.get('/readyz')).toMatchObject({
          status: 200,
          body: { status: 'ready', unusable: [], warnings: [] },
        })
        await change('batch_guard', 'batch_guard_away')
        repair = () => change('batch_guard_away', 'batch_guard')
        const answer = await alice.api.get('/readyz')
        expect([answer.status, answer.body.status, [...new Set(answer.body.unusable)]]).toEqual([
          503,
          'not_ready',
          [role],
        ])
        expect(JSON.stringify(answer.body)).not.toMatch(/no such|batch_guard|DELETE/)
        expect((await harness.api.get('/healthz')).status).toBe(200)
        await repair()
        repair = null
        expect((await alice.api.get('/readyz')).status).toBe(200)
      },
    )
  })

  test('every operation that /openapi.json lists is there, and takes a credential where it says so', async () => {
    const { status, body } = await harness.api.get('/openapi.json')
    expect([status, body.openapi, body.servers]).toEqual([200, '3.1.0', [{ url: harness.config.publicUrl }]])
    const listed = Object.entries<Record<string, unknown>>(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    const underV1 = listed.filter((line) => line.includes(' /v1/'))
    expect(underV1.length).toBeGreaterThan(40)
    for (const line of underV1) {
      const [method = '', path = ''] = line.split(' ')
      const answer = await harness.api.send(method, path.replace('{id}', 'x'))
      expect([line, answer.status === 404 || answer.status === 405]).toEqual([line, false])
      const operation = body.paths[path][method.toLowerCase()]
      expect(operation.summary).toMatch(/\S/)
      const takesCredential = answer.body?.code === 'credential_required'
      if (takesCredential) expect([line, operation.security]).toEqual([line, [{ bearer: [] }]])
    }
    expect(body.components.securitySchemes.bearer).toMatchObject({ type: 'http', scheme: 'bearer' })
  })

  test('the service is whole', () => answered.check(harness))
})

describe('how a request came', () => {
  const forwarding = ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Real-IP']
  const ask = (harness: RoomHarness, headers: Record<string, string> = {}): Promise<Response> =>
    Promise.resolve(harness.service.fetch(new Request('http://127.0.0.1/v1/policy', { headers })))
  const codeOf = async (response: Response): Promise<unknown> => {
    const answer: { code?: unknown } = await response.json()
    return [response.status, answer.code]
  }

  test('over plain HTTP from elsewhere: nothing is answered, not even a health check', async () => {
    const harness = await openRoomHarness('sqlite', { connection: { secure: false, mayForward: false } })
    try {
      const before = await countEverything(harness)
      for (const path of ['/v1/policy', '/healthz', '/nowhere', '/v1/me']) {
        const answer = await harness.api.get(path)
        expectProblem(answer, 403, 'https_required')
        expect(answer.headers.get('Location')).toBe(null)
      }
      expectProblem(await harness.api.post('/v1/registrations', { email: 'alice@example.com' }), 403, 'https_required')
      expect(await codeOf(await ask(harness, { 'X-Forwarded-Proto': 'https' }))).toEqual([403, 'forwarding_refused'])
      expect(await countEverything(harness)).toEqual(before)
    } finally {
      await harness.close()
    }
  })

  test('with a forwarding header of a peer that is no declared proxy', async () => {
    const harness = await openRoomHarness('sqlite')
    try {
      for (const name of forwarding) {
        expect(await codeOf(await ask(harness, { [name]: '192.0.2.1' }))).toEqual([403, 'forwarding_refused'])
      }
      expect((await ask(harness)).status).toBe(200)
    } finally {
      await harness.close()
    }
  })

  test('with a forwarding header of a declared proxy', async () => {
    const harness = await openRoomHarness('sqlite', { connection: { secure: true, mayForward: true } })
    try {
      for (const name of forwarding) expect((await ask(harness, { [name]: '192.0.2.1' })).status).toBe(200)
    } finally {
      await harness.close()
    }
  })
})

test('/readyz says that the journal is unusable once its thread has ended', async () => {
  const harness = await openRoomHarness('sqlite')
  try {
    const { journal } = harness
    if (!('close' in journal) || typeof journal.close !== 'function') throw new Error('this journal has no thread')
    await journal.close()
    const answer = await harness.api.get('/readyz')
    expect([answer.status, answer.body]).toEqual([503, { status: 'not_ready', unusable: ['journal'], warnings: [] }])
  } finally {
    await harness.close()
  }
})

test('every code has a status of a refusal, a title and a line in the table', () => {
  const table = problemTable()
  for (const code of errorCodes) {
    const { status, title, when } = problemKinds[code]
    expect(status).toBeGreaterThanOrEqual(400)
    expect(title).toMatch(/^[A-Z]/)
    expect(table).toContain(`| \`${code}\` | ${status} | ${when} |`)
  }
})
