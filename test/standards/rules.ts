import type { ErrorCode } from '../../src/errors.ts'
import type { IssuedFault } from '../../src/pki/verify-issued.ts'
import type { RequestRules } from '../../src/pki/certificate-request.ts'

/** What a request is checked for beside its bytes; `alice@example.com`, `sbr-strict` and `dual` unless said. */
export interface Asked extends Pick<RequestRules, 'use' | 'profile' | 'otherContents'> {
  readonly mailbox?: string
  /** Where the runtime has nothing that verifies on brainpool curves; it has in all other cases. */
  readonly withoutBrainpool?: boolean
}

/** One rule of the key-and-certificate policy, as one thing that passes and one that is refused for that reason only. */
export interface Rule {
  /** Its number in the policy. */
  readonly rule: string
  readonly clause: string
  readonly code: ErrorCode
  /** A certificate request or a key alone, as a file of `certs-fixtures/`; or the text of an address. */
  readonly of: 'request' | 'key' | 'address'
  readonly passes: string
  readonly fails: string
  readonly asked?: Asked
  /** For what passes, where it is asked for otherwise than what fails. */
  readonly askedToPass?: Asked
}

type Case = readonly [passes: string, fails: string, asked?: Asked, askedToPass?: Asked]

function rules(of: Rule['of'], rule: string, clause: string, code: ErrorCode, cases: readonly Case[]): readonly Rule[] {
  return cases.map(([passes, fails, asked, askedToPass]) => ({
    rule,
    clause,
    code,
    of,
    passes,
    fails,
    ...(asked === undefined ? {} : { asked }),
    ...(askedToPass === undefined ? {} : { askedToPass }),
  }))
}

const good = 'csr-p256-any-subject.pem'
const privateDual = { profile: 'private' } as const
const privateEncrypt = { profile: 'private', use: 'encrypt' } as const
const sign = { use: 'sign' } as const
const juergen = { mailbox: 'j\u00fcrgen@example.com' } as const
const kate = { mailbox: 'kate@example.com' } as const
const asSigned = { otherContents: 'refused' } as const

const requestRules = [
  rules('request', '1', 'RFC 2986 4', 'csr_trailing_bytes', [[good, 'csr-trailing-bytes.der']]),
  rules('request', '1', 'RFC 2986 4', 'csr_malformed', [
    [good, 'csr-truncated.der'],
    [good, 'csr-version-1.der'],
    [good, 'csr-one-field-too-many.der'],
  ]),
  rules('request', '1', 'X.690 10.1', 'csr_malformed', [
    [good, 'csr-indefinite-length.der'],
    [good, 'csr-length-not-minimal.der'],
  ]),
  rules('request', '1', 'RFC 7468 2', 'csr_malformed', [
    ['csr-p256-text-before-pem.pem', 'csr-two-in-one-file.pem'],
    ['csr-p256-new-label.pem', 'csr-no-base64.pem'],
  ]),
  rules('request', '1', 'RFC 5280 4.2', 'csr_duplicate_extension', [
    ['csr-p256-other-extensions.pem', 'csr-duplicate-extension.der'],
    ['csr-p256-no-attributes.der', 'csr-duplicate-extension-over-two-attributes.der'],
  ]),
  rules('request', '1', 'at most 64 KiB', 'csr_too_large', [['csr-nearly-64-kib.der', 'csr-over-64-kib.der']]),
]

