import { X509Certificate } from 'node:crypto'
import { Crypto as NodeCrypto } from '@peculiar/webcrypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { caKeyAlgorithm, randomSerialNumber, type CaKeyKind } from '../../src/pki/ca-key.ts'
import { certificateFacts } from '../../src/pki/certificate-facts.ts'
import { readCertificateRequest } from '../../src/pki/certificate-request.ts'
import { checkCertificateRequest, type CheckedRequest } from '../support/certificate-request.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { toHex } from '../../src/pki/encoding.ts'
import {
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
} from '../../src/pki/extensions.ts'
import { checkPublicKey } from '../../src/pki/key-policy.ts'
import { nameToString, readGeneralNames, readName } from '../../src/pki/names.ts'
import { oid } from '../../src/pki/object-identifiers.ts'
import { createIssuingCertificate, createRootCertificate } from '../../src/pki/profiles.ts'
import {
  prepareSubscriberTemplate,
  type SubscriberCertificate,
  type SubscriberTemplateParameters,
} from '../../src/pki/subscriber-template.ts'
import { verifyIssuedCertificate } from '../../src/pki/verify-issued.ts'
import { fixture } from './fixtures.ts'

const day = 86_400_000
const notBefore = new Date('2026-11-21T12:00:00.700Z')
const until = (days: number) => new Date(notBefore.getTime() + days * day)
const longest = new Date(until(397).getTime() - 1000)
const profile = { kind: 'sbr-strict' } as const
const urls = {
  crl: 'http://pki.example.com/ca/issuing.crl',
  caIssuers: 'http://pki.example.com/ca/issuing.cer',
  ocsp: 'http://pki.example.com/ocsp/issuing',
}

interface Authority {
  readonly root: Uint8Array
  readonly issuing: Uint8Array
  readonly issuingKey: CryptoKey
  readonly kind: CaKeyKind
}

async function makeKeys(kind: CaKeyKind): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(caKeyAlgorithm(kind).key, true, ['sign', 'verify'])
}

async function makeAuthority(kind: CaKeyKind): Promise<Authority> {
  const [keys, issuingKeys] = [await makeKeys(kind), await makeKeys(kind)]
  const root = await createRootCertificate(crypto, {
    keys,
    keyKind: kind,
    name: { country: 'DE', organization: 'Example, Inc.', commonName: '#Root+1' },
    serialNumber: randomSerialNumber(crypto),
    notBefore,
    notAfter: until(365 * 30),
  })
  const issuing = await createIssuingCertificate(crypto, {
    issuer: root,
    issuerPrivateKey: keys.privateKey,
    issuerKeyKind: kind,
    spki: new Uint8Array(await crypto.subtle.exportKey('spki', issuingKeys.publicKey)),
    name: { commonName: 'Issuing' },
    serialNumber: randomSerialNumber(crypto),
    notBefore,
    notAfter: until(3650),
    urls: { crl: 'http://pki.example.com/ca/root.crl', caIssuers: 'http://pki.example.com/ca/root.cer' },
  })
  return { root, issuing, issuingKey: issuingKeys.privateKey, kind }
}

let authority: Authority
let ec: CheckedRequest
let rsa: CheckedRequest

beforeAll(async () => {
  authority = await makeAuthority('p256')
  const mailbox = parseMailboxAddress('alice@example.com')
  const read = async (name: string) =>
    await checkCertificateRequest(crypto, readCertificateRequest(fixture(name)), mailbox)
  ec = await read('csr-p256-any-subject.pem')
  rsa = await read('csr-rsa2048.pem')
})

type Parameters = SubscriberTemplateParameters & SubscriberCertificate

function parameters(changes: Partial<Parameters> = {}, by = authority): Parameters {
  return {
    issuer: by.issuing,
    issuerPrivateKey: by.issuingKey,
    issuerKeyKind: by.kind,
    spki: ec.spki,
    key: ec.key,
    mailbox: parseMailboxAddress('alice@example.com'),
    use: 'dual',
    profile,
    serialNumber: randomSerialNumber(crypto),
    notBefore,
    notAfter: longest,
    urls,
    ...changes,
  }
}

const createSubscriberCertificate = async (subscriber: Parameters) =>
  await prepareSubscriberTemplate(crypto, subscriber)(subscriber)

