/** Certificate requests by rule 2: how they are signed. */
import { constants, sign } from 'node:crypto'
import { contextConstructed, encodeElement } from '../src/pki/der.ts'
import {
  assemble,
  derNull,
  derOf,
  flipped,
  identifier,
  integer,
  makeKey,
  privateKey,
  request,
  sequence,
  spkiOf,
  writeDer,
  type Signing,
} from './workshop.ts'

const sha1 = '1.3.14.3.2.26'
const sha256 = '2.16.840.1.101.3.4.2.1'
const sha384 = '2.16.840.1.101.3.4.2.2'

interface PssParameters {
  readonly hash?: Uint8Array
  readonly mask?: Uint8Array
  readonly maskFunction?: string
  readonly salt?: number
  /** The length of the salt that is written, where it is not the one that was taken. */
  readonly written?: number
  readonly trailer?: number
}

/** RSASSA-PSS with SHA-256 by the key rsa2048, with what is said of it in the AlgorithmIdentifier. */
function pss({
  hash = identifier(sha256),
  mask = identifier(sha256),
  maskFunction = '1.2.840.113549.1.1.8',
  salt = 32,
  written = salt,
  trailer,
}: PssParameters): Signing {
  const parameters = sequence(
    encodeElement(contextConstructed(0), hash),
    encodeElement(contextConstructed(1), identifier(maskFunction, mask)),
    encodeElement(contextConstructed(2), integer(written)),
    ...(trailer === undefined ? [] : [encodeElement(contextConstructed(3), integer(trailer))]),
  )
  const key = { key: privateKey('rsa2048'), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: salt }
  return { algorithm: identifier('1.2.840.113549.1.1.10', parameters), sign: (info) => sign('sha256', info, key) }
}

export function makeSignatures(): void {
  makeEcdsa()
  makeRsa()
  makePss()
  makeEdwards()
}

function makeEcdsa(): void {
  request('csr-p256-sha384.pem', { flags: ['-sha384'] })
  request('csr-p256-sha512.pem', { flags: ['-sha512'] })
  request('csr-sha1.pem', { flags: ['-sha1'] })
  writeDer('csr-p256-signature-broken.pem', flipped(derOf('csr-p256-any-subject.pem'), 1))
  writeDer('csr-p256-signed-by-another-key.pem', assemble({ spki: spkiOf('p256-other') }))
  const zero = sequence(integer(0), integer(0))
  const { algorithm } = identifierOf('1.2.840.10045.4.3.2')
  writeDer('csr-p256-signature-zero.der', assemble({ signing: { algorithm, sign: () => zero } }))
}

const identifierOf = (algorithm: string, ...parameters: readonly Uint8Array[]) => ({
  algorithm: identifier(algorithm, ...parameters),
})

function makeRsa(): void {
  request('csr-rsa-sha384.pem', { key: 'rsa2048', flags: ['-sha384'] })
  request('csr-rsa-sha512.pem', { key: 'rsa2048', flags: ['-sha512'] })
  request('csr-rsa-sha1.pem', { key: 'rsa2048', flags: ['-sha1'] })
  request('csr-rsa-md5.pem', { key: 'rsa2048', flags: ['-md5'] })
  writeDer('csr-rsa-key-with-ecdsa-signature.pem', assemble({ spki: spkiOf('rsa2048') }))
  const dsaWithSha256 = { ...identifierOf('2.16.840.1.101.3.4.3.2'), sign: () => sequence(integer(1), integer(1)) }
  writeDer('csr-dsa-signature.der', assemble({ signing: dsaWithSha256 }))
}

function makePss(): void {
  for (const [hash, salt] of [
    ['sha256', '32'],
    ['sha384', '48'],
    ['sha512', '64'],
  ] as const) {
    const flags = [`-${hash}`, '-sigopt', 'rsa_padding_mode:pss', '-sigopt', `rsa_pss_saltlen:${salt}`]
    request(`csr-rsa-pss-${hash}.pem`, { key: 'rsa2048', flags })
  }
  request('csr-rsa-pss-sha1.pem', { key: 'rsa2048', flags: ['-sha1', '-sigopt', 'rsa_padding_mode:pss'] })
  const spki = spkiOf('rsa2048')
  const made: Readonly<Record<string, Signing>> = {
    'csr-rsa-pss-hash-parameters-null.der': pss({
      hash: identifier(sha256, derNull),
      mask: identifier(sha256, derNull),
    }),
    'csr-rsa-pss-hash-parameters-absent.der': pss({}),
    'csr-rsa-pss-trailer-written.der': pss({ trailer: 1 }),
    'csr-rsa-pss-trailer-2.der': pss({ trailer: 2 }),
    'csr-rsa-pss-salt-20.der': pss({ salt: 20 }),
    'csr-rsa-pss-salt-0.der': pss({ salt: 0 }),
    'csr-rsa-pss-salt-not-as-written.der': pss({ salt: 20, written: 32 }),
    'csr-rsa-pss-mask-of-sha1.der': pss({ mask: identifier(sha1) }),
    'csr-rsa-pss-mask-of-another-hash.der': pss({ mask: identifier(sha384) }),
    'csr-rsa-pss-mask-not-mgf1.der': pss({ maskFunction: '1.2.840.113549.1.1.9' }),
    'csr-rsa-pss-parameters-empty.der': { ...pss({}), ...identifierOf('1.2.840.113549.1.1.10', sequence()) },
    'csr-rsa-pss-parameters-absent.der': { ...pss({}), ...identifierOf('1.2.840.113549.1.1.10') },
  }
  for (const [name, signing] of Object.entries(made)) writeDer(name, assemble({ spki, signing }))
  writeDer('csr-rsa-pss-signature-broken.der', flipped(assemble({ spki, signing: pss({}) }), 1))
  writeDer('csr-p256-key-with-pss-signature.der', assemble({ signing: pss({}) }))
}

function makeEdwards(): void {
  request('csr-ed25519.pem', { key: 'ed25519' })
  writeDer('csr-ed25519-signature-broken.der', flipped(derOf('csr-ed25519.pem'), 1))
  writeDer('csr-ed25519-key-with-ecdsa-signature.der', assemble({ spki: spkiOf('ed25519') }))
  const short = { ...identifierOf('1.3.101.112'), sign: () => new Uint8Array(63) }
  writeDer('csr-ed25519-signature-short.der', assemble({ spki: spkiOf('ed25519'), signing: short }))
  const signing = { ...identifierOf('1.3.101.112', derNull), sign: edwardsSign }
  writeDer('csr-ed25519-signature-parameters-null.der', assemble({ spki: spkiOf('ed25519'), signing }))
  makeKey('ed448', 'ED448')
  request('csr-ed448.pem', { key: 'ed448' })
  writeDer('csr-x25519-signed-by-ed25519.der', assemble({ spki: spkiOf('x25519'), signing: edwards }))
}

const edwardsSign = (info: Uint8Array): Uint8Array => sign(null, info, privateKey('ed25519'))
const edwards: Signing = { ...identifierOf('1.3.101.112'), sign: edwardsSign }
