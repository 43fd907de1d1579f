import 'reflect-metadata'
import {
  BasicConstraintsExtension,
  Extension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const day = 86_400_000
const rsa1024 = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 1024,
  publicExponent: Uint8Array.of(1, 0, 1),
}
const p256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

const base64 = ({ rawData }: { readonly rawData: ArrayBuffer }): string => Buffer.from(rawData).toString('base64')

/** A certificate for mail by a CA that an app trusts: nothing is wrong with it but the key, or what the CA is told. */
async function certificateOf(
  mailbox: string,
  at: Date,
  { keys, caExtensions = [] }: { readonly keys: CryptoKeyPair; readonly caExtensions?: readonly Extension[] },
) {
  const term = { notBefore: new Date(at.getTime() - day), notAfter: new Date(at.getTime() + day) }
  const caKeys = await crypto.subtle.generateKey(p256, false, ['sign', 'verify'])
  const authority = await X509CertificateGenerator.createSelfSigned({
    ...term,
    name: 'CN=careless',
    keys: caKeys,
    signingAlgorithm: p256,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      ...caExtensions,
    ],
  })
  const decrypting =
    keys.publicKey.algorithm.name === 'ECDSA' ? KeyUsageFlags.keyAgreement : KeyUsageFlags.keyEncipherment
  const certificate = await X509CertificateGenerator.create({
    ...term,
    subject: '',
    issuer: authority.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: p256,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | decrypting, true),
      new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.4']),
      new SubjectAlternativeNameExtension([{ type: 'email', value: mailbox }]),
    ],
  })
  return { certificate: base64(certificate), chain: [base64(authority)], anchor: new Uint8Array(authority.rawData) }
}

/** With a key of 1024 bits. */
export async function weakCertificate(mailbox: string, at: Date) {
  return await certificateOf(mailbox, at, { keys: await crypto.subtle.generateKey(rsa1024, false, ['sign', 'verify']) })
}

/** By a CA that may issue for `host` alone, as it is told by an extension that is not critical; null: it is told nothing. */
export async function constrainedCertificate(mailbox: string, at: Date, host: string | null) {
  const name = Buffer.from(host ?? '')
  // NameConstraints with one permitted rfc822Name, RFC 5280 section 4.2.1.10.
  const sizes = [4, 2, 0].map((around) => name.length + around)
  const [inPermitted = 0, inSubtree = 0, inName = 0] = sizes
  const constraints = Buffer.concat([
    Buffer.of(0x30, inPermitted + 2, 0xa0, inPermitted, 0x30, inSubtree, 0x81, inName),
    name,
  ])
  return await certificateOf(mailbox, at, {
    keys: await crypto.subtle.generateKey(p256, false, ['sign', 'verify']),
    caExtensions: host === null ? [] : [new Extension('2.5.29.30', false, constraints)],
  })
}
