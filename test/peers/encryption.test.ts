import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Certificate, ContentInfo, EnvelopedData } from 'pkijs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openssl } from '../support/openssl.ts'
import { kinds, type Kind } from './key-types.ts'
import { openMail } from './open-mail.ts'
import { run, runWell } from './run.ts'
import { certifyAll, type Subscribers } from './subscribers.ts'
import { encryptToX25519 } from './x25519-mail.ts'

const aes256 = { name: 'AES-CBC', length: 256 }
const content = 'for one reader\n'
const encrypting = kinds.filter(({ use }) => use !== 'sign')
/** Keys in files, which openssl opens with; and keys to decrypt that never leave Web Crypto. */
const inFiles = encrypting.filter(({ make }) => make !== null)
const held = encrypting.filter(({ held, use }) => held !== null && use === 'encrypt')

/** What a Web Crypto key opens: RSAES-OAEP by SHA-256, key agreement by the KDF with SHA-256 (RFC 5753 section 7.1.4). */
const opensslOptions = (kind: Kind): string[] =>
  kind.keyType.startsWith('RSA')
    ? ['-keyopt', 'rsa_padding_mode:oaep', '-keyopt', 'rsa_oaep_md:sha256']
    : ['-keyopt', 'ecdh_kdf_md:sha256']

describe('mail to certificates of the embedded CA', () => {
  let subscribers: Subscribers
  beforeAll(async () => {
    subscribers = await certifyAll('p256', encrypting)
    await writeFile(join(subscribers.folder, 'in.txt'), content)
  })
  afterAll(() => subscribers.close())

  const encryptByOpenssl = (name: string, ...options: readonly string[]) => {
    const mail = ['-in', 'in.txt', '-outform', 'DER', '-out', `${name}.p7m`]
    return run(subscribers.folder, 'openssl', [
      'cms',
      '-encrypt',
      '-binary',
      '-aes256',
      ...mail,
      '-recip',
      `${name}.pem`,
      ...options,
    ])
  }
  const decryptByOpenssl = (name: string): Promise<string> => {
    const mail = ['-inform', 'DER', '-in', `${name}.p7m`, '-inkey', `${name}.key`, '-recip', `${name}.pem`]
    return runWell(subscribers.folder, 'openssl', ['cms', '-decrypt', ...mail])
  }
  const readMail = async (file: string) => new Uint8Array(await readFile(join(subscribers.folder, file)))

  const certificateOf = async (name: string): Promise<Certificate> => {
    const { raw } = new X509Certificate(await readFile(join(subscribers.folder, `${name}.pem`)))
    return Certificate.fromBER(new Uint8Array(raw))
  }
  const encryptByPkijs = async (name: string): Promise<EnvelopedData> => {
    const parameters = { oaepHashAlgorithm: 'SHA-256', kdfAlgorithm: 'SHA-256', kekEncryptionLength: 256 } as const
    const mail = new EnvelopedData()
    mail.addRecipientByCertificate(await certificateOf(name), parameters)
    await mail.encrypt(aes256, new TextEncoder().encode(content).buffer)
    const info = new ContentInfo({ contentType: ContentInfo.ENVELOPED_DATA, content: mail.toSchema() })
    await writeFile(join(subscribers.folder, `${name}.p7m`), new Uint8Array(info.toSchema().toBER()))
    return mail
  }

  test.each(inFiles)('openssl encrypts to $name, and its key opens it', async (kind) => {
    const { name, peers } = kind
    expect(peers.opensslEncrypts).toBe(null)
    for (const options of [[], opensslOptions(kind)]) {
      expect(await encryptByOpenssl(name, ...options)).toEqual({ code: 0, output: '' })
      expect(await decryptByOpenssl(name)).toBe(content)
    }
  })

  test.each(held)('openssl encrypts to $name, and its holder opens it; or openssl refuses', async (kind) => {
    const { name, peers, keyType } = kind
    const { code, output } = await encryptByOpenssl(
      name,
      ...(peers.opensslEncrypts === null ? opensslOptions(kind) : []),
    )
    if (peers.opensslEncrypts === null) {
      expect([code, output]).toEqual([0, ''])
      const { held } = subscribers.of(kind)
      assert(held !== null)
      expect(await openMail(held, keyType, await readMail(`${name}.p7m`))).toBe(content)
    } else {
      expect([code === 0, output]).toEqual([false, expect.stringContaining(peers.opensslEncrypts)])
    }
  })

  // pkijs 4.0.0 knows RSA and the three curves of NIST. It refuses a brainpool key by its curve when it encrypts, and
  // an X25519 key by its algorithm when it is given the certificate: it has neither the key type nor the HKDF schemes
  // of RFC 8418, and no hook for them.
  test.each(encrypting)('pkijs encrypts to $name, and its key opens it; or pkijs refuses', async (kind) => {
    const { name, peers, make } = kind
    if (peers.pkijsEncrypts !== null) {
      await expect(encryptByPkijs(name)).rejects.toThrow(peers.pkijsEncrypts)
      return
    }
    const mail = await encryptByPkijs(name)
    if (make !== null) expect(await decryptByOpenssl(name)).toBe(content)
    const { held } = subscribers.of(kind)
    // A key that does both is held to sign, and Web Crypto then does not decrypt with it.
    if (held === null || held.use === 'dual') return
    const parameters = { recipientCertificate: await certificateOf(name), recipientPrivateKey: held.privateKey }
    expect(new TextDecoder().decode(await mail.decrypt(0, parameters))).toBe(content)
  })

  const x25519 = encrypting.filter(({ keyType }) => keyType === 'X25519')
  test.each(x25519)(
    'what OpenSSL agrees, derives, wraps and encodes by RFC 8418 for $name, its holder opens',
    async (kind) => {
      const { folder } = subscribers
      await encryptToX25519(folder, kind.name)
      const print = ['-cmsout', '-print', '-noout', '-inform', 'DER', '-in', `${kind.name}.der`]
      const text = await openssl(folder, 'cms', ...print)
      expect(text).toContain('d.kari:')
      expect(text).toContain('algorithm: X25519 (1.3.101.110)')
      expect(text).toContain('(1.2.840.113549.1.9.16.3.19)')
      const { held } = subscribers.of(kind)
      assert(held !== null)
      const mail = await readMail(`${kind.name}.der`)
      expect(await openMail(held, kind.keyType, mail)).toBe(content)
      const at = Buffer.from(mail).indexOf(await readFile(join(folder, 'wrapped-key')))
      const broken = mail.with(at, (mail[at] ?? 0) ^ 1)
      await expect(openMail(held, kind.keyType, broken)).rejects.toThrow()
    },
  )
})
