import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { routeRoles } from '../../src/api/admin-roles.ts'
import type { Answer } from '../support/api.ts'
import { allRoles, localOperator, makeAdministrator, type Administrator, type Role } from '../support/administrators.ts'
import { engines, openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { toPem } from '../support/pem.ts'
import { certify, register } from '../support/story.ts'
import { makeTestCa } from '../support/test-ca.ts'
import { countEverything, day, expectProblem } from './support.ts'

const ca = await makeTestCa('Roles', () => Date.parse('2026-11-21T12:00:00Z'))
const connectionNamed = (name: string) => ({
  kind: 'manual',
  name,
  recipient: 'Example Trust GmbH',
  anchors: toPem('CERTIFICATE', ca.root),
})

/**
 * Who may call what, written down a second time, by hand: the table of the code cannot widen without this one. A letter
 * stands for a role: w owner, o operator, a approver, p privacy, u auditor.
 */
const mayCall: readonly (readonly [method: string, path: string, roles: string, body: object | null])[] = [
  ['GET', '/v1/admin/me', 'woapu', null],
  ['POST', '/v1/admin/credential', 'woapu', null],
  ['GET', '/v1/admin/overview', 'woapu', null],
  ['GET', '/v1/admin/administrators', 'w---u', null],
  ['POST', '/v1/admin/administrators', 'w----', { name: 'New', roles: ['auditor'] }],
  ['PATCH', '/v1/admin/administrators/{administrator}', 'w----', { roles: ['privacy'] }],
  ['DELETE', '/v1/admin/administrators/{administrator}', 'w----', null],
  ['POST', '/v1/admin/administrators/{administrator}/credential', 'w----', null],
  ['POST', '/v1/admin/subscribers/search', '-o-p-', { address: 'alice@example.com', reason: 'a letter of hers' }],
  ['POST', '/v1/admin/subscribers/{subscriber}/reading', '-o-p-', { reason: 'a letter of hers' }],
  ['GET', '/v1/admin/certificate-requests', '-oa-u', null],
  ['GET', '/v1/admin/certificate-requests/{request}', '-oa-u', null],
  ['POST', '/v1/admin/certificate-requests/{request}/approval', '--a--', null],
  ['POST', '/v1/admin/certificate-requests/{request}/rejection', '--a--', { reason: 'a shared mailbox' }],
  ['POST', '/v1/admin/certificate-requests/{request}/csr', '-o---', null],
  ['POST', '/v1/admin/certificate-requests/{request}/certificate', '-o---', { certificate: 'none' }],
  ['POST', '/v1/admin/certificate-requests/{request}/settlement', '-o---', { outcome: 'failed' }],
  ['POST', '/v1/admin/certificate-requests/{request}/cancellation', '-o---', null],
  ['GET', '/v1/admin/ca-connections', '-oa-u', null],
  ['POST', '/v1/admin/ca-connections', '-o---', connectionNamed('new')],
  ['GET', '/v1/admin/ca-connections/{connection}', '-oa-u', null],
  ['PUT', '/v1/admin/ca-connections/{connection}', '-o---', connectionNamed('changed')],
  ['DELETE', '/v1/admin/ca-connections/{connection}', '-o---', null],
  ['POST', '/v1/admin/ca-connections/{connection}/client-certificate', '-o---', { certificate: 'none' }],
  ['POST', '/v1/admin/ca-connections/{connection}/test', '-o---', null],
  ['POST', '/v1/admin/ca-connections/{connection}/pause', '-o---', null],
  ['POST', '/v1/admin/ca-connections/{connection}/resumption', '-o---', null],
  ['GET', '/v1/admin/routing-rules', '-oa-u', null],
  ['POST', '/v1/admin/routing-rules', '-o---', { position: 1, connectionId: 'embedded' }],
  ['PUT', '/v1/admin/routing-rules/{rule}', '-o---', { position: 2, connectionId: 'embedded' }],
  ['DELETE', '/v1/admin/routing-rules/{rule}', '-o---', null],
  ['POST', '/v1/admin/routing-rules/trial', '-oa-u', { address: 'alice@example.com', use: 'sign', algorithm: 'ec' }],
  ['GET', '/v1/admin/ca-revocations', '-o--u', null],
  ['POST', '/v1/admin/ca-revocations/{revocation}/confirmation', '-o---', null],
  ['POST', '/v1/admin/certificates/search', '-o-pu', { serialNumber: '01' }],
  ['GET', '/v1/admin/certificates/{certificate}', '-o-pu', null],
  ['POST', '/v1/admin/certificates/{certificate}/revocation', '-o-p-', { reason: 'superseded' }],
  ['POST', '/v1/admin/blocklist/imports', '-o---', { fingerprints: ['0'.repeat(64)] }],
  [
    'POST',
    '/v1/admin/query-log/search',
    '---pu',
    {
      asker: 'somebody',
      from: '2026-11-20T00:00:00Z',
      to: '2026-11-21T00:00:00Z',
      reason: 'a complaint of abuse',
    },
  ],
  ['GET', '/v1/admin/audit-log', 'w--pu', null],
  ['GET', '/v1/admin/audit-log/checkpoint', 'w---u', null],
  ['GET', '/v1/admin/audit-log/verification', 'w---u', null],
  ['POST', '/v1/admin/audit-log/{entry}/reading', '---pu', { reason: 'a complaint of abuse' }],
]

/** Calls whose role is right, while what they name here, or send, is not fit for them. */
const unfit: Readonly<Record<string, number>> = {
  '/v1/admin/ca-connections/{connection}/client-certificate': 422,
  '/v1/admin/certificate-requests/{request}/approval': 409,
  '/v1/admin/certificate-requests/{request}/rejection': 409,
  '/v1/admin/certificate-requests/{request}/csr': 409,
  '/v1/admin/certificate-requests/{request}/certificate': 422,
  '/v1/admin/certificate-requests/{request}/settlement': 409,
  '/v1/admin/certificate-requests/{request}/cancellation': 409,
  '/v1/admin/ca-revocations/{revocation}/confirmation': 404,
}

const rolesOf = (letters: string): Role[] => allRoles.filter((_, index) => letters[index] !== '-')

describe('the table of roles', () => {
  test('is the one that stands here, no wider and no narrower', () => {
    const ofCode = Object.entries(routeRoles).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, roles]) => `${method.toUpperCase()} ${path}: ${roles.toSorted().join(' ')}`,
      ),
    )
    const ofHand = mayCall.map(
      ([method, path, letters]) =>
        `${method} ${path.replace(/\{\w+\}/, '{id}')}: ${rolesOf(letters).toSorted().join(' ')}`,
    )
    expect(ofCode.toSorted()).toEqual(ofHand.toSorted())
  })
})

