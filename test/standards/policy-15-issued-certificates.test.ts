import { beforeAll, describe, expect, it } from 'vitest'
import { parseMailboxAddress } from '../../src/mailbox/address.ts'
import { certificateFacts, type CertificateFacts } from '../../src/pki/certificate-facts.ts'
import { readCertificateRequest } from '../../src/pki/certificate-request.ts'
import { checkCertificateRequest } from '../support/certificate-request.ts'
import {
  issuedFaults,
  verifyIssuedCertificate,
  type IssuedCertificate,
  type IssuedFault,
} from '../../src/pki/verify-issued.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { makeTestCa } from '../support/test-ca.ts'
import { certificateFixture, fixture, withEndlessTime } from './fixtures.ts'
import { refusedCertificates } from './rules.ts'

const mailbox = parseMailboxAddress('alice@example.com')
const minute = 60_000
const tested = new Set<IssuedFault>()
let spki: Uint8Array
let rsaSpki: Uint8Array
let facts: CertificateFacts

beforeAll(async () => {
  const spkiOf = async (name: string) =>
    (await checkCertificateRequest(crypto, readCertificateRequest(fixture(name)), mailbox)).spki
  spki = await spkiOf('csr-p256-any-subject.pem')
  rsaSpki = await spkiOf('csr-rsa2048.pem')
  facts = await certificateFacts(crypto, certificateFixture('cert-p256-dual.pem'))
})

/** The question as asked for the good certificate, but for what a case changes. */
function asked(name: string, changes: Partial<IssuedCertificate> = {}): IssuedCertificate {
  return {
    certificate: certificateFixture(name),
    chain: [certificateFixture('ca-issuing.pem'), certificateFixture('ca-root.pem')],
    anchors: [certificateFixture('ca-root.pem')],
    spki,
    mailbox,
    use: 'dual',
    notBefore: facts.notBefore,
    notAfter: new Date(facts.notAfter.getTime() + minute),
    at: new Date(facts.notBefore.getTime() + 5 * minute),
    ...changes,
  }
}

async function expectFault(reason: IssuedFault, question: IssuedCertificate): Promise<void> {
  tested.add(reason)
  expect(await verifyIssuedCertificate(crypto, question)).toEqual({ ok: false, reason })
}

describe('Policy rule 15: what may be kept', () => {
  it.each([
    ['cert-p256-dual.pem', 'dual'],
    ['cert-p256-sign.pem', 'sign'],
    ['cert-p256-encrypt.pem', 'encrypt'],
    ['cert-empty-subject.pem', 'dual'],
    ['cert-email-address-in-subject.pem', 'dual'],
    ['cert-client-auth-beside-mail.pem', 'dual'],
  ] as const)('%s', async (name, use) => {
    const verdict = await verifyIssuedCertificate(crypto, asked(name, { use }))
    expect(verdict).toMatchObject({
      ok: true,
      facts: { mailboxes: ['alice@example.com'], issuer: 'CN=ca-issuing,O=Example' },
    })
  })

  it('cert-rsa2048-dual.pem', async () => {
    expect(await verifyIssuedCertificate(crypto, asked('cert-rsa2048-dual.pem', { spki: rsaSpki }))).toMatchObject({
      ok: true,
    })
  })

  it.each([
    ['cert-p384-dual.pem', 'dual'],
    ['cert-p521-dual.pem', 'dual'],
    ['cert-brainpoolP256r1-dual.pem', 'dual'],
    ['cert-brainpoolP384r1-dual.pem', 'dual'],
    ['cert-brainpoolP512r1-dual.pem', 'dual'],
    ['cert-ed25519-sign.pem', 'sign'],
    ['cert-x25519-encrypt.pem', 'encrypt'],
  ] as const)('rules 5 and 6: %s', async (name, use) => {
    const changes = { use, spki: parseCertificate(certificateFixture(name)).spki }
    expect(await verifyIssuedCertificate(crypto, asked(name, changes))).toMatchObject({ ok: true })
  })

  it('rule 10: a mailbox beyond ASCII, as SmtpUTF8Mailbox', async () => {
    const juergen = parseMailboxAddress('j\u00fcrgen@example.com')
    expect(
      await verifyIssuedCertificate(crypto, asked('cert-smtputf8-mailbox.pem', { mailbox: juergen })),
    ).toMatchObject({ ok: true, facts: { mailboxes: ['j\u00fcrgen@example.com'] } })
  })

  it('a chain may end below its anchor, and an anchor may be the issuing CA', async () => {
    const issuing = certificateFixture('ca-issuing.pem')
    for (const changes of [
      { chain: [issuing] },
      { chain: [issuing], anchors: [issuing] },
      { chain: [], anchors: [issuing] },
    ]) {
      expect(await verifyIssuedCertificate(crypto, asked('cert-p256-dual.pem', changes))).toMatchObject({ ok: true })
    }
  })

  it('a CA may set notBefore back a little and end earlier than asked', async () => {
    const changes = {
      notBefore: new Date(facts.notBefore.getTime() + 10 * minute),
      at: new Date(facts.notBefore.getTime() + 10 * minute),
    }
    expect(await verifyIssuedCertificate(crypto, asked('cert-p256-dual.pem', changes))).toMatchObject({ ok: true })
  })
})