const signatureRules = [
  rules('request', '2', 'SBR 7.1.3.2', 'csr_signature_algorithm_refused', [
    ['csr-p256-sha384.pem', 'csr-sha1.pem'],
    ['csr-rsa-sha384.pem', 'csr-rsa-sha1.pem'],
    ['csr-rsa-sha512.pem', 'csr-rsa-md5.pem'],
    [good, 'csr-dsa-signature.der'],
  ]),
  rules('request', '2', 'SBR 7.1.3.2, RFC 4055 3.1', 'csr_signature_algorithm_refused', [
    ['csr-rsa-pss-sha256.pem', 'csr-rsa-pss-sha1.pem'],
    ['csr-rsa-pss-sha384.pem', 'csr-rsa-pss-mask-of-another-hash.der'],
    ['csr-rsa-pss-sha512.pem', 'csr-rsa-pss-mask-of-sha1.der'],
    ['csr-rsa-pss-sha256.pem', 'csr-rsa-pss-mask-not-mgf1.der'],
    ['csr-rsa-pss-sha256.pem', 'csr-rsa-pss-salt-20.der'],
    ['csr-rsa-pss-sha256.pem', 'csr-rsa-pss-salt-0.der'],
    ['csr-rsa-pss-trailer-written.der', 'csr-rsa-pss-trailer-2.der'],
    ['csr-rsa-pss-hash-parameters-null.der', 'csr-rsa-pss-parameters-empty.der'],
    ['csr-rsa-pss-hash-parameters-absent.der', 'csr-rsa-pss-parameters-absent.der'],
  ]),
  rules('request', '2', 'RFC 8410 3', 'csr_signature_algorithm_refused', [
    ['csr-ed25519.pem', 'csr-ed25519-signature-parameters-null.der', sign],
  ]),
  rules('request', '2', 'RFC 2986 3', 'csr_signature_invalid', [
    [good, 'csr-p256-signature-broken.pem'],
    [good, 'csr-p256-signed-by-another-key.pem'],
    ['csr-p256-sha512.pem', 'csr-p256-signature-zero.der'],
    [good, 'csr-p256-key-with-pss-signature.der'],
    ['csr-rsa2048.pem', 'csr-rsa-key-with-ecdsa-signature.pem'],
    ['csr-rsa-pss-hash-parameters-absent.der', 'csr-rsa-pss-signature-broken.der'],
    ['csr-rsa-pss-sha256.pem', 'csr-rsa-pss-salt-not-as-written.der'],
    ['csr-ed25519.pem', 'csr-ed25519-signature-broken.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-signature-short.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-key-with-ecdsa-signature.der', sign],
  ]),
  rules('request', '2', 'RFC 8410 5', 'csr_key_cannot_sign', [
    ['csr-p256-sha384.pem', 'csr-x25519-signed-by-ed25519.der', privateEncrypt],
  ]),
  rules('request', '2', 'SBR 7.1.3.1', 'key_algorithm_unsupported', [
    ['csr-rsa2048.pem', 'csr-rsa-parameters-absent.der'],
    ['csr-rsa2048.pem', 'csr-rsa-pss-key.pem'],
    [good, 'csr-dsa-key.pem'],
    ['csr-ed25519.pem', 'csr-ed448.pem', sign],
    ['csr-ed25519.pem', 'csr-ed25519-parameters-null.der', sign],
  ]),
]

const rsaRules = [
  rules('request', '3', 'SBR 6.1.5', 'rsa_modulus_size_refused', [
    ['csr-rsa2048.pem', 'csr-rsa1024-too-small.pem'],
    ['csr-rsa2048.pem', 'csr-rsa2047-not-whole-octets.pem'],
    ['csr-rsa2056.pem', 'csr-rsa2052-not-whole-octets.pem'],
    ['csr-rsa8192.pem', 'csr-rsa8200-too-large.pem'],
    ['csr-rsa4096.pem', 'csr-rsa16384-too-large.der'],
  ]),
  rules('request', '3', 'SBR 6.1.6', 'rsa_exponent_unsupported', [
    ['csr-rsa2048.pem', 'csr-rsa-e1.der'],
    ['csr-rsa2048.pem', 'csr-rsa-e3.pem'],
    ['csr-rsa2048.pem', 'csr-rsa-e65535.der'],
    ['csr-rsa3072.pem', 'csr-rsa-even-exponent.der'],
    ['csr-rsa-largest-exponent.pem', 'csr-rsa-exponent-above-32-bits.pem'],
  ]),
  rules('request', '3', 'RFC 8017 A.1.1', 'key_malformed', [['csr-rsa2048.pem', 'csr-rsa-negative-modulus.der']]),
  rules('request', '4', 'SBR 6.1.6', 'rsa_modulus_even', [['csr-rsa2048.pem', 'csr-rsa-even-modulus.der']]),
  rules('request', '4', 'SBR 6.1.6, SP 800-89 5.3.3', 'rsa_small_factor', [
    ['csr-rsa2048.pem', 'csr-rsa-small-factor-3.der'],
    ['csr-rsa-factor-757.der', 'csr-rsa-small-factor-751.der'],
  ]),
  rules('request', '4', 'SBR 6.1.6, SP 800-89 5.3.3', 'rsa_prime_power', [
    ['csr-rsa2048.pem', 'csr-rsa-prime-squared.der'],
    ['csr-rsa2048.pem', 'csr-rsa-prime-cubed.der'],
    ['csr-rsa2048.pem', 'csr-rsa-prime-to-the-fifth.der'],
    ['csr-rsa8192.pem', 'csr-rsa8192-power-of-757.der'],
  ]),
  rules('request', '4', 'SBR 6.1.1.3, CVE-2017-15361', 'rsa_roca', [['csr-rsa2048.pem', 'csr-rsa-roca.der']]),
  rules('request', '4', 'SBR 6.1.1.3, CVE-2022-26320', 'rsa_close_primes', [
    ['csr-rsa2048.pem', 'csr-rsa-close-primes.der'],
    ['csr-rsa-close-primes-round-101.der', 'csr-rsa-close-primes-round-100.der'],
  ]),
]

