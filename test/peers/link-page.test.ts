import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { serveNode, type RunningServer } from '../../src/node.ts'
import { Api, askOver, type Json } from '../support/api.ts'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { linksIn, MailPool, readMail } from '../support/mail.ts'
import { temporaryFolder, testConfig } from '../support/node-process.ts'
import { deviceFacts, policyVersion } from '../support/story.ts'

/** The page behind a mailed link as a person meets it: in Chromium, over a socket, from the mail that arrived. */

const words = {
  'en-GB': {
    confirm: 'Confirm',
    refuse: 'This was not me',
    code: 'Code',
    wrong: 'That is not the code.',
    confirmed: 'Confirmed.',
    refused: 'The registration has ended',
    ended: 'This registration has ended',
    without: 'Open the link in the mail once more',
    misfit: 'This link does not fit.',
  },
  'de-DE': {
    confirm: 'Bestätigen',
    refuse: 'Das war ich nicht',
    code: 'Code',
    wrong: 'Das ist nicht der Code.',
    confirmed: 'Bestätigt.',
    refused: 'Die Registrierung ist beendet',
    ended: 'Diese Registrierung ist beendet',
    without: 'Öffnen Sie den Link in der Mail noch einmal',
    misfit: 'Dieser Link passt nicht.',
  },
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let server: RunningServer
let api: Api
const mails = new MailPool()

beforeAll(async () => {
  folder = await temporaryFolder()
  const mailer = { deliver: async ({ raw }: { raw: Uint8Array }) => mails.add(Buffer.from(raw).toString('utf8')) }
  server = await serveNode(testConfig(folder.path), { mailer, writeLog: () => undefined })
  api = new Api(askOver(server.url))
})
afterAll(async () => {
  await server?.stop('the test is over')
  await folder?.remove()
})

interface Linked {
  readonly id: string
  readonly deviceSecret: string
  readonly userCode: string
  readonly email: string
  readonly link: string
}

let count = 0

/** A device that starts its registration, and the link that its owner finds in the mail. */
async function startLinked(language: string, device: Json = {}): Promise<Linked> {
  count += 1
  const email = `person.${count}@example.com`
  const started = await api.post('/v1/registrations', {
    email,
    accountType: 'imap',
    policyVersion,
    device: { ...deviceFacts, language, ...device },
  })
  expect(started.status).toBe(202)
  const [link, ...more] = linksIn((await readMail(await mails.challengeOf(started.body.id))).text)
  expect(more).toEqual([])
  return { ...started.body, email, link: link! }
}

const onDevice = async (linked: Linked): Promise<string> =>
  (await api.with(linked.deviceSecret).get(`/v1/registrations/${linked.id}`)).body.state

const expectAccessible = async (page: Page): Promise<void> => {
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([])
}

describe.each([
  ['en-GB', false],
  ['de-DE', true],
] as const)('the link page in %s (on a phone: %s)', (locale, phone) => {
  const told = words[locale]
  let browser: TestBrowser
  let page: Page

  beforeEach(async () => {
    browser = await openBrowser({ locale, phone })
    page = await browser.newPage()
  })
  afterEach(() => browser?.close())

  const status = () => page.getByRole('status')
  const expectTold = async (message: string): Promise<void> => {
    await status().getByText(message).waitFor()
  }
  const open = async (link: string): Promise<void> => {
    await page.goto(link)
    await page.getByRole('button', { name: told.refuse }).waitFor()
  }
  const enter = async (code: string): Promise<void> => {
    await page.getByRole('textbox', { name: told.code }).fill(code)
    await page.getByRole('button', { name: told.confirm }).click()
  }
  /** Nothing left but to the service, and the secret of the link not in any address. */
  const expectAlone = (token: string): void => {
    expect(browser.requested.length).toBeGreaterThan(0)
    for (const address of browser.requested) {
      expect(new URL(address).origin).toBe(server.url)
      expect(address.replace(/#.*$/, '')).not.toContain(token)
    }
  }

  test('a person confirms by link and code, and the device goes on', async () => {
    const linked = await startLinked(locale)
    const token = new URL(linked.link).hash.slice(1)
    await open(linked.link)
    expect(await page.locator('html').getAttribute('lang')).toBe(locale.slice(0, 2))
    expect(page.url()).toBe(linked.link.replace(/#.*$/, ''))
    expect(await page.evaluate('history.length')).toBe(2)
    expect(await page.locator('dl').innerText()).toContain('iPhone')
    expect(await page.locator('#started-at').innerText()).toMatch(/20\d\d/)
    await expectAccessible(page)
    expect(await onDevice(linked)).toBe('pending')

    await enter('AAAA-AAAA')
    await expectTold(told.wrong)
    expect(await page.evaluate('document.activeElement.id')).toBe('code')
    await expectAccessible(page)
    expect(await onDevice(linked)).toBe('pending')

    await enter(linked.userCode.toLowerCase().replace('-', ' '))
    await expectTold(told.confirmed)
    expect(await page.getByRole('button').count()).toBe(0)
    expect(await page.evaluate('document.activeElement.id')).toBe('status')
    await expectAccessible(page)
    expect(await onDevice(linked)).toBe('confirmed')
    const minted = await api.with(linked.deviceSecret).post(`/v1/registrations/${linked.id}/credential`)
    expect([minted.status, minted.body.mailbox]).toEqual([201, linked.email])

    expectAlone(token)
    expect(await page.content()).not.toContain(token)
    // Chromium itself notes the refused code; nothing broke the policy of what may run.
    expect(browser.complaints.filter((complaint) => !complaint.includes('403 (Forbidden)'))).toEqual([])
  })

  test('a person who did not ask ends it', async () => {
    const linked = await startLinked(locale)
    await open(linked.link)
    await page.getByRole('button', { name: told.refuse }).click()
    await expectTold(told.refused)
    expect(await onDevice(linked)).toBe('ended')
    await expectAccessible(page)
    await page.goto(`${server.url}/healthz`)
    await page.goto(linked.link)
    await expectTold(told.ended)
    expect(await page.getByRole('button').count()).toBe(0)
    await expectAccessible(page)
  })

  test('five wrong codes end it, by the Enter key too', async () => {
    const linked = await startLinked(locale)
    await open(linked.link)
    for (let number = 0; number < 4; number += 1) {
      const answer = page.waitForResponse((response) => response.request().method() === 'POST')
      await page.getByRole('textbox', { name: told.code }).fill(`AAAA-AAA${number}`)
      await page.keyboard.press('Enter')
      await answer
      await expectTold(told.wrong)
    }
    await enter('AAAA-AAAA')
    await expectTold(told.ended)
    expect(await onDevice(linked)).toBe('ended')
  })

  test('without its token, or with a wrong one, the page says what to do', async () => {
    const linked = await startLinked(locale)
    await page.goto(linked.link.replace(/#.*$/, ''))
    await expectTold(told.without)
    await expectAccessible(page)
    await page.goto(linked.link.replace(/#.*$/, '#not-the-token'))
    await expectTold(told.misfit)
    // The link of the mail, opened over the page that complains, changes only the part behind the #.
    await open(linked.link)
    expect(page.url()).not.toContain('#')
    await page.reload()
    await expectTold(told.without)
  })

  test('what a device says of itself stays words, and the page holds them on a small screen', async () => {
    const linked = await startLinked(locale, {
      deviceType: `<img src=x onerror="document.title='broken'">`,
      appVersion: 'x'.repeat(100),
      osVersion: `</dd><script>document.title='broken'</script>`,
    })
    await open(linked.link)
    expect(await page.title()).not.toBe('broken')
    expect(await page.locator('dl img, dl script').count()).toBe(0)
    const overflow = await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')
    expect(overflow).toBeLessThanOrEqual(0)
    await page.emulateMedia({ colorScheme: 'dark' })
    await expectAccessible(page)
    expectAlone(new URL(linked.link).hash.slice(1))
  })
})
