import type { MailboxAddress } from '../mailbox/address.ts'
import { caKeyAlgorithm, type CaKeyKind } from './ca-key.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import {
  contextConstructed,
  contextPrimitive,
  DerSequence,
  encodeElement,
  encodeObjectIdentifier,
  readElement,
  readOctetsOfBitString,
  tag,
} from './der.ts'
import { toBufferSource, toHex } from './encoding.ts'
import { readSubjectKeyIdentifier, type KeyUsageBit } from './extensions.ts'
import type { KeyFacts } from './key-policy.ts'
import { keyUsageFor, type CertificateUse } from './key-usage.ts'
import { oid } from './object-identifiers.ts'
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
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type ExtensionToWrite,
  type JsonNameParams,
} from './x509.ts'

/** The profile a CA issues under, with the policy that its certificates name. */
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

interface Term {
  /** Hexadecimal, as `randomSerialNumber` makes it. */
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** The CA that signs: its certificate and the private key to it. */
interface Issuer {
  readonly issuer: Uint8Array
  readonly issuerPrivateKey: CryptoKey
  readonly issuerKeyKind: CaKeyKind
}

export interface RootCertificateParameters extends Term {
  readonly keys: CryptoKeyPair
  readonly keyKind: CaKeyKind
  readonly name: CaName
}

export interface IssuingCertificateParameters extends Term, Issuer {
  /** The issuing CA's SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly name: CaName
  readonly profile: CertificateProfile
  /** Where the root's CRL and certificate are; `http:`. */
  readonly urls: { readonly crl: string; readonly caIssuers: string }
}

export interface SubscriberCertificateParameters extends Term, Issuer {
  readonly spki: Uint8Array
  readonly key: KeyFacts
  readonly mailbox: MailboxAddress
  readonly use: CertificateUse
  readonly profile: CertificateProfile
  /** Where the issuing CA's CRL, certificate and OCSP responder are; `http:`. */
  readonly urls: { readonly crl: string; readonly caIssuers: string; readonly ocsp: string }
}

/** Policy table: 397 days, the last second included (RFC 5280 section 4.1.2.5). */
const longestTerm = 397 * 24 * 60 * 60 * 1000

/** RFC 5280 appendix A.1, ub-common-name-length. */
const commonNameLimit = 64

/** The policy a profile's certificates name: S/MIME BR 7.1.6.1, or the one that was configured. */
function policyOidOf(profile: CertificateProfile): string {
  return profile.kind === 'sbr-strict' ? oid.mailboxValidatedStrict : profile.policyOid
}

/**
 * The self-signed certificate of a root (S/MIME BR 7.1.2.1): keyCertSign and cRLSign, no path length, no extended
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
      new SubjectKeyIdentifierExtension(await keyIdentifier(crypto, spki)),
    ],
  })
}

/**
 * The certificate of an issuing CA (S/MIME BR 7.1.2.2): path length 0, emailProtection alone, able to sign
 * certificates, CRLs and OCSP answers.
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
      new SubjectKeyIdentifierExtension(await keyIdentifier(crypto, issuing.spki)),
      new BasicConstraintsExtension(true, 0, true),
      keyUsage('digitalSignature', 'keyCertSign', 'cRLSign'),
      new ExtendedKeyUsageExtension([oid.emailProtection]),
      new CertificatePolicyExtension([policyOidOf(issuing.profile)]),
      new CRLDistributionPointsExtension([issuing.urls.crl]),
      new AuthorityInfoAccessExtension({ caIssuers: issuing.urls.caIssuers }),
    ],
  })
}

/**
 * A subscriber's certificate (S/MIME BR 7.1.2.3), each field as the policy's table says. The key has passed
 * `checkPublicKey`, and `key` is what that said of it.
 *
 * Throws RangeError if the term is longer than 397 days.
 */
export async function createSubscriberCertificate(
  crypto: Crypto,
  subscriber: SubscriberCertificateParameters,
): Promise<Uint8Array> {
  requireTerm(subscriber)
  const issuer = parseCertificate(subscriber.issuer)
  const { address } = subscriber.mailbox
  // RFC 5280 section 4.2.1.6: an empty subject makes the alternative name critical.
  const isNamed = Array.from(address).length <= commonNameLimit
  return await sign(crypto, subscriber.issuerPrivateKey, subscriber.issuerKeyKind, {
    ...subscriber,
    issuer: subjectOf(issuer),
    subject: new Name(isNamed ? [{ CN: [{ utf8String: address }] }] : []),
    extensions: [
      authorityKeyIdentifier(issuer),
      new SubjectKeyIdentifierExtension(await keyIdentifier(crypto, subscriber.spki)),
      new BasicConstraintsExtension(false, undefined, false),
      keyUsage(...keyUsageFor(subscriber.key, subscriber.use)),
      new ExtendedKeyUsageExtension([oid.emailProtection]),
      new CertificatePolicyExtension([policyOidOf(subscriber.profile)]),
      alternativeName(subscriber.mailbox, !isNamed),
      new CRLDistributionPointsExtension([subscriber.urls.crl]),
      new AuthorityInfoAccessExtension({ ocsp: subscriber.urls.ocsp, caIssuers: subscriber.urls.caIssuers }),
    ],
  })
}

/** Policy rule 10: an ASCII local part in an rfc822Name, any other in an SmtpUTF8Mailbox (RFC 9598 section 3). */
function alternativeName({ address, kind }: MailboxAddress, critical: boolean): SubjectAlternativeNameExtension {
  const octets = new TextEncoder().encode(address)
  const name =
    kind === 'ascii'
      ? encodeElement(contextPrimitive(1), octets)
      : encodeElement(
          contextConstructed(0),
          encodeObjectIdentifier(oid.smtpUtf8Mailbox),
          encodeElement(contextConstructed(0), encodeElement(tag.utf8String, octets)),
        )
  const extension = encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.subjectAltName),
    ...(critical ? [encodeElement(tag.boolean, Uint8Array.of(0xff))] : []),
    encodeElement(tag.octetString, encodeElement(tag.sequence, name)),
  )
  return new SubjectAlternativeNameExtension(extension)
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

/** RFC 5280 section 4.1.2.5: a certificate's times have no fractions. */
function wholeSeconds(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000)
}

function requireTerm({ notBefore, notAfter }: Term): void {
  const lastSecond = 1000
  const term = wholeSeconds(notAfter).getTime() - wholeSeconds(notBefore).getTime() + lastSecond
  if (term > longestTerm || term <= lastSecond) throw new RangeError('a certificate is valid for 397 days at most')
}

/** Built from its parts: the string form of a name would read `+`, `,`, `=` and `#` in a value as its own signs. */
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

/** RFC 5280 section 4.2.1.2, method 1: SHA-1 as a name for the key, on which no security rests. */
async function keyIdentifier(crypto: Crypto, spki: Uint8Array): Promise<string> {
  const parts = new DerSequence(readElement(spki, tag.sequence))
  parts.next(tag.sequence)
  const key = readOctetsOfBitString(parts.next(tag.bitString))
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-1', toBufferSource(key))))
}

/** RFC 5280 section 4.2.1.1: the issuer's own key identifier, and only that. */
function authorityKeyIdentifier(issuer: Certificate): AuthorityKeyIdentifierExtension {
  const identifier = issuer.extensions.get(oid.subjectKeyIdentifier)
  if (identifier === undefined) throw new TypeError('the issuer has no key identifier')
  return new AuthorityKeyIdentifierExtension(toHex(readSubjectKeyIdentifier(identifier.value)))
}
