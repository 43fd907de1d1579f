/** Certificates as a CA would return them, for the key of csr-p256-any-subject.pem and those that the names say. */
import { writeFileSync } from 'node:fs'
import { concatBytes, toHex } from '../src/pki/encoding.ts'
import { derOf, flipped, inWork, mailbox, makeKey, openssl, out, sequence, smtpUtf8Mailbox } from './workshop.ts'
import { toPem } from '../test/support/pem.ts'

interface Signed {
  readonly key?: string
  readonly subject?: string
  readonly by?: string
  readonly extensions: readonly string[]
  readonly flags?: readonly string[]
}

function certificate(
  file: string,
  { key = 'p256', subject = `/CN=${mailbox}`, by = 'ca-issuing', extensions, flags = [] }: Signed,
) {
  const extensionFile = inWork('extensions.cnf')
  writeFileSync(extensionFile, ['subjectKeyIdentifier=hash', ...extensions, ''].join('\n'))
  openssl('pkey', '-in', inWork(`${key}.key`), '-pubout', '-out', inWork('subject.pub'))
  const signer =
    by === file
      ? ['-key', inWork(`${by}.key`)]
      : ['-CA', out(`${by}.pem`), '-CAkey', inWork(`${by}.key`), '-force_pubkey', inWork('subject.pub')]
  const start = ['x509', '-new', '-subj', subject, '-days', '36500', '-sha256', '-extfile', extensionFile]
  openssl(...start, ...signer, ...flags, '-out', out(`${file}.pem`))
}

function authority(file: string, by: string, extensions: readonly string[]) {
  makeKey(file, 'EC', 'ec_paramgen_curve:P-256')
  certificate(file, { key: file, subject: `/O=Example/CN=${file}`, by, extensions })
}

