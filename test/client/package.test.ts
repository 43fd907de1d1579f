import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { certify, deviceFacts, register } from '../support/story.ts'
import { Api, askOver } from '../support/api.ts'
import { runProgramWell } from '../support/processes.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))
const modules = join(project, 'node_modules')
/** What the client library may bring into an app. */
const allowed = ['tr46', 'punycode', 'zod']

/** The app of docs/mail-app.md, as it stands there. */
async function appOfThePage(): Promise<string> {
  const page = await readFile(join(project, 'docs', 'mail-app.md'), 'utf8')
  return [...page.matchAll(/^```js app\n([^]*?)^```$/gm)].map(([, code]) => code).join('\n')
}

/** What is around an app: a mailbox, a store, a person who agrees. */
const surroundings = `
import { readdir, readFile } from 'node:fs/promises'
import * as app from './mail-app.js'
const [baseUrl, root, outbox] = process.argv.slice(2)
const stored = new Map()
const store = { get: async (name) => stored.get(name), set: async (name, value) => void stored.set(name, value) }
async function* mails() {
  const seen = new Set()
  for (;;) {
    for (const name of await readdir(outbox)) {
      if (!name.endsWith('.eml') || seen.has(name)) continue
      seen.add(name)
      yield await readFile(outbox + '/' + name, 'utf8')
    }
  }
}
const email = 'app@example.com'
const device = ${JSON.stringify(deviceFacts)}
const stranger = app.openClient(baseUrl, [new Uint8Array(Buffer.from(root, 'base64'))])
const client = await app.register(stranger, store, mails(), { email, accountType: 'imap', device })
const certificates = await app.certify(client, store, email)
await app.publish(client, certificates)
const { found, missing, rejected } = await app.certificatesFor(client, [email, 'nobody@example.com'])
const fingerprints = found.flatMap(({ certificates }) => certificates).map(({ fingerprintSha256 }) => fingerprintSha256)
const isOwn = fingerprints.includes(certificates.encrypt.fingerprintSha256)
const next = await app.checkIn(client, store, device)
console.log(JSON.stringify({ isOwn, missing, rejected, next, stored: [...stored.keys()] }))
`

/** Prints every module that an import of the library loads. */
const listing = `
import { registerHooks } from 'node:module'
const loaded = []
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    loaded.push(resolved.url)
    return resolved
  },
})
await import('certbook/client')
console.log(JSON.stringify(loaded))
`

const typed = `
import {
  CertbookClient,
  isCertbookError,
  type CertbookErrorCode,
  type DeviceKeyPair,
  type LookupResults,
  type PendingRegistration,
} from 'certbook/client'

export async function story(client: CertbookClient, stored: PendingRegistration): Promise<LookupResults> {
  const { credential } = await client.registrations.credential(stored, { waitForApproval: true })
  const device: CertbookClient = client.withCredential(credential)
  const keyPair: DeviceKeyPair = await device.makeKeyPair('encrypt', { kind: 'RSA-3072' })
  const { state, certificate } = await device.certificates.certify(keyPair, 'alice@example.com')
  const serial: string | undefined = state === 'issued' ? certificate?.serialNumber : undefined
  for await (const { id, published } of device.certificates.list()) if (published) await device.certificates.withdraw(id)
  try {
    return await device.lookup([serial ?? 'bob@example.com'], 'encrypt')
  } catch (error) {
    const code: CertbookErrorCode | null = isCertbookError(error, 'lookup_budget_spent') ? error.code : null
    throw new Error(code ?? 'another', { cause: error })
  }
}

// @ts-expect-error the app's own anchors are not optional
export const careless = (baseUrl: string) => new CertbookClient({ baseUrl })
// @ts-expect-error a lookup is for one of two uses
export const both = (client: CertbookClient) => client.lookup(['bob@example.com'], 'dual')
// @ts-expect-error codes are a closed set
export const unknown = (error: unknown) => isCertbookError(error, 'no_such_code')
`

