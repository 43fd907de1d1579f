import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bodyBytesName } from '../../src/api/body-bytes.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { register } from '../support/story.ts'
import { privateKeyForms } from '../standards/private-key-forms.ts'

interface Operation {
  readonly method: string
  readonly path: string
  /** Whether a device or an administrator calls it with their credential. */
  readonly known: boolean
  /** Null where the document names no body. */
  readonly most: number | null
}

interface Described {
  readonly requestBody?: Record<string, number>
  readonly security: readonly object[]
}

/** A body that says whether somebody began to read it. */
function watchedBody(bytes: Uint8Array): { readonly stream: ReadableStream<Uint8Array>; read: boolean } {
  const watched = {
    read: false,
    stream: new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          watched.read = true
          controller.enqueue(bytes)
          controller.close()
        },
      },
      { highWaterMark: 0 },
    ),
  }
  return watched
}

describe('bodies', () => {
  let harness: RoomHarness
  let operations: Operation[]

  beforeAll(async () => {
    harness = await openRoomHarness('sqlite')
    const document = (await harness.api.get('/openapi.json')).body
    operations = Object.entries<Record<string, Described>>(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { requestBody, security }]) => ({
        method: method.toUpperCase(),
        known: security.length > 0 && !/registrations|bootstrap/.test(path),
        path: path.replaceAll(/\{\w+\}/g, 'x'),
        most: requestBody === undefined ? null : (requestBody[bodyBytesName] ?? 0),
      })),
    )
  })
  afterAll(() => harness.close())

  const send = async (
    { method, path }: Pick<Operation, 'method' | 'path'>,
    headers: Record<string, string>,
    bytes: Uint8Array,
  ): Promise<{ status: number; code: string; read: boolean }> => {
    const body = watchedBody(bytes)
    const init: RequestInit & { duplex: 'half' } = { method, headers, body: body.stream, duplex: 'half' }
    // A Request of the platform refuses a body of GET, which HTTP does not.
    const request =
      method === 'GET'
        ? new Request(`http://127.0.0.1${path}`, { headers })
        : new Request(`http://127.0.0.1${path}`, init)
    const answer = await harness.service.fetch(request)
    return { status: answer.status, code: (await answer.json()).code, read: body.read }
  }

  const key = privateKeyForms.find(({ name }) => name === 'jwk-rsa-without-primes')?.body ?? new Uint8Array()
  const json = { 'Content-Type': 'application/json' }

  test('where a route takes none, it is refused and not read', async () => {
    const without = operations.filter(({ method, most, known }) => most === null && (!known || method === 'GET'))
    expect(without.length).toBeGreaterThan(20)
    const outside = ['/healthz', '/readyz', '/openapi.json', '/docs', '/'].map((path) => ({ method: 'GET', path }))
    for (const operation of [...without, ...outside]) {
      for (const sent of [{ 'Content-Length': String(key.length) }, { 'Transfer-Encoding': 'chunked' }]) {
        const answer = await send(operation, { ...json, ...sent }, key)
        expect([operation, answer]).toEqual([operation, { status: 413, code: 'payload_too_large', read: false }])
      }
    }
  })

  test('where there is no route, it is not read', async () => {
    const length = { 'Content-Length': String(key.length) }
    const nowhere = await send({ method: 'POST', path: '/nothing/is/here' }, { ...json, ...length }, key)
    expect(nowhere).toEqual({ status: 404, code: 'not_found', read: false })
    const elsewhere = await send({ method: 'POST', path: '/healthz' }, { ...json, ...length }, key)
    expect(elsewhere).toEqual({ status: 405, code: 'method_not_allowed', read: false })
  })

  test('each route has its own bound, which the document names', async () => {
    const taking = operations.flatMap(({ most, ...operation }) => (most === null ? [] : [{ ...operation, most }]))
    expect(taking.length).toBeGreaterThan(25)
    for (const { most, known, ...operation } of taking) {
      expect([operation, most >= 1024 && most <= 160 * 1024]).toEqual([operation, true])
      const length = { 'Content-Length': String(most + 1) }
      const answer = await send(operation, { ...json, ...length }, key)
      const refused = known
        ? { status: 401, code: 'credential_required', read: false }
        : { status: 413, code: 'payload_too_large', read: false }
      expect([operation, answer]).toEqual([operation, refused])
      if (known) continue
      const streamed = await send(operation, json, new Uint8Array(most + 1).fill(0x20))
      expect([operation, streamed.status]).toEqual([operation, 413])
    }
  })

  test('who asks is known before anything of a body is read, whatever it is', async () => {
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    const callers = { nobody: null, stranger: `Bearer ${'x'.repeat(43)}`, device: `Bearer ${alice.credential}` }
    const asked = operations.filter(({ method, known }) => known && method !== 'GET')
    expect(asked.length).toBeGreaterThan(35)
    for (const { method, path } of asked) {
      for (const [who, authorization] of Object.entries(callers)) {
        if (who === 'device' && !path.startsWith('/v1/admin/')) continue
        const headers = { ...json, 'Content-Length': String(key.length) }
        const answer = await send(
          { method, path },
          authorization === null ? headers : { ...headers, Authorization: authorization },
          key,
        )
        const status = who === 'device' ? 403 : 401
        expect([method, path, who, answer.status, answer.read]).toEqual([method, path, who, status, false])
      }
    }
  })

  test('a device that ends while its slow body comes makes no lookup', async () => {
    const answerTo = async (milliseconds: number, ends: boolean): Promise<number> => {
      const dora = await register(harness.api, harness.mails, `dora.${milliseconds}.${ends}@example.com`)
      const body = new ReadableStream<Uint8Array>(
        {
          pull: async (controller) => {
            if (ends) expect((await dora.api.delete(`/v1/me/devices/${dora.deviceId}`)).status).toBe(204)
            harness.clock.now += milliseconds
            controller.enqueue(new TextEncoder().encode('{"addresses":["nobody@example.com"],"use":"encrypt"}'))
            controller.close()
          },
        },
        { highWaterMark: 0 },
      )
      const headers = { ...json, Authorization: `Bearer ${dora.credential}` }
      const init: RequestInit & { duplex: 'half' } = { method: 'POST', headers, body, duplex: 'half' }
      return (await harness.service.fetch(new Request('http://127.0.0.1/v1/lookups', init))).status
    }
    expect([await answerTo(0, false), await answerTo(1_000, false), await answerTo(1_000, true)]).toEqual([
      200, 200, 401,
    ])
  })

  test('what anyone may send without a credential is small', () => {
    const bounds = new Map(operations.map(({ method, path, most }) => [`${method} ${path}`, most]))
    expect(bounds.get('POST /v1/registrations')).toBe(16 * 1024)
    expect(bounds.get('POST /v1/lookups')).toBe(64 * 1024)
    expect(bounds.get('POST /v1/key-compromise')).toBe(32 * 1024)
  })

  test('no path is that of two routes of one method: a body would be searched twice', () => {
    const twice = operations.filter(({ method, path }) =>
      operations.some((other) => {
        const [own, theirs] = [path.split('/'), other.path.split('/')]
        if (other.path === path || other.method !== method || own.length !== theirs.length) return false
        return theirs.every((part, place) => part === own[place] || part === 'x')
      }),
    )
    expect(twice.filter(({ most }) => most !== null)).toEqual([])
  })
})
