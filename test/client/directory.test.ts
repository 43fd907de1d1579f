import { describe, expect, test } from 'vitest'
import { CertbookClient, rejectionReasons, type ClientOptions, type KeyUse } from '../../src/client/index.ts'
import { certificateFacts } from '../../src/pki/certificate-facts.ts'
import { parseCertificate } from '../../src/pki/certificate.ts'
import { toBase64 } from '../../src/pki/encoding.ts'
import { certificateFixture, withEndlessTime } from '../standards/fixtures.ts'
import { constrainedCertificate, weakCertificate } from './weak-certificate.ts'

/** A certificate as a hostile service shows it: everything beside the bytes says that all is well. */
const shown = (certificate: string, chain: readonly string[], mailbox = 'alice@example.com') => ({
  id: 'any',
  mailbox,
  use: 'encrypt',
  state: 'valid',
  serialNumber: '01',
  fingerprintSha256: '00'.repeat(32),
  issuer: 'CN=ca-issuing,O=Example',
  notBefore: '2020-01-01T00:00:00.000Z',
  notAfter: '2099-01-01T00:00:00.000Z',
  certificate,
  chain,
})

const base64 = (name: string): string => toBase64(certificateFixture(name))
const goodChain = ['ca-issuing.pem', 'ca-root.pem']
const root = certificateFixture('ca-root.pem')
const { notBefore, notAfter } = parseCertificate(certificateFixture('cert-p256-encrypt.pem'))
const at = notBefore.getTime() + 60_000

interface Question {
  readonly address?: string
  readonly use?: KeyUse
  readonly options?: Partial<ClientOptions>
}

/** Asks a service that answers this for one address. */
const ask = async (
  certificates: readonly object[],
  { address = 'alice@example.com', use = 'encrypt', options }: Question = {},
) => {
  const client = new CertbookClient({
    baseUrl: 'https://certbook.example',
    anchors: [root],
    now: () => at,
    fetch: async () => Response.json({ results: [{ address, status: 'found', certificates }] }),
    ...options,
  })
  const { results, rejected } = await client.lookup([address], use)
  const [result] = results
  return { status: result?.status, certificates: result?.certificates ?? [], rejected }
}

const tested = new Set<string>()

const expectRejected = async (reason: string, ...[certificates, question]: Parameters<typeof ask>): Promise<void> => {
  tested.add(reason)
  const found = await ask(certificates, question)
  expect(found.rejected.map((rejection) => rejection.reason)).toEqual(certificates.map(() => reason))
  expect([found.status, found.certificates]).toEqual(['rejected', []])
}

describe('lookup returns what an app may encrypt to', () => {
  test.each([
    ['cert-p256-encrypt.pem', 'encrypt'],
    ['cert-p256-dual.pem', 'encrypt'],
    ['cert-p256-dual.pem', 'sign'],
    ['cert-rsa2048-dual.pem', 'encrypt'],
    ['cert-x25519-encrypt.pem', 'encrypt'],
    ['cert-ed25519-sign.pem', 'sign'],
    ['cert-second-mailbox.pem', 'encrypt'],
    ['cert-mailbox-in-other-case.pem', 'encrypt'],
  ] as const)('%s to %s', async (name, use) => {
    const found = await ask([shown(base64(name), goodChain.map(base64))], { use })
    expect([found.status, found.rejected]).toEqual(['found', []])
    const { fingerprintSha256 } = await certificateFacts(crypto, certificateFixture(name))
    expect(found.certificates.map((certificate) => certificate.fingerprintSha256)).toEqual([fingerprintSha256])
  })

  test('an address beyond ASCII under its own kind of name', async () => {
    const address = 'j\u00fcrgen@example.com'
    const certificate = shown(base64('cert-smtputf8-mailbox.pem'), goodChain.map(base64), address)
    expect((await ask([certificate], { address, use: 'sign' })).status).toBe('found')
  })

  test.each([
    ['the issuing CA alone, the root known to the app', ['ca-issuing.pem'], 'ca-root.pem'],
    ['an anchor that is the issuing CA', ['ca-issuing.pem'], 'ca-issuing.pem'],
    ['no chain, an anchor that is the issuing CA', [], 'ca-issuing.pem'],
  ])('by %s', async (_, chain, anchor) => {
    const certificate = shown(base64('cert-p256-encrypt.pem'), chain.map(base64))
    const options = { anchors: [certificateFixture(anchor)] }
    expect((await ask([certificate], { options })).status).toBe('found')
  })

  test('the good one beside a bad one, which is reported', async () => {
    const good = shown(base64('cert-p256-encrypt.pem'), goodChain.map(base64))
    const bad = shown(base64('cert-mailbox-of-another.pem'), goodChain.map(base64))
    const found = await ask([bad, good])
    expect([found.status, found.certificates.length]).toEqual(['found', 1])
    const { fingerprintSha256 } = await certificateFacts(crypto, certificateFixture('cert-mailbox-of-another.pem'))
    expect(found.rejected).toEqual([{ address: 'alice@example.com', fingerprintSha256, reason: 'mailbox_differs' }])
  })
})

