import 'reflect-metadata'
import { X509Certificate } from '@peculiar/x509'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { encodeElement, encodeObjectIdentifier, tag } from '../../src/pki/der.ts'
import { makeAdministrator, type Administrator } from '../support/administrators.ts'
import type { Answer, Json } from '../support/api.ts'
import { makeCsr } from '../support/csr.ts'
import { openRoomHarness, type Engine, type RoomHarness } from '../support/engines.ts'
import { startLyingCa, type Issue, type Lie, type LyingCa } from '../support/lying-ca.ts'
import { forms, json, text, type Form, type WireAnswer } from '../support/lying-ca-forms.ts'
import { serveHttp } from '../support/odd-servers.ts'
import { toPem } from '../support/pem.ts'
import { resign } from '../support/resign.ts'
import { lookUp, register, type Registered } from '../support/story.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countRows, findLeaks, minute } from '../rooms/support.ts'
import { endlessAnswers, evilWords, forgedAnswers, redirects } from './forged-answers.ts'
import { forgedCertificates } from './forged-certificates.ts'
import { unclear, unfit, type Ending, type ToldLie } from './lies.ts'

/** A service all of whose requests go to a lying CA. */
interface Stage {
  readonly harness: RoomHarness
  readonly operator: Administrator
  readonly ca: LyingCa
  readonly connection: string
  /** Registers somebody new. */
  someone(): Promise<Registered>
  close(): Promise<void>
}

