import { Crypto as NodeCrypto } from '@peculiar/webcrypto'
import { describe, expect, it } from 'vitest'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { readCertificateRequest, type RequestRules } from '../../src/pki/certificate-request.ts'
import { checkCertificateRequest } from '../support/certificate-request.ts'
import { toBase64 } from '../../src/pki/encoding.ts'
import { fixture } from './fixtures.ts'
import { toPem } from '../support/pem.ts'

const mailbox = parseMailboxAddress('alice@example.com')
const check = async (name: string, rules: RequestRules = {}) =>
  await checkCertificateRequest(crypto, readCertificateRequest(fixture(name)), mailbox, rules)

describe('RFC 7468 7: one certificate request as text or bytes', () => {
  const pem = fixture('csr-p256-any-subject.pem')
  const der = readCertificateRequest(pem)
  const base64 = toBase64(der)

  it.each([
    ['PEM', pem],
    ['PEM with CRLF', toPem('CERTIFICATE REQUEST', der).replaceAll('\n', '\r\n')],
    ['PEM with the older label', toPem('NEW CERTIFICATE REQUEST', der)],
    ['PEM on one line', `-----BEGIN CERTIFICATE REQUEST-----${base64}-----END CERTIFICATE REQUEST-----`],
    ['base64', base64],
    ['wrapped base64', base64.replaceAll(/.{7}/g, '$& \n')],
    ['DER', der],
  ])('%s', (_, input) => {
    expect(readCertificateRequest(input)).toEqual(der)
  })

  it.each([
    ['nothing', ''],
    ['no bytes', new Uint8Array()],
    ['another label', toPem('CERTIFICATE', der)],
    ['two labels', toPem('CERTIFICATE REQUEST', der).replace('END CERT', 'END NEW CERT')],
    ['no end', toPem('CERTIFICATE REQUEST', der).split('-----END')[0] ?? ''],
    ['another block behind it', `${toPem('CERTIFICATE REQUEST', der)}${toPem('CERTIFICATE', der)}`],
    ['base64 without its padding', base64.replace(/=*$/, '').slice(0, 9)],
    ['base64url', `_-${base64.slice(2)}`],
    ['stray bits in the last character, RFC 4648 3.5', 'MAB='],
  ])('%s is refused', (_, input) => {
    expect(() => readCertificateRequest(input)).toThrow(expect.objectContaining({ code: 'csr_malformed' }))
  })

  it('policy rule 1: 64 KiB at most', () => {
    expect(readCertificateRequest(new Uint8Array(65_536)).length).toBe(65_536)
    for (const input of [new Uint8Array(65_537), toBase64(new Uint8Array(65_537)), 'A'.repeat(10_000_000)]) {
      expect(() => readCertificateRequest(input)).toThrow(expect.objectContaining({ code: 'csr_too_large' }))
    }
  })
})

describe('RFC 2986 4: what a good request yields', () => {
  it.each([
    'csr-p256-any-subject.pem',
    'csr-p256-empty-subject.pem',
    'csr-p256-new-label.pem',
    'csr-p256-no-attributes.der',
    'csr-p256-other-extensions.pem',
    'csr-p256-sha384.pem',
    'csr-p256-sha512.pem',
    'csr-p256-text-before-pem.pem',
    'csr-same-address-everywhere.pem',
    'csr-same-address-in-microsoft-attribute.der',
    'csr-same-address-other-case-of-domain.pem',
    'csr-same-address-other-case-of-local-part.pem',
  ])('%s', async (name) => {
    const request = await check(name)
    expect(request.key).toEqual({ algorithm: 'EC', curve: 'P-256' })
    expect(request.spki.length).toBe(91)
    expect(request.spkiSha256).toMatch(/^[0-9a-f]{64}$/)
  })

  it.each([2048, 2056, 3072, 4096, 8192])('csr-rsa%i.pem', async (bits) => {
    expect((await check(`csr-rsa${bits}.pem`)).key).toEqual({ algorithm: 'RSA', bits })
  })

  it.each([
    ['csr-p384.pem', 'P-384'],
    ['csr-p521.pem', 'P-521'],
    ['csr-brainpoolP256r1.pem', 'brainpoolP256r1'],
    ['csr-brainpoolP384r1.pem', 'brainpoolP384r1'],
    ['csr-brainpoolP512r1.pem', 'brainpoolP512r1'],
  ])('%s', async (name, curve) => {
    const rules = { profile: 'private', brainpool: new NodeCrypto() } as const
    expect((await check(name, rules)).key).toEqual({ algorithm: 'EC', curve })
  })

  it('csr-ed25519.pem', async () => {
    expect((await check('csr-ed25519.pem', { use: 'sign' })).key).toEqual({ algorithm: 'Ed25519' })
  })

  it('the same key has the same fingerprint in every request', async () => {
    const [one, other] = [await check('csr-p256-any-subject.pem'), await check('csr-p256-sha384.pem')]
    expect(one.spkiSha256).toBe(other.spkiSha256)
    expect(one.der).not.toEqual(other.der)
  })
})

describe('Policy rule 1: one DER PKCS#10', () => {
  it('no cut and no changed byte of a good request passes or escapes as another error', async () => {
    const der = readCertificateRequest(fixture('csr-p256-any-subject.pem'))
    const damaged = [...der.keys()].flatMap((index) => {
      const copy = Uint8Array.from(der)
      copy[index] = (copy[index] ?? 0) ^ 0x41
      return [copy, der.subarray(0, index)]
    })
    for (const bytes of damaged) {
      await expect(checkCertificateRequest(crypto, bytes, mailbox)).rejects.toMatchObject({ name: 'DomainError' })
    }
  })
})

describe('Policy rules 3 and 5: a key that the runtime cannot read is not called badly signed', () => {
  it('an RSA exponent that Workers do not know', async () => {
    const der = readCertificateRequest(fixture('csr-rsa-largest-exponent.pem'))
    const refusing = new Proxy(crypto.subtle, {
      get: (subtle, name) =>
        name === 'importKey'
          ? () => Promise.reject(new Error('publicExponent must be 3 or 65537'))
          : (Reflect.get(subtle, name) as () => unknown).bind(subtle),
    })
    const worker = { subtle: refusing } as unknown as Crypto
    await expect(checkCertificateRequest(worker, der, mailbox)).rejects.toMatchObject({
      code: 'key_not_on_this_runtime',
    })
  })
})

describe('Policy rule 8: no address but the mailbox', () => {
  it('the refusal names no address', async () => {
    await expect(check('csr-other-address-in-san.pem')).rejects.not.toMatchObject({
      detail: expect.stringContaining('@'),
    })
  })
})
