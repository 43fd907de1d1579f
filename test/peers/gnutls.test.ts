import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kinds } from './key-types.ts'
import { requireProgram } from './programs.ts'
import { run, runWell } from './run.ts'
import { addressIn, caKeys, certifyAll, ocspAddress, type Subscribers } from './subscribers.ts'

const emailProtection = '1.3.6.1.5.5.7.3.4'
const serverAuthentication = '1.3.6.1.5.5.7.3.1'

describe.each(caKeys)('GnuTLS, with an embedded CA with a %s key', (caKey) => {
  let subscribers: Subscribers
  beforeAll(async () => {
    await requireProgram('certtool', 'gnutls-bin')
    await requireProgram('ocsptool', 'gnutls-bin')
    subscribers = await certifyAll(caKey, kinds)
  })
  afterAll(() => subscribers.close())

  const verify = async (name: string, purpose: string, mailbox: string) => {
    const trust = ['--load-ca-certificate', 'root.pem', '--load-crl', 'issuing.crl.pem']
    const asked = ['--verify-purpose', purpose, '--verify-email', mailbox, '--infile', `${name}.chain.pem`]
    return run(subscribers.folder, 'certtool', ['--verify', ...trust, ...asked])
  }

  test.each(kinds)('certtool verifies $name for its mailbox and for mail alone', async (kind) => {
    const { name, mailbox } = subscribers.of(kind)
    const good = await verify(name, emailProtection, mailbox)
    expect([good.code, good.output]).toEqual([
      0,
      expect.stringContaining('output: Verified. The certificate is trusted.'),
    ])
    expect(good.output).toContain('Checked against CRL[')
    const elsewhere = await verify(name, emailProtection, 'mallory@example.com')
    expect([elsewhere.code, elsewhere.output]).toEqual([1, expect.stringContaining('Not verified.')])
    const server = await verify(name, serverAuthentication, mailbox)
    expect([server.code, server.output]).toEqual([1, expect.stringContaining('Not verified.')])
  })

  test.each(kinds)('certtool prints $name', async (kind) => {
    const text = await runWell(subscribers.folder, 'certtool', ['-i', '--infile', `${kind.name}.pem`])
    const unread = kind.peers.certtoolReadsKey
    if (unread === null) expect(text).toMatch(/Modulus \(bits \d+\):|Curve:\t/)
    else expect(text).toContain(unread)
    expect(text).toContain(`RFC822Name: ${kind.name}@example.com\n`)
    expect(text).toContain('Key Usage (critical):\n')
  })

  test.each(kinds)('ocsptool asks for $name and verifies the answer', async (kind) => {
    const { folder } = subscribers
    const { name } = kind
    const url = await addressIn(folder, `${name}.pem`, ocspAddress)
    const certificate = ['--load-issuer', 'issuing.pem', '--load-cert', `${name}.pem`]
    const ask = [`--ask=${url}`, ...certificate, '--load-signer', 'issuing.pem', '--outfile', `${name}.ocsp`]
    const asked = await runWell(folder, 'ocsptool', ask)
    expect(asked).toContain('Certificate Status: good\n')
    expect(asked).toContain('Verifying OCSP Response: Success.')
    const again = ['--verify-response', ...certificate, '--load-response', `${name}.ocsp`]
    expect(await runWell(folder, 'ocsptool', [...again, '--load-signer', 'issuing.pem'])).toContain('Success.')
    const root = await run(folder, 'ocsptool', [...again, '--load-signer', 'root.pem'])
    expect([root.code, root.output]).toEqual([1, expect.stringContaining('Failure')])
  })
})
