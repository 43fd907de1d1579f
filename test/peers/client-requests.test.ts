import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { makeCertificateRequest } from '../../src/pki/make-certificate-request.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { openssl } from '../support/openssl.ts'
import { requireProgram } from './programs.ts'

const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }
const kinds = {
  'P-256': [{ name: 'ECDSA', namedCurve: 'P-256' }, 'ecdsa-with-SHA256'],
  'P-384': [{ name: 'ECDSA', namedCurve: 'P-384' }, 'ecdsa-with-SHA384'],
  'P-521': [{ name: 'ECDSA', namedCurve: 'P-521' }, 'ecdsa-with-SHA512'],
  RSA: [rsa, 'sha256WithRSAEncryption'],
  Ed25519: [{ name: 'Ed25519' }, 'ED25519'],
} as const

describe('certificate requests that the client library makes, RFC 2986, read by openssl', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  beforeAll(async () => {
    await requireProgram('openssl', 'openssl')
    folder = await temporaryFolder()
  })
  afterAll(() => folder.remove())

  const show = async (kind: keyof typeof kinds, mailbox?: string): Promise<string> => {
    const [algorithm] = kinds[kind]
    const pair = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
    if (!('privateKey' in pair)) throw new Error('no key pair')
    const { privateKey, publicKey } = pair
    const spki = new Uint8Array(await crypto.subtle.exportKey('spki', publicKey))
    const named = mailbox === undefined ? {} : { mailbox: parseMailboxAddress(mailbox) }
    await writeFile(
      join(folder.path, 'request.der'),
      await makeCertificateRequest(crypto, { spki, privateKey, ...named }),
    )
    return openssl(folder.path, 'req', '-inform', 'DER', '-in', 'request.der', '-verify', '-noout', '-text')
  }

  test.each(Object.keys(kinds) as (keyof typeof kinds)[])('with a %s key, for a mailbox', async (kind) => {
    const text = await show(kind, 'alice@example.com')
    expect(text).toContain('Certificate request self-signature verify OK')
    expect(text).toContain(`Signature Algorithm: ${kinds[kind][1]}`)
    expect(text).toMatch(/Subject: *\n/)
    expect(text).toMatch(/Subject Alternative Name: critical\n\s*email:alice@example\.com\n/)
  })

  test('for a mailbox beyond ASCII', async () => {
    const text = await show('P-256', 'jörg@bücher.example')
    expect(text).toContain('verify OK')
    expect(text).toMatch(/othername: ?SmtpUTF8Mailbox::?jörg@xn--bcher-kva\.example/)
  })

  test('for nobody', async () => {
    const text = await show('P-256')
    expect(text).toContain('verify OK')
    expect(text).not.toContain('Alternative Name')
  })
})