const issue = async (changes: Partial<Parameters> = {}) => await createSubscriberCertificate(parameters(changes))

function extensionOf(der: Uint8Array, identifier: string) {
  const extension = parseCertificate(der).extensions.get(identifier)
  if (extension === undefined) throw new Error(`no extension ${identifier}`)
  return extension
}

describe('RFC 5280 4.1.2.2: serial numbers', () => {
  it('are 16 octets, positive, and never shorter', () => {
    for (let count = 0; count < 2000; count++) expect(randomSerialNumber(crypto)).toMatch(/^(?!00)[0-7][0-9a-f]{31}$/)
  })

  it('stand in the certificate as they were made', async () => {
    const serialNumber = randomSerialNumber(crypto)
    expect((await certificateFacts(crypto, await issue({ serialNumber }))).serialNumber).toBe(serialNumber)
  })
})

describe('RFC 5280 4.1.2.5: validity', () => {
  it('is written without fractions, in UTCTime to 2049 and GeneralizedTime after it', () => {
    const root = parseCertificate(authority.root)
    expect(root.notBefore.toISOString()).toBe('2026-11-21T12:00:00.000Z')
    expect(root.notAfter.getUTCFullYear()).toBe(2056)
    expect(new X509Certificate(authority.root).validToDate).toEqual(root.notAfter)
  })

  it('policy: 397 days at most for a subscriber', async () => {
    await expect(issue({ notAfter: until(397) })).rejects.toThrow(RangeError)
    await expect(issue({ notAfter: notBefore })).rejects.toThrow(RangeError)
    expect(parseCertificate(await issue()).notAfter.getTime()).toBe(Math.floor(longest.getTime() / 1000) * 1000)
  })
})

describe('RFC 5280 4.1.2.4: names', () => {
  it('are built from their parts, so that signs in a value stay signs', () => {
    const { subject, issuer } = parseCertificate(authority.root)
    expect(nameToString(subject)).toBe('CN=\\#Root\\+1,O=Example\\, Inc.,C=DE')
    expect(issuer.bytes).toEqual(subject.bytes)
  })

  it.each(['a+b@example.com', "o'neil=x@example.com", '#41@example.com', 'a/b@example.com', 'a{0}@example.com'])(
    'the common name of %s is the mailbox',
    async (address) => {
      const certificate = await issue({ mailbox: parseMailboxAddress(address) })
      const { subject } = parseCertificate(certificate)
      expect(readName(subject)).toMatchObject([[{ oid: oid.commonName, text: address }]])
      expect((await certificateFacts(crypto, certificate)).mailboxes).toEqual([address])
    },
  )

  it('4.2.1.6: a mailbox over 64 characters leaves the subject empty and makes its name critical', async () => {
    const domain = '@example.com'
    const [short, long] = [64, 65].map((length) => parseMailboxAddress('a'.repeat(length - domain.length) + domain))
    if (short === undefined || long === undefined) throw new Error('two mailboxes')
    const [named, unnamed] = [await issue({ mailbox: short }), await issue({ mailbox: long })]
    expect(readName(parseCertificate(named).subject)).toHaveLength(1)
    expect(extensionOf(named, oid.subjectAltName).critical).toBe(false)
    expect(readName(parseCertificate(unnamed).subject)).toHaveLength(0)
    expect(extensionOf(unnamed, oid.subjectAltName).critical).toBe(true)
  })
})

