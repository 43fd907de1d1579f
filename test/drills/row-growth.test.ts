import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RowsPerUnit } from '../../src/api/rows-left.ts'
import { integer, query, text, type Database } from '../../src/ports/database.ts'
import { rowBudgets, type RowBudgetName } from '../../src/ports/row-budgets.ts'
import type { Answer, Api, Json } from '../support/api.ts'
import { makeCsr, makeKeys } from '../support/csr.ts'
import { openRoomHarness, type RoomHarness } from '../support/engines.ts'
import { holdKey, prove, type HeldKey } from '../support/key-holder.ts'
import { tokenIn } from '../support/mail.ts'
import {
  certify,
  confirmRegistration,
  deviceFacts,
  policyVersion,
  register,
  startRegistration,
  type Registered,
} from '../support/story.ts'

/**
 * Every operation of the OpenAPI document, as anyone and as a member, again and again with fresh input from one network
 * at one time: no table grows by more than what the route declares for all that its budgets hold.
 */

const repeats = 500

/** Rows that may be left in a day of one network by all who need no credential. */
const anonymousRowsPerDay = 2_000

interface Call {
  /** POST where nothing is said. */
  readonly method?: string
  readonly path: string
  readonly body?: unknown
  readonly credential?: string
}

/** Who asks, and the things that a call may name. Each operation has its own. */
interface Stage {
  readonly harness: RoomHarness
  readonly member: Registered
  /** What the last call was answered. */
  last: Answer | null
  readonly kept: Map<string, Json>
}

interface Attack {
  /** Where a call needs others: what these may leave counts too. */
  readonly also?: readonly string[]
  readonly prepare?: (stage: Stage) => Promise<void>
  readonly call: (stage: Stage, turn: number) => Call | Promise<Call>
}

let numbered = 0
const freshAddress = (): string => `fresh.${(numbered += 1)}@example.com`

