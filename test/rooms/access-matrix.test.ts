import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer, Api, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey } from '../support/key-holder.ts'
import { toPem } from '../support/pem.ts'
import { certify, deviceFacts, policyVersion, publish, register, startRegistration } from '../support/story.ts'
import type { Registered } from '../support/story.ts'
import { makeTestCa } from '../support/test-ca.ts'

/**
 * Every operation of the OpenAPI document against every kind of credential. Who may do what is written here by hand: an
 * operation that is not in this table fails, and so does a line of it whose operation is gone.
 */

const roles = ['owner', 'operator', 'approver', 'privacy', 'auditor'] as const
type Role = (typeof roles)[number]

let harness: RoomHarness
let credentials: Readonly<Record<CredentialKind, string | null>>
let admin: Api
let counter = 0

async function administrator(named: readonly Role[]): Promise<{ id: string; credential: string }> {
  const made = await admin.post('/v1/admin/administrators', { name: `No ${(counter += 1)}`, roles: named })
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  return made.body
}

/** Things of Alice's that a call may name, touched by no call of another world. Each is made when it is first named. */
class World {
  readonly #number = (counter += 1)
  readonly #made = new Map<string, Promise<unknown>>()

  #once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const made = (this.#made.get(name) as Promise<T> | undefined) ?? make()
    this.#made.set(name, made)
    return made
  }

  get alice(): Promise<Registered> {
    return this.#once('alice', () => register(harness.api, harness.mails, `alice-${this.#number}@example.com`))
  }

  get mailbox(): Promise<string> {
    return this.#once('mailbox', async () => (await (await this.alice).api.get('/v1/me')).body.mailboxes[0].id)
  }

  get registration(): Promise<Json> {
    return this.#once('registration', () => startRegistration(harness.api, `new-${this.#number}@example.com`))
  }

  /** Published. */
  get certificate(): Promise<Json> {
    return this.#once('certificate', async () => {
      const certificate = await certify(await this.alice)
      await publish(await this.alice, certificate.id)
      return certificate
    })
  }

  /** What has brought the certificate. */
  get request(): Promise<string> {
    return this.#once('request', async () => {
      await this.certificate
      return (await (await this.alice).api.get('/v1/certificate-requests')).body.items[0].id
    })
  }

  get challenge(): Promise<string> {
    return this.#once('challenge', async () => {
      const { publicKey } = await holdKey('P-256 to sign')
      return (await (await this.alice).api.post('/v1/public-keys', { publicKey, use: 'sign' })).body.id
    })
  }

  get administrator(): Promise<string> {
    return this.#once('administrator', async () => (await administrator(['auditor'])).id)
  }

  get auditEntry(): Promise<string> {
    return this.#once('entry', async () => (await admin.get('/v1/admin/audit-log?limit=1')).body.items[0].id)
  }
}

