import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'

/** The pages that people read, as a real browser shows them. */

const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let service: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  service = await startProcess(folder.path, { settings: { CONTROLLER: 'Example GmbH, Musterweg 1, 10115 Berlin' } })
})
afterAll(async () => {
  await service.end('SIGTERM')
  await folder.remove()
})

describe.each([
  { locale: 'de-DE', language: 'de', privacy: 'Datenschutz', docs: 'API-Referenz' },
  { locale: 'en-GB', language: 'en', privacy: 'Privacy', docs: 'API reference' },
])('in $locale', ({ locale, language, privacy, docs }) => {
  let browser: TestBrowser
  beforeAll(async () => {
    browser = await openBrowser({ locale })
  })
  afterAll(() => browser.close())

  test.each([
    { path: '/privacy', heading: privacy },
    { path: '/docs', heading: docs },
  ])('$path can be read by everybody, asks nobody else, and breaks no rule of its own', async ({ path, heading }) => {
    const page = await browser.newPage()
    const answer = await page.goto(service.url + path)
    expect(answer?.status()).toBe(200)
    expect(await page.locator('html').getAttribute('lang')).toBe(language)
    expect(await page.locator('h1').textContent()).toContain(heading)
    const { violations } = await new AxeBuilder({ page }).withTags(rules).analyze()
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([])
    expect(browser.requested.filter((url) => !url.startsWith(service.url))).toEqual([])
    expect(browser.complaints).toEqual([])
    await page.close()
  })

  test.each(['/privacy', '/docs'])('%s fits a narrow screen and is passed by the keyboard', async (path) => {
    const page = await browser.newPage()
    await page.setViewportSize({ width: 320, height: 640 })
    await page.goto(service.url + path)
    // WCAG 2.2, 1.4.10: no scrolling in two directions.
    expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(0)
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.getAttribute("href")')).toBe('#main')
    await page.close()
  })
})