/** A private key as PEM. */
const freshPrivateKey = async (): Promise<string> => {
  const { privateKey } = await makeKeys()
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`
}

const own = (stage: Stage, name: string): Json => {
  const thing: Json = stage.kept.get(name)
  if (thing === undefined) throw new Error(`no ${name}`)
  return thing
}

const begun = async (stage: Stage): Promise<Json> => {
  const registration = await startRegistration(stage.harness.api, freshAddress())
  stage.kept.set('registration', registration)
  stage.kept.set('token', tokenIn(await stage.harness.mails.challengeOf(registration.id)))
}

const certified = async (stage: Stage): Promise<void> => {
  stage.kept.set('certificate', await certify(stage.member))
}

const publication = (stage: Stage, audience: string): Call => ({
  method: 'PUT',
  path: `/v1/certificates/${own(stage, 'certificate').id}/publication`,
  body: { consentVersion: policyVersion, audience },
})

/** Brings a fresh key in the even turns, and proves it in the odd ones. */
const bringAndProve =
  (path: string, purpose: 'possession' | 'compromise') =>
  async (stage: Stage, turn: number): Promise<Call> => {
    if (turn % 2 === 0) {
      const key = await holdKey('P-256 to sign')
      stage.kept.set('key', key)
      return { path, body: { publicKey: key.publicKey, ...(purpose === 'possession' ? { use: 'sign' } : {}) } }
    }
    const made = stage.last?.body
    if (stage.last?.status !== 201) return { path: `${path}/nobody/proof`, body: { proof: 'AAAA' } }
    const key: HeldKey = own(stage, 'key')
    const origin = new URL(stage.harness.config.publicUrl).origin
    return { path: `${path}/${made.id}/proof`, body: { proof: await prove(key, made, origin, purpose) } }
  }

const mailboxOf = async (stage: Stage): Promise<void> => {
  stage.kept.set('mailbox', (await stage.member.api.get('/v1/me')).body.mailboxes[0].id)
}

/** Adds a mailbox, proves it, and removes it, in turn. */
const addProveRemove = async (stage: Stage, turn: number): Promise<Call> => {
  if (turn % 3 === 0) return { path: '/v1/me/mailboxes', body: { email: freshAddress(), accountType: 'imap' } }
  if (turn % 3 === 1) {
    const asked = stage.last
    if (asked?.status !== 202) return { path: '/v1/me/mailboxes/nobody/proof', body: { token: 'none' } }
    stage.kept.set('added', asked.body.id)
    const mail = await stage.harness.mails.challengeOf(asked.body.challenge)
    return { path: `/v1/me/mailboxes/${asked.body.id}/proof`, body: { token: tokenIn(mail) } }
  }
  return { method: 'DELETE', path: `/v1/me/mailboxes/${stage.kept.get('added') ?? 'nobody'}` }
}

const whole = ['addMailbox', 'proveMailbox', 'removeMailbox']

/** What is sent where the example of the document, with a name that nobody has, is not enough to leave anything. */
const attacks: Readonly<Record<string, Attack>> = {
  startRegistration: {
    call: () => ({
      path: '/v1/registrations',
      body: { email: freshAddress(), accountType: 'imap', policyVersion, device: deviceFacts },
    }),
  },
  confirmRegistration: {
    prepare: begun,
    call: (stage, turn) => ({
      path: `/v1/registrations/${own(stage, 'registration').id}/confirmation`,
      body: { token: turn % 2 === 0 ? own(stage, 'token') : `wrong ${turn}` },
      credential: own(stage, 'registration').deviceSecret,
    }),
  },
  mintCredential: {
    prepare: async (stage) => {
      await begun(stage)
      await confirmRegistration(stage.harness.api, stage.harness.mails, own(stage, 'registration'))
    },
    call: (stage) => ({
      path: `/v1/registrations/${own(stage, 'registration').id}/credential`,
      credential: own(stage, 'registration').deviceSecret,
    }),
  },
  confirmByLink: {
    prepare: begun,
    call: (stage, turn) => ({
      path: `/confirm/${own(stage, 'registration').id}`,
      body: { token: own(stage, 'token'), userCode: turn === 0 ? own(stage, 'registration').userCode : 'AAAA-2222' },
    }),
  },
  refuseByLink: {
    prepare: begun,
    call: (stage) => ({
      path: `/confirm/${own(stage, 'registration').id}/refusal`,
      body: { token: own(stage, 'token') },
    }),
  },
  reportKey: {
    call: async (_, turn) => ({
      path: '/v1/key-compromise',
      body:
        turn % 2 === 0
          ? { publicKey: (await holdKey('P-256 to sign')).publicKey }
          : { privateKey: await freshPrivateKey() },
    }),
  },
  proveReportedKey: { also: ['reportKey'], call: bringAndProve('/v1/key-compromise', 'compromise') },
  changeSubscriber: {
    call: (_, turn) => ({ method: 'PATCH', path: '/v1/me', body: { language: turn % 2 === 0 ? 'de' : 'en' } }),
  },
  rotateCredential: {
    call: (stage) => {
      const credential = stage.last?.status === 201 ? stage.last.body.credential : stage.kept.get('credential')
      if (credential !== undefined) stage.kept.set('credential', credential)
      return { path: '/v1/me/credential', ...(credential === undefined ? {} : { credential }) }
    },
  },
  addMailbox: { also: whole, call: addProveRemove },
  removeMailbox: { also: whole, call: addProveRemove },
  proveMailbox: {
    prepare: mailboxOf,
    call: (stage, turn) => ({
      path: `/v1/me/mailboxes/${own(stage, 'mailbox')}/proof`,
      body: turn % 6 === 0 ? { act: 'device_end' } : { token: `wrong ${turn}` },
    }),
  },
  approveDevice: {
    prepare: async (stage) => {
      const { api, mails } = stage.harness
      const started = await startRegistration(api, stage.member.email)
      await confirmRegistration(api, mails, started)
      stage.kept.set('registration', started)
    },
    call: (stage) => ({ path: `/v1/me/devices/${own(stage, 'registration').id}/approval` }),
  },
  removeDevice: {
    prepare: async (stage) => {
      const { api, mails } = stage.harness
      const started = await startRegistration(api, stage.member.email)
      await confirmRegistration(api, mails, started)
      stage.kept.set('registration', started)
    },
    call: (stage, turn) => ({
      method: 'DELETE',
      path: `/v1/me/devices/${turn === repeats - 1 ? stage.member.deviceId : own(stage, 'registration').id}`,
    }),
  },
  requestCertificate: {
    call: async () => ({ path: '/v1/certificate-requests', body: { csr: await makeCsr(), use: 'sign' } }),
  },
  submitPublicKey: {
    call: async () => ({
      path: '/v1/public-keys',
      body: { publicKey: (await holdKey('P-256 to sign')).publicKey, use: 'sign' },
    }),
  },
  provePublicKey: { also: ['submitPublicKey'], call: bringAndProve('/v1/public-keys', 'possession') },
  revokeCertificate: {
    also: ['requestCertificate'],
    prepare: certified,
    call: async (stage, turn) => {
      if (turn % 2 === 0) {
        if (stage.kept.has('refused'))
          return { path: `/v1/certificates/${own(stage, 'certificate').id}`, method: 'GET' }
        return { path: '/v1/certificate-requests', body: { csr: await makeCsr(), use: 'sign' } }
      }
      if (stage.last?.status === 201) stage.kept.set('certificate', stage.last.body.certificate)
      return {
        path: `/v1/certificates/${own(stage, 'certificate').id}/revocation`,
        body: { reason: 'keyCompromise' },
      }
    },
  },
  publishCertificate: {
    prepare: certified,
    call: (stage, turn) => publication(stage, turn % 2 === 0 ? 'members' : 'public'),
  },
  withdrawCertificate: {
    also: ['publishCertificate'],
    prepare: certified,
    call: (stage, turn) =>
      turn % 2 === 0
        ? publication(stage, 'members')
        : { method: 'DELETE', path: `/v1/certificates/${own(stage, 'certificate').id}/publication` },
  },
  lookUp: { call: () => ({ path: '/v1/lookups', body: { addresses: [freshAddress()], use: 'encrypt' } }) },
  checkIn: {
    call: (_, turn) => ({ path: '/v1/check-ins', body: { ...deviceFacts, osVersion: `26.${turn}` } }),
  },
}

interface Operation {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly anonymous: boolean
  readonly takesBody: boolean
  readonly example: unknown
}

const tablesOf = async (database: Database): Promise<string[]> =>
  (
    await database.all(
      query({ name: text }, `SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'`),
    )
  ).map(({ name }) => name)

