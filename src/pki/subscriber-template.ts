import type { MailboxAddress } from '../mailbox/address.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import {
  contextConstructed,
  contextPrimitive,
  encodeElement,
  encodeObjectIdentifier,
  encodeUnsigned,
  tag,
} from './der.ts'
import { encodeTime } from './der-time.ts'
import { concatBytes } from './encoding.ts'
import { keyIdentifier } from './spki.ts'
import { encodeKeyUsage, readSubjectKeyIdentifier } from './extensions.ts'
import { fromHex } from './hexadecimal.ts'
import type { KeyFacts } from './key-policy.ts'
import { keyUsageFor, type CertificateUse } from './key-usage.ts'
import { encodeCommonName } from './names.ts'
import { oid } from './object-identifiers.ts'
import { policyOidOf, type CertificateProfile, type Term } from './profiles.ts'
import { signAsBitString, signatureAlgorithmOf, type SigningCa } from './signing.ts'
import { dayMilliseconds } from '../ports/time.ts'

/** What all subscriber certificates of one CA share. */
export interface SubscriberTemplateParameters extends SigningCa {
  readonly profile: CertificateProfile
  /** The `http:` addresses of the issuing CA's CRL, certificate and OCSP responder. */
  readonly urls: { readonly crl: string; readonly caIssuers: string; readonly ocsp: string }
}

/** What differs between subscriber certificates. */
export interface SubscriberCertificate extends Term {
  readonly spki: Uint8Array
  /** The result of `checkPublicKey` for the key. */
  readonly key: KeyFacts
  readonly mailbox: MailboxAddress
  readonly use: CertificateUse
}

/** Policy table: 397 days, including the last second (RFC 5280 section 4.1.2.5). */
export const longestTerm = 397 * dayMilliseconds

/** RFC 5280 appendix A.1, ub-common-name-length. */
const commonNameLimit = 64

const derTrue = encodeElement(tag.boolean, Uint8Array.of(0xff))
const version3 = encodeElement(contextConstructed(0), encodeUnsigned(Uint8Array.of(2)))
const utf8 = new TextEncoder()

/**
 * Prepares subscriber certificates (S/MIME BR 7.1.2.3) by the policy's table. Everything that does not depend on the
 * subscriber is encoded here once. Each certificate then adds its own fields and is signed. The result is byte for byte
 * what `@peculiar/x509` would encode.
 *
 * Throws TypeError for a CA without a key identifier. The returned function throws RangeError for a lifetime of more
 * than 397 days, and DomainError `key_use_unfit`.
 */
export function prepareSubscriberTemplate(
  crypto: Crypto,
  parameters: SubscriberTemplateParameters,
): (subscriber: SubscriberCertificate) => Promise<Uint8Array> {
  const { profile, urls, issuerKeyKind } = parameters
  const issuer = parseCertificate(parameters.issuer)
  const algorithm = signatureAlgorithmOf(issuerKeyKind)
  const behindSerialNumber = concatBytes(algorithm, issuer.subject.bytes)
  const authorityKeyIdentifier = encodeAuthorityKeyIdentifier(issuer)
  // RFC 5280 section 4.2.1.9: cA is FALSE by default, so DER does not write it.
  const basicConstraints = encodeExtension(oid.basicConstraints, encodeElement(tag.sequence))
  const purposeAndPolicy = concatBytes(
    encodeExtension(oid.extKeyUsage, encodeElement(tag.sequence, encodeObjectIdentifier(oid.emailProtection))),
    encodeExtension(oid.certificatePolicies, encodePolicies(policyOidOf(profile))),
  )
  const places = concatBytes(
    encodeExtension(oid.crlDistributionPoints, encodeDistributionPoint(urls.crl)),
    encodeExtension(oid.authorityInfoAccess, encodeInfoAccess(urls)),
  )

  return async (subscriber) => {
    requireTerm(subscriber)
    const { serialNumber, notBefore, notAfter, spki, key, use, mailbox } = subscriber
    // RFC 5280 section 4.2.1.6: with an empty subject the alternative name is critical.
    const isNamed = Array.from(mailbox.address).length <= commonNameLimit
    const extensions = encodeElement(
      tag.sequence,
      authorityKeyIdentifier,
      encodeExtension(oid.subjectKeyIdentifier, encodeElement(tag.octetString, await keyIdentifier(crypto, spki))),
      basicConstraints,
      encodeCriticalExtension(oid.keyUsage, encodeKeyUsage(keyUsageFor(key, use))),
      purposeAndPolicy,
      (isNamed ? encodeExtension : encodeCriticalExtension)(oid.subjectAltName, encodeMailbox(mailbox)),
      places,
    )
    const toBeSigned = encodeElement(
      tag.sequence,
      version3,
      encodeUnsigned(fromHex(serialNumber)),
      behindSerialNumber,
      encodeElement(tag.sequence, encodeTime(notBefore), encodeTime(notAfter)),
      isNamed ? encodeCommonName(mailbox.address) : encodeElement(tag.sequence),
      spki,
      encodeElement(contextConstructed(3), extensions),
    )
    return encodeElement(tag.sequence, toBeSigned, algorithm, await signAsBitString(crypto, parameters, toBeSigned))
  }
}