describe('RFC 5280 4.2: extensions of the CAs', () => {
  it('root: a CA without path length, that signs certificates and CRLs', () => {
    expect(readBasicConstraints(extensionOf(authority.root, oid.basicConstraints).value)).toEqual({ ca: true })
    expect(extensionOf(authority.root, oid.basicConstraints).critical).toBe(true)
    expect(readKeyUsage(extensionOf(authority.root, oid.keyUsage).value)).toEqual(new Set(['keyCertSign', 'cRLSign']))
    expect(extensionOf(authority.root, oid.keyUsage).critical).toBe(true)
    expect([...parseCertificate(authority.root).extensions.keys()].toSorted()).toEqual(
      [oid.subjectKeyIdentifier, oid.keyUsage, oid.basicConstraints].toSorted(),
    )
  })

  it('issuing CA: path length 0, mail only, and the root by its key identifier', () => {
    expect(readBasicConstraints(extensionOf(authority.issuing, oid.basicConstraints).value)).toEqual({
      ca: true,
      pathLength: 0,
    })
    expect(readKeyUsage(extensionOf(authority.issuing, oid.keyUsage).value)).toEqual(
      new Set(['digitalSignature', 'keyCertSign', 'cRLSign']),
    )
    expect(readExtendedKeyUsage(extensionOf(authority.issuing, oid.extKeyUsage).value)).toEqual([oid.emailProtection])
    expect(toHex(extensionOf(authority.issuing, oid.certificatePolicies).value)).toBe('300830060604551d2000')
    expect(new X509Certificate(authority.issuing).infoAccess).toBe(
      'CA Issuers - URI:http://pki.example.com/ca/root.cer',
    )
  })
})

describe('RFC 5280 4.2: extensions of a subscriber', () => {
  it.each([
    ['sign', 'EC', ['digitalSignature']],
    ['encrypt', 'EC', ['keyAgreement']],
    ['dual', 'EC', ['digitalSignature', 'keyAgreement']],
    ['sign', 'RSA', ['digitalSignature']],
    ['encrypt', 'RSA', ['keyEncipherment']],
    ['dual', 'RSA', ['digitalSignature', 'keyEncipherment']],
  ] as const)('4.2.1.3: key usage to %s with %s', async (use, algorithm, bits) => {
    const { spki, key } = algorithm === 'EC' ? ec : rsa
    const keyUsage = extensionOf(await issue({ use, spki, key }), oid.keyUsage)
    expect(keyUsage.critical).toBe(true)
    expect(readKeyUsage(keyUsage.value)).toEqual(new Set(bits))
  })

  it.each([
    ['csr-p384.pem', 'dual', ['digitalSignature', 'keyAgreement']],
    ['csr-p521.pem', 'encrypt', ['keyAgreement']],
    ['csr-brainpoolP256r1.pem', 'dual', ['digitalSignature', 'keyAgreement']],
    ['csr-brainpoolP512r1.pem', 'sign', ['digitalSignature']],
    ['csr-ed25519.pem', 'sign', ['digitalSignature']],
    ['csr-rsa8192.pem', 'dual', ['digitalSignature', 'keyEncipherment']],
    ['spki-x25519.der', 'encrypt', ['keyAgreement']],
  ] as const)('4.2.1.3, RFC 8410 5: key usage of %s to %s', async (name, use, bits) => {
    const content = fixture(name)
    const mailbox = parseMailboxAddress('alice@example.com')
    const rules = { use, profile: 'private', brainpool: new NodeCrypto() } as const
    const spki =
      typeof content !== 'string' && name.startsWith('spki-')
        ? content
        : (await checkCertificateRequest(crypto, readCertificateRequest(content), mailbox, rules)).spki
    const certificate = await issue({ use, spki, key: checkPublicKey(spki) })
    expect(readKeyUsage(extensionOf(certificate, oid.keyUsage).value)).toEqual(new Set(bits))
    expect(parseCertificate(certificate).spki).toEqual(spki)
    expect(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })).toEqual(
      Buffer.from(spki),
    )
    const chain = [authority.issuing, authority.root]
    const asked = { certificate, chain, anchors: [authority.root], spki, mailbox, use, notBefore, at: until(1) }
    expect(await verifyIssuedCertificate(crypto, { ...asked, notAfter: longest })).toMatchObject({ ok: true })
  })

  it('RFC 8410 5: no certificate for what a key cannot do', async () => {
    await expect(issue({ use: 'dual', key: { algorithm: 'Ed25519' } })).rejects.toMatchObject({ code: 'key_use_unfit' })
    await expect(issue({ use: 'sign', key: { algorithm: 'X25519' } })).rejects.toMatchObject({ code: 'key_use_unfit' })
  })

  it.each(['j\u00fcrgen@example.com', `${'\u00fc'.repeat(32)}@${'d'.repeat(60)}.example.com`])(
    'RFC 9598 3: %s is an SmtpUTF8Mailbox',
    async (address) => {
      const mailbox = parseMailboxAddress(address)
      const certificate = await issue({ mailbox })
      const names = readGeneralNames(extensionOf(certificate, oid.subjectAltName).value)
      expect(names).toEqual([{ kind: 'smtpUtf8Mailbox', text: address }])
      expect(new X509Certificate(certificate).subjectAltName).toContain('othername')
      const isNamed = address.length <= 64
      expect(readName(parseCertificate(certificate).subject)).toHaveLength(isNamed ? 1 : 0)
      expect(extensionOf(certificate, oid.subjectAltName).critical).toBe(!isNamed)
      const chain = [authority.issuing, authority.root]
      const asked = { certificate, chain, anchors: [authority.root], spki: ec.spki, mailbox, at: until(1) }
      expect(
        await verifyIssuedCertificate(crypto, { ...asked, use: 'dual', notBefore, notAfter: longest }),
      ).toMatchObject({ ok: true, facts: { mailboxes: [address] } })
    },
  )

  it('4.2.1.1, 4.2.1.2: key identifiers, and nothing else in that of the issuer', async () => {
    const identifier = readSubjectKeyIdentifier(extensionOf(authority.issuing, oid.subjectKeyIdentifier).value)
    const { value } = extensionOf(await issue(), oid.authorityKeyIdentifier)
    expect(readAuthorityKeyIdentifier(value)).toEqual(identifier)
    expect(toHex(value)).toBe(`30168014${toHex(identifier)}`)
  })

  it('4.2.1.9: not a CA, in DER without the default', async () => {
    expect(toHex(extensionOf(await issue(), oid.basicConstraints).value)).toBe('3000')
  })

  it('4.2.1.4: the policy of the profile', async () => {
    expect(toHex(extensionOf(await issue(), oid.certificatePolicies).value)).toBe('300b3009060767810c01050103')
    const own = await issue({ profile: { kind: 'private', policyOid: '1.3.6.1.4.1.99999.1' } })
    expect(toHex(extensionOf(own, oid.certificatePolicies).value)).toContain('2b06010401868d1f01')
  })

  it('4.2.1.12, 4.2.1.13, 4.2.2.1: mail only, CRL, CA certificate and OCSP responder', async () => {
    const certificate = await issue()
    expect(readExtendedKeyUsage(extensionOf(certificate, oid.extKeyUsage).value)).toEqual([oid.emailProtection])
    const peer = new X509Certificate(certificate)
    expect(peer.infoAccess).toBe(`OCSP - URI:${urls.ocsp}\nCA Issuers - URI:${urls.caIssuers}`)
    expect(new TextDecoder('latin1').decode(extensionOf(certificate, '2.5.29.31').value)).toContain(urls.crl)
    expect(peer.subjectAltName).toBe('email:alice@example.com')
  })
})