describe('Policy rule 15, S/MIME BR 1.0.16: purposes beside emailProtection', () => {
  const mail = '1.3.6.1.5.5.7.3.4'
  const client = '1.3.6.1.5.5.7.3.2'
  const documents = '1.3.6.1.5.5.7.3.36'
  const [before, from] = [new Date('2027-06-30T23:59:59.999Z'), new Date('2027-07-01T00:00:00Z')]
  const profiled = { ok: true }
  const unprofiled = { ok: false, reason: 'eku_unprofiled' }

  it.each([
    ['mail', [mail], profiled, profiled],
    ['mail and clients', [mail, client], profiled, profiled],
    ['clients and mail', [client, mail], profiled, profiled],
    ['clients alone', [client], unprofiled, unprofiled],
    ['mail and documents', [mail, documents], profiled, unprofiled],
    ['mail, clients and documents', [mail, client, documents], profiled, unprofiled],
    ['documents alone', [documents], unprofiled, unprofiled],
    ['mail and any', [mail, '2.5.29.37.0'], unprofiled, unprofiled],
    ['mail and servers', [mail, '1.3.6.1.5.5.7.3.1'], unprofiled, unprofiled],
    ['mail and code', [mail, '1.3.6.1.5.5.7.3.3'], unprofiled, unprofiled],
    ['mail and time stamps', [mail, '1.3.6.1.5.5.7.3.8'], unprofiled, unprofiled],
    ['mail and OCSP', [mail, '1.3.6.1.5.5.7.3.9'], unprofiled, unprofiled],
  ] as const)('%s: until 30 June 2027, and after it', async (_, purposes, until, after) => {
    const ca = await makeTestCa('Purposes', () => before.getTime())
    const term = { notBefore: new Date(before.getTime() - minute), notAfter: new Date(from.getTime() + 60 * minute) }
    const certificate = await ca.issue({ spki, names: 'alice@example.com', purposes, ...term })
    const question = { ...asked('cert-p256-dual.pem', term), certificate, chain: ca.chain, anchors: [ca.root] }
    expect(await verifyIssuedCertificate(crypto, { ...question, at: before })).toMatchObject(until)
    expect(await verifyIssuedCertificate(crypto, { ...question, at: from })).toMatchObject(after)
  })
})