/** How many rows each table of both databases has. */
async function countAll(harness: RoomHarness): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const database of [harness.main, ...harness.journal.shards()]) {
    for (const table of await tablesOf(database)) {
      const row = await database.first(query({ rows: integer }, `SELECT COUNT(*) AS rows FROM "${table}"`))
      counts.set(table, (counts.get(table) ?? 0) + (row?.rows ?? 0))
    }
  }
  return counts
}

/** The counts of the budgets themselves: of a network there are those around it too, and those of its lines. */
const countsOfBudgets = new Set(['network_budgets', 'subscriber_budgets', 'lookup_payers'])

const isBudget = (name: string): name is RowBudgetName => Object.hasOwn(rowBudgets, name)

/** How many rows of each table a day may bring. A seal covers one audit entry at least. */
function allowance(declarations: readonly RowsPerUnit[]): Map<string, number> {
  const allowed = new Map<string, number>()
  const allow = (table: string, rows: number): void => void allowed.set(table, (allowed.get(table) ?? 0) + rows)
  for (const declaration of declarations) {
    for (const [name, rows] of Object.entries(declaration)) {
      if (!isBudget(name)) throw new Error(`no budget ${name}`)
      for (const [table, perUnit] of Object.entries(rows)) {
        allow(table, perUnit * rowBudgets[name].perDay)
        if (table === 'audit_entries') allow('audit_seals', perUnit * rowBudgets[name].perDay)
      }
    }
  }
  return allowed
}