async function setStage(
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
async function request(
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

async function read({ operator }: Stage, person: Registered, id: string): Promise<{ device: Json; operator: Json }> {
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

async function expectEnding(stage: Stage, person: Registered, id: string, ending: Ending): Promise<void> {
  const { device, operator } = await read(stage, person, id)
  const { state, reason, lastFailure, returnedCertificate } = operator
  expect({ state, reason, lastFailure, returned: returnedCertificate !== null }).toEqual(ending)
  expect([device.state, device.reason]).toEqual([shownToDevice(ending.state), reason])
  if (ending.state === 'issued') return
  expect(device.certificate).toBeNull()
  await expectNothingKept(stage, person, id)
}

/** What the CA was told to say stays between it and the operators. */
async function expectNothingTold({ harness, ca }: Stage, person: Registered): Promise<void> {
  expect(await findLeaks(harness, person.email, 'mallory@attacker.example')).toEqual([])
  const log = harness.log.join('\n')
  expect(log).not.toMatch(/@|-----BEGIN|\\u001b/)
  const [newest = new Uint8Array(100)] = ca.issued.slice(-1)
  expect(log).not.toContain(Buffer.from(newest.slice(0, 60)).toString('base64'))
  expect(harness.log.filter((line) => /job_failed|internal_error|request_failed/.test(line))).toEqual([])
}

/** The CA is honest from now on, and an operator lets requests go there again. */
async function endLies({ harness, operator, ca, connection }: Stage): Promise<void> {
  ca.tell(null)
  const path = `/v1/admin/ca-connections/${connection}`
  if ((await operator.api.get(path)).body.circuit.state === 'closed') return
  expect((await operator.api.post(`${path}/resumption`)).status).toBe(200)
  await harness.settled()
}

/** After what it did, the same connection serves the next request. */
async function expectHonestService(stage: Stage, person: Registered): Promise<void> {
  await endLies(stage)
  const next = await request(stage, person)
  expect([next.device.state, next.device.reason]).toEqual(['issued', null])
}

async function expectSound({ harness, ca }: Stage): Promise<void> {
  await harness.settled()
  await harness.runJob('audit-seal')
  expect(await harness.service.check()).toEqual([])
  expect(ca.faults).toEqual([])
}

/** Tells one lie from its beginning to its end. */
async function tell(stage: Stage, { lie, ends }: ToldLie): Promise<void> {
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

const lies = [...forgedCertificates, ...forgedAnswers]
const byName = (...names: readonly string[]): readonly ToldLie[] => lies.filter(({ name }) => names.includes(name))

describe.each(forms)('a lying CA that speaks %s', (form) => {
  let stage: Stage
  beforeAll(async () => {
    stage = await setStage('sqlite', form)
  })
  afterEach(() => endLies(stage))
  afterAll(() => stage.close())

  test.each(lies.filter(({ ends }) => ends[form] !== undefined))('$name', (told) => tell(stage, told))

  test.each(redirects)('a redirect with %i is not followed, and no credential goes there', async (status) => {
    let asked = 0
    const elsewhere = await serveHttp((_request, response) => {
      asked += 1
      response.end()
    })
    const say: Lie['say'] = () => ({ status, headers: { location: `${elsewhere.url}/steal` }, body: '' })
    await tell(stage, { name: 'a redirect', lie: { say }, ends: { [form]: unclear('answer_malformed') } })
    await elsewhere.close()
    expect(asked).toBe(0)
  })

  test('the certificate of another subscriber fails the request, and theirs stays valid', async () => {
    const victim = await stage.someone()
    expect((await request(stage, victim)).device.state).toBe('issued')
    const issue: Lie['issue'] = async (_asked, { ca, before }) => ({
      certificate: before.at(-1) ?? new Uint8Array(),
      chain: ca.chain,
    })
    await tell(stage, { name: 'theirs', lie: { issue }, ends: { [form]: unfit('spki_differs') } })
    await expectUnharmed(stage, victim)
  })

  test('the serial number of another subscriber fails the request, and theirs stays valid', async () => {
    const victim = await stage.someone()
    expect((await request(stage, victim)).device.state).toBe('issued')
    await tell(stage, {
      name: 'theirs',
      lie: { issue: withNewestSerial },
      ends: { [form]: unfit('serial_number_reused') },
    })
    await expectUnharmed(stage, victim)
  })

  test('what the CA says of a refusal is shown to operators alone, in one line that can be read', async () => {
    const person = await stage.someone()
    stage.ca.tell({ issue: async () => null, say: (_honest, { wire }) => wire.refused(evilWords) })
    const { device, operator } = await request(stage, person)
    expect(JSON.stringify(device)).not.toMatch(/mallory|evil|alert|PRIVATE|xxx/)
    expect(operator.caSaid).toMatch(/mallory@attacker\.example was refused/)
    expect(operator.caSaid).not.toMatch(/[\p{Cc}\p{Cf}<]|-----|KEY/u)
    expect(operator.caSaid.length).toBeLessThanOrEqual(500)
    const auditor = await makeAdministrator(stage.harness, 'auditor')
    const seen = await auditor.api.get(`/v1/admin/certificate-requests/${operator.id}`)
    expect([seen.body.reason, seen.body.caSaid, seen.body.mailbox]).toEqual(['request_refused', null, null])
  })

  test('an unfit certificate stays with the CA until an operator has looked at it', async () => {
    const person = await stage.someone()
    stage.ca.tell(byName('ten years')[0]?.lie ?? null)
    const { id, operator } = await request(stage, person)
    expect(operator.returnedCertificate).toBe(toPem('CERTIFICATE', stage.ca.issued.at(-1) ?? new Uint8Array()))
    expect(operator.openAtCa).toBe(false)
    expect(await countRows(stage.harness.main, 'ca_revocations WHERE request = ?', id)).toBe(0)
  })

  test('a look at the CA believes nothing that it shows, and tells it in words that can be read', async () => {
    const look = async (show: NonNullable<Lie['show']>): Promise<Json> => {
      stage.ca.tell({ show })
      const looked = await stage.operator.api.post(`/v1/admin/ca-connections/${stage.connection}/test`)
      expect(looked.status).toBe(200)
      return looked.body
    }
    const page = await look(() => text(200, '<html>Sign in</html>', 'text/html'))
    expect([page.ready, page.failure]).toEqual([false, 'answer_malformed'])
    const boasting = await makeTestCa('evil \u001b[2J\u202e'.repeat(100), () => stage.harness.clock.now)
    const words = await look((honest) => boast(honest, boasting))
    const shown = [words.caSaid ?? '', ...Object.values(words.facts)].map(String)
    expect(shown.filter((word) => /[\p{Cc}\p{Cf}]|-----/u.test(word) || word.length > 500)).toEqual([])
    await expectSound(stage)
  })
})

/** What the CA shows of itself, as it should not be. */
function boast({ status, headers, body }: WireAnswer, { issuing }: TestCa): WireAnswer {
  const replaced = String(body)
    .replace(
      /-----BEGIN.*-----END CERTIFICATE-----(?:\\n)?/,
      JSON.stringify(toPem('CERTIFICATE', issuing)).slice(1, -1),
    )
    .replace(/"(?:lying|email protection|2160h)"/g, JSON.stringify(evilWords.slice(0, 900)))
  return { status, headers, body: replaced }
}

/** A fit certificate with the serial number of the newest that was issued. */
const withNewestSerial: Issue = async ({ spki, address }, { ca, before }) => {
  const { serialNumber } = new X509Certificate(Buffer.from(before.at(-1) ?? []))
  return { certificate: await ca.issue({ spki, names: address, serialNumber }), chain: ca.chain }
}

/** The certificate of this person is valid, here and at the CA. */
async function expectUnharmed({ harness, ca }: Stage, person: Registered): Promise<void> {
  await harness.runJob('ca-revocations')
  const { items } = (await person.api.get('/v1/certificates')).body
  expect(items.map(({ state }: Json) => state)).toEqual(['valid'])
  expect(await countRows(harness.main, 'ca_revocations')).toBe(0)
  expect(ca.calls.filter(({ path }) => path.includes('revoke'))).toEqual([])
}

describe('a lying CA with time on its hands', () => {
  const told = forms.flatMap((form) =>
    endlessAnswers
      .filter((_lie, position) => position === 0 || form === 'cfssl' || form === 'est')
      .map((lie) => ({ form, ...lie })),
  )

  test.each(told)('$name, by $form: the device is answered, and the outcome is unknown', async ({ form, lie }) => {
    const stage = await setStage('sqlite', form, { patienceMilliseconds: 50, timeoutSeconds: 1 })
    const person = await stage.someone()
    stage.ca.tell(lie)
    const { id, answered } = await request(stage, person)
    expect([answered.status, answered.body.state, answered.body.certificate]).toEqual([202, 'pending', null])
    await expectEnding(stage, person, id, unclear('timed_out'))
    await expectNothingTold(stage, person)
    // The next request is to succeed however slow this machine is.
    const path = `/v1/admin/ca-connections/${stage.connection}`
    const { version } = (await stage.operator.api.get(path)).body
    const patient = { name: 'The lying CA', ...stage.ca.settings, timeoutSeconds: 30 }
    expect((await stage.operator.api.put(path, patient, { 'If-Match': `"${version}"` })).status).toBe(200)
    await expectHonestService(stage, person)
    await expectSound(stage)
    await stage.close()
  })
})

/** Puts a request into the hands of the CA, which says that it takes time. */
async function askForLater(stage: Stage, person: Registered): Promise<string> {
  stage.ca.tell({ issue: async () => null, say: () => text(202, '') })
  const { id, device } = await request(stage, person)
  expect(device.state).toBe('pending')
  return id
}

/** Has the service ask the CA again. */
async function askAgain({ harness }: Stage): Promise<void> {
  harness.clock.now += 10 * minute
  await harness.runJob('requests-resume')
  await harness.settled()
}

describe('a CA that lies later', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await setStage('sqlite', 'est')
  })
  afterEach(() => endLies(stage))
  afterAll(() => stage.close())

  test('it rejects in words that only operators see', async () => {
    const person = await stage.someone()
    const id = await askForLater(stage, person)
    stage.ca.tell({ issue: async () => null, say: () => text(403, evilWords) })
    await askAgain(stage)
    const rejected = {
      state: 'rejected',
      reason: 'rejected_by_ca',
      lastFailure: 'rejected_by_ca',
      returned: false,
    } as const
    await expectEnding(stage, person, id, rejected)
    await expectNothingTold(stage, person)
    await expectHonestService(stage, person)
    await expectSound(stage)
  })

  test('an unfit certificate fails what was pending', async () => {
    const person = await stage.someone()
    const id = await askForLater(stage, person)
    stage.ca.tell(byName('another mailbox')[0]?.lie ?? null)
    await askAgain(stage)
    await expectEnding(stage, person, id, unfit('mailbox_differs'))
    await expectSound(stage)
  })

  test('a fit certificate for a cancelled request is revoked at the CA', async () => {
    const person = await stage.someone()
    const id = await askForLater(stage, person)
    expect((await person.api.delete(`/v1/certificate-requests/${id}`)).status).toBe(204)
    stage.ca.tell(null)
    await askAgain(stage)
    expect(await countRows(stage.harness.main, 'ca_revocations WHERE request = ?', id)).toBe(1)
    expect((await read(stage, person, id)).operator.state).toBe('cancelled')
    await expectSound(stage)
  })

  test('one with the serial number of another subscriber is not, for theirs would be', async () => {
    const [victim, person] = [await stage.someone(), await stage.someone()]
    const id = await askForLater(stage, person)
    expect((await person.api.delete(`/v1/certificate-requests/${id}`)).status).toBe(204)
    stage.ca.tell(null)
    expect((await request(stage, victim)).device.state).toBe('issued')
    stage.ca.tell({ issue: withNewestSerial })
    await askAgain(stage)
    const { operator } = await read(stage, person, id)
    expect([operator.state, operator.openAtCa, operator.returnedCertificate]).toEqual([
      'cancelled',
      false,
      toPem('CERTIFICATE', stage.ca.issued.at(-1) ?? new Uint8Array()),
    ])
    expect(await countRows(stage.harness.main, 'ca_revocations WHERE request = ?', id)).toBe(0)
    expect((await victim.api.get('/v1/certificates')).body.items[0].state).toBe('valid')
    await expectSound(stage)
  })
})

test('a CFSSL with a name that cannot be read holds up nothing, and is looked at like any other', async () => {
  const stage = await setStage('sqlite', 'cfssl')
  const { harness, operator, ca, connection } = stage
  const path = `/v1/admin/ca-connections/${connection}`
  const noText = encodeElement(tag.utf8String, Uint8Array.of(0xff, 0xfe))
  const attribute = encodeElement(tag.sequence, encodeObjectIdentifier('2.5.4.3'), noText)
  const subject = encodeElement(tag.sequence, encodeElement(tag.set, attribute))
  const nameless = resign(ca.ca.issuing, ca.ca.keys.root, { subject })
  const show: Lie['show'] = (honest, { path: asked }) =>
    asked.endsWith('/info')
      ? json(200, { success: true, result: { certificate: toPem('CERTIFICATE', nameless), usages: [], expiry: '1h' } })
      : honest
  const person = await stage.someone()
  ca.tell({ ...byName('the credential is refused, although it is right')[0]?.lie, show })
  expect((await request(stage, person)).operator.state).toBe('received')
  ca.tell({ show })
  const looked = await operator.api.post(`${path}/test`)
  expect([looked.status, looked.body.ready, looked.body.facts.issuer]).toEqual([200, true, ''])
  await askAgain(stage)
  expect((await operator.api.get(path)).body.circuit.state).toBe('closed')
  await expectSound(stage)
  await stage.close()
})

test('what an EJBCA issued and did not say is found there, and kept', async () => {
  const stage = await setStage('sqlite', 'ejbca')
  const person = await stage.someone()
  stage.ca.tell(byName('half a body')[0]?.lie ?? null)
  const { id, operator } = await request(stage, person)
  expect(operator.state).toBe('outcome_unknown')
  stage.ca.tell(null)
  await askAgain(stage)
  expect((await read(stage, person, id)).device.state).toBe('issued')
  expect(stage.ca.issued).toHaveLength(1)
  await expectSound(stage)
  await stage.close()
})

describe('a lying CA, with D1', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await setStage('d1', 'est')
  })
  afterEach(() => endLies(stage))
  afterAll(() => stage.close())

  const oneOfEachState = byName(
    'a certificate for another key',
    'HTML with 200',
    'words that nobody should read',
    'the credential is refused, although it is right',
    'to be asked again "soon"',
  )
  test.each(oneOfEachState)('$name', (told) => tell(stage, told))

  test('the serial number of another subscriber', async () => {
    const victim = await stage.someone()
    expect((await request(stage, victim)).device.state).toBe('issued')
    await tell(stage, {
      name: 'theirs',
      lie: { issue: withNewestSerial },
      ends: { est: unfit('serial_number_reused') },
    })
    await expectUnharmed(stage, victim)
  })
})
