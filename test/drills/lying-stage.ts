import 'reflect-metadata'
import { X509Certificate } from '@peculiar/x509'
import { expect } from 'vitest'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { openRoomHarness, type Engine, type RoomHarness } from '../support/engines.ts'
import { startLyingCa, type Issue, type LyingCa } from '../support/lying-ca.ts'
import { type Form } from '../support/lying-ca-forms.ts'
import { lookUp, register, type Registered } from '../support/story.ts'
import { countRows, findLeaks } from '../rooms/support.ts'
import { forgedAnswers } from './forged-answers.ts'
import { forgedCertificates } from './forged-certificates.ts'
import { type Ending, type ToldLie } from './lies.ts'

/** A service all of whose requests go to a lying CA. */
export interface Stage {
  readonly harness: RoomHarness
  readonly operator: Administrator
  readonly ca: LyingCa
  readonly connection: string
  /** Registers somebody new. */
  someone(): Promise<Registered>
  close(): Promise<void>
}

export async function setStage(
  engine: Engine,
  form: Form,
  options: { patienceMilliseconds?: number; timeoutSeconds?: number } = {},
): Promise<Stage> {
  const { patienceMilliseconds, timeoutSeconds = 30 } = options
  const harness = await openRoomHarness(engine, patienceMilliseconds === undefined ? {} : { patienceMilliseconds })
  const ca = await startLyingCa(form, () => harness.clock.now)
  const operator = await makeAdministrator(harness, 'operator')
  const connection = { name: 'The lying CA', ...ca.settings, timeoutSeconds }
  const made = await operator.api.post('/v1/admin/ca-connections', connection)
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  const rule = await operator.api.post('/v1/admin/routing-rules', { position: 1, connectionId: made.body.id })
  expect(rule.status, JSON.stringify(rule.body)).toBe(201)
  let people = 0
  return {
    harness,
    operator,
    ca,
    connection: made.body.id,
    someone: () => register(harness.api, harness.mails, `subscriber-${(people += 1)}@example.com`),
    close: async () => {
      await harness.close()
      await ca.close()
    },
  }
}

/** A request of this person with a new key, as far as it comes by itself. */
export async function request(
  stage: Stage,
  person: Registered,
): Promise<{ id: string; answered: Answer; device: Json; operator: Json }> {
  const csr = await makeCsr({ subject: `CN=${person.email}`, addresses: [person.email] })
  const answered = await person.api.post('/v1/certificate-requests', { csr, use: 'dual' })
  expect([201, 202], JSON.stringify(answered.body)).toContain(answered.status)
  await stage.harness.settled()
  const { id } = answered.body
  return { id, answered, ...(await read(stage, person, id)) }
}

export async function read(
  { operator }: Stage,
  person: Registered,
  id: string,
): Promise<{ device: Json; operator: Json }> {
  const device = await person.api.get(`/v1/certificate-requests/${id}`)
  const seen = await operator.api.get(`/v1/admin/certificate-requests/${id}`)
  expect([device.status, seen.status]).toEqual([200, 200])
  return { device: device.body, operator: seen.body }
}

const shownToDevice = (state: Ending['state']): string => (state === 'outcome_unknown' ? 'pending' : state)

async function expectNothingKept({ harness }: Stage, person: Registered, id: string): Promise<void> {
  expect((await person.api.get('/v1/certificates')).body.items).toEqual([])
  expect(await countRows(harness.main, 'certificates WHERE request = ?', id)).toBe(0)
  expect(await countRows(harness.main, 'ca_revocations WHERE request = ?', id)).toBe(0)
  const [found] = await lookUp(person, [person.email])
  expect([found.status, found.certificates]).toEqual(['not_found', []])
}

export async function expectEnding(stage: Stage, person: Registered, id: string, ending: Ending): Promise<void> {
  const { device, operator } = await read(stage, person, id)
  const { state, reason, lastFailure, returnedCertificate } = operator
  expect({ state, reason, lastFailure, returned: returnedCertificate !== null }).toEqual(ending)
  expect([device.state, device.reason]).toEqual([shownToDevice(ending.state), reason])
  if (ending.state === 'issued') return
  expect(device.certificate).toBeNull()
  await expectNothingKept(stage, person, id)
}

/** What the CA was told to say stays between it and the operators. */
export async function expectNothingTold({ harness, ca }: Stage, person: Registered): Promise<void> {
  expect(await findLeaks(harness, person.email, 'mallory@attacker.example')).toEqual([])
  const log = harness.log.join('\n')
  expect(log).not.toMatch(/@|-----BEGIN|\\u001b/)
  const [newest = new Uint8Array(100)] = ca.issued.slice(-1)
  expect(log).not.toContain(Buffer.from(newest.slice(0, 60)).toString('base64'))
  expect(harness.log.filter((line) => /job_failed|internal_error|request_failed/.test(line))).toEqual([])
}

/** The CA is honest from now on, and an operator lets requests go there again. */
export async function endLies({ harness, operator, ca, connection }: Stage): Promise<void> {
  ca.tell(null)
  const path = `/v1/admin/ca-connections/${connection}`
  if ((await operator.api.get(path)).body.circuit.state === 'closed') return
  expect((await operator.api.post(`${path}/resumption`)).status).toBe(200)
  await harness.settled()
}

/** After what it did, the same connection serves the next request. */
export async function expectHonestService(stage: Stage, person: Registered): Promise<void> {
  await endLies(stage)
  const next = await request(stage, person)
  expect([next.device.state, next.device.reason]).toEqual(['issued', null])
}

export async function expectSound({ harness, ca }: Stage): Promise<void> {
  await harness.settled()
  await harness.runJob('audit-seal')
  expect(await harness.service.check()).toEqual([])
  expect(ca.faults).toEqual([])
}

/** Tells one lie from its beginning to its end. */
export async function tell(stage: Stage, { lie, ends }: ToldLie): Promise<void> {
  const ending = ends[stage.ca.form]
  if (ending === undefined) throw new Error('this lie cannot be told in that form')
  const person = await stage.someone()
  stage.ca.tell(lie)
  const { id } = await request(stage, person)
  await expectEnding(stage, person, id, ending)
  await expectNothingTold(stage, person)
  await expectHonestService(stage, person)
  await expectSound(stage)
}

/** A fit certificate with the serial number of the newest that was issued. */
export const withNewestSerial: Issue = async ({ spki, address }, { ca, before }) => {
  const { serialNumber } = new X509Certificate(Buffer.from(before.at(-1) ?? []))
  return { certificate: await ca.issue({ spki, names: address, serialNumber }), chain: ca.chain }
}

/** The certificate of this person is valid, here and at the CA. */
export async function expectUnharmed({ harness, ca }: Stage, person: Registered): Promise<void> {
  await harness.runJob('ca-revocations')
  const { items } = (await person.api.get('/v1/certificates')).body
  expect(items.map(({ state }: Json) => state)).toEqual(['valid'])
  expect(await countRows(harness.main, 'ca_revocations')).toBe(0)
  expect(ca.calls.filter(({ path }) => path.includes('revoke'))).toEqual([])
}

/** Every lie that is told in an answer. */
export const lies = [...forgedCertificates, ...forgedAnswers]
/** Those of these names. */
export const byName = (...names: readonly string[]): readonly ToldLie[] =>
  lies.filter(({ name }) => names.includes(name))
