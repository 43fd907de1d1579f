import { describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { checkCertificateRequest, readCertificateRequest } from '../../src/pki/certificate-request.ts'
import { toBase64, toPem } from '../../src/pki/encoding.ts'
import { fixture } from './fixtures.ts'

const mailbox = parseMailboxAddress('alice@example.com')
const check = async (name: string) =>
  await checkCertificateRequest(crypto, readCertificateRequest(fixture(name)), mailbox)

function refuses(cases: readonly (readonly [name: string, code: ErrorCode])[]): void {
  it.each(cases)('%s is refused as %s', async (name, code) => {
    await expect(check(name)).rejects.toMatchObject({ name: 'DomainError', code })
  })
}

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

  it.each([
    ['csr-rsa2048.pem', 2048],
    ['csr-rsa4096.pem', 4096],
  ])('%s', async (name, bits) => {
    expect((await check(name)).key).toEqual({ algorithm: 'RSA', bits })
  })

  it('the same key has the same fingerprint in every request', async () => {
    const [one, other] = [await check('csr-p256-any-subject.pem'), await check('csr-p256-sha384.pem')]
    expect(one.spkiSha256).toBe(other.spkiSha256)
    expect(one.der).not.toEqual(other.der)
  })
})

describe('Policy rule 1: one DER PKCS#10', () => {
  refuses([
    ['csr-trailing-bytes.der', 'csr_trailing_bytes'],
    ['csr-truncated.der', 'csr_malformed'],
    ['csr-indefinite-length.der', 'csr_malformed'],
    ['csr-length-not-minimal.der', 'csr_malformed'],
    ['csr-version-1.der', 'csr_malformed'],
    ['csr-one-field-too-many.der', 'csr_malformed'],
    ['csr-two-in-one-file.pem', 'csr_malformed'],
    ['csr-no-base64.pem', 'csr_malformed'],
    ['csr-duplicate-extension.der', 'csr_duplicate_extension'],
    ['csr-duplicate-extension-over-two-attributes.der', 'csr_duplicate_extension'],
  ])

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

describe('Policy rule 2, RFC 2986 3: proof of possession', () => {
  refuses([
    ['csr-sha1.pem', 'csr_signature_algorithm_refused'],
    ['csr-rsa-sha1.pem', 'csr_signature_algorithm_refused'],
    ['csr-rsa-md5.pem', 'csr_signature_algorithm_refused'],
    ['csr-rsa-pss-signature.pem', 'csr_signature_algorithm_refused'],
    ['csr-p256-signature-broken.pem', 'csr_signature_invalid'],
    ['csr-p256-signed-by-another-key.pem', 'csr_signature_invalid'],
    ['csr-rsa-key-with-ecdsa-signature.pem', 'csr_signature_invalid'],
  ])
})

describe('Policy rules 2 to 6: keys, checked before the signature', () => {
  refuses([
    ['csr-rsa1024-too-small.pem', 'rsa_modulus_size_refused'],
    ['csr-rsa2052-not-whole-octets.pem', 'rsa_modulus_size_refused'],
    ['csr-rsa4104-too-large.pem', 'rsa_modulus_size_refused'],
    ['csr-rsa-even-modulus.der', 'rsa_modulus_even'],
    ['csr-rsa-e3.pem', 'rsa_exponent_unsupported'],
    ['csr-rsa-exponent-above-32-bits.pem', 'rsa_exponent_unsupported'],
    ['csr-rsa-parameters-absent.der', 'key_algorithm_unsupported'],
    ['csr-rsa-pss-key.pem', 'key_algorithm_unsupported'],
    ['csr-p384-unsupported-yet.pem', 'key_algorithm_unsupported'],
    ['csr-ed25519-unsupported-yet.pem', 'key_algorithm_unsupported'],
    ['csr-explicit-curve-parameters.pem', 'key_algorithm_unsupported'],
    ['csr-compressed-point.pem', 'ec_point_invalid'],
    ['csr-point-off-curve.der', 'ec_point_invalid'],
    ['csr-point-at-infinity.der', 'ec_point_invalid'],
    ['csr-key-with-unused-bits.der', 'key_malformed'],
  ])
})

describe('Policy rule 8: no address but the mailbox', () => {
  refuses([
    ['csr-other-address-in-san.pem', 'csr_address_mismatch'],
    ['csr-second-address-in-san.pem', 'csr_address_mismatch'],
    ['csr-other-address-in-subject.pem', 'csr_address_mismatch'],
    ['csr-other-address-in-common-name.pem', 'csr_address_mismatch'],
    ['csr-other-address-in-bmp-common-name.der', 'csr_address_mismatch'],
    ['csr-other-address-in-directory-name.der', 'csr_address_mismatch'],
    ['csr-other-address-in-microsoft-attribute.der', 'csr_address_mismatch'],
    ['csr-smtputf8-mailbox-in-san.pem', 'csr_address_mismatch'],
  ])

  it('the refusal names no address', async () => {
    await expect(check('csr-other-address-in-san.pem')).rejects.not.toMatchObject({
      detail: expect.stringContaining('@'),
    })
  })
})
