/**
 * Makes every file of this folder anew: `node certs-fixtures/make.ts`. Needs the `openssl` program (3.0 or newer).
 * What is right comes from OpenSSL, so that it is not judged by the code that wrote it; what OpenSSL refuses to write
 * is put together here. Private keys live in a temporary folder and are gone when the script ends.
 */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from '../src/pki/der.ts'
import { concatBytes, fromBase64, toPem } from '../src/pki/encoding.ts'

const here = import.meta.dirname
const work = mkdtempSync(join(tmpdir(), 'certs-fixtures-'))
const inWork = (name: string) => join(work, name)
const out = (name: string) => join(here, name)
const openssl = (...parameters: string[]) => execFileSync('openssl', parameters, { stdio: ['ignore', 'pipe', 'pipe'] })

const mailbox = 'alice@example.com'
const requestLabel = 'CERTIFICATE REQUEST'
const ascii = (text: string) => new TextEncoder().encode(text)
const sequence = (...contents: Uint8Array[]) => encodeElement(tag.sequence, ...contents)

function derOf(name: string): Uint8Array {
  const body = readFileSync(out(name), 'utf8').replaceAll(/-----[^-]+-----|\s/g, '')
  const der = fromBase64(body)
  if (der === null) throw new Error(`${name} is not PEM`)
  return der
}

function writeDer(name: string, der: Uint8Array): void {
  writeFileSync(out(name), name.endsWith('.pem') ? toPem(requestLabel, der) : der)
}

// Keys

function makeKey(name: string, algorithm: string, ...options: string[]): void {
  const flags = options.flatMap((option) => ['-pkeyopt', option])
  openssl('genpkey', '-algorithm', algorithm, ...flags, '-out', inWork(`${name}.key`))
}

makeKey('p256', 'EC', 'ec_paramgen_curve:P-256')
makeKey('p256-other', 'EC', 'ec_paramgen_curve:P-256')
makeKey('p256-explicit', 'EC', 'ec_paramgen_curve:P-256', 'ec_param_enc:explicit')
makeKey('p384', 'EC', 'ec_paramgen_curve:P-384')
makeKey('ed25519', 'ED25519')
makeKey('rsa1024', 'RSA', 'rsa_keygen_bits:1024')
makeKey('rsa2048', 'RSA', 'rsa_keygen_bits:2048')
makeKey('rsa2052', 'RSA', 'rsa_keygen_bits:2052')
makeKey('rsa4096', 'RSA', 'rsa_keygen_bits:4096')
makeKey('rsa4104', 'RSA', 'rsa_keygen_bits:4104')
makeKey('rsa-e3', 'RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:3')
makeKey('rsa-e33', 'RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:4294967297')
makeKey('rsa-pss', 'RSA-PSS', 'rsa_keygen_bits:2048')
openssl('ec', '-in', inWork('p256.key'), '-conv_form', 'compressed', '-out', inWork('p256-compressed.key'))

// Certificate requests as OpenSSL writes them

interface Wanted {
  readonly key?: string
  readonly subject?: string
  readonly extensions?: readonly string[]
  readonly flags?: readonly string[]
}

function request(
  name: string,
  { key = 'p256', subject = '/CN=Alice Example', extensions = [], flags = [] }: Wanted = {},
) {
  const added = extensions.flatMap((extension) => ['-addext', extension])
  const config = inWork('empty.cnf')
  writeFileSync(config, '[req]\ndistinguished_name=dn\n[dn]\n')
  const common = ['req', '-new', '-config', config, '-utf8', '-subj', subject, '-key', inWork(`${key}.key`)]
  openssl(...common, ...added, '-sha256', ...flags, '-out', out(name))
}

request('csr-p256-any-subject.pem', { subject: '/C=DE/O=Example/CN=Alice Example' })
request('csr-p256-empty-subject.pem', { subject: '/' })
request('csr-p256-new-label.pem', { flags: ['-newhdr'] })
request('csr-p256-sha384.pem', { flags: ['-sha384'] })
request('csr-p256-sha512.pem', { flags: ['-sha512'] })
request('csr-p256-text-before-pem.pem', { flags: ['-text'] })
request('csr-p256-other-extensions.pem', {
  extensions: ['keyUsage=critical,keyCertSign', 'basicConstraints=CA:TRUE', 'subjectAltName=DNS:www.example.com'],
})
request('csr-same-address-everywhere.pem', {
  subject: `/CN=${mailbox}/emailAddress=${mailbox}`,
  extensions: [`subjectAltName=email:${mailbox}`],
})
request('csr-same-address-other-case-of-domain.pem', { extensions: ['subjectAltName=email:alice@EXAMPLE.com'] })
request('csr-same-address-other-case-of-local-part.pem', { extensions: ['subjectAltName=email:Alice@example.com'] })
request('csr-rsa2048.pem', { key: 'rsa2048' })
request('csr-rsa4096.pem', { key: 'rsa4096' })

