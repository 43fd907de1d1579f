import { afterAll, describe, expect, test } from 'vitest'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'

/** The services that the tests share, by their options. */
const opened = new Map<string, Promise<RoomHarness>>()
afterAll(async () => {
  for (const harness of opened.values()) await (await harness).close()
})

const within = async (
  options: Parameters<typeof openRoomHarness>[1],
  act: (harness: RoomHarness) => Promise<void>,
): Promise<void> => {
  const name = JSON.stringify(options)
  const harness = opened.get(name) ?? openRoomHarness('sqlite', options)
  opened.set(name, harness)
  await act(await harness)
}

const corsFields = (answer: Response): string[] =>
  [...answer.headers.keys()].filter((name) => name.startsWith('access-control-'))

const page = 'https://mail.example.com'
const preflight = {
  Origin: page,
  'Access-Control-Request-Method': 'POST',
  'Access-Control-Request-Headers': 'authorization',
}

describe('web pages of declared origins', () => {
  const declared = { settings: { CORS_ORIGINS: `${page}/, capacitor://localhost, http://localhost:5173` } }

  test('are allowed to ask before they have a credential', () =>
    within(declared, async ({ ask }) => {
      const answer = await ask('/v1/lookups', { method: 'OPTIONS', headers: preflight })
      expect(answer.status).toBe(204)
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'access-control-allow-origin': page,
        'access-control-allow-methods': 'GET,POST,PUT,PATCH,DELETE',
        'access-control-allow-headers': 'Authorization,Content-Type',
        'access-control-max-age': '7200',
      })
      expect(answer.headers.get('Vary')).toContain('Origin')
      expect(answer.headers.has('Access-Control-Allow-Credentials')).toBe(false)
    }))

  test.each([page, 'capacitor://localhost', 'http://localhost:5173'])('%s may read answers and refusals', (origin) =>
    within(declared, async ({ ask }) => {
      const refusedBody = { method: 'POST', body: 'x', headers: { Origin: origin, 'Content-Type': 'text/plain' } }
      for (const [path, init, status] of [
        ['/v1/policy', {}, 200],
        ['/v1/me', {}, 401],
        ['/v1/nowhere', {}, 404],
        ['/v1/registrations', refusedBody, 415],
      ] as const) {
        const answer = await ask(path, { headers: { Origin: origin }, ...init })
        expect([path, answer.status]).toEqual([path, status])
        expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(origin)
        expect(answer.headers.get('Access-Control-Expose-Headers')).toBe('Location,Retry-After')
        expect(answer.headers.get('Vary')).toBe('Origin')
        expect(answer.headers.get('Cache-Control')).toContain('no-store')
      }
    }),
  )

  test.each([
    'https://mail.example.com.evil.example',
    'https://evil.example',
    'http://mail.example.com',
    'https://mail.example.com:8443',
    'HTTPS://MAIL.EXAMPLE.COM',
    'null',
    '',
  ])('another one, %j, gets the ordinary answer without a word of CORS', (origin) =>
    within(declared, async ({ ask }) => {
      const plain = await ask('/v1/policy', { headers: { Origin: origin } })
      expect([plain.status, corsFields(plain)]).toEqual([200, []])
      const asked = await ask('/v1/lookups', { method: 'OPTIONS', headers: { ...preflight, Origin: origin } })
      expect([asked.status, corsFields(asked)]).toEqual([204, []])
      for (const { headers } of [plain, asked]) expect(headers.get('Vary')).toBe('Origin')
    }),
  )

  test('may call /v1 only, and nothing of administrators there', () =>
    within(declared, async ({ ask }) => {
      const paths = [
        '/v1/admin',
        '/v1/admin/subscribers',
        '/healthz',
        '/openapi.json',
        '/confirm/x',
        '/ca/x.crl',
        '/v1x',
      ]
      for (const path of paths) {
        expect([path, corsFields(await ask(path, { headers: { Origin: page } }))]).toEqual([path, []])
        const asked = await ask(path, { method: 'OPTIONS', headers: preflight })
        expect([path, corsFields(asked), asked.status >= 400]).toEqual([path, [], true])
      }
    }))

  test('where none is declared, a preflight is what any other method is', () =>
    within({}, async ({ ask }) => {
      const answer = await ask('/v1/lookups', { method: 'OPTIONS', headers: preflight })
      expect([answer.status, corsFields(answer)]).toEqual([405, []])
    }))

  test('over plain HTTP from elsewhere they are refused like anyone', () =>
    within({ ...declared, connection: { secure: false, tls: false } }, async ({ ask }) => {
      const answer = await ask('/v1/lookups', { method: 'OPTIONS', headers: preflight })
      expect([answer.status, corsFields(answer)]).toEqual([403, []])
    }))
})

