import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, askOver, type Json } from '../support/api.ts'
import { watchOutbox } from '../support/mail.ts'
import { startProcess, temporaryFolder, type ServiceProcess } from '../support/node-process.ts'
import { makeKeyAndCsr, openssl, type keyMakers } from '../support/openssl.ts'
import { certificatePem } from '../support/pem.ts'
import { certify, register, type Registered } from '../support/story.ts'
import { requireProgram } from './programs.ts'

/** Which purposes OpenSSL grants: it wants keyEncipherment for encrypting, which an EC key agreement key has not. */
const kinds = [
  {
    kind: 'RSA 2048',
    use: 'dual',
    purposes: ['smimesign', 'smimeencrypt'],
    usage: 'Digital Signature, Key Encipherment',
  },
  { kind: 'RSA 4096', use: 'encrypt', purposes: ['smimeencrypt'], usage: 'Key Encipherment' },
  { kind: 'P-256', use: 'dual', purposes: ['smimesign'], usage: 'Digital Signature, Key Agreement' },
  { kind: 'P-256', use: 'sign', purposes: ['smimesign'], usage: 'Digital Signature' },
] as const

describe.each(['p256', 'p384', 'rsa4096'])('certificates of an embedded CA with a %s key', (caKey) => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let service: ServiceProcess
  let mails: Awaited<ReturnType<typeof watchOutbox>>

  beforeAll(async () => {
    await requireProgram('openssl', 'openssl')
    folder = await temporaryFolder()
    service = await startProcess(join(folder.path, 'data'), { settings: { CA_KEY: caKey } })
    mails = await watchOutbox(join(folder.path, 'data', 'outbox'))
  })
  afterAll(async () => {
    mails.close()
    await service.end('SIGTERM')
    await folder.remove()
  })

  const enrol = async (
    name: string,
    kind: { kind: keyof typeof keyMakers; use: string },
  ): Promise<[Registered, Json]> => {
    const subscriber = await register(new Api(askOver(service.url)), mails, `${name}@example.com`)
    await makeKeyAndCsr(folder.path, name, kind.kind)
    const csr = await readFile(join(folder.path, `${name}.csr`), 'utf8')
    const certificate = await certify(subscriber, { csr, use: kind.use })
    const [issuing = '', root = ''] = certificate.chain.map(certificatePem)
    await writeFile(join(folder.path, `${name}.pem`), certificatePem(certificate.certificate))
    await writeFile(join(folder.path, 'issuing.pem'), issuing)
    await writeFile(join(folder.path, 'root.pem'), root)
    return [subscriber, certificate]
  }

  test.each(kinds.map((kind, index) => ({ ...kind, name: `subscriber-${index}` })))(
    'openssl takes $kind for $use',
    async ({ name, ...kind }) => {
      const [subscriber] = await enrol(name, kind)
      const verify = ['verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'issuing.pem']
      for (const purpose of [...kind.purposes, 'any']) {
        expect(await openssl(folder.path, ...verify, '-purpose', purpose, `${name}.pem`)).toContain('OK')
      }
      const text = await openssl(folder.path, 'x509', '-in', `${name}.pem`, '-noout', '-text')
      expect(text).toContain(`Subject: CN = ${subscriber.email}`)
      expect(text).toContain(`email:${subscriber.email}`)
      expect(text).toMatch(new RegExp(`X509v3 Key Usage: critical\\s+${kind.usage}\\n`))
      expect(text).toMatch(/X509v3 Extended Key Usage:\s+E-mail Protection\n/)
      expect(text).toMatch(/X509v3 Basic Constraints:\s+CA:FALSE\n/)
      expect(text).toContain('Policy: 2.23.140.1.5.1.3')
      expect(text).toMatch(/URI:http:\/\/127\.0\.0\.1:\d+\/ca\/[\w-]+\.crl/)
      expect(text).toMatch(/CA Issuers - URI:http:/)
      expect(text).toMatch(/OCSP - URI:http:/)
    },
  )

  test.each(['RSA 2048', 'P-256'] as const)(
    'what openssl cms encrypts to a %s certificate, its key opens',
    async (kind) => {
      const name = `reader-${kind.replaceAll(' ', '-').toLowerCase()}`
      await enrol(name, { kind, use: 'dual' })
      await writeFile(join(folder.path, 'in.txt'), 'for one reader\n')
      await openssl(folder.path, 'cms', '-encrypt', '-aes256', '-in', 'in.txt', '-out', `${name}.p7m`, `${name}.pem`)
      const decrypt = ['cms', '-decrypt', '-in', `${name}.p7m`, '-inkey', `${name}.key`, '-recip', `${name}.pem`]
      expect(await openssl(folder.path, ...decrypt)).toContain('for one reader')
    },
  )

  test('root and issuing CA are as their profiles say', async () => {
    const root = await openssl(folder.path, 'x509', '-in', 'root.pem', '-noout', '-text')
    expect(root).toMatch(/Basic Constraints: critical\s+CA:TRUE\n/)
    expect(root).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
    const issuing = await openssl(folder.path, 'x509', '-in', 'issuing.pem', '-noout', '-text')
    expect(issuing).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/)
    expect(issuing).toMatch(/Key Usage: critical\s+Digital Signature, Certificate Sign, CRL Sign\n/)
    expect(issuing).toMatch(/Extended Key Usage:\s+E-mail Protection\n/)
  })
})