describe('lookup drops, whatever a hostile service says of it', () => {
  test.each([
    ['mailbox_differs', 'cert-mailbox-of-another.pem'],
    ['mailbox_differs', 'cert-no-alternative-name.pem'],
    ['is_ca', 'cert-is-a-ca.pem'],
    ['eku_unprofiled', 'cert-no-extended-key-usage.pem'],
    ['key_usage_unfit', 'cert-p256-sign.pem'],
    ['key_usage_unfit', 'cert-no-key-usage.pem'],
    ['key_usage_unfit', 'cert-ed25519-key-agreement.pem'],
    ['key_usage_unfit', 'cert-ed25519-sign.pem'],
    ['unknown_critical_extension', 'cert-unknown-critical-extension.pem'],
    ['signature_invalid', 'cert-signature-broken.pem'],
    ['signature_invalid', 'cert-signed-with-sha1.pem'],
    ['signature_invalid', 'cert-of-a-ca-nobody-trusts.pem'],
    ['malformed', 'cert-trailing-byte.der'],
  ])('%s: %s', async (reason, name) => {
    await expectRejected(reason, [shown(base64(name), goodChain.map(base64))])
  })

  test('key_usage_unfit: a certificate to encrypt, for one to verify with', async () => {
    for (const name of ['cert-p256-encrypt.pem', 'cert-x25519-encrypt.pem']) {
      await expectRejected('key_usage_unfit', [shown(base64(name), goodChain.map(base64))], { use: 'sign' })
    }
  })

  test('key_refused: a key that can be broken', async () => {
    const { certificate, chain, anchor } = await weakCertificate('alice@example.com', new Date(at))
    await expectRejected('key_refused', [shown(certificate, chain)], { options: { anchors: [anchor] } })
  })

  test('mailbox_differs: a mailbox beyond ASCII in other octets', async () => {
    const address = 'j\u00fcrgen@example.com'
    const certificates = [shown(base64('cert-smtputf8-mailbox-not-nfc.pem'), goodChain.map(base64), address)]
    await expectRejected('mailbox_differs', certificates, { address, use: 'sign' })
  })

  test('not_yet_valid and expired, by the clock of the app', async () => {
    const certificates = [shown(base64('cert-p256-encrypt.pem'), goodChain.map(base64))]
    await expectRejected('not_yet_valid', certificates, { options: { now: () => notBefore.getTime() - 1000 } })
    await expectRejected('expired', certificates, { options: { now: () => notAfter.getTime() + 1000 } })
  })

  test.each([
    'ca-issuing-not-a-ca',
    'ca-issuing-without-key-cert-sign',
    'ca-issuing-for-servers-only',
    'ca-issuing-with-name-constraints',
  ])('chain_untrusted: issued by %s', async (name) => {
    await expectRejected('chain_untrusted', [
      shown(base64(`cert-by-${name}.pem`), [`${name}.pem`, 'ca-root.pem'].map(base64)),
    ])
  })

  test('chain_untrusted: issued by a CA with name constraints, though they are not critical', async () => {
    for (const host of ['other.example', null]) {
      const { certificate, chain, anchor } = await constrainedCertificate('alice@example.com', new Date(at), host)
      const question = { options: { anchors: [anchor] } }
      if (host === null) expect((await ask([shown(certificate, chain)], question)).status).toBe('found')
      else await expectRejected('chain_untrusted', [shown(certificate, chain)], question)
    }
  })

  test('chain_untrusted: below a CA whose path length is 0', async () => {
    const chain = ['ca-issuing-below-path-length.pem', 'ca-issuing.pem', 'ca-root.pem'].map(base64)
    await expectRejected('chain_untrusted', [shown(base64('cert-by-ca-issuing-below-path-length.pem'), chain)])
  })

  test('chain_untrusted: a root of the service, which the app does not have', async () => {
    const chain = [base64('ca-root-nobody-trusts.pem')]
    await expectRejected('chain_untrusted', [shown(base64('cert-of-a-ca-nobody-trusts.pem'), chain)])
    await expectRejected('chain_untrusted', [shown(base64('cert-of-a-ca-nobody-trusts.pem'), [])])
    const good = [shown(base64('cert-p256-encrypt.pem'), goodChain.map(base64))]
    await expectRejected('chain_untrusted', good, { options: { anchors: [] } })
  })

  test('chain_untrusted: the issuing CA and then a root that has not signed it', async () => {
    const chain = ['ca-issuing.pem', 'ca-root-nobody-trusts.pem'].map(base64)
    await expectRejected('chain_untrusted', [shown(base64('cert-p256-encrypt.pem'), chain)])
  })

  test('malformed: bytes that are no certificate, and a chain that is none or has no end', async () => {
    const good = base64('cert-p256-encrypt.pem')
    await expectRejected('malformed', [shown('MAA=', [])])
    await expectRejected('malformed', [shown(good, ['MAA='])])
    await expectRejected('malformed', [
      shown(
        good,
        Array.from({ length: 7 }, () => base64('ca-issuing.pem')),
      ),
    ])
  })

  test('malformed: a certificate of more than 64 KiB, alone or in a chain: an answer costs no more to read', async () => {
    const endless = toBase64(withEndlessTime(certificateFixture('cert-p256-encrypt.pem'), 65_536))
    await expectRejected('malformed', [shown(endless, goodChain.map(base64))])
    await expectRejected('malformed', [shown(base64('cert-p256-encrypt.pem'), [endless, base64('ca-root.pem')])])
    expect((await ask([shown(endless, [])])).rejected).toMatchObject([{ fingerprintSha256: null }])
  })

  test('too_many: more than the service promises, so that an answer costs no more', async () => {
    const certificate = shown(base64('cert-p256-encrypt.pem'), goodChain.map(base64))
    const found = await ask(Array.from({ length: 12 }, () => certificate))
    tested.add('too_many')
    expect([found.certificates.length, found.rejected.map(({ reason }) => reason)]).toEqual([
      10,
      ['too_many', 'too_many'],
    ])
  })

  test('every reason there is was met above', () => {
    expect(rejectionReasons.filter((reason) => !tested.has(reason))).toEqual([])
  })
})