describe('the packed client library', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let service: ServiceProcess
  let installed: string
  /** The files of the package of the whole project. */
  let whole: string[]
  beforeAll(async () => {
    folder = await temporaryFolder()
    installed = join(folder.path, 'app')
    await mkdir(join(folder.path, 'whole'))
    await mkdir(installed)
    const npm = (cwd: string, ...args: readonly string[]) => runProgramWell('npm', args, { cwd })
    // The package of the whole project is packed by npm itself, which builds dist/ by prepack before.
    const { stdout } = await npm(
      project,
      'pack',
      '--json',
      '--silent',
      '--pack-destination',
      join(folder.path, 'whole'),
    )
    whole = JSON.parse(stdout.slice(stdout.indexOf('[')))[0].files.map(({ path }: { path: string }) => path)
    await npm(project, 'pack', './dist', '--silent', '--pack-destination', folder.path)
    await writeFile(join(installed, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    // Without a registry: what the library depends on is installed from here, and nothing else could be.
    const dependencies = allowed.map((name) => join(modules, name))
    const options = ['--offline', '--no-audit', '--no-fund', '--ignore-scripts']
    await npm(installed, 'install', ...options, join(folder.path, 'certbook-0.1.0.tgz'), ...dependencies)
    service = await startProcess(join(folder.path, 'data'))
  })
  afterAll(async () => {
    await service?.end('SIGTERM')
    await folder.remove()
  })

  const node = async (name: string, source: string, ...args: readonly string[]): Promise<string> => {
    await writeFile(join(installed, name), source)
    return (await runProgramWell(process.execPath, [name, ...args], { cwd: installed })).stdout
  }

  test('runs the app of docs/mail-app.md, in plain JavaScript', async () => {
    const outbox = join(folder.path, 'data', 'outbox')
    const mails = await watchOutbox(outbox)
    const first = await certify(await register(new Api(askOver(service.url)), mails, 'first@example.com'))
    mails.close()
    await writeFile(join(installed, 'mail-app.js'), await appOfThePage())
    const printed = await node('run.js', surroundings, service.url, first.chain.at(-1), outbox)
    expect(JSON.parse(printed)).toEqual({
      isOwn: true,
      missing: ['nobody@example.com'],
      rejected: [],
      next: 300,
      stored: ['registration', 'identity', 'keys'],
    })
  })

  test('loads nothing of Node and nothing of the service', async () => {
    const loaded: string[] = JSON.parse(await node('listing.js', listing))
    expect(loaded.length).toBeGreaterThan(20)
    const foreign = loaded.filter((url) => {
      const path = url.startsWith('file:') ? fileURLToPath(url) : url
      const [, name = path] = /node_modules\/([^/]+)\/(?!.*node_modules\/)/.exec(path) ?? []
      return ![...allowed, 'certbook'].includes(name)
    })
    expect(foreign).toEqual([])
  })

  test('has types that a strict app compiles against, without skipping those of the library', async () => {
    await writeFile(join(installed, 'typed.ts'), typed)
    for (const module of ['nodenext', 'esnext']) {
      const options = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--skipLibCheck', 'false', '--types', '']
      const resolution = module === 'nodenext' ? 'nodenext' : 'bundler'
      const target = ['--target', 'es2022', '--lib', 'es2023,dom,dom.iterable']
      const args = [...options, ...target, '--module', module, '--moduleResolution', resolution, 'typed.ts']
      const compiled = runProgramWell(join(modules, '.bin', 'tsc'), args, { cwd: installed })
      await expect(
        compiled.then(
          ({ stdout }) => stdout,
          ({ stdout }) => stdout,
        ),
      ).resolves.toBe('')
    }
  })

  test('names two dependencies, of the versions that the service has', async () => {
    const own = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
    const packed = JSON.parse(await readFile(join(installed, 'node_modules', 'certbook', 'package.json'), 'utf8'))
    const { zod, tr46 } = own.dependencies
    expect([packed.version, packed.dependencies]).toEqual([own.version, { zod, tr46 }])
  })

  test('is in the package of the whole project as well, beside none of its tests', () => {
    expect(whole).toEqual(expect.arrayContaining(['dist/client/index.js', 'dist/client/index.d.ts']))
    expect(whole.filter((path) => /^(test|data|db|certs-fixtures)\//.test(path))).toEqual([])
  })
})
