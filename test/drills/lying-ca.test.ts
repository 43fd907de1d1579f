import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { makeAdministrator } from '../support/administrators.ts'
import type { Json } from '../support/api.ts'
import { encodeElement, tag } from '../../src/pki/der.ts'
import type { Issue, Lie } from '../support/lying-ca.ts'
import { forms, text, type WireAnswer } from '../support/lying-ca-forms.ts'
import { serveHttp } from '../support/odd-servers.ts'
import { toPem } from '../support/pem.ts'
import { resign } from '../support/resign.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { countRows } from '../rooms/support.ts'
import { evilWords, redirects } from './forged-answers.ts'
import { unclear, unfit } from './lies.ts'
import {
  byName,
  endLies,
  expectSound,
  expectUnharmed,
  lies,
  request,
  setStage,
  tell,
  withNewestSerial,
  type Stage,
} from './lying-stage.ts'

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

  test('nor does the CA get it past the service under another certificate of its own', async () => {
    const victim = await stage.someone()
    expect((await request(stage, victim)).device.state).toBe('issued')
    const issue: Issue = async (asked, tools) => {
      const signed = await withNewestSerial(asked, tools)
      const serialNumber = encodeElement(tag.integer, Uint8Array.of(0x11, 0x22))
      const anew = resign(tools.ca.issuing, tools.ca.keys.root, { serialNumber })
      return signed === null ? null : { ...signed, chain: [anew, tools.ca.root] }
    }
    await tell(stage, { name: 'theirs', lie: { issue }, ends: { [form]: unfit('serial_number_reused') } })
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