request('csr-rsa1024-too-small.pem', { key: 'rsa1024' })
request('csr-rsa2052-not-whole-octets.pem', { key: 'rsa2052' })
request('csr-rsa4104-too-large.pem', { key: 'rsa4104' })
request('csr-rsa-e3.pem', { key: 'rsa-e3' })
request('csr-rsa-exponent-above-32-bits.pem', { key: 'rsa-e33' })
request('csr-rsa-pss-key.pem', { key: 'rsa-pss' })
request('csr-p384-unsupported-yet.pem', { key: 'p384' })
request('csr-ed25519-unsupported-yet.pem', { key: 'ed25519' })
request('csr-compressed-point.pem', { key: 'p256-compressed' })
request('csr-explicit-curve-parameters.pem', { key: 'p256-explicit' })
request('csr-sha1.pem', { flags: ['-sha1'] })
request('csr-rsa-sha1.pem', { key: 'rsa2048', flags: ['-sha1'] })
request('csr-rsa-md5.pem', { key: 'rsa2048', flags: ['-md5'] })
request('csr-rsa-pss-signature.pem', { key: 'rsa2048', flags: ['-sigopt', 'rsa_padding_mode:pss'] })
request('csr-other-address-in-san.pem', { extensions: ['subjectAltName=email:bob@example.com'] })
request('csr-second-address-in-san.pem', { extensions: [`subjectAltName=email:${mailbox},email:bob@example.com`] })
request('csr-other-address-in-subject.pem', { subject: '/CN=Alice Example/emailAddress=bob@example.com' })
request('csr-other-address-in-common-name.pem', { subject: '/CN=bob@example.com' })
request('csr-smtputf8-mailbox-in-san.pem', {
  extensions: [`subjectAltName=otherName:1.3.6.1.5.5.7.8.9;UTF8:${mailbox}`],
})

// Certificate requests that are broken in ways OpenSSL does not write

const p256Key = createPrivateKey(readFileSync(inWork('p256.key')))
const p256Spki = spkiOf('p256')
const ecdsaWithSha256 = sequence(encodeObjectIdentifier('1.2.840.10045.4.3.2'))
const emptyName = sequence()

function spkiOf(key: string): Uint8Array {
  return createPublicKey(readFileSync(inWork(`${key}.key`))).export({ type: 'spki', format: 'der' })
}

/** A request of the given parts, signed by the P-256 key whatever key it shows. */
function assemble(parts: {
  readonly version?: number
  readonly subject?: Uint8Array
  readonly spki?: Uint8Array
  readonly attributes?: readonly Uint8Array[] | 'absent'
}): Uint8Array {
  const { version = 0, subject = emptyName, spki = p256Spki, attributes = [] } = parts
  const info = sequence(
    encodeElement(tag.integer, Uint8Array.of(version)),
    subject,
    spki,
    ...(attributes === 'absent' ? [] : [encodeElement(contextConstructed(0), ...attributes)]),
  )
  const signature = sign('sha256', info, p256Key)
  return sequence(info, ecdsaWithSha256, encodeElement(tag.bitString, Uint8Array.of(0), signature))
}

function extension(identifier: string, value: Uint8Array): Uint8Array {
  return sequence(encodeObjectIdentifier(identifier), encodeElement(tag.octetString, value))
}

function extensionRequest(identifier: string, ...extensions: Uint8Array[]): Uint8Array {
  return sequence(encodeObjectIdentifier(identifier), encodeElement(tag.set, sequence(...extensions)))
}

function alternativeName(...names: Uint8Array[]): Uint8Array {
  return extension('2.5.29.17', sequence(...names))
}

function name(identifier: string, text: Uint8Array): Uint8Array {
  return sequence(encodeElement(tag.set, sequence(encodeObjectIdentifier(identifier), text)))
}

const pkcs9 = '1.2.840.113549.1.9.14'
const microsoft = '1.3.6.1.4.1.311.2.1.14'
const alice = encodeElement(0x81, ascii(mailbox))
const bob = encodeElement(0x81, ascii('bob@example.com'))
const good = derOf('csr-p256-any-subject.pem')

/** `bytes` with one byte changed, counted from the end. */
function flipped(bytes: Uint8Array, fromEnd: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const index = copy.length - fromEnd
  copy[index] = (copy[index] ?? 0) ^ 1
  return copy
}

function spkiWithPoint(point: Uint8Array, unusedBits = 0): Uint8Array {
  const curve = sequence(encodeObjectIdentifier('1.2.840.10045.2.1'), encodeObjectIdentifier('1.2.840.10045.3.1.7'))
  return sequence(curve, encodeElement(tag.bitString, Uint8Array.of(unusedBits), point))
}

function rsaSpki(parameters: Uint8Array, modulus: Uint8Array): Uint8Array {
  const key = sequence(
    encodeElement(tag.integer, Uint8Array.of(0), modulus),
    encodeElement(tag.integer, Uint8Array.of(1, 0, 1)),
  )
  const algorithm = sequence(encodeObjectIdentifier('1.2.840.113549.1.1.1'), parameters)
  return sequence(algorithm, encodeElement(tag.bitString, Uint8Array.of(0), key))
}