describe('clients are told to stay with HTTPS', () => {
  const settings = { PUBLIC_URL: 'https://keys.example.com' }
  const paths = ['/v1/policy', '/v1/me', '/nowhere']

  test('by every answer over TLS, refusals too', () =>
    within({ settings }, async ({ ask }) => {
      for (const path of paths)
        expect((await ask(path)).headers.get('Strict-Transport-Security')).toBe('max-age=31536000')
    }))

  test.each([
    ['over plain HTTP from this machine (RFC 6797 7.2)', { tls: false, secure: true }],
    ['where the request is refused because it came in the clear', { tls: false, secure: false }],
  ])('but not %s', (_, connection) =>
    within({ settings, connection }, async ({ ask }) => {
      for (const path of paths) expect((await ask(path)).headers.has('Strict-Transport-Security')).toBe(false)
    }),
  )
})

describe('the port for plain HTTP', () => {
  const pkiPort = { settings: { PKI_PORT: '8081', PKI_URL: 'http://pki.example.com' } }
  const plain = { secure: false, tls: false, local: false }
  const statusOf = async ({ service }: RoomHarness, url: string, method = 'GET', body?: string): Promise<number> =>
    (await service.fetch(new Request(url, { method, ...(body === undefined ? {} : { body }) }))).status

  test('answers for revocation lists, CA certificates and OCSP, under any host', () =>
    within({ ...pkiPort, connection: { ...plain, pkiOnly: true } }, async (harness) => {
      const issuing = new URL(harness.service.namedPkiUrl).host
      for (const host of [issuing, '192.0.2.1:8081']) {
        expect(await statusOf(harness, `http://${host}/ocsp/nobody/AAAA`)).toBe(200)
        expect(await statusOf(harness, `http://${host}/ocsp/nobody`, 'POST', 'x')).toBe(200)
        expect(await statusOf(harness, `http://${host}/ca/nobody.crl`)).toBe(404)
        expect(await statusOf(harness, `http://${host}/ca/nobody.crl`, 'HEAD')).toBe(404)
      }
    }))

  test('has nothing else, by no method', () =>
    within({ ...pkiPort, connection: { ...plain, pkiOnly: true } }, async (harness) => {
      const elsewhere = [
        '/',
        '/v1/policy',
        '/v1/me',
        '/healthz',
        '/readyz',
        '/openapi.json',
        '/ca',
        '/CA/x.crl',
        '/metrics',
      ]
      for (const path of elsewhere) expect(await statusOf(harness, `http://pki.example.com${path}`)).toBe(404)
      for (const path of ['/ca/..%2fv1/policy', '/ca/../v1/policy', '/ocsp/%2e%2e/healthz'])
        expect(await statusOf(harness, `http://pki.example.com${path}`)).toBe(404)
      for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
        expect(await statusOf(harness, 'http://pki.example.com/ca/x.crl', method)).toBe(404)
      const answer = await harness.ask('/v1/policy')
      expect(answer.headers.get('Location')).toBe(null)
      expect(await answer.json()).toMatchObject({ code: 'not_found' })
    }))

  test('passes over what forward proxies say, as nothing rests on it', () =>
    within({ ...pkiPort, connection: { ...plain, pkiOnly: true } }, async ({ ask }) => {
      expect((await ask('/ocsp/nobody/AAAA', { headers: { 'X-Forwarded-For': '192.0.2.1' } })).status).toBe(200)
    }))

  test('takes them from the other port, where only TLS brings them', async () => {
    await within({ ...pkiPort, connection: plain }, async (harness) => {
      expect(await statusOf(harness, 'http://pki.example.com/ocsp/nobody/AAAA')).toBe(403)
    })
    await within(pkiPort, async (harness) => {
      expect(await statusOf(harness, 'https://keys.example.com/ocsp/nobody/AAAA')).toBe(200)
    })
  })
})
