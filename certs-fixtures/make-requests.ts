/** Certificate requests by rules 1, 8 and 10: their form, and what they name. */
import { writeFileSync } from 'node:fs'
import { contextConstructed, encodeElement, tag } from '../src/pki/der.ts'
import { concatBytes } from '../src/pki/encoding.ts'
import {
  assemble,
  derOf,
  emptyName,
  identifier,
  mailbox,
  out,
  request,
  requestLabel,
  sequence,
  smtpUtf8Mailbox,
  utf8,
  writeDer,
} from './workshop.ts'
import { toPem } from '../test/support/pem.ts'

const pkcs9 = '1.2.840.113549.1.9.14'
const microsoft = '1.3.6.1.4.1.311.2.1.14'

function extensionRequest(type: string, ...extensions: readonly Uint8Array[]): Uint8Array {
  return identifier(type, encodeElement(tag.set, sequence(...extensions)))
}

function alternativeName(...names: readonly Uint8Array[]): Uint8Array {
  return identifier('2.5.29.17', encodeElement(tag.octetString, sequence(...names)))
}

function name(type: string, text: Uint8Array): Uint8Array {
  return sequence(encodeElement(tag.set, identifier(type, text)))
}

const rfc822Name = (address: string): Uint8Array => encodeElement(0x81, utf8(address))
const alice = rfc822Name(mailbox)
const bob = rfc822Name('bob@example.com')

function smtpUtf8Request(address: string): Uint8Array {
  return assemble({ attributes: [extensionRequest(pkcs9, alternativeName(smtpUtf8Mailbox(address)))] })
}

export function makeRequests(): void {
  makeGoodRequests()
  makeBrokenForms()
  makeNames()
  makeInternationalNames()
}

function makeGoodRequests(): void {
  request('csr-p256-any-subject.pem', { subject: '/C=DE/O=Example/CN=Alice Example' })
  request('csr-p256-empty-subject.pem', { subject: '/' })
  request('csr-p256-new-label.pem', { flags: ['-newhdr'] })
  request('csr-p256-text-before-pem.pem', { flags: ['-text'] })
  request('csr-p256-other-extensions.pem', {
    extensions: ['keyUsage=critical,keyCertSign', 'basicConstraints=CA:TRUE', 'subjectAltName=DNS:www.example.com'],
  })
  writeDer('csr-p256-no-attributes.der', assemble({ attributes: 'absent' }))
}

function makeBrokenForms(): void {
  const good = derOf('csr-p256-any-subject.pem')
  const content = good.subarray(2 + ((good[1] ?? 0) >= 0x80 ? (good[1] ?? 0) & 0x7f : 0))
  const length = Uint8Array.of(content.length >> 8, content.length & 0xff)
  writeDer('csr-trailing-bytes.der', concatBytes(good, Uint8Array.of(0)))
  writeDer('csr-truncated.der', good.subarray(0, -1))
  writeDer('csr-indefinite-length.der', concatBytes(Uint8Array.of(0x30, 0x80), content, Uint8Array.of(0, 0)))
  writeDer('csr-length-not-minimal.der', concatBytes(Uint8Array.of(0x30, 0x83, 0), length, content))
  writeDer('csr-version-1.der', assemble({ version: 1 }))
  writeDer('csr-one-field-too-many.der', assemble({ subject: concatBytes(emptyName, emptyName) }))
  writeDer('csr-over-64-kib.der', assemble({ attributes: [padding(65_536)] }))
  writeDer('csr-nearly-64-kib.der', assemble({ attributes: [padding(65_000)] }))
  writeDer(
    'csr-duplicate-extension.der',
    assemble({ attributes: [extensionRequest(pkcs9, alternativeName(alice), alternativeName(alice))] }),
  )
  const twice = [extensionRequest(pkcs9, alternativeName(alice)), extensionRequest(microsoft, alternativeName(alice))]
  writeDer('csr-duplicate-extension-over-two-attributes.der', assemble({ attributes: twice }))
  writeFileSync(out('csr-two-in-one-file.pem'), toPem(requestLabel, good) + toPem(requestLabel, good))
  writeFileSync(out('csr-no-base64.pem'), toPem(requestLabel, good).replace('MI', 'M*'))
}

