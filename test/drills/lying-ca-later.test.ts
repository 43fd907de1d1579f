import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { encodeElement, encodeObjectIdentifier, tag } from '../../src/pki/der.ts'
import type { Lie } from '../support/lying-ca.ts'
import { forms, json, text } from '../support/lying-ca-forms.ts'
import { toPem } from '../support/pem.ts'
import { resign } from '../support/resign.ts'
import type { Registered } from '../support/story.ts'
import { countRows, minute } from '../rooms/support.ts'
import { endlessAnswers, evilWords } from './forged-answers.ts'
import { unclear, unfit } from './lies.ts'
import {
  byName,
  endLies,
  expectEnding,
  expectHonestService,
  expectNothingTold,
  expectSound,
  read,
  request,
  setStage,
  withNewestSerial,
  type Stage,
} from './lying-stage.ts'

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
  const { operator, ca, connection } = stage
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

test('what an EJBCA issued and did not say is found there, and refused where it is not fit', async () => {
  const stage = await setStage('sqlite', 'ejbca')
  const person = await stage.someone()
  stage.ca.tell({ ...byName('ten years')[0]?.lie, ...byName('half a body')[0]?.lie })
  const { id, operator } = await request(stage, person)
  expect(operator.state).toBe('outcome_unknown')
  stage.ca.tell(null)
  await askAgain(stage)
  await expectEnding(stage, person, id, { ...unfit('validity_too_long'), lastFailure: 'connection_lost' })
  await expectSound(stage)
  await stage.close()
})