export function makeCertificates(): void {
  const caUsage = 'keyUsage=critical,keyCertSign,cRLSign'
  const caBelowRoot = ['basicConstraints=critical,CA:TRUE,pathlen:0', caUsage, 'authorityKeyIdentifier=keyid']
  authority('ca-root', 'ca-root', ['basicConstraints=critical,CA:TRUE', caUsage])
  authority('ca-root-nobody-trusts', 'ca-root-nobody-trusts', ['basicConstraints=critical,CA:TRUE', caUsage])
  authority('ca-issuing', 'ca-root', [...caBelowRoot, 'extendedKeyUsage=emailProtection'])
  authority('ca-issuing-not-a-ca', 'ca-root', ['basicConstraints=critical,CA:FALSE', caUsage])
  authority('ca-issuing-without-key-cert-sign', 'ca-root', [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,cRLSign',
  ])
  authority('ca-issuing-for-servers-only', 'ca-root', [...caBelowRoot, 'extendedKeyUsage=serverAuth'])
  authority('ca-issuing-with-name-constraints', 'ca-root', [
    ...caBelowRoot,
    'nameConstraints=critical,permitted;email:example.net',
  ])
  authority('ca-issuing-below-path-length', 'ca-issuing', [...caBelowRoot])

  const san = `subjectAltName=email:${mailbox}`
  const purpose = 'extendedKeyUsage=emailProtection'
  const usage = 'keyUsage=critical,digitalSignature,keyAgreement'
  const akid = 'authorityKeyIdentifier=keyid'
  const profile = ['basicConstraints=CA:FALSE', akid]

  certificate('cert-p256-dual', { extensions: [...profile, usage, purpose, san] })
  certificate('cert-p256-sign', {
    extensions: [...profile, 'keyUsage=critical,digitalSignature,nonRepudiation', purpose, san],
  })
  certificate('cert-p256-encrypt', { extensions: [...profile, 'keyUsage=critical,keyAgreement', purpose, san] })
  certificate('cert-rsa2048-dual', {
    key: 'rsa2048',
    extensions: [...profile, 'keyUsage=critical,digitalSignature,keyEncipherment', purpose, san],
  })
  certificate('cert-empty-subject', {
    subject: '/',
    extensions: [...profile, usage, purpose, san.replace('=', '=critical,')],
  })
  certificate('cert-email-address-in-subject', {
    subject: `/emailAddress=${mailbox}`,
    extensions: [...profile, usage, purpose, san],
  })

  certificate('cert-key-of-another', { key: 'p256-other', extensions: [...profile, usage, purpose, san] })
  certificate('cert-mailbox-of-another', {
    extensions: [...profile, usage, purpose, 'subjectAltName=email:bob@example.com'],
  })
  certificate('cert-mailbox-in-other-case', {
    extensions: [...profile, usage, purpose, 'subjectAltName=email:alice@EXAMPLE.com'],
  })
  certificate('cert-no-alternative-name', { extensions: [...profile, usage, purpose] })
  certificate('cert-second-mailbox', { extensions: [...profile, usage, purpose, `${san},email:bob@example.com`] })
  certificate('cert-dns-name-beside-mailbox', {
    extensions: [...profile, usage, purpose, `${san},DNS:www.example.com`],
  })
  certificate('cert-smtputf8-mailbox-ascii', {
    extensions: [...profile, usage, purpose, `${san},otherName:1.3.6.1.5.5.7.8.9;UTF8:${mailbox}`],
  })
  certificate('cert-subject-with-a-name', {
    subject: `/O=Example/CN=${mailbox}`,
    extensions: [...profile, usage, purpose, san],
  })
  certificate('cert-subject-of-another', {
    subject: '/CN=bob@example.com',
    extensions: [...profile, usage, purpose, san],
  })
  certificate('cert-no-extended-key-usage', { extensions: [...profile, usage, san] })
  certificate('cert-client-auth-beside-mail', { extensions: [...profile, usage, `${purpose},clientAuth`, san] })
  certificate('cert-no-key-usage', { extensions: [...profile, purpose, san] })
  certificate('cert-key-usage-of-a-ca', { extensions: [...profile, `${usage},keyCertSign`, purpose, san] })
  certificate('cert-is-a-ca', { extensions: ['basicConstraints=CA:TRUE', akid, usage, purpose, san] })
  certificate('cert-unknown-critical-extension', {
    extensions: [...profile, usage, purpose, san, '1.2.3.4=critical,ASN1:NULL'],
  })
  certificate('cert-serial-number-zero', { extensions: [...profile, usage, purpose, san], flags: ['-set_serial', '0'] })
  certificate('cert-signed-with-sha1', { extensions: [...profile, usage, purpose, san], flags: ['-sha1'] })
  certificate('cert-of-a-ca-nobody-trusts', {
    by: 'ca-root-nobody-trusts',
    extensions: [...profile, usage, purpose, san],
  })
  certificate('cert-of-the-root-itself', { by: 'ca-root', extensions: [...profile, usage, purpose, san] })
  for (const by of [
    'not-a-ca',
    'without-key-cert-sign',
    'for-servers-only',
    'with-name-constraints',
    'below-path-length',
  ]) {
    certificate(`cert-by-ca-issuing-${by}`, { by: `ca-issuing-${by}`, extensions: [...profile, usage, purpose, san] })
  }

  // Rules 5 and 6: keys of every kind. Their key usage is that of RFC 5480 section 3 and RFC 8410 section 5.
  for (const curve of ['p384', 'p521', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1']) {
    certificate(`cert-${curve}-dual`, { key: curve, extensions: [...profile, usage, purpose, san] })
  }
  certificate('cert-ed25519-sign', {
    key: 'ed25519',
    extensions: [...profile, 'keyUsage=critical,digitalSignature', purpose, san],
  })
  certificate('cert-x25519-encrypt', {
    key: 'x25519',
    extensions: [...profile, 'keyUsage=critical,keyAgreement', purpose, san],
  })
  certificate('cert-ed25519-key-agreement', { key: 'ed25519', extensions: [...profile, usage, purpose, san] })

  // Rule 10: a mailbox beyond ASCII.
  // Given in DER, since OpenSSL's configuration reads text as Latin-1.
  const smtpUtf8 = (address: string) => `subjectAltName=critical,DER:${toHex(sequence(smtpUtf8Mailbox(address)))}`
  certificate('cert-smtputf8-mailbox', {
    subject: '/',
    extensions: [...profile, usage, purpose, smtpUtf8('j\u00fcrgen@example.com')],
  })
  certificate('cert-smtputf8-mailbox-not-nfc', {
    subject: '/',
    extensions: [...profile, usage, purpose, smtpUtf8('ju\u0308rgen@example.com')],
  })

  const issued = derOf('cert-p256-dual.pem')
  writeFileSync(out('cert-signature-broken.pem'), toPem('CERTIFICATE', flipped(issued, 1)))
  writeFileSync(out('cert-trailing-byte.der'), concatBytes(issued, Uint8Array.of(0)))
}
