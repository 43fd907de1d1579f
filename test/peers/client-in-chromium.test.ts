import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, askOver } from '../support/api.ts'
import { openBrowser, type TestBrowser } from '../support/browser.ts'
import { watchOutbox, type MailSource } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { certificatePem, toPem } from '../support/pem.ts'
import { certify, register } from '../support/story.ts'
import { runProgramWell } from '../support/processes.ts'
import type * as App from './browser-app.ts'
import { startGnuPg, type GnuPg } from './gnupg.ts'
import { requireProgram } from './programs.ts'
import { runWell } from './run.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))
/** A web server with an empty page, at an origin that is not the service's. */
async function servePage(): Promise<{ origin: string; close(): Promise<void> }> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>mail</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** The functions of the bundled app, in a page. */
declare global {
  var mailApp: typeof App
}

const text = 'for the eyes of alice\n'

describe('a mail app in Chromium, with keys made by Web Crypto', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let service: ServiceProcess
  let mails: MailSource & { close(): void }
  let browser: TestBrowser
  let bundle: string
  let root: string
  let appServer: Awaited<ReturnType<typeof servePage>>
  let undeclaredServer: Awaited<ReturnType<typeof servePage>>

  beforeAll(async () => {
    await requireProgram('openssl', 'openssl')
    await requireProgram('gpgsm', 'gpgsm')
    folder = await temporaryFolder()
    const entry = join(project, 'test', 'peers', 'browser-app.ts')
    const options = ['--bundle', '--format=iife', '--global-name=mailApp', '--platform=browser', '--target=chrome120']
    bundle = join(folder.path, 'app.js')
    await runProgramWell(join(project, 'node_modules', '.bin', 'esbuild'), [entry, ...options, `--outfile=${bundle}`])
    appServer = await servePage()
    undeclaredServer = await servePage()
    service = await startProcess(join(folder.path, 'data'), { settings: { CORS_ORIGINS: appServer.origin } })
    mails = await watchOutbox(join(folder.path, 'data', 'outbox'))
    const first = await certify(await register(new Api(askOver(service.url)), mails, 'first@example.com'))
    const [issuing, top] = first.chain
    root = top
    await writeFile(join(folder.path, 'issuing.pem'), certificatePem(issuing))
    await writeFile(join(folder.path, 'root.pem'), certificatePem(root))
    await writeFile(join(folder.path, 'in.txt'), text)
    browser = await openBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    mails?.close()
    await service?.end('SIGTERM')
    await appServer?.close()
    await undeclaredServer?.close()
    await folder.remove()
  })

  /** A page of the app, as it is after each start of the app. */
  const openApp = async (credential?: string, { origin } = appServer): Promise<Page> => {
    const page = await browser.newPage()
    await page.goto(origin)
    await page.addScriptTag({ path: bundle })
    await page.evaluate(
      ([url, anchor, credential]) => mailApp.open(url ?? '', anchor ?? '', credential),
      [service.url, root, credential],
    )
    return page
  }

  /** The app registers: it reads every mail of the mailbox, and answers its own challenge. */
  const registerIn = async (page: Page, mailbox: string, others: readonly string[] = []) => {
    const pending = await page.evaluate((email) => mailApp.start(email), mailbox)
    const received = [...others, await mails.challengeOf(pending.id)]
    await page.evaluate(([pending, received]) => mailApp.confirmFrom(pending, received), [pending, received] as const)
    return pending
  }

  const settle = async (mailbox: string) => {
    const page = await openApp()
    const pending = await registerIn(page, mailbox)
    const device = await page.evaluate((pending) => mailApp.credential(pending), pending)
    return { page, device }
  }

  const inFile = async (name: string): Promise<string> => (await readFile(join(folder.path, name))).toString('base64')

  /** The sender's program encrypts to certificates that the app has looked up. */
  const encryptByOpenssl = async (certificates: readonly string[], ...options: readonly string[]): Promise<string> => {
    const recipients = await Promise.all(
      certificates.map(async (certificate, position) => {
        await writeFile(join(folder.path, `to-${position}.pem`), certificatePem(certificate))
        return ['-recip', `to-${position}.pem`, ...options]
      }),
    )
    const mail = ['cms', '-encrypt', '-binary', '-aes256', '-in', 'in.txt', '-outform', 'DER', '-out', 'mail.p7m']
    await runWell(folder.path, 'openssl', [...mail, ...recipients.flat()])
    return inFile('mail.p7m')
  }
  const byEcdh = ['-keyopt', 'ecdh_kdf_md:sha256']
  const byOaep = ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256']

  test('alice registers, certifies and publishes; bob looks up; what openssl encrypts, alice opens after a restart', async () => {
    const alice = await settle('alice@example.com')
    for (const use of ['sign', 'encrypt'] as const) {
      const { id } = await alice.page.evaluate((use) => mailApp.certify(use, 'alice@example.com', { use }), use)
      expect((await alice.page.evaluate((id) => mailApp.publish(id), id)).published).toBe(true)
      expect(await alice.page.evaluate((use) => mailApp.takeOut(use), use)).toEqual({ refused: 'InvalidAccessError' })
    }
    const bob = await settle('bob@example.com')
    const found = await bob.page.evaluate(() => mailApp.lookup('alice@example.com'))
    expect([found.status, found.rejected, found.certificates.length]).toEqual(['found', [], 1])

    const mail = await encryptByOpenssl(found.certificates, ...byEcdh)
    await alice.page.close()
    const restarted = await openApp(alice.device.credential)
    expect(await restarted.evaluate((mail) => mailApp.openWith('encrypt', 'P-256', mail), mail)).toBe(text)
    expect((await restarted.evaluate(() => mailApp.checkIn())).nextInSeconds).toBe(300)
  })

  test('an app passes by a challenge that somebody else has asked for to the same mailbox', async () => {
    const mallory = await openApp()
    const theirs = await mallory.evaluate(() => mailApp.start('carol@example.com'))
    const carol = await openApp()
    const pending = await registerIn(carol, 'carol@example.com', [await mails.challengeOf(theirs.id)])
    expect((await carol.evaluate((pending) => mailApp.credential(pending), pending)).mailbox).toBe('carol@example.com')
    await expect(mallory.evaluate((theirs) => mailApp.credential(theirs), theirs)).rejects.toThrow(
      'registration_not_confirmed',
    )
  })

  test('a phone and a tablet of one subscriber both open a mail to both certificates', async () => {
    const phone = await settle('dave@example.com')
    const tablet = await openApp()
    const pending = await registerIn(tablet, 'dave@example.com')
    await phone.page.evaluate(() => mailApp.approve())
    const joined = await tablet.evaluate((pending) => mailApp.waitForCredential(pending), pending)
    expect(joined.subscriberId).toBe(phone.device.subscriberId)
    for (const [name, page] of [['phone', phone.page] as const, ['tablet', tablet] as const]) {
      const certify = (name: string) => mailApp.certify(name, 'dave@example.com', { use: 'encrypt' })
      const { id } = await page.evaluate(certify, name)
      await page.evaluate((id) => mailApp.publish(id), id)
    }
    const sender = await settle('erin@example.com')
    const { certificates } = await sender.page.evaluate(() => mailApp.lookup('dave@example.com'))
    expect(certificates).toHaveLength(2)
    const mail = await encryptByOpenssl(certificates, ...byEcdh)
    expect(await phone.page.evaluate((mail) => mailApp.openWith('phone', 'P-256', mail), mail)).toBe(text)
    expect(await tablet.evaluate((mail) => mailApp.openWith('tablet', 'P-256', mail), mail)).toBe(text)
    await expect(sender.page.evaluate((mail) => mailApp.openWith('encrypt', 'P-256', mail), mail)).rejects.toThrow()
  })

  test('what openssl encrypts to an RSA certificate by OAEP is opened with a key that cannot leave', async () => {
    const { page } = await settle('frank@example.com')
    const rsa = { use: 'encrypt', kind: 'RSA-3072' } as const
    const { certificate } = await page.evaluate((rsa) => mailApp.certify('rsa', 'frank@example.com', rsa), rsa)
    expect(await page.evaluate(() => mailApp.takeOut('rsa'))).toEqual({ refused: 'InvalidAccessError' })
    const mail = await encryptByOpenssl([certificate], ...byOaep)
    expect(await page.evaluate((mail) => mailApp.openWith('rsa', 'RSA 3072', mail), mail)).toBe(text)
  })

  describe('GnuPG', () => {
    let gnupg: GnuPg
    beforeAll(async () => {
      gnupg = await startGnuPg(folder.path)
    })
    afterAll(() => gnupg?.end())

    // gpgsm encrypts to RSA by PKCS #1 v1.5 and to no curve's key (gpgsm.test.ts). Web Crypto does not decrypt by
    // PKCS #1 v1.5, so such an app takes its key over into a provider of its own: here openssl stands for that.
    test('encrypts to an RSA certificate of the library, whose key the app keeps in another provider', async () => {
      const { page } = await settle('grace@example.com')
      const rsa = { use: 'encrypt', kind: 'RSA-3072', extractable: true } as const
      const made = await page.evaluate((rsa) => mailApp.certify('rsa', 'grace@example.com', rsa), rsa)
      await page.evaluate((id) => mailApp.publish(id), made.id)
      const sender = await settle('heidi@example.com')
      const { certificates } = await sender.page.evaluate(() => mailApp.lookup('grace@example.com'))
      await writeFile(join(folder.path, 'grace.pem'), certificatePem(certificates[0] ?? ''))
      await gnupg.runWell('--import', 'root.pem', 'issuing.pem', 'grace.pem')
      const recipient = ['-r', '<grace@example.com>', '-o', 'gnupg.p7m', '--encrypt', 'in.txt']
      await gnupg.runWell('--disable-crl-checks', '--yes', ...recipient)

      const mail = await inFile('gnupg.p7m')
      await expect(page.evaluate((mail) => mailApp.openWith('rsa', 'RSA 3072', mail), mail)).rejects.toThrow()
      const taken = await page.evaluate(() => mailApp.takeOut('rsa'))
      const pkcs8 = new Uint8Array(Buffer.from('pkcs8' in taken ? taken.pkcs8 : '', 'base64'))
      await writeFile(join(folder.path, 'grace.key'), toPem('PRIVATE KEY', pkcs8))
      const decrypt = ['cms', '-decrypt', '-inform', 'DER', '-in', 'gnupg.p7m', '-inkey', 'grace.key']
      expect(await runWell(folder.path, 'openssl', [...decrypt, '-recip', 'grace.pem'])).toBe(text)
    })
  })

  test('a page of an origin that the service does not declare gets no answer', async () => {
    const page = await openApp(undefined, undeclaredServer)
    await expect(page.evaluate(() => mailApp.start('ivan@example.com'))).rejects.toThrow('network_failed')
  })

  test('a refusal keeps its code across origins', async () => {
    const page = await openApp('cb_dev_unknown')
    expect(await page.evaluate(() => mailApp.refusalOf('alice@example.com'))).toBe('credential_invalid')
  })
})
