import 'reflect-metadata'
import {
  AuthorityInfoAccessExtension,
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  CertificatePolicyExtension,
  CRLDistributionPointsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { randomSerialNumber } from '../src/pki/ca-key.ts'

/**
 * `@peculiar/x509` alone, in a process of its own, steered by its parent over IPC: parses and verifies the CSRs it is
 * sent, and issues the certificate of the embedded CA's profile for each. Stores nothing and speaks no HTTP; what does
 * not differ between two certificates is made once.
 */

/** From the parent: CSRs as PEM. */
export type LibraryOrder = readonly string[]

/** To the parent: the CPU time that an order took. */
export interface LibraryReport {
  readonly cpuMicroseconds: number
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const caKeys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
const fixed = [
  await AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
  new BasicConstraintsExtension(false, undefined, false),
  new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement, true),
  new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.4']),
  new CertificatePolicyExtension(['2.23.140.1.5.1.3']),
  new CRLDistributionPointsExtension(['http://pki.example.com/ca/issuing.crl']),
  new AuthorityInfoAccessExtension({
    ocsp: 'http://pki.example.com/ocsp/issuing',
    caIssuers: 'http://pki.example.com/ca/issuing.cer',
  }),
]
const notBefore = new Date()
const notAfter = new Date(notBefore.getTime() + 396 * 86_400_000)

async function issue(csr: string, address: string): Promise<ArrayBuffer> {
  const request = new Pkcs10CertificateRequest(csr)
  if (!(await request.verify())) throw new Error('the request does not verify')
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerialNumber(crypto),
    issuer: 'CN=Issuing',
    subject: new Name([{ CN: [{ utf8String: address }] }]),
    notBefore,
    notAfter,
    publicKey: request.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      ...fixed,
      await SubjectKeyIdentifierExtension.create(request.publicKey),
      new SubjectAlternativeNameExtension([{ type: 'email', value: address }]),
    ],
  })
  return certificate.rawData
}

async function obey(csrs: LibraryOrder): Promise<LibraryReport> {
  const before = process.cpuUsage()
  for (const [number, csr] of csrs.entries()) await issue(csr, `subscriber.${number}@company.example`)
  const { user, system } = process.cpuUsage(before)
  return { cpuMicroseconds: user + system }
}

process.on('message', (csrs: LibraryOrder) => void obey(csrs).then((report) => process.send?.(report)))
process.once('disconnect', () => process.exit(0))
process.send?.({ cpuMicroseconds: 0 } satisfies LibraryReport)