function requireTerm({ notBefore, notAfter }: Term): void {
  const seconds = Math.floor(notAfter.getTime() / 1000) - Math.floor(notBefore.getTime() / 1000)
  if (seconds <= 0 || (seconds + 1) * 1000 > longestTerm) {
    throw new RangeError('a certificate is valid for 397 days at most')
  }
}

function encodeExtension(identifier: string, value: Uint8Array): Uint8Array {
  return encodeElement(tag.sequence, encodeObjectIdentifier(identifier), encodeElement(tag.octetString, value))
}

function encodeCriticalExtension(identifier: string, value: Uint8Array): Uint8Array {
  const octets = encodeElement(tag.octetString, value)
  return encodeElement(tag.sequence, encodeObjectIdentifier(identifier), derTrue, octets)
}

/** Policy rule 10: an ASCII local part in an rfc822Name, any other in an SmtpUTF8Mailbox (RFC 9598 section 3). */
function encodeMailbox({ address, kind }: MailboxAddress): Uint8Array {
  const octets = utf8.encode(address)
  const name =
    kind === 'ascii'
      ? encodeElement(contextPrimitive(1), octets)
      : encodeElement(
          contextConstructed(0),
          encodeObjectIdentifier(oid.smtpUtf8Mailbox),
          encodeElement(contextConstructed(0), encodeElement(tag.utf8String, octets)),
        )
  return encodeElement(tag.sequence, name)
}

/** RFC 5280 section 4.2.1.1: only the key identifier of the issuer. */
function encodeAuthorityKeyIdentifier(issuer: Certificate): Uint8Array {
  const extension = issuer.extensions.get(oid.subjectKeyIdentifier)
  if (extension === undefined) throw new TypeError('the issuer has no key identifier')
  const identifier = encodeElement(contextPrimitive(0), readSubjectKeyIdentifier(extension.value))
  return encodeExtension(oid.authorityKeyIdentifier, encodeElement(tag.sequence, identifier))
}

/** RFC 5280 section 4.2.1.4: one policy, without qualifiers. */
function encodePolicies(policy: string): Uint8Array {
  return encodeElement(tag.sequence, encodeElement(tag.sequence, encodeObjectIdentifier(policy)))
}

function encodeUri(uri: string): Uint8Array {
  return encodeElement(contextPrimitive(6), utf8.encode(uri))
}

/** RFC 5280 section 4.2.1.13: one distribution point, by its full name. */
function encodeDistributionPoint(uri: string): Uint8Array {
  const fullName = encodeElement(contextConstructed(0), encodeUri(uri))
  return encodeElement(tag.sequence, encodeElement(tag.sequence, encodeElement(contextConstructed(0), fullName)))
}

/** RFC 5280 section 4.2.2.1: the OCSP responder first, then the CA's certificate. */
function encodeInfoAccess({ ocsp, caIssuers }: SubscriberTemplateParameters['urls']): Uint8Array {
  return encodeElement(
    tag.sequence,
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.accessMethodOcsp), encodeUri(ocsp)),
    encodeElement(tag.sequence, encodeObjectIdentifier(oid.accessMethodCaIssuers), encodeUri(caIssuers)),
  )
}