/** A challenge password of so many octets, RFC 2985 section 5.4.1. */
function padding(octets: number): Uint8Array {
  const text = encodeElement(tag.utf8String, new Uint8Array(octets).fill(0x78))
  return identifier('1.2.840.113549.1.9.7', encodeElement(tag.set, text))
}

function makeNames(): void {
  request('csr-same-address-everywhere.pem', {
    subject: `/CN=${mailbox}/emailAddress=${mailbox}`,
    extensions: [`subjectAltName=email:${mailbox}`],
  })
  request('csr-same-address-other-case-of-domain.pem', { extensions: ['subjectAltName=email:alice@EXAMPLE.com'] })
  request('csr-same-address-other-case-of-local-part.pem', { extensions: ['subjectAltName=email:Alice@example.com'] })
  writeDer(
    'csr-same-address-in-microsoft-attribute.der',
    assemble({ attributes: [extensionRequest(microsoft, alternativeName(alice))] }),
  )
  request('csr-other-address-in-san.pem', { extensions: ['subjectAltName=email:bob@example.com'] })
  request('csr-second-address-in-san.pem', { extensions: [`subjectAltName=email:${mailbox},email:bob@example.com`] })
  request('csr-other-address-in-subject.pem', { subject: '/CN=Alice Example/emailAddress=bob@example.com' })
  request('csr-other-address-in-common-name.pem', { subject: '/CN=bob@example.com' })
  writeDer(
    'csr-other-address-in-microsoft-attribute.der',
    assemble({ attributes: [extensionRequest(microsoft, alternativeName(bob))] }),
  )
  const directoryName = encodeElement(
    contextConstructed(4),
    name('1.2.840.113549.1.9.1', encodeElement(tag.ia5String, utf8('bob@example.com'))),
  )
  writeDer(
    'csr-other-address-in-directory-name.der',
    assemble({ attributes: [extensionRequest(pkcs9, alternativeName(directoryName))] }),
  )
  const bmp = Uint8Array.from([...utf8('bob@example.com')].flatMap((octet) => [0, octet]))
  writeDer(
    'csr-other-address-in-bmp-common-name.der',
    assemble({ subject: name('2.5.4.3', encodeElement(tag.bmpString, bmp)) }),
  )
  request('csr-only-the-mailbox.pem', { subject: `/CN=${mailbox}`, extensions: [`subjectAltName=email:${mailbox}`] })
  request('csr-dns-name-beside-mailbox.pem', {
    subject: `/CN=${mailbox}`,
    extensions: [`subjectAltName=email:${mailbox},DNS:www.example.com`],
  })
  writeDer('csr-challenge-password.der', assemble({ attributes: [padding(8)] }))
}

/** For the mailboxes jürgen@example.com and kate@example.com. */
function makeInternationalNames(): void {
  writeDer('csr-smtputf8-mailbox.der', smtpUtf8Request('j\u00fcrgen@example.com'))
  writeDer('csr-smtputf8-mailbox-not-nfc.der', smtpUtf8Request('ju\u0308rgen@example.com'))
  writeDer('csr-smtputf8-mailbox-in-capitals.der', smtpUtf8Request('J\u00fcrgen@example.com'))
  writeDer('csr-smtputf8-mailbox-kelvin-sign.der', smtpUtf8Request('\u212aate@example.com'))
  writeDer('csr-smtputf8-mailbox-ascii.der', smtpUtf8Request(mailbox))
  const kate = assemble({ attributes: [extensionRequest(pkcs9, alternativeName(rfc822Name('kate@example.com')))] })
  writeDer('csr-rfc822-name-of-kate.der', kate)
}
