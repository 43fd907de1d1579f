import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { certificateWarnings, readTlsIdentity, TlsCertificateFiles } from '../../src/adapters/tls-certificate.ts'
import { temporaryFolder } from '../support/node-process.ts'
import { toPem } from '../support/pem.ts'
import { makeTlsPair, tlsFolder, type TlsFolder, type TlsPair } from '../support/tls.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let pair: TlsPair
let files: TlsFolder
const filesOf = ({ settings }: TlsFolder) => ({
  certificateFile: settings.TLS_CERT_FILE,
  keyFile: settings.TLS_KEY_FILE,
})

beforeEach(async () => {
  folder = await temporaryFolder()
  pair = await makeTlsPair('first')
  files = await tlsFolder(folder.path, pair)
})
afterEach(() => folder.remove())

describe('a pair that cannot be used is refused by the setting', () => {
  test('a certificate that is missing', async () => {
    await rm(files.settings.TLS_CERT_FILE)
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow(/^TLS_CERT_FILE: .* cannot be read$/)
  })

  test('a key that is missing', async () => {
    await rm(files.settings.TLS_KEY_FILE)
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow(/^TLS_KEY_FILE: .* cannot be read$/)
  })

  test('a certificate that is none', async () => {
    await files.put({ ...pair, certificate: 'no certificate' })
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow('TLS_CERT_FILE: is no certificate in PEM')
  })

  test('a key that is none', async () => {
    await files.put({ ...pair, key: pair.certificate })
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow('TLS_KEY_FILE: is no private key in PEM')
  })

  test('a key under a passphrase', async () => {
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
    })
    await files.put({ ...pair, key: privateKey })
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow('TLS_KEY_FILE: is encrypted')
  })

  test('a key of another certificate', async () => {
    await files.put({ ...pair, key: (await makeTlsPair('other')).key })
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow(
      'TLS_KEY_FILE: is not the key of the first certificate',
    )
  })

  test('a chain with a certificate that is none', async () => {
    await files.put({ ...pair, certificate: `${pair.certificate}${toPem('CERTIFICATE', new Uint8Array(9))}` })
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow('TLS_CERT_FILE: is no certificate in PEM')
  })

  test('a key that is too short for TLS', async () => {
    await files.put(await makeTlsPair('weak', { weak: true }))
    await expect(readTlsIdentity(filesOf(files))).rejects.toThrow('TLS_CERT_FILE: holds a chain or a key')
  })

  test('and one that can be is read', async () => {
    const { certificate } = await readTlsIdentity(filesOf(files))
    expect(certificate.subject).toBe('CN=first')
  })
})

describe('files that change while the service runs', () => {
  const watched = async () => {
    const certificate = await TlsCertificateFiles.open(filesOf(files))
    const seen: string[] = []
    certificate.watch(
      {
        onChange: (identity) => seen.push(identity.certificate.subject),
        onFault: (fault) => seen.push(fault.message),
      },
      10,
    )
    return { certificate, seen }
  }

  test('a new pair is taken, seen by a look at the files', async () => {
    const { certificate, seen } = await watched()
    await files.put(await makeTlsPair('second'))
    // Between its two files a pair may be seen half, which is refused until the other half is there.
    await expect.poll(() => seen.at(-1), { interval: 10 }).toBe('CN=second')
    expect(certificate.identity.certificate.subject).toBe('CN=second')
    await certificate.close()
  })

  test('a pair that does not fit is refused once, the old one stays, and the next good one is taken', async () => {
    const { certificate, seen } = await watched()
    const second = await makeTlsPair('second')
    await writeFile(files.settings.TLS_CERT_FILE, second.certificate)
    await expect.poll(() => seen.length, { interval: 10 }).toBe(1)
    expect(seen).toEqual([expect.stringContaining('TLS_KEY_FILE: is not the key')])
    expect(certificate.identity.certificate.subject).toBe('CN=first')
    await writeFile(files.settings.TLS_KEY_FILE, second.key)
    await expect.poll(() => seen.at(-1), { interval: 10 }).toBe('CN=second')
    await certificate.close()
  })

  test('files that are gone leave the old pair in use', async () => {
    const { certificate, seen } = await watched()
    await rm(files.settings.TLS_KEY_FILE)
    await expect.poll(() => seen.length, { interval: 10 }).toBe(1)
    expect(certificate.identity.certificate.subject).toBe('CN=first')
    await certificate.close()
  })

  test('asked to, it reads what has not changed too', async () => {
    const { certificate, seen } = await watched()
    await certificate.reload()
    expect(seen).toEqual(['CN=first'])
    await certificate.close()
  })
})

describe('what is warned of', () => {
  const day = 86_400_000
  const until = Date.parse('2026-12-31T00:00:00Z')
  const warned = async (now: number, host = '127.0.0.1'): Promise<string[]> => {
    const made = await makeTlsPair('warned', { from: until - 90 * day, until })
    return certificateWarnings(new X509Certificate(made.certificate), host, now)
  }

  test('nothing, 15 days before its end', async () => {
    expect(await warned(until - 15 * day)).toEqual([])
  })

  test('its end, 13 days before it', async () => {
    expect(await warned(until - 13 * day)).toEqual([expect.stringContaining('expires at 2026-12-31T00:00:00.000Z')])
  })

  test('its end, after it', async () => {
    expect(await warned(until + day)).toEqual([expect.stringContaining('expired at')])
  })

  test('a beginning that is still to come', async () => {
    expect(await warned(until - 91 * day)).toEqual([expect.stringContaining('not valid yet')])
  })

  test('another host than PUBLIC_URL has', async () => {
    expect(await warned(until - 30 * day, 'keys.example.com')).toEqual([expect.stringContaining('host of PUBLIC_URL')])
    expect(await warned(until - 30 * day, 'localhost')).toEqual([])
  })
})
