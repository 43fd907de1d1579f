import { caKeyAlgorithm, randomSerialNumber, type CaKeyKind } from '../../src/pki/ca-key.ts'
import { createIssuingCertificate, createRootCertificate } from '../../src/pki/profiles.ts'
import type { SigningCa } from '../../src/pki/signing.ts'

export const keyKinds: readonly CaKeyKind[] = ['p256', 'p384', 'rsa3072']

async function makeKeys(kind: CaKeyKind): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(caKeyAlgorithm(kind).key, true, ['sign', 'verify'])
}

/** An issuing CA under a root of its own, with keys of one kind, valid for ten years from 2026. */
export async function makeIssuingCa(kind: CaKeyKind): Promise<SigningCa> {
  const [rootKeys, keys] = await Promise.all([makeKeys(kind), makeKeys(kind)])
  const term = { notBefore: new Date('2026-11-21T12:00:00Z'), notAfter: new Date('2036-11-21T12:00:00Z') }
  const root = await createRootCertificate(crypto, {
    keys: rootKeys,
    keyKind: kind,
    name: { country: 'DE', organization: 'Example', commonName: 'Root' },
    serialNumber: randomSerialNumber(crypto),
    ...term,
  })
  const issuer = await createIssuingCertificate(crypto, {
    issuer: root,
    issuerPrivateKey: rootKeys.privateKey,
    issuerKeyKind: kind,
    spki: new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey)),
    name: { country: 'DE', organization: 'Example', commonName: 'Issuing' },
    serialNumber: randomSerialNumber(crypto),
    ...term,
    urls: { crl: 'http://pki.example.com/ca/root.crl', caIssuers: 'http://pki.example.com/ca/root.cer' },
  })
  return { issuer, issuerPrivateKey: keys.privateKey, issuerKeyKind: kind }
}
