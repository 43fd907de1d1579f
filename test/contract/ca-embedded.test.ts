import { createEmbeddedCa } from '../../src/cas/inside/embedded.ts'
import type { CaAdapter } from '../../src/cas/adapters/contract.ts'
import { randomSerialNumber } from '../../src/pki/ca-key.ts'
import { createIssuingCertificate } from '../../src/pki/profiles.ts'
import { describeCaAdapter, type RunningCa } from '../support/ca-contract.ts'
import { makeTestCa } from '../support/test-ca.ts'

const pkiUrl = 'http://pki.example.com'
const year = 365 * 86_400_000

/** The CA inside over a root of the test's own; it keeps nothing, so what it hands out is all that there is. */
async function start(): Promise<RunningCa> {
  const { root, keys } = await makeTestCa('Inside')
  const own = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  const issuing = await createIssuingCertificate(crypto, {
    issuer: root,
    issuerPrivateKey: keys.root,
    issuerKeyKind: 'p256',
    spki: new Uint8Array(await crypto.subtle.exportKey('spki', own.publicKey)),
    name: { country: 'DE', organization: 'Example', commonName: 'Issuing' },
    serialNumber: randomSerialNumber(crypto),
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + year),
    urls: { crl: `${pkiUrl}/ca/root.crl`, caIssuers: `${pkiUrl}/ca/root.cer` },
  })
  const { adapter, trust } = await createEmbeddedCa({
    crypto,
    authorities: {
      root: { id: 'root', certificate: root },
      issuing: { id: 'issuing', keyKind: 'p256', certificate: issuing, privateKey: own.privateKey },
      namedPkiUrl: pkiUrl,
      signer: async () => ({ certificate: root, privateKey: keys.root, keyKind: 'p256' }),
    },
    profile: { kind: 'sbr-strict' },
    pkiUrl,
  })
  let issued = 0
  const counting: CaAdapter = {
    ...adapter,
    submit: async (order) => {
      issued += 1
      return await adapter.submit(order)
    },
  }
  return { url: '', trust, adapter: () => counting, issued: () => issued, stop: async () => undefined }
}

describeCaAdapter('embedded', {
  start,
  orders: [
    { key: 'P-256', use: 'sign' },
    { key: 'P-384', use: 'encrypt' },
    { key: 'P-521', use: 'dual' },
    { key: 'RSA-2048', use: 'sign' },
    { key: 'RSA-2048', use: 'encrypt' },
    { key: 'RSA-2048', use: 'dual' },
    { key: 'Ed25519', use: 'sign' },
    { use: 'sign', address: 'jürgen@example.com' },
    { use: 'sign', address: `${'a'.repeat(60)}@mail.example.com` },
    { use: 'sign', csrSubject: 'CN=a phone, O=Evil', csrNames: [{ type: 'dns', value: 'evil.example' }] },
  ],
  refused: [],
  network: null,
  submits: 'issued',
  revokes: null,
  finds: false,
})