const curveRules = [
  rules('request', '5', 'SP 800-56A 5.6.2.3.3', 'ec_point_invalid', [
    [good, 'csr-p256-point-off-curve.der'],
    ['csr-p384.pem', 'csr-p384-point-off-curve.der'],
    ['csr-p521.pem', 'csr-p521-point-off-curve.der'],
    ['csr-brainpoolP256r1.pem', 'csr-brainpoolP256r1-point-off-curve.der', privateDual],
    ['csr-brainpoolP384r1.pem', 'csr-brainpoolP384r1-point-off-curve.der', privateDual],
    ['csr-brainpoolP512r1.pem', 'csr-brainpoolP512r1-point-off-curve.der', privateDual],
    [good, 'csr-point-at-infinity.der'],
    [good, 'csr-point-of-zeros.der'],
    [good, 'csr-point-hybrid.der'],
    [good, 'csr-point-short.der'],
    [good, 'csr-point-empty.der'],
    ['csr-p521-sha256.pem', 'csr-p521-coordinate-above-prime.der'],
  ]),
  rules('request', '5', 'RFC 5480 2.2', 'ec_point_compressed', [[good, 'csr-compressed-point.pem']]),
  rules('request', '5', 'RFC 5280 4.1.2.7', 'key_malformed', [[good, 'csr-key-with-unused-bits.der']]),
  rules('request', '5', 'RFC 5480 2.1.1', 'key_algorithm_unsupported', [
    [good, 'csr-explicit-curve-parameters.pem'],
    [good, 'csr-curve-absent.der'],
    [good, 'csr-curve-null.der'],
  ]),
  rules('request', '5', 'SBR 6.1.5', 'key_algorithm_unsupported', [
    ['csr-p384-sha256.pem', 'csr-secp256k1.pem', privateDual],
    ['csr-p384-sha256.pem', 'csr-p-224.pem', privateDual],
    ['csr-brainpoolP256r1.pem', 'csr-brainpoolp256t1.pem', privateDual],
    ['csr-brainpoolP512r1-sha256.pem', 'csr-brainpoolp320r1.pem', privateDual],
  ]),
  rules('request', '5', 'SBR 6.1.5', 'key_not_in_profile', [
    ['csr-brainpoolP256r1.pem', 'csr-brainpoolP256r1.pem', { profile: 'sbr-strict' }, privateDual],
    ['csr-brainpoolP384r1.pem', 'csr-brainpoolP384r1.pem', { profile: 'sbr-strict' }, privateDual],
    ['csr-brainpoolP512r1.pem', 'csr-brainpoolP512r1.pem', { profile: 'sbr-strict' }, privateDual],
  ]),
  rules('request', '5', 'BSI TR-03116-4', 'key_not_on_this_runtime', [
    ['csr-brainpoolP256r1.pem', 'csr-brainpoolP256r1.pem', { profile: 'private', withoutBrainpool: true }, privateDual],
  ]),
  rules('request', '6', 'RFC 8032 5.1.3', 'ed25519_point_invalid', [
    ['csr-ed25519.pem', 'csr-ed25519-not-a-point.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-not-reduced.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-order-one.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-order-one-negative-zero.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-order-two.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-order-four.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-order-eight.der', sign],
    ['csr-ed25519.pem', 'csr-ed25519-short.der', sign],
  ]),
  rules('request', '6', 'RFC 8410 5', 'key_use_unfit', [
    ['csr-ed25519.pem', 'csr-ed25519.pem', { use: 'encrypt' }, sign],
    ['csr-ed25519.pem', 'csr-ed25519.pem', { use: 'dual' }, sign],
  ]),
  rules('key', '6', 'RFC 8410 5', 'key_use_unfit', [
    ['spki-x25519.der', 'spki-x25519.der', { profile: 'private', use: 'sign' }, privateEncrypt],
    ['spki-x25519.der', 'spki-x25519.der', { profile: 'private', use: 'dual' }, privateEncrypt],
  ]),
  rules('key', '6', 'SBR 6.1.5', 'key_not_in_profile', [
    ['spki-x25519.der', 'spki-x25519.der', { use: 'encrypt' }, privateEncrypt],
  ]),
  rules(
    'key',
    '6',
    'RFC 7748 6.1',
    'x25519_point_invalid',
    ['zero', 'one', 'minus-one', 'order-eight', 'order-eight-other', 'not-reduced', 'top-bit-set', 'short'].map(
      (what) => ['spki-x25519.der', `spki-x25519-${what}.der`, privateEncrypt] as const,
    ),
  ),
  rules('key', '6', 'RFC 8410 3', 'key_algorithm_unsupported', [
    ['spki-x25519.der', 'spki-x25519-parameters-null.der', privateEncrypt],
  ]),
]