describe('lookup asks', () => {
  let asked: { addresses: string[]; use: string }[]
  const answering = (answer: (question: { addresses: string[] }) => unknown): CertbookClient => {
    asked = []
    return new CertbookClient({
      baseUrl: 'https://certbook.example/mail/',
      anchors: [root],
      attempts: 1,
      fetch: async (url, init) => {
        expect(url).toBe('https://certbook.example/mail/v1/lookups')
        const question = JSON.parse(init.body ?? '')
        asked.push(question)
        return Response.json(answer(question))
      },
    })
  }
  const notFound = ({ addresses }: { addresses: string[] }) => ({
    results: addresses.map((address) => ({ address, status: 'not_found', certificates: [] })),
  })

  test('for each mailbox once, for none that is malformed, and answers in the order of the question', async () => {
    const client = answering(notFound)
    const question = ['bob@example.com', 'nobody', 'BOB@Example.com', 'carol@example.com']
    const { results } = await client.lookup(question, 'encrypt')
    expect(asked).toEqual([{ addresses: ['bob@example.com', 'carol@example.com'], use: 'encrypt' }])
    expect(results.map(({ address, status }) => [address, status])).toEqual([
      ['bob@example.com', 'not_found'],
      ['nobody', 'invalid'],
      ['BOB@Example.com', 'not_found'],
      ['carol@example.com', 'not_found'],
    ])
  })

  test('nothing, where no address is well formed', async () => {
    const { results } = await answering(notFound).lookup(['nobody'], 'encrypt')
    expect([asked, results.length]).toEqual([[], 1])
  })

  test('a hundred addresses at a time', async () => {
    const question = Array.from({ length: 205 }, (_, index) => `person-${index}@example.com`)
    const { results } = await answering(notFound).lookup(question, 'encrypt')
    expect(asked.map(({ addresses }) => addresses.length)).toEqual([100, 100, 5])
    expect(results.map(({ address }) => address)).toEqual(question)
  })

  test.each([
    ['fewer results', () => ({ results: [] })],
    ['results of other addresses', () => notFound({ addresses: ['mallory@example.com', 'carol@example.com'] })],
    ['results in another order', () => notFound({ addresses: ['carol@example.com', 'bob@example.com'] })],
    ['no results', () => ({})],
    ['no JSON object', () => null],
  ])('and refuses an answer with %s', async (_, answer) => {
    await expect(answering(answer).lookup(['bob@example.com', 'carol@example.com'], 'encrypt')).rejects.toMatchObject({
      code: 'answer_malformed',
      status: null,
    })
  })
})
