import { DomainError } from '../errors.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import {
  contextConstructed,
  DerSequence,
  MalformedDer,
  readElement,
  readFirstElement,
  readObjectIdentifier,
  readOctetsOfBitString,
  readSmallInteger,
  requireDer,
  tag,
  type DerElement,
} from './der.ts'
import { fromBase64, sha256Hex } from './encoding.ts'
import { hasDuplicateExtension, readExtensions, type Extension } from './extensions.ts'
import { checkPublicKey, type KeyFacts } from './key-policy.ts'
import { readGeneralNames, readName, type NameAttribute } from './names.ts'
import { oid } from './object-identifiers.ts'
import { isAcceptedSignatureAlgorithm, verifySignature, type SignedBytes } from './signature.ts'

/** Policy rule 1, of the DER. */
const sizeLimit = 64 * 1024
/** What PEM adds to the DER at most: a third for base64, line breaks, and some text around it. */
const textSizeLimit = 2 * sizeLimit

/** A request that passed every check, with what later steps need of it. */
export interface CheckedRequest {
  readonly der: Uint8Array
  /** The SubjectPublicKeyInfo, as it stands in the request. */
  readonly spki: Uint8Array
  /** Lower-case hexadecimal. */
  readonly spkiSha256: string
  readonly key: KeyFacts
}

function malformed(cause?: unknown): DomainError {
  return new DomainError('csr_malformed', 'Send exactly one PKCS#10 certificate request, as PEM or as DER in base64.', {
    cause,
  })
}

function tooLarge(): DomainError {
  return new DomainError('csr_too_large', 'A certificate request may have at most 64 KiB.')
}

/**
 * The DER of a certificate request given as PEM (RFC 7468 section 7, with either label), as base64 of any wrapping,
 * or as DER. Text around the PEM block is ignored (RFC 7468 section 2), a second block is not. What the bytes hold is
 * checked by `checkCertificateRequest`.
 *
 * Throws DomainError: `csr_malformed`, `csr_too_large`.
 */
export function readCertificateRequest(input: string | Uint8Array): Uint8Array {
  const der = typeof input === 'string' ? decodeText(input) : input
  if (der.length > sizeLimit) throw tooLarge()
  if (der.length === 0) throw malformed()
  return der
}

function decodeText(text: string): Uint8Array {
  if (text.length > textSizeLimit) throw tooLarge()
  const der = fromBase64((text.includes('-----BEGIN ') ? pemBody(text) : text).replace(/[ \t\r\n]+/g, ''))
  if (der === null) throw malformed()
  return der
}

function pemBody(text: string): string {
  const [, label, afterLabel] = /-----BEGIN ((?:NEW )?CERTIFICATE REQUEST)-----([^]*)$/.exec(text) ?? []
  if (label === undefined || afterLabel === undefined) throw malformed()
  const end = afterLabel.indexOf(`-----END ${label}-----`)
  if (end < 0 || text.split('-----BEGIN ').length !== 2) throw malformed()
  return afterLabel.slice(0, end)
}

/**
 * Checks a certificate request for one mailbox by policy rules 1 to 5 and 8: one DER PKCS#10 (RFC 2986 section 4),
 * no extension twice, a key that is accepted, a signature by that key, and no address but the mailbox's. Everything
 * else it asks for is ignored, since the certificate is made from verified facts.
 *
 * Throws DomainError: `csr_malformed`, `csr_too_large`, `csr_trailing_bytes`, `csr_duplicate_extension`, all of
 * `checkPublicKey`, `csr_signature_algorithm_refused`, `csr_signature_invalid`, `csr_address_mismatch`.
 */
export async function checkCertificateRequest(
  crypto: Crypto,
  der: Uint8Array,
  mailbox: MailboxAddress,
): Promise<CheckedRequest> {
  if (der.length > sizeLimit) throw tooLarge()
  const request = orMalformed(() => parseCertificateRequest(der))
  requireNoDuplicateExtension(request.extensions)
  const key = checkPublicKey(request.spki)
  await requireProofOfPossession(crypto, request.spki, request.signature)
  requireOnlyMailbox(
    orMalformed(() => addressesOf(request)),
    mailbox,
  )
  return { der, spki: request.spki, spkiSha256: await sha256Hex(crypto, request.spki), key }
}

interface ParsedRequest {
  readonly subject: NameAttribute[][]
  readonly spki: Uint8Array
  readonly extensions: readonly Extension[]
  readonly signature: SignedBytes
}

function orMalformed<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    if (error instanceof MalformedDer) throw malformed(error)
    throw error
  }
}