interface Call {
  readonly path: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * `anyone`: no credential is looked at. `registration`: the device secret of the registration that is named. `device`:
 * any device, about its own things. `own`: a device, and what is named must be its subscriber's, else it is not there.
 * A list of roles: administrators that have one of them. `bootstrap`: nobody, once there are administrators.
 * `metrics`: this machine without a credential, as no token is set.
 */
type Access = 'anyone' | 'metrics' | 'bootstrap' | 'registration' | 'device' | 'own' | readonly Role[]

interface Operation {
  readonly access: Access
  /** The status of a call that may be made. */
  readonly answers: number
  readonly call: (world: World) => Call | Promise<Call>
  /** What a device of another subscriber gets where the access is `own`. */
  readonly foreign?: readonly [number, string]
}

const operation = (
  access: Access,
  answers: number,
  call: Operation['call'],
  foreign?: Operation['foreign'],
): Operation => ({ access, answers, call, ...(foreign === undefined ? {} : { foreign }) })

const at = (path: string, body?: unknown) => (): Call => ({ path, ...(body === undefined ? {} : { body }) })
const reason = 'a letter of the subscriber, by post'

const ca = await makeTestCa('Matrix', () => Date.parse('2026-11-21T12:00:00Z'))
let numbered = 0
const newConnection = () => ({
  kind: 'manual',
  name: `No ${(numbered += 1)}`,
  recipient: 'Example Trust GmbH',
  anchors: toPem('CERTIFICATE', ca.root),
})
const newRule = () => ({ position: (numbered += 1), domain: 'nowhere.example', connectionId: 'embedded' })
/** A call that names a thing of its own, which the machine's operator has made for it. */
const ofFresh = (list: string, thing: () => object, more: (path: string) => Call) => async (): Promise<Call> => {
  const made = await admin.post(list, thing())
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  return more(`${list}/${made.body.id}`)
}
const ofConnection = (what = '', body?: unknown) =>
  ofFresh('/v1/admin/ca-connections', newConnection, (path) => at(path + what, body)())
const ofRule = () => ofFresh('/v1/admin/routing-rules', newRule, (path) => ({ path }))
const everyRole = roles

const operations: Readonly<Record<string, Operation>> = {
  'GET /healthz': operation('anyone', 200, at('/healthz')),
  'GET /readyz': operation('anyone', 200, at('/readyz')),
  'GET /openapi.json': operation('anyone', 200, at('/openapi.json')),
  'GET /docs': operation('anyone', 200, at('/docs')),
  'GET /privacy': operation('anyone', 200, at('/privacy')),
  'GET /terms': operation('anyone', 200, at('/terms')),
  'GET /metrics': operation('metrics', 200, at('/metrics')),
  'GET /ca/{id}.cer': operation('anyone', 404, at('/ca/nobody.cer')),
  'GET /ca/{id}.crl': operation('anyone', 404, at('/ca/nobody.crl')),
  'POST /ocsp/{id}': operation('anyone', 200, at('/ocsp/nobody', {})),
  'GET /v1/authorities': operation('anyone', 200, at('/v1/authorities')),
  'GET /v1/policy': operation('anyone', 200, at('/v1/policy')),
  'POST /v1/registrations': operation(
    'anyone',
    202,
    at('/v1/registrations', { email: 'x@example.com', accountType: 'imap', policyVersion, device: deviceFacts }),
  ),
  'POST /v1/registrations/{id}/confirmation': operation('registration', 403, async ({ registration }) => ({
    path: `/v1/registrations/${(await registration).id}/confirmation`,
    body: { token: 'a wrong one' },
  })),
  'GET /v1/registrations/{id}': operation('registration', 200, async ({ registration }) => ({
    path: `/v1/registrations/${(await registration).id}`,
  })),
  'POST /v1/registrations/{id}/credential': operation('registration', 409, async ({ registration }) => ({
    path: `/v1/registrations/${(await registration).id}/credential`,
  })),
  'GET /confirm/{id}': operation('anyone', 200, async ({ registration }) => ({
    path: `/confirm/${(await registration).id}`,
  })),
  'POST /confirm/{id}/facts': operation('anyone', 403, async ({ registration }) => ({
    path: `/confirm/${(await registration).id}/facts`,
    body: { token: 'a wrong one' },
  })),
  'POST /confirm/{id}': operation('anyone', 403, async ({ registration }) => ({
    path: `/confirm/${(await registration).id}`,
    body: { token: 'a wrong one', userCode: 'ABCD-2345' },
  })),
  'POST /confirm/{id}/refusal': operation('anyone', 403, async ({ registration }) => ({
    path: `/confirm/${(await registration).id}/refusal`,
    body: { token: 'a wrong one' },
  })),

  'GET /v1/me': operation('device', 200, at('/v1/me')),
  'PATCH /v1/me': operation('device', 200, at('/v1/me', { language: 'de' })),
  'POST /v1/me/mailboxes': operation(
    'device',
    202,
    at('/v1/me/mailboxes', { email: 'second@example.com', accountType: 'imap' }),
  ),
  'POST /v1/me/mailboxes/{id}/proof': operation('own', 202, async ({ mailbox }) => ({
    path: `/v1/me/mailboxes/${await mailbox}/proof`,
    body: {},
  })),
  'DELETE /v1/me/mailboxes/{id}': operation('own', 409, async ({ mailbox }) => ({
    path: `/v1/me/mailboxes/${await mailbox}`,
  })),
  'GET /v1/me/devices': operation('device', 200, at('/v1/me/devices')),
  'POST /v1/me/devices/{id}/approval': operation('device', 404, at('/v1/me/devices/nobody/approval')),
  'DELETE /v1/me/devices/{id}': operation('own', 204, async ({ alice }) => ({
    path: `/v1/me/devices/${(await alice).deviceId}`,
  })),
  'POST /v1/me/credential': operation('device', 201, at('/v1/me/credential')),
  'GET /v1/me/lookups': operation('device', 200, at('/v1/me/lookups')),

  'POST /v1/certificate-requests': operation('device', 201, async () => ({
    path: '/v1/certificate-requests',
    body: { csr: await makeCsr(), use: 'sign' },
  })),
  'GET /v1/certificate-requests': operation('device', 200, at('/v1/certificate-requests')),
  'GET /v1/certificate-requests/{id}': operation('own', 200, async ({ request }) => ({
    path: `/v1/certificate-requests/${await request}`,
  })),
  'DELETE /v1/certificate-requests/{id}': operation('own', 409, async ({ request }) => ({
    path: `/v1/certificate-requests/${await request}`,
  })),
  'POST /v1/public-keys': operation('device', 201, async () => ({
    path: '/v1/public-keys',
    body: { publicKey: (await holdKey('P-256 to sign')).publicKey, use: 'sign' },
  })),
  'POST /v1/public-keys/{id}/proof': operation(
    'own',
    403,
    async ({ challenge }) => ({ path: `/v1/public-keys/${await challenge}/proof`, body: { proof: 'AAAA' } }),
    [410, 'challenge_ended'],
  ),
  'GET /v1/certificates': operation('device', 200, at('/v1/certificates')),
  'GET /v1/certificates/{id}': operation('own', 200, async ({ certificate }) => ({
    path: `/v1/certificates/${(await certificate).id}`,
  })),
  'PUT /v1/certificates/{id}/publication': operation('own', 200, async ({ certificate }) => ({
    path: `/v1/certificates/${(await certificate).id}/publication`,
    body: { consentVersion: policyVersion, audience: 'members' },
  })),
  'DELETE /v1/certificates/{id}/publication': operation('own', 204, async ({ certificate }) => ({
    path: `/v1/certificates/${(await certificate).id}/publication`,
  })),
  'POST /v1/certificates/{id}/revocation': operation('own', 200, async ({ certificate }) => ({
    path: `/v1/certificates/${(await certificate).id}/revocation`,
    body: { reason: 'superseded' },
  })),
  'POST /v1/lookups': operation('device', 200, at('/v1/lookups', { addresses: ['a@example.com'], use: 'encrypt' })),
  'POST /v1/check-ins': operation('device', 200, at('/v1/check-ins', deviceFacts)),
  'POST /v1/key-compromise': operation('anyone', 201, async () => ({
    path: '/v1/key-compromise',
    body: { publicKey: (await holdKey('P-256 to sign')).publicKey },
  })),
  'POST /v1/key-compromise/{id}/proof': operation(
    'anyone',
    410,
    at('/v1/key-compromise/nobody/proof', { proof: 'AAAA' }),
  ),

  'POST /v1/admin/bootstrap': operation('bootstrap', 403, at('/v1/admin/bootstrap', { name: 'Somebody' })),
  'GET /v1/admin/me': operation(everyRole, 200, at('/v1/admin/me')),
  'POST /v1/admin/credential': operation(everyRole, 201, at('/v1/admin/credential')),
  'GET /v1/admin/overview': operation(everyRole, 200, at('/v1/admin/overview')),
  'GET /v1/admin/administrators': operation(['owner', 'auditor'], 200, at('/v1/admin/administrators')),
  'POST /v1/admin/administrators': operation(
    ['owner'],
    201,
    at('/v1/admin/administrators', { name: 'Another', roles: ['auditor'] }),
  ),
  'PATCH /v1/admin/administrators/{id}': operation(['owner'], 200, async ({ administrator }) => ({
    path: `/v1/admin/administrators/${await administrator}`,
    body: { roles: ['privacy'] },
  })),
  'DELETE /v1/admin/administrators/{id}': operation(['owner'], 204, async ({ administrator }) => ({
    path: `/v1/admin/administrators/${await administrator}`,
  })),
  'POST /v1/admin/administrators/{id}/credential': operation(['owner'], 201, async ({ administrator }) => ({
    path: `/v1/admin/administrators/${await administrator}/credential`,
  })),
  'POST /v1/admin/subscribers/search': operation(['operator', 'privacy'], 200, async ({ alice }) => ({
    path: '/v1/admin/subscribers/search',
    body: { address: (await alice).email, reason },
  })),
  'POST /v1/admin/subscribers/{id}/reading': operation(['operator', 'privacy'], 200, async ({ alice }) => ({
    path: `/v1/admin/subscribers/${(await alice).subscriberId}/reading`,
    body: { reason },
  })),
  'GET /v1/admin/certificate-requests': operation(
    ['operator', 'approver', 'auditor'],
    200,
    at('/v1/admin/certificate-requests'),
  ),
  'GET /v1/admin/certificate-requests/{id}': operation(
    ['operator', 'approver', 'auditor'],
    200,
    async ({ request }) => ({
      path: `/v1/admin/certificate-requests/${await request}`,
    }),
  ),
  'POST /v1/admin/certificate-requests/{id}/approval': operation(['approver'], 409, async ({ request }) => ({
    path: `/v1/admin/certificate-requests/${await request}/approval`,
  })),
  'POST /v1/admin/certificate-requests/{id}/rejection': operation(['approver'], 409, async ({ request }) => ({
    path: `/v1/admin/certificate-requests/${await request}/rejection`,
    body: { reason: 'a shared mailbox' },
  })),
  'POST /v1/admin/certificate-requests/{id}/csr': operation(['operator'], 409, async ({ request }) => ({
    path: `/v1/admin/certificate-requests/${await request}/csr`,
  })),
  'POST /v1/admin/certificate-requests/{id}/certificate': operation(['operator'], 422, async ({ request }) => ({
    path: `/v1/admin/certificate-requests/${await request}/certificate`,
    body: { certificate: 'none' },
  })),
  'POST /v1/admin/certificate-requests/{id}/settlement': operation(['operator'], 409, async ({ request }) => ({
    path: `/v1/admin/certificate-requests/${await request}/settlement`,
    body: { outcome: 'failed' },
  })),
  'POST /v1/admin/certificate-requests/{id}/cancellation': operation(['operator'], 409, async ({ request }) => ({
    path: `/v1/admin/certificate-requests/${await request}/cancellation`,
  })),
  'GET /v1/admin/ca-connections': operation(['operator', 'approver', 'auditor'], 200, at('/v1/admin/ca-connections')),
  'POST /v1/admin/ca-connections': operation(['operator'], 201, () => ({
    path: '/v1/admin/ca-connections',
    body: newConnection(),
  })),
  'GET /v1/admin/ca-connections/{id}': operation(['operator', 'approver', 'auditor'], 200, ofConnection()),
  'PUT /v1/admin/ca-connections/{id}': operation(
    ['operator'],
    200,
    ofFresh('/v1/admin/ca-connections', newConnection, (path) => ({
      path,
      body: newConnection(),
      headers: { 'If-Match': '"1"' },
    })),
  ),
  'DELETE /v1/admin/ca-connections/{id}': operation(['operator'], 204, ofConnection()),
  'POST /v1/admin/ca-connections/{id}/client-certificate': operation(
    ['operator'],
    422,
    ofConnection('/client-certificate', { certificate: 'none' }),
  ),
  'POST /v1/admin/ca-connections/{id}/test': operation(['operator'], 200, ofConnection('/test')),
  'POST /v1/admin/ca-connections/{id}/pause': operation(['operator'], 200, ofConnection('/pause')),
  'POST /v1/admin/ca-connections/{id}/resumption': operation(['operator'], 200, ofConnection('/resumption')),
  'GET /v1/admin/routing-rules': operation(['operator', 'approver', 'auditor'], 200, at('/v1/admin/routing-rules')),
  'POST /v1/admin/routing-rules': operation(['operator'], 201, () => ({
    path: '/v1/admin/routing-rules',
    body: newRule(),
  })),
  'PUT /v1/admin/routing-rules/{id}': operation(
    ['operator'],
    200,
    ofFresh('/v1/admin/routing-rules', newRule, (path) => ({ path, body: newRule() })),
  ),
  'DELETE /v1/admin/routing-rules/{id}': operation(['operator'], 204, ofRule()),
  'POST /v1/admin/routing-rules/trial': operation(
    ['operator', 'approver', 'auditor'],
    200,
    at('/v1/admin/routing-rules/trial', { address: 'a@nowhere.example', use: 'sign', algorithm: 'ec' }),
  ),
  'GET /v1/admin/ca-revocations': operation(['operator', 'auditor'], 200, at('/v1/admin/ca-revocations')),
  'POST /v1/admin/ca-revocations/{id}/confirmation': operation(
    ['operator'],
    404,
    at('/v1/admin/ca-revocations/nobody/confirmation'),
  ),
  'POST /v1/admin/certificates/search': operation(['operator', 'privacy', 'auditor'], 200, async ({ certificate }) => ({
    path: '/v1/admin/certificates/search',
    body: { serialNumber: (await certificate).serialNumber },
  })),
  'GET /v1/admin/certificates/{id}': operation(['operator', 'privacy', 'auditor'], 200, async ({ certificate }) => ({
    path: `/v1/admin/certificates/${(await certificate).id}`,
  })),
  'POST /v1/admin/certificates/{id}/revocation': operation(['operator', 'privacy'], 200, async ({ certificate }) => ({
    path: `/v1/admin/certificates/${(await certificate).id}/revocation`,
    body: { reason: 'superseded' },
  })),
  'POST /v1/admin/blocklist/imports': operation(
    ['operator'],
    200,
    at('/v1/admin/blocklist/imports', { fingerprints: ['ab'.repeat(32)] }),
  ),
  'POST /v1/admin/query-log/search': operation(['privacy', 'auditor'], 200, async ({ alice }) => ({
    path: '/v1/admin/query-log/search',
    body: { asker: (await alice).subscriberId, from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00Z', reason },
  })),
  'GET /v1/admin/audit-log': operation(['owner', 'privacy', 'auditor'], 200, at('/v1/admin/audit-log')),
  'GET /v1/admin/audit-log/checkpoint': operation(['owner', 'auditor'], 200, at('/v1/admin/audit-log/checkpoint')),
  'GET /v1/admin/audit-log/verification': operation(['owner', 'auditor'], 200, at('/v1/admin/audit-log/verification')),
  'POST /v1/admin/audit-log/{id}/reading': operation(['privacy', 'auditor'], 200, async ({ auditEntry }) => ({
    path: `/v1/admin/audit-log/${await auditEntry}/reading`,
    body: { reason },
  })),
}

const credentialKinds = [
  'none',
  'rubbish',
  'unknown device',
  'expired device',
  'ended device',
  'another subscriber',
  'own device',
  'device secret of the registration',
  'unknown administrator',
  'expired administrator',
  'ended administrator',
  ...roles,
] as const
type CredentialKind = (typeof credentialKinds)[number]

/** Refused with a status and a code, or admitted. */
type Verdict = 'admitted' | readonly [number, string]

const required = [401, 'credential_required'] as const
const invalid = [401, 'credential_invalid'] as const
const anotherKind = [403, 'credential_of_another_kind'] as const
const roleRequired = [403, 'role_required'] as const

const bootstrapClosed = [403, 'bootstrap_closed'] as const

const isRole = (kind: CredentialKind): kind is Role => roles.some((role) => role === kind)
const ofAdministrator = (kind: CredentialKind): boolean => isRole(kind) || kind.endsWith('administrator')

const verdictOfDevice = (kind: CredentialKind, own: boolean, foreign: Operation['foreign']): Verdict => {
  if (ofAdministrator(kind) || kind.startsWith('device secret')) return anotherKind
  if (kind === 'own device') return 'admitted'
  if (kind === 'another subscriber') return own ? (foreign ?? [404, 'not_found']) : 'admitted'
  return invalid
}

const verdictOfAdministrator = (kind: CredentialKind, allowed: readonly Role[]): Verdict => {
  if (isRole(kind)) return allowed.includes(kind) ? 'admitted' : roleRequired
  return kind === 'rubbish' || ofAdministrator(kind) ? invalid : anotherKind
}

const expected = ({ access, foreign }: Operation, kind: CredentialKind): Verdict => {
  if (access === 'anyone') return 'admitted'
  if (access === 'metrics') return kind === 'none' ? 'admitted' : invalid
  if (kind === 'none') return required
  if (access === 'bootstrap') return bootstrapClosed
  if (access === 'registration') return kind.startsWith('device secret') ? 'admitted' : invalid
  if (access === 'device' || access === 'own') return verdictOfDevice(kind, access === 'own', foreign)
  return verdictOfAdministrator(kind, access)
}

const day = 86_400_000
const randomCredential = (prefix: string): string => prefix + randomBytes(32).toString('base64url')

beforeAll(async () => {
  harness = await openRoomHarness('sqlite')
  const operator = (): Api => harness.api.with(harness.service.administration.localOperator())
  admin = operator()
  const now = harness.clock.now
  harness.clock.now = now - 200 * day
  const expiredDevice = await register(harness.api, harness.mails, 'expired@example.com')
  const expiredAdministrator = await administrator(['operator', 'privacy'])
  harness.clock.now = now
  const endedDevice = await register(harness.api, harness.mails, 'ended@example.com')
  expect((await endedDevice.api.delete(`/v1/me/devices/${endedDevice.deviceId}`)).status).toBe(204)
  const endedAdministrator = await administrator(['operator', 'privacy'])
  expect((await admin.delete(`/v1/admin/administrators/${endedAdministrator.id}`)).status).toBe(204)
  const other = await register(harness.api, harness.mails, 'other@example.com')
  const ofRoles = await Promise.all(
    roles.map(async (role) => [role, (await administrator([role])).credential] as const),
  )
  credentials = {
    none: null,
    rubbish: 'letmein',
    'unknown device': randomCredential('cb_dev_'),
    'expired device': expiredDevice.credential,
    'ended device': endedDevice.credential,
    'another subscriber': other.credential,
    'own device': null,
    'device secret of the registration': null,
    'unknown administrator': randomCredential('cb_adm_'),
    'expired administrator': expiredAdministrator.credential,
    'ended administrator': endedAdministrator.credential,
    ...(Object.fromEntries(ofRoles) as Record<Role, string>),
  }
})
afterAll(() => harness.close())

/** Whether the call may change something: what is refused changes nothing. */
const changes = (named: string, kind: CredentialKind): boolean => {
  const subject = operations[named]
  return subject !== undefined && !named.startsWith('GET') && expected(subject, kind) === 'admitted'
}

async function ask(named: string, kind: CredentialKind, world: World): Promise<Answer> {
  const [method = ''] = named.split(' ')
  const { path, body, headers } = (await operations[named]?.call(world)) ?? { path: '' }
  const credential =
    kind === 'own device'
      ? (await world.alice).credential
      : kind === 'device secret of the registration'
        ? (await world.registration).deviceSecret
        : isRole(kind) && changes(named, kind)
          ? // The call may give the administrator another credential.
            (await administrator([kind])).credential
          : credentials[kind]
  const api = credential === null ? harness.api : harness.api.with(credential)
  return api.send(method, path, body, headers)
}

test('names every operation of the document, and none that is not there', async () => {
  const document = (await harness.api.get('/openapi.json')).body
  const found = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'parameters')
      .map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(found.toSorted()).toEqual(Object.keys(operations).toSorted())
})

describe.each(Object.keys(operations))('%s', (named) => {
  const subject = operations[named]
  if (subject === undefined) throw new Error(`no operation ${named}`)
  const verdicts = credentialKinds.map((kind) => ({ kind, verdict: expected(subject, kind) }))

  test('refuses who may not, with the reason, and changes nothing for it', async () => {
    const world = new World()
    for (const { kind, verdict } of verdicts) {
      if (verdict === 'admitted') continue
      const answer = await ask(named, kind, world)
      expect([kind, answer.status, answer.body.code]).toEqual([kind, ...verdict])
    }
    // After all refusals the call that may be made still finds what it needs.
    const admitted = verdicts.find(({ verdict }) => verdict === 'admitted')?.kind
    if (admitted === undefined) return
    const answer = await ask(named, admitted, world)
    expect([admitted, answer.status], JSON.stringify(answer.body)).toEqual([admitted, subject.answers])
  })

  test('admits who may', async () => {
    const changing = subject.access !== 'anyone' && !named.startsWith('GET')
    const world = new World()
    for (const { kind, verdict } of verdicts) {
      if (verdict !== 'admitted') continue
      const answer = await ask(named, kind, changing ? new World() : world)
      expect([kind, answer.status], JSON.stringify(answer.body)).toEqual([kind, subject.answers])
    }
  })
})