const nameRules = [
  rules('request', '8', 'SBR 7.1.4.2.1', 'csr_address_mismatch', [
    ['csr-same-address-everywhere.pem', 'csr-other-address-in-san.pem'],
    ['csr-same-address-other-case-of-domain.pem', 'csr-second-address-in-san.pem'],
    ['csr-same-address-in-microsoft-attribute.der', 'csr-other-address-in-microsoft-attribute.der'],
    ['csr-same-address-other-case-of-local-part.pem', 'csr-other-address-in-directory-name.der'],
  ]),
  rules('request', '8', 'RFC 8550 3', 'csr_address_mismatch', [
    ['csr-p256-empty-subject.pem', 'csr-other-address-in-subject.pem'],
    [good, 'csr-other-address-in-common-name.pem'],
    [good, 'csr-other-address-in-bmp-common-name.der'],
  ]),
  rules('request', '8', 'the CA takes the request as signed', 'csr_content_refused', [
    ['csr-p256-empty-subject.pem', good, asSigned],
    ['csr-only-the-mailbox.pem', 'csr-dns-name-beside-mailbox.pem', asSigned],
    ['csr-p256-no-attributes.der', 'csr-challenge-password.der', asSigned],
    ['csr-same-address-everywhere.pem', 'csr-same-address-other-case-of-domain.pem', asSigned],
  ]),
  rules('request', '10', 'RFC 9598 3', 'csr_smtputf8_mailbox_ascii', [
    ['csr-smtputf8-mailbox.der', 'csr-smtputf8-mailbox-ascii.der', {}, juergen],
  ]),
  rules('request', '11', 'RFC 9598 5', 'csr_address_mismatch', [
    ['csr-smtputf8-mailbox.der', 'csr-smtputf8-mailbox-not-nfc.der', juergen],
    ['csr-smtputf8-mailbox.der', 'csr-smtputf8-mailbox-in-capitals.der', juergen],
    ['csr-rfc822-name-of-kate.der', 'csr-smtputf8-mailbox-kelvin-sign.der', kate],
  ]),
]

