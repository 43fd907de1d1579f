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
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { MailboxAddress } from '../../src/mailbox/address.ts'
import { caKeyAlgorithm } from '../../src/pki/ca-key.ts'
import { contextConstructed, encodeElement, encodeObjectIdentifier, tag } from '../../src/pki/der.ts'
import { toBufferSource } from '../../src/pki/encoding.ts'
import { keyUsageFor } from '../../src/pki/key-usage.ts'
import { oid } from '../../src/pki/object-identifiers.ts'
import type { SubscriberCertificate, SubscriberTemplateParameters } from '../../src/pki/subscriber-template.ts'

const wholeSeconds = (time: Date): Date => new Date(Math.floor(time.getTime() / 1000) * 1000)

/** A subscriber's certificate as `@peculiar/x509` makes it, each field as the policy's table says. */
export async function createReferenceCertificate(
  ca: SubscriberTemplateParameters,
  subscriber: SubscriberCertificate,
): Promise<Uint8Array> {
  const issuer = new X509Certificate(toBufferSource(ca.issuer))
  const { address } = subscriber.mailbox
  const isNamed = Array.from(address).length <= 64
  const flags = [...keyUsageFor(subscriber.key, subscriber.use)].map((bit) => KeyUsageFlags[bit])
  const certificate = await X509CertificateGenerator.create({
    serialNumber: subscriber.serialNumber,
    issuer: issuer.subjectName,
    subject: new Name(isNamed ? [{ CN: [{ utf8String: address }] }] : []),
    notBefore: wholeSeconds(subscriber.notBefore),
    notAfter: wholeSeconds(subscriber.notAfter),
    publicKey: toBufferSource(subscriber.spki),
    signingKey: ca.issuerPrivateKey,
    signingAlgorithm: caKeyAlgorithm(ca.issuerKeyKind).sign,
    extensions: [
      await AuthorityKeyIdentifierExtension.create(issuer),
      await SubjectKeyIdentifierExtension.create(toBufferSource(subscriber.spki)),
      new BasicConstraintsExtension(false, undefined, false),
      new KeyUsagesExtension(
        flags.reduce((sum, flag) => sum | flag, 0),
        true,
      ),
      new ExtendedKeyUsageExtension([oid.emailProtection]),
      new CertificatePolicyExtension([
        ca.profile.kind === 'private' ? ca.profile.policyOid : oid.mailboxValidatedStrict,
      ]),
      alternativeName(subscriber.mailbox, !isNamed),
      new CRLDistributionPointsExtension([ca.urls.crl]),
      new AuthorityInfoAccessExtension({ ocsp: ca.urls.ocsp, caIssuers: ca.urls.caIssuers }),
    ],
  })
  return new Uint8Array(certificate.rawData)
}

/** The library has no otherName of its own, so an SmtpUTF8Mailbox (RFC 9598 section 3) is handed to it encoded. */
function alternativeName({ address, kind }: MailboxAddress, critical: boolean): SubjectAlternativeNameExtension {
  if (kind === 'ascii') return new SubjectAlternativeNameExtension([{ type: 'email', value: address }], critical)
  const name = encodeElement(
    contextConstructed(0),
    encodeObjectIdentifier(oid.smtpUtf8Mailbox),
    encodeElement(contextConstructed(0), encodeElement(tag.utf8String, new TextEncoder().encode(address))),
  )
  return new SubjectAlternativeNameExtension(
    encodeElement(
      tag.sequence,
      encodeObjectIdentifier(oid.subjectAltName),
      ...(critical ? [encodeElement(tag.boolean, Uint8Array.of(0xff))] : []),
      encodeElement(tag.octetString, encodeElement(tag.sequence, name)),
    ),
  )
}
