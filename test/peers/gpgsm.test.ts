import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../support/node-process.ts'
import { startGnuPg, type GnuPg } from './gnupg.ts'
import { kinds } from './key-types.ts'
import { requireProgram } from './programs.ts'
import { serveEcdsaList } from './ecdsa-list.ts'
import { runWell } from './run.ts'
import { caKeys, certifyAll, type Subscribers } from './subscribers.ts'

/** What dirmngr 2.2 says of any list that is signed with ECDSA, OpenSSL's own included. */
const ecdsaListRefused = 'Provided object is too short'

beforeAll(async () => {
  await requireProgram('gpgsm', 'gpgsm')
  await requireProgram('gpg-agent', 'gpg-agent')
  await requireProgram('dirmngr', 'dirmngr')
})

describe.each(caKeys)('gpgsm, with an embedded CA with a %s key', (caKey) => {
  let subscribers: Subscribers
  let gnupg: GnuPg
  /** gpgsm fetches and checks the lists by dirmngr where it can. */
  const lists = caKey === 'rsa4096' ? [] : ['--disable-crl-checks']

  beforeAll(async () => {
    subscribers = await certifyAll(caKey, kinds)
    gnupg = await startGnuPg(subscribers.folder)
    const names = kinds.map(({ name }) => `${name}.pem`)
    await gnupg.runWell('--import', 'root.pem', 'issuing.pem', ...names)
    await writeFile(join(subscribers.folder, 'in.txt'), 'for one reader\n')
  })
  afterAll(async () => {
    await gnupg.end()
    await subscribers.close()
  })

  test.each(kinds)('$name is a good certificate', async (kind) => {
    const { mailbox } = subscribers.of(kind)
    const text = await gnupg.runWell(...lists, '--with-validation', '--list-keys', `<${mailbox}>`)
    expect(text).toContain('[certificate is good]')
    expect(text).toContain('ext key usage: emailProtection')
  })

  const encrypt = async (name: string, mailbox: string, ...options: readonly string[]) =>
    gnupg.run(...lists, ...options, '--yes', '-r', `<${mailbox}>`, '-o', `${name}.p7m`, '--encrypt', 'in.txt')

  test.each(kinds)('what gpgsm encrypts to $name, openssl opens; or gpgsm refuses', async (kind) => {
    const { name, mailbox } = subscribers.of(kind)
    const refusal = kind.use === 'sign' ? 'Wrong key usage' : kind.peers.gpgsmEncrypts
    const { code, output } = await encrypt(name, mailbox)
    if (refusal !== null) {
      expect([code === 0, output]).toEqual([false, expect.stringContaining(refusal)])
      return
    }
    expect([code, output]).toEqual([0, expect.any(String)])
    if (kind.make === null) return
    const decrypt = ['cms', '-decrypt', '-inform', 'DER', '-in', `${name}.p7m`, '-inkey', `${name}.key`]
    expect(await runWell(subscribers.folder, 'openssl', [...decrypt, '-recip', `${name}.pem`])).toBe('for one reader\n')
  })

  const agreeing = kinds.filter(({ use, peers }) => use !== 'sign' && peers.gpgsmEncrypts !== null)
  test.each(agreeing)('told to take keyAgreement, gpgsm still cannot encrypt to $name', async (kind) => {
    const { name, mailbox } = subscribers.of(kind)
    const { code, output } = await encrypt(name, mailbox, '--compatibility-flags', 'allow-ka-to-encr')
    expect([code === 0, output]).toEqual([
      false,
      expect.stringContaining(kind.peers.gpgsmEncryptsByAgreement ?? 'a refusal'),
    ])
  })
})

describe('dirmngr', () => {
  test('refuses a list of ours that is signed with ECDSA, in the words in which it refuses one of openssl', async () => {
    const [kind] = kinds
    const subscribers = await certifyAll('p256', kind === undefined ? [] : [kind])
    const ours = await startGnuPg(subscribers.folder)
    const folder = await temporaryFolder()
    const control = await serveEcdsaList(folder.path)
    const theirs = await startGnuPg(folder.path)
    try {
      await ours.runWell('--import', 'root.pem', 'issuing.pem', `${kind?.name}.pem`)
      const mine = await ours.runWell('--with-validation', '--list-keys', `<${kind?.name}@example.com>`)
      expect(mine).toContain(ecdsaListRefused)
      await theirs.runWell('--import', 'root.pem', 'leaf.pem')
      const other = await theirs.runWell('--with-validation', '--list-keys', '<control@example.com>')
      expect(control.fetched()).toBe(true)
      expect(other).toContain(ecdsaListRefused)
    } finally {
      await ours.end()
      await theirs.end()
      await control.close()
      await subscribers.close()
      await folder.remove()
    }
  })
})