function modulusOf(key: string): Uint8Array {
  const { n } = createPublicKey(readFileSync(inWork(`${key}.key`))).export({ format: 'jwk' })
  return Uint8Array.from(Buffer.from(n ?? '', 'base64url'))
}

const point = p256Spki.subarray(-65)
writeDer('csr-p256-no-attributes.der', assemble({ attributes: 'absent' }))
writeDer(
  'csr-same-address-in-microsoft-attribute.der',
  assemble({ attributes: [extensionRequest(microsoft, alternativeName(alice))] }),
)
writeDer('csr-trailing-bytes.der', concatBytes(good, Uint8Array.of(0)))
writeDer('csr-truncated.der', good.subarray(0, -1))
writeDer(
  'csr-indefinite-length.der',
  concatBytes(Uint8Array.of(0x30, 0x80), good.subarray(good[1] === 0x82 ? 4 : 3), Uint8Array.of(0, 0)),
)
writeDer('csr-length-not-minimal.der', concatBytes(Uint8Array.of(0x30, 0x83, 0), lengthOctets(good), contentOf(good)))
writeDer('csr-version-1.der', assemble({ version: 1 }))
writeDer('csr-one-field-too-many.der', assemble({ subject: concatBytes(emptyName, emptyName) }))
writeDer(
  'csr-duplicate-extension.der',
  assemble({ attributes: [extensionRequest(pkcs9, alternativeName(alice), alternativeName(alice))] }),
)
writeDer(
  'csr-duplicate-extension-over-two-attributes.der',
  assemble({
    attributes: [extensionRequest(pkcs9, alternativeName(alice)), extensionRequest(microsoft, alternativeName(alice))],
  }),
)
writeDer(
  'csr-other-address-in-microsoft-attribute.der',
  assemble({ attributes: [extensionRequest(microsoft, alternativeName(bob))] }),
)
writeDer(
  'csr-other-address-in-directory-name.der',
  assemble({
    attributes: [
      extensionRequest(
        pkcs9,
        alternativeName(
          encodeElement(
            contextConstructed(4),
            name('1.2.840.113549.1.9.1', encodeElement(tag.ia5String, ascii('bob@example.com'))),
          ),
        ),
      ),
    ],
  }),
)
writeDer(
  'csr-other-address-in-bmp-common-name.der',
  assemble({
    subject: name(
      '2.5.4.3',
      encodeElement(tag.bmpString, Uint8Array.from([...ascii('bob@example.com')].flatMap((octet) => [0, octet]))),
    ),
  }),
)
writeDer('csr-p256-signature-broken.pem', flipped(good, 1))
writeDer('csr-p256-signed-by-another-key.pem', assemble({ spki: spkiOf('p256-other') }))
writeDer('csr-rsa-key-with-ecdsa-signature.pem', assemble({ spki: spkiOf('rsa2048') }))
writeDer('csr-point-off-curve.der', assemble({ spki: spkiWithPoint(flipped(point, 1)) }))
writeDer('csr-point-at-infinity.der', assemble({ spki: spkiWithPoint(Uint8Array.of(0)) }))
writeDer('csr-key-with-unused-bits.der', assemble({ spki: spkiWithPoint(point, 1) }))
writeDer(
  'csr-rsa-even-modulus.der',
  assemble({ spki: rsaSpki(encodeElement(tag.null), flipped(modulusOf('rsa2048'), 1)) }),
)
writeDer('csr-rsa-parameters-absent.der', assemble({ spki: rsaSpki(new Uint8Array(), modulusOf('rsa2048')) }))
writeFileSync(out('csr-two-in-one-file.pem'), toPem(requestLabel, good) + toPem(requestLabel, good))
writeFileSync(out('csr-no-base64.pem'), toPem(requestLabel, good).replace('MI', 'M*'))

function contentOf(der: Uint8Array): Uint8Array {
  return der.subarray(2 + ((der[1] ?? 0) >= 0x80 ? (der[1] ?? 0) & 0x7f : 0))
}

function lengthOctets(der: Uint8Array): Uint8Array {
  const { length } = contentOf(der)
  return Uint8Array.of(length >> 8, length & 0xff)
}

// Certificates as a CA would return them, for the key of csr-p256-any-subject.pem and csr-rsa2048.pem

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
certificate('cert-dns-name-beside-mailbox', { extensions: [...profile, usage, purpose, `${san},DNS:www.example.com`] })
certificate('cert-smtputf8-mailbox', {
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

const issued = derOf('cert-p256-dual.pem')
writeFileSync(out('cert-signature-broken.pem'), toPem('CERTIFICATE', flipped(issued, 1)))
writeFileSync(out('cert-trailing-byte.der'), concatBytes(issued, Uint8Array.of(0)))

// What left the code's hands must still be readable by somebody else.
for (const file of readdirSync(here).filter((entry) => /^(?:ca|cert)-.*\.pem$/.test(entry))) {
  if (new X509Certificate(readFileSync(out(file))).raw.length === 0) throw new Error(`${file} is empty`)
}
rmSync(work, { recursive: true })
