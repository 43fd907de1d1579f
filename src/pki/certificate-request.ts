import { DomainError } from '../errors.ts'
import type { MailboxAddress } from '../mailbox/address.ts'
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
import { ellipticCurve } from './elliptic-curves.ts'
import { fromBase64 } from './encoding.ts'
import { hasDuplicateExtension, readExtensions, type Extension } from './extensions.ts'
import { checkPublicKey, type KeyFacts } from './key-policy.ts'
import { requireKeyFits, type CertificateUse, type ProfileKind } from './key-usage.ts'
import { readName } from './names.ts'
import { oid } from './object-identifiers.ts'
import { addressesOf, requireNothingElse, requireOnlyMailbox, type RequestContents } from './request-names.ts'
import { canReadRsaKey, isAcceptedSignatureAlgorithm, verifySignature, type SignedBytes } from './signature.ts'

/** Policy rule 1, of the DER. */
const sizeLimit = 64 * 1024
/** What PEM adds to the DER at most: a third for base64, line breaks, and some text around it. */
const textSizeLimit = 2 * sizeLimit

/** What the request is for; without it, what is the least to be granted. */
export interface RequestRules {
  /** `dual` unless said. */
  readonly use?: CertificateUse
  /** `sbr-strict` unless said. */
  readonly profile?: ProfileKind
  /** What verifies signatures on brainpool curves, which Web Crypto lacks; null where the runtime has nothing. */
  readonly brainpool?: Crypto | null
  /** What becomes of all that is neither the key nor the mailbox; `ignored` unless said (policy rule 8). */
  readonly otherContents?: 'ignored' | 'refused'
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
 * checked by `parseRequest` and `verifyRequest`.
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

/** A request that can be read and has an acceptable key. Nothing else of it is verified yet. */
export interface ParsedRequest {
  readonly der: Uint8Array
  /** The SubjectPublicKeyInfo, as it stands in the request. */
  readonly spki: Uint8Array
  readonly key: KeyFacts
  readonly contents: RequestContents
  readonly signature: SignedBytes
}

/**
 * Reads a certificate request by policy rules 1 and 3 to 6: one DER PKCS#10 (RFC 2986 section 4), no extension twice, a
 * key that is accepted. `verifyRequest` does the rest.
 *
 * Throws DomainError: `csr_malformed`, `csr_too_large`, `csr_trailing_bytes`, `csr_duplicate_extension`, and all of
 * `checkPublicKey`.
 */
export function parseRequest(der: Uint8Array): ParsedRequest {
  if (der.length > sizeLimit) throw tooLarge()
  const { spki, signature, ...contents } = orMalformed(() => parseCertificateRequest(der))
  requireNoDuplicateExtension(contents.extensions)
  return { der, spki, key: checkPublicKey(spki), contents, signature }
}

/**
 * Verifies a request for one mailbox by policy rules 2, 3, 5, 8 and 10: the key fits its use and has signed the request,
 * and the request names no address but the mailbox's. Everything else that it asks for is ignored where the certificate
 * is made from verified facts, and refused where the CA would take it from the request.
 *
 * Throws DomainError: all of `requireKeyFits`, `csr_key_cannot_sign`, `key_not_on_this_runtime`,
 * `csr_signature_algorithm_refused`, `csr_signature_invalid`, `csr_malformed`, `csr_smtputf8_mailbox_ascii`,
 * `csr_address_mismatch`, `csr_content_refused`.
 */
export async function verifyRequest(
  crypto: Crypto,
  { spki, key, contents, signature }: ParsedRequest,
  mailbox: MailboxAddress,
  rules: RequestRules,
): Promise<void> {
  const { use = 'dual', profile = 'sbr-strict', brainpool = null, otherContents = 'ignored' } = rules
  requireKeyFits(key, { use, profile })
  requireKeyThatSigns(key)
  await requireVerifiableHere(crypto, brainpool, spki, key)
  await requireProofOfPossession(crypto, brainpool, spki, signature)
  orMalformed(() => {
    requireOnlyMailbox(addressesOf(contents), mailbox)
    if (otherContents === 'refused') requireNothingElse(contents)
  })
}

interface RequestParts extends RequestContents {
  readonly spki: Uint8Array
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
function parseCertificateRequest(der: Uint8Array): RequestParts {
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
function parseInfo(info: DerElement): Omit<RequestParts, 'signature'> {
  const parts = new DerSequence(info)
  if (readSmallInteger(parts.next(tag.integer)) !== 0) throw new MalformedDer('version is not 0')
  const subject = readName(parts.next(tag.sequence))
  const spki = parts.next(tag.sequence).bytes
  const attributes = parts.optional(contextConstructed(0))
  parts.end()
  const read = attributes === undefined ? [] : new DerSequence(attributes).rest(tag.sequence).map(readAttribute)
  const extensions = read.flatMap((attribute) => attribute.extensions)
  return { subject, spki, attributes: read.map(({ type }) => type), extensions }
}

/** An attribute with the extensions it asks for, RFC 2985 section 5.4.2; none for attributes of other types. */
function readAttribute(attribute: DerElement): { readonly type: string; readonly extensions: readonly Extension[] } {
  const parts = new DerSequence(attribute)
  const type = readObjectIdentifier(parts.next(tag.objectIdentifier))
  const values = new DerSequence(parts.next(tag.set))
  parts.end()
  if (type !== oid.extensionRequest && type !== oid.microsoftExtensionRequest) return { type, extensions: [] }
  return { type, extensions: values.rest(tag.sequence).flatMap(readExtensions) }
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

/** Policy rule 2: a key that only agrees on keys signs nothing; its possession is proved by decrypting (rule 14). */
function requireKeyThatSigns(key: KeyFacts): void {
  if (key.algorithm !== 'X25519') return
  throw new DomainError(
    'csr_key_cannot_sign',
    'An X25519 key cannot sign a request: send the public key alone, and answer the challenge to it.',
  )
}

/** Policy rules 3 and 5: brainpool curves, and exponents but 65537, only where the runtime can. */
async function requireVerifiableHere(
  crypto: Crypto,
  brainpool: Crypto | null,
  spki: Uint8Array,
  key: KeyFacts,
): Promise<void> {
  if (key.algorithm === 'EC' && ellipticCurve(key.curve).brainpool && brainpool === null) {
    throw new DomainError(
      'key_not_on_this_runtime',
      'This service runs where brainpool curves cannot be verified: make a P-256, P-384 or P-521 key.',
    )
  }
  if (key.algorithm === 'RSA' && !(await canReadRsaKey(crypto, spki))) {
    throw new DomainError(
      'key_not_on_this_runtime',
      'This service runs where this RSA key cannot be verified: make one with the public exponent 65537.',
    )
  }
}

/** Policy rule 2, RFC 2986 section 3: whoever sends the request holds the private key. */
async function requireProofOfPossession(
  crypto: Crypto,
  brainpool: Crypto | null,
  spki: Uint8Array,
  signature: SignedBytes,
): Promise<void> {
  if (!isAcceptedSignatureAlgorithm(signature.algorithm)) {
    throw new DomainError(
      'csr_signature_algorithm_refused',
      'Sign the request with Ed25519, or with ECDSA or RSA (PKCS#1 v1.5, or PSS with a salt as long as the hash) and SHA-256, SHA-384 or SHA-512.',
    )
  }
  if (await verifySignature(crypto, spki, signature, brainpool)) return
  throw new DomainError(
    'csr_signature_invalid',
    'The signature does not fit the request and its key: make the request again with the matching private key.',
  )
}
