import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kinds } from './key-types.ts'
import { requireProgram } from './programs.ts'
import { run, runWell } from './run.ts'
import { caKeys, certifyAll, type Subscribers } from './subscribers.ts'

const inadequate = 'Certificate key usage inadequate for attempted operation'

describe.each(caKeys)('NSS, with an embedded CA with a %s key', (caKey) => {
  let subscribers: Subscribers
  const certutil = (...args: readonly string[]) => run(subscribers.folder, 'certutil', [...args, '-d', 'sql:.'])

  beforeAll(async () => {
    await requireProgram('certutil', 'libnss3-tools')
    await requireProgram('cmsutil', 'libnss3-tools')
    await requireProgram('crlutil', 'libnss3-tools')
    subscribers = await certifyAll(caKey, kinds)
    const { folder } = subscribers
    await runWell(folder, 'certutil', ['-N', '-d', 'sql:.', '--empty-password'])
    await runWell(folder, 'certutil', ['-A', '-d', 'sql:.', '-n', 'root', '-t', ',C,', '-i', 'root.pem'])
    await runWell(folder, 'certutil', ['-A', '-d', 'sql:.', '-n', 'issuing', '-t', ',,', '-i', 'issuing.pem'])
    for (const list of ['issuing.crl', 'root.crl']) await runWell(folder, 'crlutil', ['-I', '-d', 'sql:.', '-i', list])
    await writeFile(join(folder, 'in.txt'), 'for one reader\n')
  })
  afterAll(() => subscribers.close())

  const expectRun = ({ code, output }: { code: number; output: string }, refusal: string | null): void => {
    if (refusal === null) expect([code, output]).toEqual([0, expect.stringMatching(/^$|certificate is valid/)])
    else expect([code === 0, output]).toEqual([false, expect.stringContaining(refusal)])
  }

  test.each(kinds)(
    'certutil imports $name and takes it as signer and recipient as far as it knows it',
    async (kind) => {
      const { name, peers, use } = kind
      expectRun(await certutil('-A', '-n', name, '-t', ',,', '-i', `${name}.pem`), peers.nssImports)
      if (peers.nssImports !== null) return
      const asRecipient = use === 'sign' ? peers.nssRecipientThatOnlySigns : null
      expectRun(await certutil('-V', '-e', '-n', name, '-u', 'R'), asRecipient)
      expectRun(await certutil('-V', '-e', '-n', name, '-u', 'S'), use === 'encrypt' ? inadequate : null)
      const server = await certutil('-V', '-e', '-n', name, '-u', 'V')
      expect([server.code === 0, server.output]).toEqual([false, expect.stringContaining('is invalid')])
    },
  )

  const recipients = kinds.filter(({ use, make }) => use !== 'sign' && make !== null)
  test.each(recipients)('what cmsutil encrypts to $name, openssl opens; or cmsutil knows no such key', async (kind) => {
    const { folder } = subscribers
    const { name, mailbox } = subscribers.of(kind)
    const encrypt = ['-E', '-d', 'sql:.', '-r', mailbox, '-i', 'in.txt', '-o', `${name}.p7m`]
    const { code, output } = await run(folder, 'cmsutil', encrypt)
    const refusal = kind.peers.nssEncrypts
    if (refusal !== null) {
      expect([code === 0, output]).toEqual([false, expect.stringContaining(refusal)])
      return
    }
    expect([code, output]).toEqual([0, ''])
    const decrypt = ['cms', '-decrypt', '-inform', 'DER', '-in', `${name}.p7m`, '-inkey', `${name}.key`]
    expect(await runWell(folder, 'openssl', [...decrypt, '-recip', `${name}.pem`])).toBe('for one reader\n')
  })
})
