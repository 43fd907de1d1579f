import { caKeyAlgorithm, type CaKeyKind } from './ca-key.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import { toBufferSource, toHex } from './encoding.ts'
import { readSubjectKeyIdentifier, type KeyUsageBit } from './extensions.ts'
import { oid } from './object-identifiers.ts'
import type { SigningCa } from './signing.ts'
import { keyIdentifier } from './spki.ts'
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
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type ExtensionToWrite,
  type JsonNameParams,
} from './x509.ts'

/** The profile of a CA, and the policy that its certificates name. */
export type CertificateProfile =
  | { readonly kind: 'sbr-strict' }
  | { readonly kind: 'private'; readonly policyOid: string }

/** The subject of a CA's certificate. */
interface CaName {
  readonly commonName: string
  readonly organization?: string
  /** Two letters, ISO 3166-1. */
  readonly country?: string
}

/** The serial number and lifetime of a certificate. */
export interface Term {
  /** Hexadecimal, from `randomSerialNumber`. */
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
}

export interface RootCertificateParameters extends Term {
  readonly keys: CryptoKeyPair
  readonly keyKind: CaKeyKind
  readonly name: CaName
}

export interface IssuingCertificateParameters extends Term, SigningCa {
  /** The issuing CA's SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly name: CaName
  /** The `http:` addresses of the root's CRL and certificate. */
  readonly urls: { readonly crl: string; readonly caIssuers: string }
}

/** The policy that certificates of a profile name: S/MIME BR 7.1.6.1, or the configured one. */
export function policyOidOf(profile: CertificateProfile): string {
  return profile.kind === 'sbr-strict' ? oid.mailboxValidatedStrict : profile.policyOid
}

/**
 * Makes the self-signed certificate of a root (S/MIME BR 7.1.2.1): keyCertSign and cRLSign, no path length, no extended
 * key usage, no policies.
 */
export async function createRootCertificate(crypto: Crypto, root: RootCertificateParameters): Promise<Uint8Array> {
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', root.keys.publicKey))
  const name = caName(root.name)
  return await sign(crypto, root.keys.privateKey, root.keyKind, {
    ...root,
    issuer: name,
    subject: name,
    spki,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      keyUsage('keyCertSign', 'cRLSign'),
      new SubjectKeyIdentifierExtension(toHex(await keyIdentifier(crypto, spki))),
    ],
  })
}

/**
 * Makes the certificate of an issuing CA (S/MIME BR 7.1.2.2): path length 0, only emailProtection. It can sign
 * certificates, CRLs and OCSP answers. It names any policy (7.1.6.3): the policy of a mailbox is for certificates of
 * mailboxes.
 */
export async function createIssuingCertificate(
  crypto: Crypto,
  issuing: IssuingCertificateParameters,
): Promise<Uint8Array> {
  const issuer = parseCertificate(issuing.issuer)
  return await sign(crypto, issuing.issuerPrivateKey, issuing.issuerKeyKind, {
    ...issuing,
    issuer: subjectOf(issuer),
    subject: caName(issuing.name),
    extensions: [
      authorityKeyIdentifier(issuer),
      new SubjectKeyIdentifierExtension(toHex(await keyIdentifier(crypto, issuing.spki))),
      new BasicConstraintsExtension(true, 0, true),
      keyUsage('digitalSignature', 'keyCertSign', 'cRLSign'),
      new ExtendedKeyUsageExtension([oid.emailProtection]),
      new CertificatePolicyExtension([oid.anyPolicy]),
      new CRLDistributionPointsExtension([issuing.urls.crl]),
      new AuthorityInfoAccessExtension({ caIssuers: issuing.urls.caIssuers }),
    ],
  })
}

interface Contents extends Term {
  readonly issuer: Name
  readonly subject: Name
  readonly spki: Uint8Array
  readonly extensions: ExtensionToWrite[]
}

async function sign(crypto: Crypto, key: CryptoKey, kind: CaKeyKind, contents: Contents): Promise<Uint8Array> {
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: contents.serialNumber,
      issuer: contents.issuer,
      subject: contents.subject,
      notBefore: wholeSeconds(contents.notBefore),
      notAfter: wholeSeconds(contents.notAfter),
      publicKey: toBufferSource(contents.spki),
      extensions: contents.extensions,
      signingKey: key,
      signingAlgorithm: caKeyAlgorithm(kind).sign,
    },
    crypto,
  )
  return new Uint8Array(certificate.rawData)
}

/** RFC 5280 section 4.1.2.5: times in certificates have no fractions. */
function wholeSeconds(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000)
}

/** Built from parts: in the text form of a name, `+`, `,`, `=` and `#` inside a value would be read as its syntax. */
function caName({ country, organization, commonName }: CaName): Name {
  const parts: JsonNameParams = [{ CN: [{ utf8String: commonName }] }]
  if (organization !== undefined) parts.unshift({ O: [{ utf8String: organization }] })
  if (country !== undefined) parts.unshift({ C: [{ printableString: country }] })
  return new Name(parts)
}

function subjectOf(issuer: Certificate): Name {
  return new Name(toBufferSource(issuer.subject.bytes))
}

function keyUsage(...bits: readonly KeyUsageBit[]): KeyUsagesExtension {
  return new KeyUsagesExtension(
    bits.reduce((flags, bit) => flags | KeyUsageFlags[bit], 0),
    true,
  )
}

/** RFC 5280 section 4.2.1.1: only the key identifier of the issuer. */
function authorityKeyIdentifier(issuer: Certificate): AuthorityKeyIdentifierExtension {
  const identifier = issuer.extensions.get(oid.subjectKeyIdentifier)
  if (identifier === undefined) throw new TypeError('the issuer has no key identifier')
  return new AuthorityKeyIdentifierExtension(toHex(readSubjectKeyIdentifier(identifier.value)))
}
