import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { openBrowser } from '../support/browser.ts'
import { linksIn, readMail, startMailHook, watchOutbox, type MailSource } from '../support/mail.ts'
import { startProcess, temporaryFolder } from '../support/node-process.ts'
import { joinDevice, lookUp, publish, register, startRegistration, type Registered } from '../support/story.ts'
import { startWorker } from '../support/worker-process.ts'
import { runWell } from './run.ts'

/** What takes a person or another program, on both runtimes: the mailed link in a browser, and mail for two devices. */

interface Runtime {
  readonly url: string
  readonly mails: MailSource
  end(): Promise<void>
}

async function onNode(folder: string): Promise<Runtime> {
  const service = await startProcess(join(folder, 'data'))
  const mails = await watchOutbox(join(folder, 'data', 'outbox'))
  return {
    url: service.url,
    mails,
    end: async () => {
      mails.close()
      await service.end('SIGTERM')
    },
  }
}

async function onWorkers(folder: string): Promise<Runtime> {
  const hook = await startMailHook()
  const worker = await startWorker(folder, hook.url)
  return {
    url: worker.url,
    mails: hook,
    end: async () => {
      await worker.end()
      await hook.close()
    },
  }
}

/** Has openssl make a device's RSA key, and the service certify it for encryption and signing. */
async function certifyWithOpenssl(folder: string, device: Registered, name: string): Promise<void> {
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`]
  await runWell(folder, 'openssl', ['req', ...key, '-subj', '/CN=any', '-outform', 'PEM', '-out', `${name}.csr`])
  const csr = await runWell(folder, 'cat', [`${name}.csr`])
  const answer = await device.api.post('/v1/certificate-requests', { csr, use: 'dual' })
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  await publish(device, answer.body.certificate.id)
}

const pem = (base64: string): string =>
  `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`

describe.each([
  ['Node', onNode],
  ['wrangler dev', onWorkers],
] as const)('on %s', (_, start) => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let runtime: Runtime
  let api: Api

  beforeAll(async () => {
    folder = await temporaryFolder()
    runtime = await start(folder.path)
    api = new Api(askOver(runtime.url))
  })
  afterAll(async () => {
    await runtime?.end()
    await folder?.remove()
  })

  const stateOf = async (started: Json): Promise<string> =>
    (await api.with(started.deviceSecret).get(`/v1/registrations/${started.id}`)).body.state

  test('a person confirms by the link, with the right code only, and the device goes on', async () => {
    const started = await startRegistration(api, 'person@example.com')
    const { text } = await readMail(await runtime.mails.challengeOf(started.id))
    const [link] = linksIn(text)
    expect(link).toMatch(new RegExp(`^${runtime.url}/confirm/${started.id}#`))
    const browser = await openBrowser()
    try {
      const page = await browser.newPage()
      await page.goto(link ?? '')
      const code = page.getByRole('textbox', { name: 'Code' })
      const confirm = page.getByRole('button', { name: 'Confirm' })
      await page.getByText('iPhone').waitFor()
      await code.fill('AAAA-2222')
      await confirm.click()
      await page.getByRole('status').getByText('That is not the code.').waitFor()
      expect(await stateOf(started)).toBe('pending')
      await code.fill(started.userCode.toLowerCase().replace('-', ' '))
      await confirm.click()
      await page.getByRole('status').getByText('Confirmed.').waitFor()
    } finally {
      await browser.close()
    }
    expect(await stateOf(started)).toBe('confirmed')
    const minted = await api.with(started.deviceSecret).post(`/v1/registrations/${started.id}/credential`)
    expect([minted.status, minted.body.mailbox]).toEqual([201, 'person@example.com'])
  })

  test('a phishing attempt ends with the button of its victim', async () => {
    const started = await startRegistration(api, 'victim@example.com')
    const [link] = linksIn((await readMail(await runtime.mails.challengeOf(started.id))).text)
    const browser = await openBrowser()
    try {
      const page = await browser.newPage()
      await page.goto(link ?? '')
      await page.getByText('iPhone').waitFor()
      // Without the code, the button that confirms does nothing.
      await page.getByRole('button', { name: 'Confirm' }).click()
      expect(await stateOf(started)).toBe('pending')
      await page.getByRole('button', { name: 'This was not me' }).click()
      await page.getByRole('status').getByText('The registration has ended').waitFor()
    } finally {
      await browser.close()
    }
    expect(await stateOf(started)).toBe('ended')
  })

  test('a phone and a tablet both open mail that was encrypted to both of their certificates', async () => {
    const phone = await register(api, runtime.mails, 'two.devices@example.com')
    const tablet = await joinDevice(api, runtime.mails, phone)
    await certifyWithOpenssl(folder.path, phone, 'phone')
    await certifyWithOpenssl(folder.path, tablet, 'tablet')
    const sender = await register(api, runtime.mails, 'sender@example.com')
    const [found] = await lookUp(sender, ['two.devices@example.com'])
    const names = await Promise.all(
      found.certificates.map(async ({ certificate }: Json, index: number) => {
        await writeFile(join(folder.path, `found-${index}.pem`), pem(certificate))
        return `found-${index}.pem`
      }),
    )
    expect(names).toHaveLength(2)
    await writeFile(join(folder.path, 'message.txt'), 'for both of you')
    const encrypt = ['cms', '-encrypt', '-aes256', '-binary', '-in', 'message.txt', '-outform', 'DER']
    await runWell(folder.path, 'openssl', [...encrypt, '-out', 'mail.der', ...names])
    for (const device of ['phone', 'tablet']) {
      const decrypt = ['cms', '-decrypt', '-inform', 'DER', '-in', 'mail.der', '-inkey', `${device}.key`]
      const opened = await runWell(folder.path, 'openssl', decrypt)
      expect(opened, device).toBe('for both of you')
    }
  })
})