describe.each(engines)('the administrators’ API on %s', (engine) => {
  let harness: RoomHarness
  const byRole = new Map<Role, Administrator>()
  let strangers: readonly { readonly who: string; readonly ask: RoomHarness['api']; status: number; code: string }[]
  const ids = { subscriber: '', request: '', certificate: '', entry: '' }

  beforeAll(async () => {
    harness = await openRoomHarness(engine)
    const expired = await makeAdministrator(harness, ...allRoles)
    harness.clock.now += 181 * day
    const ended = await makeAdministrator(harness, ...allRoles)
    for (const role of allRoles) byRole.set(role, await makeAdministrator(harness, role))
    await localOperator(harness).delete(`/v1/admin/administrators/${ended.id}`)
    const alice = await register(harness.api, harness.mails, 'alice@example.com')
    const { id } = await certify(alice)
    ids.subscriber = alice.subscriberId
    ids.certificate = id
    const requests = await localOperator(harness).get('/v1/admin/certificate-requests')
    ids.request = requests.body.items[0].id
    const entries = await localOperator(harness).get('/v1/admin/audit-log')
    ids.entry = entries.body.items[0].id
    const { api } = harness
    strangers = [
      { who: 'nobody', ask: api, status: 401, code: 'credential_required' },
      { who: 'anybody', ask: api.with('anything'), status: 401, code: 'credential_invalid' },
      { who: 'a wrong credential', ask: api.with(`cb_adm_${'A'.repeat(43)}`), status: 401, code: 'credential_invalid' },
      { who: 'an expired credential', ask: expired.api, status: 401, code: 'credential_invalid' },
      { who: 'an ended administrator', ask: ended.api, status: 401, code: 'credential_invalid' },
      { who: 'a device', ask: alice.api, status: 403, code: 'credential_of_another_kind' },
    ]
  })
  afterAll(() => harness.close())

  let made = 0
  const make = async (path: string, body: object): Promise<string> => {
    const answer = await localOperator(harness).post(path, body)
    expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    return answer.body.id
  }
  /** Things of its own for each call, which may end them. */
  const fresh: Readonly<Record<string, () => Promise<string>>> = {
    administrator: async () => (await makeAdministrator(harness, 'auditor')).id,
    connection: () => make('/v1/admin/ca-connections', connectionNamed(`No ${(made += 1)}`)),
    rule: () => make('/v1/admin/routing-rules', { position: 100 + (made += 1), connectionId: 'embedded' }),
  }
  /** The path with ids of things that exist. */
  const pathFor = async (path: string): Promise<string> => {
    const [, name = ''] = /\{(\w+)\}/.exec(path) ?? []
    const own = await fresh[name]?.()
    return path.replaceAll(/\{(\w+)\}/g, () => own ?? { ...ids }[name] ?? name)
  }

  /** What is changed here is as it was made. */
  const asRead = { 'If-Match': '"1"' }

  describe.each(mayCall)('%s %s', (method, path, letters, body) => {
    const send = async (api: RoomHarness['api']): Promise<Answer> =>
      api.send(method, await pathFor(path), body ?? undefined, asRead)

    test('is for administrators', async () => {
      const before = await countEverything(harness)
      for (const { who, ask, status, code } of strangers) {
        const answer = await ask.send(method, path.replaceAll(/[{}]/g, ''), body ?? undefined)
        expect([who, answer.status, answer.body.code]).toEqual([who, status, code])
        expectProblem(answer, status, code)
      }
      expect(await countEverything(harness)).toEqual(before)
    })

    test('is for those who have the role, and says which', async () => {
      for (const [role, { api }] of byRole) {
        const answer = await send(api)
        if (rolesOf(letters).includes(role)) {
          const known = unfit[path]
          const status = known === undefined ? Math.floor(answer.status / 100) : answer.status
          expect([role, status], JSON.stringify(answer.body)).toEqual([role, known ?? 2])
          expect(answer.headers.get('Cache-Control')).toBe('no-store')
        } else {
          expectProblem(answer, 403, 'role_required')
          for (const other of allRoles) {
            expect([other, answer.body.detail.includes(other)]).toEqual([other, rolesOf(letters).includes(other)])
          }
        }
      }
    })

    test('asks who it is before it looks at what was sent', async () => {
      const broken = await harness.api.raw(
        method,
        await pathFor(path),
        method === 'GET' ? undefined : '{',
        'application/json',
      )
      expectProblem(broken, 401, 'credential_required')
    })

    test('refuses what it does not know', async () => {
      if (body === null) return
      const answer = await localOperator(harness).send(method, await pathFor(path), { ...body, more: true }, asRead)
      expectProblem(answer, 422, 'invalid_request')
    })
  })

  test('an administrator’s credential opens nothing that is a device’s', async () => {
    for (const [, { api }] of byRole) {
      expectProblem(await api.get('/v1/me'), 403, 'credential_of_another_kind')
      expectProblem(
        await api.post('/v1/lookups', { addresses: ['alice@example.com'], use: 'encrypt' }),
        403,
        'credential_of_another_kind',
      )
    }
    expectProblem(await localOperator(harness).get('/v1/me'), 403, 'credential_of_another_kind')
  })

  test('every call of the table is in the OpenAPI document, and no other but the bootstrap', async () => {
    const { body } = await harness.api.get('/openapi.json')
    const documented = Object.entries<object>(body.paths)
      .filter(([path]) => path.startsWith('/v1/admin'))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`))
    const tabled = Object.entries(routeRoles).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    )
    expect(documented.toSorted()).toEqual(['post /v1/admin/bootstrap', ...tabled].toSorted())
  })
})
