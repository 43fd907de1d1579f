import 'reflect-metadata'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  X509Certificate,
  X509CertificateGenerator,
  type JsonGeneralNames,
} from '@peculiar/x509'
import { encodeElement, encodeObjectIdentifier, tag } from '../../src/pki/der.ts'
import { equalBytes } from '../../src/pki/encoding.ts'
import { honestly, type Issue, type LiarsTools } from '../support/lying-ca.ts'
import type { Asked } from '../support/lying-ca-forms.ts'
import { extensionId, resign, type Replaced, type signatures } from '../support/resign.ts'
import { purpose, type TestCertificate } from '../support/test-ca.ts'
import { ends, issued, unclear, unfit, type ToldLie } from './lies.ts'

const minute = 60_000
const day = 24 * 60 * minute
const stranger = 'mallory@attacker.example'

const spkiOf = async (key: CryptoKey): Promise<Uint8Array> => new Uint8Array(await crypto.subtle.exportKey('spki', key))
const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const makeKeys = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey(p256, true, ['sign', 'verify'])
const rsa = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2_048,
  publicExponent: Uint8Array.of(1, 0, 1),
}

/** A certificate of the CA that says something else than was asked for. */
const saying =
  (other: (asked: Asked, tools: LiarsTools) => Partial<TestCertificate> | Promise<Partial<TestCertificate>>): Issue =>
  async (asked, tools) => ({
    certificate: await tools.ca.issue({ spki: asked.spki, names: asked.address, ...(await other(asked, tools)) }),
    chain: tools.ca.chain,
  })

const named = (names: (asked: Asked) => JsonGeneralNames): Issue =>
  saying((asked) => ({ names: names(asked), subject: '' }))

/** The honest certificate with other parts, signed by the CA. */
const rewritten =
  (replaced: (tools: LiarsTools) => Replaced, way: keyof typeof signatures = 'ECDSA with SHA-256'): Issue =>
  async (asked, tools) => {
    const { certificate, chain } = await honestly(asked, tools)
    return { certificate: resign(certificate, tools.ca.keys.issuing, replaced(tools), way), chain }
  }

/** The honest certificate in other bytes. */
const garbled =
  (change: (certificate: Uint8Array) => Uint8Array): Issue =>
  async (asked, tools) => {
    const { certificate, chain } = await honestly(asked, tools)
    return { certificate: change(certificate), chain }
  }

const integer = (...octets: readonly number[]): Uint8Array => encodeElement(tag.integer, Uint8Array.from(octets))
const serialNumber = (...octets: readonly number[]): Issue => rewritten(() => ({ serialNumber: integer(...octets) }))

const keyPurposes = encodeObjectIdentifier('2.5.29.37')
const without =
  (id: Uint8Array) =>
  (extensions: readonly Uint8Array[]): readonly Uint8Array[] =>
    extensions.filter((extension) => !equalBytes(extensionId(extension), id))
const twice = (extensions: readonly Uint8Array[]): readonly Uint8Array[] => [...extensions, ...extensions.slice(0, 1)]

/** Indefinite length, which BER has and DER has not. */
const asBer = (der: Uint8Array): Uint8Array => {
  const header = 2 + ((der[1] ?? 0) & 0x7f)
  return Buffer.concat([Uint8Array.of(0x30, 0x80), der.subarray(header), Uint8Array.of(0, 0)])
}

/** A certificate under the root that is no CA for mail, and with it a certificate for the order. */
const under =
  (
    keys: () => Promise<CryptoKeyPair>,
    extensions: readonly Extension[],
    way: keyof typeof signatures = 'ECDSA with SHA-256',
  ): Issue =>
  async (asked, tools) => {
    const own = await keys()
    const root = new X509Certificate(new Uint8Array(tools.ca.root))
    const between = await X509CertificateGenerator.create({
      subject: 'CN=Between',
      issuer: root.subjectName,
      publicKey: own.publicKey,
      signingKey: tools.ca.keys.root,
      signingAlgorithm: p256,
      serialNumber: '4321',
      notBefore: new Date(tools.now - day),
      notAfter: new Date(tools.now + 100 * day),
      extensions: [...extensions, await AuthorityKeyIdentifierExtension.create(new PublicKey(root.publicKey.rawData))],
    })
    const { certificate } = await honestly(asked, tools)
    const issuer = new Uint8Array(between.subjectName.toArrayBuffer())
    return {
      certificate: resign(certificate, own.privateKey, { issuer }, way),
      chain: [new Uint8Array(between.rawData), tools.ca.root],
    }
  }