/** RFC 2986 section 4.2. Throws MalformedDer, and DomainError `csr_trailing_bytes`. */
function parseCertificateRequest(der: Uint8Array): ParsedRequest {
  const outer = readFirstElement(der)
  requireNoTrailingBytes(outer, der)
  requireDer(outer)
  const parts = new DerSequence(readElement(outer.bytes, tag.sequence))
  const info = parts.next(tag.sequence)
  const algorithm = parts.next(tag.sequence).bytes
  const signature = readOctetsOfBitString(parts.next(tag.bitString))
  parts.end()
  return { ...parseInfo(info), signature: { algorithm, signed: info.bytes, signature } }
}

/** RFC 2986 section 4.1. The attributes are not optional there, but some makers leave the empty list out. */
function parseInfo(info: DerElement): Omit<ParsedRequest, 'signature'> {
  const parts = new DerSequence(info)
  if (readSmallInteger(parts.next(tag.integer)) !== 0) throw new MalformedDer('version is not 0')
  const subject = readName(parts.next(tag.sequence))
  const spki = parts.next(tag.sequence).bytes
  const attributes = parts.optional(contextConstructed(0))
  parts.end()
  const extensions = attributes === undefined ? [] : new DerSequence(attributes).rest(tag.sequence).flatMap(requestedBy)
  return { subject, spki, extensions }
}

/** The extensions an attribute asks for, RFC 2985 section 5.4.2; none for attributes of other types. */
function requestedBy(attribute: DerElement): Extension[] {
  const parts = new DerSequence(attribute)
  const type = readObjectIdentifier(parts.next(tag.objectIdentifier))
  const values = new DerSequence(parts.next(tag.set))
  parts.end()
  if (type !== oid.extensionRequest && type !== oid.microsoftExtensionRequest) return []
  return values.rest(tag.sequence).flatMap(readExtensions)
}

/** Policy rule 1: nothing stands behind the request. */
function requireNoTrailingBytes(outer: DerElement, der: Uint8Array): void {
  if (outer.bytes.length === der.length) return
  throw new DomainError('csr_trailing_bytes', 'Bytes follow the certificate request: send the request alone.')
}

/** Policy rule 1, RFC 5280 section 4.2: over all attributes that ask for extensions together. */
function requireNoDuplicateExtension(extensions: readonly Extension[]): void {
  if (!hasDuplicateExtension(extensions)) return
  throw new DomainError('csr_duplicate_extension', 'The request asks for an extension twice: ask for each one once.')
}

/** Policy rule 2, RFC 2986 section 3: whoever sends the request holds the private key. */
async function requireProofOfPossession(crypto: Crypto, spki: Uint8Array, signature: SignedBytes): Promise<void> {
  if (!isAcceptedSignatureAlgorithm(signature.algorithm)) {
    throw new DomainError(
      'csr_signature_algorithm_refused',
      'Sign the request with ECDSA or RSA (PKCS#1 v1.5) and SHA-256, SHA-384 or SHA-512.',
    )
  }
  if (await verifySignature(crypto, spki, signature)) return
  throw new DomainError(
    'csr_signature_invalid',
    'The signature does not fit the request and its key: make the request again with the matching private key.',
  )
}

/** Policy rule 8: every address in the request is the mailbox it was sent for, or the request is refused. */
function requireOnlyMailbox(addresses: readonly string[], mailbox: MailboxAddress): void {
  if (addresses.every((address) => isMailbox(address, mailbox))) return
  throw new DomainError(
    'csr_address_mismatch',
    'The request names another address: name only the mailbox it is sent for, or none.',
  )
}

function isMailbox(address: string, mailbox: MailboxAddress): boolean {
  try {
    return parseMailboxAddress(address).matchingKey === mailbox.matchingKey
  } catch (error) {
    if (error instanceof DomainError) return false
    throw error
  }
}

/** What stands for a name that can never be the mailbox; no address is empty. */
const neverTheMailbox = ''

/** Every address that the subject and the alternative names hold. Throws MalformedDer. */
function addressesOf({ subject, extensions }: ParsedRequest): string[] {
  const alternativeNames = extensions.filter((extension) => extension.oid === oid.subjectAltName)
  return [
    ...addressesInName(subject),
    ...alternativeNames.flatMap(({ value }) =>
      readGeneralNames(value).flatMap((name) => {
        if (name.kind === 'rfc822Name') return [name.text]
        // RFC 9598 section 3: only for a local part that is not ASCII, which no accepted mailbox has.
        if (name.kind === 'smtpUtf8Mailbox') return [neverTheMailbox]
        return name.kind === 'directoryName' ? addressesInName(readName(name.name)) : []
      }),
    ),
  ]
}

/** RFC 8550 section 3: emailAddress holds an address; a common name does where it has an `@`. */
function addressesInName(name: NameAttribute[][]): string[] {
  return name.flat().flatMap((attribute) => {
    if (attribute.oid === oid.emailAddress) return [attribute.text ?? neverTheMailbox]
    return attribute.oid === oid.commonName && attribute.text?.includes('@') === true ? [attribute.text] : []
  })
}