describe('Policy rule 15: what is not kept', () => {
  it.each(refusedCertificates)('%s: %s', async (name, reason) => {
    await expectFault(reason, asked(name))
  })

  it('rule 6: a key usage that the key cannot have: key_usage_unfit', async () => {
    const { spki } = parseCertificate(certificateFixture('cert-ed25519-key-agreement.pem'))
    await expectFault('key_usage_unfit', asked('cert-ed25519-key-agreement.pem', { spki }))
    await expectFault('key_usage_unfit', asked('cert-ed25519-key-agreement.pem', { spki, use: 'sign' }))
    await expectFault('key_usage_unfit', asked('cert-ed25519-sign.pem', { spki, use: 'encrypt' }))
  })

  it('rule 10: a mailbox beyond ASCII in other octets, or as rfc822Name', async () => {
    const juergen = parseMailboxAddress('j\u00fcrgen@example.com')
    await expectFault('mailbox_differs', asked('cert-smtputf8-mailbox-not-nfc.pem', { mailbox: juergen }))
    await expectFault('foreign_san_type', asked('cert-p256-dual.pem', { mailbox: juergen }))
    await expectFault(
      'mailbox_differs',
      asked('cert-smtputf8-mailbox.pem', { mailbox: parseMailboxAddress('J\u00fcrgen@example.com') }),
    )
  })

  it('a certificate for more than was asked: key_usage_unfit', async () => {
    await expectFault('key_usage_unfit', asked('cert-p256-dual.pem', { use: 'sign' }))
  })

  it.each([
    'ca-issuing-not-a-ca',
    'ca-issuing-without-key-cert-sign',
    'ca-issuing-for-servers-only',
    'ca-issuing-with-name-constraints',
  ])('RFC 5280 6.1.4: issued by %s', async (name) => {
    const chain = [certificateFixture(`${name}.pem`), certificateFixture('ca-root.pem')]
    await expectFault('chain_untrusted', asked(`cert-by-${name}.pem`, { chain }))
  })

  it('RFC 5280 6.1.4 (m): a CA below one whose path length is 0', async () => {
    const chain = ['ca-issuing-below-path-length.pem', 'ca-issuing.pem', 'ca-root.pem'].map(certificateFixture)
    await expectFault('chain_untrusted', asked('cert-by-ca-issuing-below-path-length.pem', { chain }))
  })

  it('a chain to a root that the connection does not trust, or none at all', async () => {
    const foreign = certificateFixture('ca-root-nobody-trusts.pem')
    await expectFault('chain_untrusted', asked('cert-of-a-ca-nobody-trusts.pem', { chain: [foreign] }))
    await expectFault('chain_untrusted', asked('cert-p256-dual.pem', { anchors: [foreign] }))
    await expectFault('chain_untrusted', asked('cert-p256-dual.pem', { chain: [] }))
    await expectFault('chain_untrusted', asked('cert-p256-dual.pem', { anchors: [] }))
    const chain = [certificateFixture('ca-issuing.pem'), foreign]
    await expectFault('chain_untrusted', asked('cert-p256-dual.pem', { chain }))
  })

  it('a chain that is not DER: malformed', async () => {
    await expectFault('malformed', asked('cert-p256-dual.pem', { chain: [Uint8Array.of(0x30, 0)] }))
  })

  it('a time of a million octets: malformed', async () => {
    const certificate = withEndlessTime(certificateFixture('cert-p256-dual.pem'), 1_000_000)
    await expectFault('malformed', asked('cert-p256-dual.pem', { certificate }))
  })

  it('a term longer than asked, on either side', async () => {
    const end = new Date(facts.notAfter.getTime() - 1000)
    await expectFault('validity_too_long', asked('cert-p256-dual.pem', { notAfter: end }))
    const start = new Date(facts.notBefore.getTime() + 61 * minute)
    await expectFault('validity_too_long', asked('cert-p256-dual.pem', { notBefore: start, at: start }))
  })

  it('outside of its term', async () => {
    await expectFault(
      'not_yet_valid',
      asked('cert-p256-dual.pem', { at: new Date(facts.notBefore.getTime() - 6 * minute) }),
    )
    await expectFault('expired', asked('cert-p256-dual.pem', { at: new Date(facts.notAfter.getTime() + 1000) }))
  })

  it('every reason there is was met above', () => {
    expect(issuedFaults.filter((reason) => !tested.has(reason))).toEqual([])
  })
})
