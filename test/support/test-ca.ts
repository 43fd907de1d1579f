import 'reflect-metadata'
import { randomBytes } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type Extension,
  type JsonGeneralNames,
  type X509Certificate,
} from '@peculiar/x509'
import type { CaTrust } from '../../src/cas/adapters/contract.ts'
import type { CertificateUse } from '../../src/pki/key-usage.ts'
import { toPem } from './pem.ts'

/** What a certificate is to say; what is not given is as a CA for mail would have it. */
export interface TestCertificate {
  readonly spki: Uint8Array
  readonly use?: CertificateUse
  /** An address, or any names. */
  readonly names: string | JsonGeneralNames
  readonly subject?: string
  readonly purposes?: readonly string[]
  readonly usages?: KeyUsageFlags
  readonly isCa?: boolean
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** Hexadecimal. */
  readonly serialNumber?: string
  readonly extensions?: readonly Extension[]
}

/** A CA of a test: a root, and an issuing CA below it. */
export interface TestCa {
  readonly root: Uint8Array
  readonly issuing: Uint8Array
  /** The issuing CA first. */
  readonly chain: readonly Uint8Array[]
  readonly trust: CaTrust
  /** RFC 4514. */
  readonly issuerName: string
  /** Of the issuing CA: what it signs lists with. */
  readonly issuingKey: CryptoKey
  /** For tests that sign what no CA should. */
  readonly keys: { readonly root: CryptoKey; readonly issuing: CryptoKey }
  issue(wanted: TestCertificate): Promise<Uint8Array>
  /** A certificate for a server at 127.0.0.1, or for a client, with its key (PEM and PKCS#8). */
  issueForTls(side: 'server' | 'client'): Promise<TlsIdentity>
}

export interface TlsIdentity {
  /** PEM, with the issuing CA behind it. */
  readonly certificate: string
  /** PEM. */
  readonly key: string
  /** DER, its own first, and PKCS#8. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: Uint8Array
}

const day = 86_400_000
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const makeKeys = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
const bytes = (certificate: X509Certificate): Uint8Array => new Uint8Array(certificate.rawData)

export const purpose = {
  mail: '1.3.6.1.5.5.7.3.4',
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
} as const

/** RSA keys encipher keys, others agree on them. */
function usagesFor(key: PublicKey, use: CertificateUse): KeyUsageFlags {
  const encrypts = key.algorithm.name.startsWith('RSA') ? KeyUsageFlags.keyEncipherment : KeyUsageFlags.keyAgreement
  if (use === 'sign' || key.algorithm.name === 'Ed25519') return KeyUsageFlags.digitalSignature
  return use === 'encrypt' ? encrypts : KeyUsageFlags.digitalSignature | encrypts
}

/** Makes a CA; certificates are valid around `now`, which is the present unless a test owns the time. */
export async function makeTestCa(name = 'Test', now: () => number = Date.now): Promise<TestCa> {
  const [rootKeys, issuingKeys] = await Promise.all([makeKeys(), makeKeys()])
  const caExtensions = [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ]
  const caTerm = { notBefore: new Date(now() - 30 * day), notAfter: new Date(now() + 3_650 * day) }
  const root = await X509CertificateGenerator.createSelfSigned({
    name: `C=DE,O=Example,CN=${name} Root`,
    keys: rootKeys,
    signingAlgorithm: algorithm,
    extensions: [...caExtensions, await SubjectKeyIdentifierExtension.create(rootKeys.publicKey)],
    serialNumber: randomBytes(15).toString('hex'),
    ...caTerm,
  })
  const issuing = await X509CertificateGenerator.create({
    subject: `C=DE,O=Example,CN=${name} Issuing CA`,
    issuer: root.subjectName,
    publicKey: issuingKeys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      ...caExtensions,
      await SubjectKeyIdentifierExtension.create(issuingKeys.publicKey),
      await AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
    serialNumber: randomBytes(15).toString('hex'),
    ...caTerm,
  })

  const issue = async (wanted: TestCertificate): Promise<X509Certificate> => {
    const publicKey = new PublicKey(new Uint8Array(wanted.spki))
    const { names, use = 'dual', isCa = false, purposes = [purpose.mail] } = wanted
    const alternativeNames: JsonGeneralNames = typeof names === 'string' ? [{ type: 'email', value: names }] : names
    const commonName = typeof names === 'string' && names.length <= 64 ? names : null
    const made: Extension[] = [
      new BasicConstraintsExtension(isCa, undefined, isCa),
      new KeyUsagesExtension(wanted.usages ?? usagesFor(publicKey, use), true),
      new ExtendedKeyUsageExtension([...purposes]),
      await AuthorityKeyIdentifierExtension.create(issuingKeys.publicKey),
      ...(alternativeNames.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternativeNames)]),
      ...(wanted.extensions ?? []),
    ]
    return X509CertificateGenerator.create({
      subject: wanted.subject ?? (commonName === null ? '' : `CN=${commonName}`),
      issuer: issuing.subjectName,
      publicKey,
      signingKey: issuingKeys.privateKey,
      signingAlgorithm: algorithm,
      extensions: made,
      serialNumber: wanted.serialNumber ?? `4${randomBytes(15).toString('hex').slice(1)}`,
      notBefore: wanted.notBefore ?? new Date(now() - 60_000),
      notAfter: wanted.notAfter ?? new Date(now() + 80 * day),
    })
  }

  return {
    root: bytes(root),
    issuing: bytes(issuing),
    chain: [bytes(issuing), bytes(root)],
    trust: { anchors: [bytes(root)], intermediates: [] },
    issuerName: `CN=${name} Issuing CA,O=Example,C=DE`,
    issuingKey: issuingKeys.privateKey,
    keys: { root: rootKeys.privateKey, issuing: issuingKeys.privateKey },
    issue: async (wanted) => bytes(await issue(wanted)),
    issueForTls: async (side) => {
      const keys = await makeKeys()
      const certificate = await issue({
        spki: new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey)),
        use: 'sign',
        subject: `CN=${side}`,
        names:
          side === 'client'
            ? []
            : [
                { type: 'ip', value: '127.0.0.1' },
                { type: 'dns', value: 'localhost' },
              ],
        purposes: [purpose[side]],
        // TLS goes by the machine's own time.
        notBefore: new Date(Date.now() - day),
        notAfter: new Date(Date.now() + day),
      })
      const privateKey = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
      return {
        certificate: certificate.toString('pem') + '\n' + issuing.toString('pem'),
        key: toPem('PRIVATE KEY', privateKey),
        chain: [bytes(certificate), bytes(issuing)],
        privateKey,
      }
    },
  }
}