describe('rows that stay', () => {
  let harness: RoomHarness
  let operations: readonly Operation[]
  const connection = { network: '192.0.2.0/24', address: '192.0.2.1', local: true }
  let networks = 0

  beforeAll(async () => {
    harness = await openRoomHarness('sqlite', { connection })
    const document = (await harness.api.get('/openapi.json')).body
    operations = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
      Object.entries<Json>(item).map(([method, operation]) => ({
        id: operation.operationId,
        method: method.toUpperCase(),
        path,
        anonymous: (operation.security ?? []).length === 0,
        takesBody: operation.requestBody !== undefined,
        example: operation.requestBody?.content?.['application/json']?.example,
      })),
    )
  })
  afterAll(() => harness.close())

  /** From here on, a network asks that has asked nothing yet. */
  const fromElsewhere = (): void => {
    networks += 1
    connection.network = `10.0.${networks}.0/24`
    connection.address = `10.0.${networks}.1`
    connection.local = false
  }

  const send = async (api: Api, call: Call): Promise<Answer> =>
    (call.credential === undefined ? api : api.with(call.credential)).send(call.method ?? 'POST', call.path, call.body)

  const plainCall = ({ method, path, example }: Operation, turn: number): Call => ({
    method,
    path: path.replaceAll(/\{\w+\}/g, `nobody${turn}`),
    ...(example === undefined ? {} : { body: example }),
  })

  const staged = async (): Promise<Stage> => {
    connection.local = true
    const member = await register(harness.api, harness.mails, freshAddress())
    await member.api.get('/v1/me')
    return { harness, member, last: null, kept: new Map() }
  }

  /** How many rows each table has more than before. */
  const growthSince = async (before: ReadonlyMap<string, number>): Promise<Map<string, number>> => {
    await harness.settled()
    const growth = [...(await countAll(harness))].map(
      ([table, rows]) => [table, rows - (before.get(table) ?? 0)] as const,
    )
    return new Map(growth.filter(([, rows]) => rows > 0))
  }

  /** Runs an attack. Resolves to the growth of each table. */
  const growthOf = async (operation: Operation, as: 'anyone' | 'member'): Promise<Map<string, number>> => {
    const stage = await staged()
    const attack = attacks[operation.id]
    await attack?.prepare?.(stage)
    await harness.settled()
    fromElsewhere()
    const before = await countAll(harness)
    const api = as === 'member' ? stage.member.api : harness.api
    for (let turn = 0; turn < repeats; turn++) {
      const call = attack === undefined ? plainCall(operation, turn) : await attack.call(stage, turn)
      stage.last = await send(api, call)
    }
    return growthSince(before)
  }

  const declared = (id: string): RowsPerUnit => harness.service.rowsLeft.get(id) ?? {}

  /** The tables that grew by more than what is allowed. */
  const beyond = (operation: Operation, growth: ReadonlyMap<string, number>): string[] => {
    const ids = [...new Set([operation.id, ...(attacks[operation.id]?.also ?? [])])]
    const allowed = allowance(ids.map(declared))
    return [...growth]
      .filter(([table, rows]) => !countsOfBudgets.has(table) && rows > (allowed.get(table) ?? 0))
      .map(([table, rows]) => `${table} grew by ${rows}, allowed are ${allowed.get(table) ?? 0}`)
  }

  test('every operation leaves no more than it declares, as anyone and as a member', async () => {
    const faults: string[] = []
    let sum = 0
    for (const operation of operations) {
      for (const as of ['anyone', 'member'] as const) {
        const growth = await growthOf(operation, as)
        faults.push(...beyond(operation, growth).map((fault) => `${operation.id} as ${as}: ${fault}`))
        if (as === 'anyone' && operation.anonymous) sum += [...growth.values()].reduce((total, rows) => total + rows, 0)
      }
    }
    expect(faults).toEqual([])
    expect(sum).toBeLessThanOrEqual(anonymousRowsPerDay)
  })

  test('private keys at every entrance leave together what one network may leave in a day', async () => {
    fromElsewhere()
    await harness.settled()
    const before = await countAll(harness)
    for (const { method, path } of operations.filter(({ takesBody }) => takesBody)) {
      for (let turn = 0; turn < 10; turn++) {
        const key = await freshPrivateKey()
        await send(harness.api, { method, path: path.replaceAll(/\{\w+\}/g, 'nobody'), body: { csr: key } })
      }
    }
    expect(await growthSince(before)).toEqual(new Map([['unknown_keys', rowBudgets.unknown_key.perDay]]))
  })

  test('of a network and day, what the anonymous routes declare together is within two thousand rows', () => {
    const anonymous = operations.filter((operation) => operation.anonymous)
    const allowed = allowance(anonymous.map(({ id }) => declared(id)))
    expect([...allowed.values()].reduce((total, rows) => total + rows, 0)).toBeLessThanOrEqual(anonymousRowsPerDay)
  })
})