describe('RFC 5280 6.1 and policy rule 15: the embedded CA passes the checks made of every CA', () => {
  it.each<CaKeyKind>(['p256', 'p384', 'rsa3072', 'rsa4096'])(
    'CA key %s',
    async (kind) => {
      const by = await makeAuthority(kind)
      const mailbox = parseMailboxAddress('alice+x@example.com')
      for (const [{ spki, key }, use] of [
        [ec, 'encrypt'],
        [rsa, 'dual'],
      ] as const) {
        const certificate = await createSubscriberCertificate(parameters({ spki, key, use, mailbox }, by))
        const verdict = await verifyIssuedCertificate(crypto, {
          certificate,
          chain: [by.issuing, by.root],
          anchors: [by.root],
          spki,
          mailbox,
          use,
          notBefore,
          notAfter: longest,
          at: until(1),
        })
        expect(verdict).toMatchObject({
          ok: true,
          facts: { spkiSha256: spki === ec.spki ? ec.spkiSha256 : rsa.spkiSha256 },
        })
        const [peer, issuer, root] = [certificate, by.issuing, by.root].map((der) => new X509Certificate(der))
        if (peer === undefined || issuer === undefined || root === undefined) throw new Error('three certificates')
        expect([
          peer.checkIssued(issuer),
          peer.verify(issuer.publicKey),
          issuer.verify(root.publicKey),
          root.verify(root.publicKey),
        ]).toEqual([true, true, true, true])
      }
    },
    30_000,
  )
})