const addressRules = [
  rules('address', '11', 'RFC 6532 3.1', 'address_local_part_not_nfc', [
    ['j\u00fcrgen@example.com', 'ju\u0308rgen@example.com'],
    ['kate@example.com', '\u212aate@example.com'],
    ['\u00c5se@example.com', '\u212bse@example.com'],
  ]),
  rules('address', '11', 'RFC 6531 3.3', 'address_malformed', [
    ['\u7528\u6237@example.com', '\u7528\u3000\u6237@example.com'],
    ['j\u00fcrgen.m@example.com', '\u0301a@example.com'],
    ['\u0646\u0627\u0645\u0647\u200c\u0627\u06cc@example.com', 'j\u00fcr\u200bgen@example.com'],
    ['\u05d3\u05d5\u05d0\u05e8@example.com', '\u202e\u05d3\u05d5\u05d0\u05e8@example.com'],
    ['j\u00fcrgen@example.com', 'j\u00fcrgen\ud800@example.com'],
  ]),
  rules('address', '11', 'RFC 5321 4.1.2', 'address_malformed', [['a.b@example.com', 'a..b@example.com']]),
  rules('address', '11', 'RFC 5321 4.1.2', 'address_quoted_local_part', [
    ['alice@example.com', '"alice"@example.com'],
    ['j\u00fcrgen@example.com', '"j\u00fcrgen"@example.com'],
  ]),
  rules('address', '11', 'RFC 5322 3.2.2', 'address_comment', [['alice@example.com', 'alice(work)@example.com']]),
  rules('address', '11', 'RFC 5321 4.1.3', 'address_literal', [['alice@example.com', 'alice@[192.0.2.1]']]),
  rules('address', '11', 'RFC 5321 4.5.3.1', 'address_too_long', [
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(65)}@example.com`],
    [`${'\u00fc'.repeat(32)}@example.com`, `${'\u00fc'.repeat(33)}@example.com`],
  ]),
  rules('address', '10', 'RFC 5891 5', 'address_domain_invalid', [
    ['alice@b\u00fccher.example', 'alice@ab--c.example'],
  ]),
]

/** The rules with their fixtures on both sides; each is a test, and a line of the documents. */
export const policyRules: readonly Rule[] = [
  requestRules,
  signatureRules,
  rsaRules,
  curveRules,
  nameRules,
  addressRules,
].flat(2)

/** Rule 15: certificates that a CA might return for `alice@example.com` and use `dual`, and why they are not kept. */
export const refusedCertificates: readonly (readonly [certificate: string, reason: IssuedFault])[] = [
  ['cert-trailing-byte.der', 'malformed'],
  ['csr-p256-any-subject.pem', 'malformed'],
  ['cert-serial-number-zero.pem', 'serial_number_unfit'],
  ['cert-key-of-another.pem', 'spki_differs'],
  ['cert-mailbox-of-another.pem', 'mailbox_differs'],
  ['cert-mailbox-in-other-case.pem', 'mailbox_differs'],
  ['cert-no-alternative-name.pem', 'mailbox_differs'],
  ['cert-second-mailbox.pem', 'second_mailbox'],
  ['cert-dns-name-beside-mailbox.pem', 'foreign_san_type'],
  ['cert-smtputf8-mailbox.pem', 'foreign_san_type'],
  ['cert-smtputf8-mailbox-ascii.pem', 'foreign_san_type'],
  ['cert-subject-with-a-name.pem', 'subject_foreign'],
  ['cert-subject-of-another.pem', 'subject_foreign'],
  ['cert-no-extended-key-usage.pem', 'eku_unprofiled'],
  ['cert-no-key-usage.pem', 'key_usage_unfit'],
  ['cert-key-usage-of-a-ca.pem', 'key_usage_unfit'],
  ['cert-p256-sign.pem', 'key_usage_unfit'],
  ['cert-p256-encrypt.pem', 'key_usage_unfit'],
  ['cert-is-a-ca.pem', 'is_ca'],
  ['cert-unknown-critical-extension.pem', 'unknown_critical_extension'],
  ['cert-signature-broken.pem', 'signature_invalid'],
  ['cert-signed-with-sha1.pem', 'signature_invalid'],
  ['cert-of-a-ca-nobody-trusts.pem', 'signature_invalid'],
  ['cert-of-the-root-itself.pem', 'signature_invalid'],
]
