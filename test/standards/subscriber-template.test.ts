import { describe, expect, it } from 'vitest'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { randomSerialNumber } from '../../src/pki/ca-key.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { toHex } from '../../src/pki/encoding.ts'
import { checkPublicKey } from '../../src/pki/key-policy.ts'
import { prepareSubscriberTemplate, type SubscriberTemplateParameters } from '../../src/pki/subscriber-template.ts'
import { keyKinds as caKeyKinds, makeIssuingCa } from './certificate-authority.ts'
import { createReferenceCertificate } from './reference-certificate.ts'
import { brainpoolCrypto } from '../../src/adapters/brainpool.ts'
import { thorough } from '../support/thorough.ts'

const day = 86_400_000
const notBefore = new Date('2026-11-21T12:00:00.700Z')
const notAfter = new Date(notBefore.getTime() + 397 * day - 1_000)
const urls = {
  crl: 'http://pki.example.com/ca/issuing.crl',
  caIssuers: 'http://pki.example.com/ca/issuing.cer',
  ocsp: 'http://pki.example.com/ocsp/issuing',
}

const profiles = [
  { kind: 'sbr-strict' },
  { kind: 'private', policyOid: '1.3.6.1.4.1.99999.1' },
  { kind: 'private', policyOid: '2.999.4294967295' },
] as const

const spkiOf = async (provider: Crypto, algorithm: RsaHashedKeyGenParams | EcKeyGenParams | Algorithm) => {
  const usages: KeyUsage[] = algorithm.name === 'X25519' ? ['deriveBits'] : ['sign', 'verify']
  const keys = await provider.subtle.generateKey(algorithm, true, usages)
  if (!('publicKey' in keys)) throw new TypeError('two keys')
  return new Uint8Array(await provider.subtle.exportKey('spki', keys.publicKey))
}

const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength,
  publicExponent: Uint8Array.of(1, 0, 1),
})
const ecdsa = (namedCurve: string) => ({ name: 'ECDSA', namedCurve })

/** Each kind of key, with the uses that it can have. */
const subscriberKeys = [
  { name: 'P-256', spki: spkiOf(crypto, ecdsa('P-256')), uses: ['sign', 'encrypt', 'dual'] },
  { name: 'P-384', spki: spkiOf(crypto, ecdsa('P-384')), uses: ['sign', 'encrypt', 'dual'] },
  { name: 'P-521', spki: spkiOf(crypto, ecdsa('P-521')), uses: ['sign', 'encrypt', 'dual'] },
  { name: 'RSA 2048', spki: spkiOf(crypto, rsa(2048)), uses: ['sign', 'encrypt', 'dual'] },
  { name: 'RSA 3072', spki: spkiOf(crypto, rsa(3072)), uses: ['sign', 'encrypt', 'dual'] },
  { name: 'Ed25519', spki: spkiOf(crypto, { name: 'Ed25519' }), uses: ['sign'] },
  { name: 'X25519', spki: spkiOf(crypto, { name: 'X25519' }), uses: ['encrypt'] },
  ...['brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'].map((curve) => ({
    name: curve,
    spki: spkiOf(brainpoolCrypto, ecdsa(curve)),
    uses: ['sign', 'encrypt', 'dual'] as const,
  })),
] as const

const mailboxes = [
  'alice@example.com',
  "O'Neil+x=y/#z@example.com",
  'alice@b\u00fccher.example',
  'j\u00fcrgen@example.com',
  '\u7528\u6237@example.com',
  // 64 characters, 65, and as many as there can be
  `${'a'.repeat(52)}@example.com`,
  `${'a'.repeat(53)}@example.com`,
  `${'a'.repeat(64)}@${'d'.repeat(60)}.${'e'.repeat(60)}.${'f'.repeat(60)}.com`,
  `${'\u00fc'.repeat(32)}@${'d'.repeat(60)}.example.com`,
].map(parseMailboxAddress)

/** All in a thorough run, else one. As many rounds as there are mailboxes have each of them once. */
const mailboxesOf = (round: number) => mailboxes.filter((_, index) => thorough || index === round % mailboxes.length)

const toBeSignedOf = (certificate: Uint8Array): string => toHex(parseCertificate(certificate).signature.signed)

describe.each(caKeyKinds)('RFC 5280 4.1: the template of a CA with a key %s against @peculiar/x509', async (kind) => {
  const ca = await makeIssuingCa(kind)

  describe.each(profiles)('profile %o', (profile) => {
    const round = caKeyKinds.indexOf(kind) * profiles.length + profiles.indexOf(profile)
    const parameters: SubscriberTemplateParameters = { ...ca, profile, urls }
    const issue = prepareSubscriberTemplate(crypto, parameters)

    it.each(subscriberKeys)('what is signed is the same byte for byte: $name', async ({ spki: made, uses }) => {
      const spki = await made
      const key = checkPublicKey(spki)
      for (const [turn, use] of uses.entries()) {
        for (const mailbox of mailboxesOf(round + turn * profiles.length)) {
          const subscriber = { spki, key, mailbox, use, serialNumber: randomSerialNumber(crypto), notBefore, notAfter }
          const [own, reference] = [await issue(subscriber), await createReferenceCertificate(parameters, subscriber)]
          expect(toBeSignedOf(own)).toBe(toBeSignedOf(reference))
          expect(parseCertificate(own).signature.algorithm).toEqual(parseCertificate(reference).signature.algorithm)
        }
      }
    })
  })

  it('terms on both sides of 2050, and serial numbers of every first octet', async () => {
    const parameters: SubscriberTemplateParameters = { ...ca, profile: profiles[0], urls }
    const issue = prepareSubscriberTemplate(crypto, parameters)
    const [{ spki: made }] = subscriberKeys
    const spki = await made
    const common = {
      spki,
      key: checkPublicKey(spki),
      use: 'dual',
      mailbox: parseMailboxAddress('a@example.com'),
    } as const
    for (const start of ['2049-06-01T00:00:00Z', '2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z']) {
      for (const serialNumber of ['01', '7f', '0100', '7f'.repeat(20), `00${'ff'.repeat(19)}`]) {
        const term = { notBefore: new Date(start), notAfter: new Date(Date.parse(start) + 396 * day) }
        const subscriber = { ...common, ...term, serialNumber }
        const [own, reference] = [await issue(subscriber), await createReferenceCertificate(parameters, subscriber)]
        expect(toBeSignedOf(own)).toBe(toBeSignedOf(reference))
      }
    }
  })
})
