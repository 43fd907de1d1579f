import type { MailboxAddress } from '../mailbox/address.ts'
import {
  contextConstructed,
  contextPrimitive,
  encodeElement,
  encodeObjectIdentifier,
  encodeOctetsAsBitString,
  tag,
} from './der.ts'
import { ecdsaValueFromRaw } from './ecdsa-value.ts'
import { encodeCommonName } from './names.ts'
import { oid } from './object-identifiers.ts'
import { readProofKey } from './proof/public-key.ts'
import { ecdsaHashes, signatureIdentifierOf } from './proof/signature-proof.ts'

/** The key to certify, and for whom. */
export interface RequestToMake {
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  /**
   * A key of the Crypto that is passed. It may be non-extractable. RSASSA-PKCS1-v1_5 with SHA-256, ECDSA or Ed25519.
   */
  readonly privateKey: CryptoKey
  /** The only name in the request. Without it the request names nobody, and the CA gets the mailbox in another way. */
  readonly mailbox?: MailboxAddress
  /** The subject's common name, cut to 64 characters (RFC 5280). Without it the subject is empty. */
  readonly commonName?: string
}

const nothing = new Uint8Array()
const emptyName = encodeElement(tag.sequence)
const commonNameLimit = 64
const version = encodeElement(tag.integer, Uint8Array.of(0))

/**
 * Makes a certificate request (RFC 2986 section 4) in DER: an empty subject or a common name, and as only extension the
 * mailbox as alternative name.
 *
 * Throws DomainError `key_malformed`, `key_algorithm_unsupported`, `key_use_unfit`. Rejects as Web Crypto does if the
 * private key cannot sign.
 */
export async function makeCertificateRequest(
  crypto: Crypto,
  { spki, privateKey, mailbox, commonName }: RequestToMake,
): Promise<Uint8Array<ArrayBuffer>> {
  const key = readProofKey(spki)
  const attributes = mailbox === undefined ? nothing : extensionRequest(mailbox)
  const subject =
    commonName === undefined ? emptyName : encodeCommonName(Array.from(commonName).slice(0, commonNameLimit).join(''))
  const info = encodeElement(tag.sequence, version, subject, spki, encodeElement(contextConstructed(0), attributes))
  const algorithm =
    key.kind === 'EC' ? { name: 'ECDSA', hash: ecdsaHashes[key.curve] } : { name: privateKey.algorithm.name }
  const signature = new Uint8Array(await crypto.subtle.sign(algorithm, privateKey, info))
  return encodeElement(
    tag.sequence,
    info,
    signatureIdentifierOf(key),
    encodeOctetsAsBitString(key.kind === 'EC' ? ecdsaValueFromRaw(signature) : signature),
  )
}

/** RFC 2985 section 5.4.2. RFC 5280 section 4.2.1.6: critical, because the subject is empty. */
function extensionRequest(mailbox: MailboxAddress): Uint8Array {
  const alternativeName = encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.subjectAltName),
    encodeElement(tag.boolean, Uint8Array.of(0xff)),
    encodeElement(tag.octetString, encodeElement(tag.sequence, generalName(mailbox))),
  )
  return encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.extensionRequest),
    encodeElement(tag.set, encodeElement(tag.sequence, alternativeName)),
  )
}

/** RFC 5280 section 4.2.1.6; for a local part beyond ASCII, RFC 9598 section 3. */
function generalName({ address, kind }: MailboxAddress): Uint8Array {
  const octets = new TextEncoder().encode(address)
  if (kind === 'ascii') return encodeElement(contextPrimitive(1), octets)
  return encodeElement(
    contextConstructed(0),
    encodeObjectIdentifier(oid.smtpUtf8Mailbox),
    encodeElement(contextConstructed(0), encodeElement(tag.utf8String, octets)),
  )
}