const caOf = (...more: readonly Extension[]): readonly Extension[] => [
  new BasicConstraintsExtension(true, undefined, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
  ...more,
]
const sendChain = ['est', 'ejbca', 'step-ca'] as const

/** Certificates that a CA should not have issued, or did not. */
export const forgedCertificates: readonly ToldLie[] = [
  {
    name: 'a certificate for another key',
    lie: { issue: saying(async () => ({ spki: await spkiOf((await makeKeys()).publicKey) })) },
    ends: ends(unfit('spki_differs')),
  },
  {
    name: 'another mailbox',
    lie: { issue: saying(() => ({ names: stranger })) },
    ends: ends(unfit('mailbox_differs')),
  },
  { name: 'no mailbox', lie: { issue: named(() => []) }, ends: ends(unfit('mailbox_differs')) },
  {
    name: 'a second mailbox',
    lie: {
      issue: named(({ address }) => [
        { type: 'email', value: address },
        { type: 'email', value: stranger },
      ]),
    },
    ends: ends(unfit('second_mailbox')),
  },
  {
    name: 'a domain in capitals',
    lie: {
      issue: named(({ address }) => [
        { type: 'email', value: address.replace(/@.*/, (domain) => domain.toUpperCase()) },
      ]),
    },
    ends: ends(unfit('mailbox_differs')),
  },
  {
    name: 'a dot behind the domain',
    lie: { issue: named(({ address }) => [{ type: 'email', value: `${address}.` }]) },
    ends: ends(unfit('mailbox_differs')),
  },
  {
    name: 'a NUL behind the mailbox',
    lie: { issue: named(({ address }) => [{ type: 'email', value: `${address}\0.attacker.example` }]) },
    ends: ends(unfit('mailbox_differs')),
  },
  {
    name: 'a host name beside the mailbox',
    lie: {
      issue: named(({ address }) => [
        { type: 'email', value: address },
        { type: 'dns', value: 'attacker.example' },
      ]),
    },
    ends: ends(unfit('foreign_san_type')),
  },
  {
    name: 'a foreign subject',
    lie: { issue: saying(() => ({ subject: 'CN=Mallory' })) },
    ends: ends(unfit('subject_foreign')),
  },
  {
    name: 'the mail address of another in the subject',
    lie: { issue: saying(({ address }) => ({ subject: `CN=${address},E=${stranger}` })) },
    ends: ends(unfit('subject_foreign')),
  },
  {
    name: 'an organisation in the subject',
    lie: { issue: saying(({ address }) => ({ subject: `O=Example,CN=${address}` })) },
    ends: ends(unfit('subject_foreign')),
  },
  {
    name: 'an expired certificate',
    lie: {
      issue: saying((_asked, { now }) => ({
        notBefore: new Date(now - 20 * minute),
        notAfter: new Date(now - 10 * minute),
      })),
    },
    ends: ends(unfit('expired')),
  },
  {
    name: 'a certificate of tomorrow',
    lie: { issue: saying((_asked, { now }) => ({ notBefore: new Date(now + day) })) },
    ends: ends(unfit('not_yet_valid')),
  },
  {
    name: 'an old certificate of the same key',
    lie: { issue: saying((_asked, { now }) => ({ notBefore: new Date(now - 10 * day) })) },
    ends: ends(unfit('validity_too_long')),
  },
  {
    name: 'ten years',
    lie: { issue: saying((_asked, { now }) => ({ notAfter: new Date(now + 3_650 * day) })) },
    ends: ends(unfit('validity_too_long')),
  },
  { name: 'a CA certificate', lie: { issue: saying(() => ({ isCa: true })) }, ends: ends(unfit('is_ca')) },
  {
    name: 'a key that may sign certificates',
    lie: {
      issue: saying(() => ({
        usages: KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement | KeyUsageFlags.keyCertSign,
      })),
    },
    ends: ends(unfit('key_usage_unfit')),
  },
  {
    name: 'an unknown profile: for signatures alone',
    lie: { issue: saying(() => ({ usages: KeyUsageFlags.digitalSignature })) },
    ends: ends(unfit('key_usage_unfit')),
  },
  {
    name: 'an unknown profile: for servers',
    lie: { issue: saying(() => ({ purposes: [purpose.server] })) },
    ends: ends(unfit('eku_unprofiled')),
  },
  {
    name: 'the certificate of the CA itself',
    lie: { issue: async (_asked, { ca }) => ({ certificate: ca.issuing, chain: [ca.root] }) },
    // In a list of CAs there is none for the order.
    ends: { ...ends(unfit('spki_differs')), est: unclear('answer_malformed') },
  },
  {
    name: 'any purpose',
    lie: { issue: saying(() => ({ purposes: ['2.5.29.37.0'] })) },
    ends: ends(unfit('eku_unprofiled')),
  },
  {
    name: 'server authentication in addition',
    lie: { issue: saying(() => ({ purposes: [purpose.mail, purpose.server] })) },
    ends: ends(unfit('eku_unprofiled')),
  },
  {
    name: 'no purpose',
    lie: { issue: rewritten(() => ({ extensions: without(keyPurposes) })) },
    ends: ends(unfit('eku_unprofiled')),
  },
  {
    name: 'an unknown critical extension',
    lie: { issue: saying(() => ({ extensions: [new Extension('1.3.6.1.4.1.99999.1', true, Uint8Array.of(5, 0))] })) },
    ends: ends(unfit('unknown_critical_extension')),
  },
  { name: 'the serial number zero', lie: { issue: serialNumber(0) }, ends: ends(unfit('serial_number_unfit')) },
  {
    name: 'a negative serial number',
    lie: { issue: serialNumber(0xf1, 2, 3) },
    ends: ends(unfit('serial_number_unfit')),
  },
  {
    name: 'a serial number of 21 bytes',
    lie: { issue: serialNumber(...Array.from({ length: 21 }, () => 0x11)) },
    ends: ends(unfit('serial_number_unfit')),
  },
  {
    name: 'signed by somebody else of the same name',
    lie: {
      issue: async ({ spki, address }, { namesake, ca }) => ({
        certificate: await namesake.issue({ spki, names: address }),
        chain: ca.chain,
      }),
    },
    ends: ends(unfit('chain_untrusted')),
  },
  {
    name: 'signed by somebody else of the same name, with their chain',
    lie: {
      issue: async ({ spki, address }, { namesake }) => ({
        certificate: await namesake.issue({ spki, names: address }),
        chain: namesake.chain,
      }),
    },
    ends: ends(unfit('chain_untrusted')),
  },
  {
    name: 'the chain of another root',
    lie: {
      issue: async (asked, tools) => ({ ...(await honestly(asked, tools)), chain: tools.namesake.chain }),
    },
    ends: ends(unfit('chain_untrusted'), ...sendChain),
  },
  {
    name: 'signed with SHA-1',
    lie: { issue: rewritten(() => ({}), 'ECDSA with SHA-1') },
    ends: ends(unfit('chain_untrusted')),
  },
  {
    name: 'signed with MD5',
    lie: { issue: under(() => crypto.subtle.generateKey(rsa, true, ['sign', 'verify']), caOf(), 'RSA with MD5') },
    ends: ends(unfit('chain_untrusted'), ...sendChain),
  },
  {
    name: 'the same CA with SHA-256, which is no lie',
    lie: { issue: under(() => crypto.subtle.generateKey(rsa, true, ['sign', 'verify']), caOf(), 'RSA with SHA-256') },
    ends: ends(issued, ...sendChain),
  },
  {
    name: 'issued by a CA for servers',
    lie: { issue: under(makeKeys, caOf(new ExtendedKeyUsageExtension([purpose.server]))) },
    ends: ends(unfit('chain_untrusted'), ...sendChain),
  },
  {
    name: 'issued by a subscriber',
    lie: { issue: under(makeKeys, [new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true)]) },
    ends: ends(unfit('chain_untrusted'), ...sendChain),
  },
  {
    name: 'an extension twice',
    lie: { issue: rewritten(() => ({ extensions: twice })) },
    ends: ends(unclear('answer_malformed')),
  },
  { name: 'BER', lie: { issue: garbled(asBer) }, ends: ends(unclear('answer_malformed')) },
  {
    name: 'a serial number that is not minimal',
    lie: { issue: serialNumber(0, 0, 0, 7) },
    ends: ends(unclear('answer_malformed')),
  },
  {
    name: 'bytes behind the certificate',
    lie: { issue: garbled((der) => Buffer.concat([der, Uint8Array.of(5, 0)])) },
    // In a list of certificates they are one more element, and no certificate.
    ends: { ...ends(unclear('answer_malformed')), est: issued },
  },
  {
    name: 'a certificate of 100 kilobytes',
    lie: {
      issue: saying(() => ({ extensions: [new Extension('1.3.6.1.4.1.99999.2', false, new Uint8Array(100_000))] })),
    },
    ends: {
      ...ends({ ...unfit('malformed'), returned: false }),
      'step-ca': unclear('answer_malformed'),
    },
  },
]
