import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { chromium, type BrowserContext, type Page } from 'playwright-core'
import { temporaryFolder } from './node-process.ts'
import { lastResortMilliseconds } from './last-resort.ts'

/** A real Chromium with a profile of its own, which nobody else's visits have touched. */
export interface TestBrowser {
  readonly context: BrowserContext
  /** Every address that a page of it has asked for so far, in order. */
  readonly requested: readonly string[]
  /** What its pages wrote to the console as warnings and errors, and what they threw. */
  readonly complaints: readonly string[]
  newPage(): Promise<Page>
  /** Ends the browser and removes its profile. */
  close(): Promise<void>
}

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The path of a Chromium: `CHROMIUM` if that is set, else the first in the PATH. Rejects with what to install. */
async function findChromium(): Promise<string> {
  const given = process.env['CHROMIUM']
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const candidates =
    given === undefined ? names.flatMap((name) => folders.map((folder) => join(folder, name))) : [given]
  for (const path of candidates) {
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      // The next one.
    }
  }
  throw new Error('a Chromium is missing: install the Debian package chromium, or set CHROMIUM to its path')
}

/** Starts a browser that reaches this machine alone. `locale`: the language that it asks for, such as `de-DE`. */
export async function openBrowser(options: { locale?: string; phone?: boolean } = {}): Promise<TestBrowser> {
  const executablePath = await findChromium()
  const folder = await temporaryFolder()
  const requested: string[] = []
  const complaints: string[] = []
  const context = await chromium.launchPersistentContext(join(folder.path, 'profile'), {
    executablePath,
    args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
    env: { PATH: process.env['PATH'] ?? '', HOME: folder.path },
    locale: options.locale ?? 'en-GB',
    ...(options.phone === true ? { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true } : {}),
  })
  context.setDefaultTimeout(lastResortMilliseconds)
  context.on('request', (request) => requested.push(request.url()))
  context.on('weberror', (error) => complaints.push(String(error.error())))
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  return {
    context,
    requested,
    complaints,
    newPage: () => context.newPage(),
    close: async () => {
      await context.close()
      await folder.remove()
    },
  }
}
