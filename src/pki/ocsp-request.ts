import {
  contextConstructed,
  DerSequence,
  encodeElement,
  MalformedDer,
  readElement,
  readInteger,
  readObjectIdentifier,
  readSmallInteger,
  readUnsigned,
  requireDer,
  tag,
  type DerElement,
} from './der.ts'
import { equalBytes, toHex } from './encoding.ts'
import { hasDuplicateExtension, readExtensions, type Extension } from './extensions.ts'
import { oid } from './object-identifiers.ts'

/** The hashes by which a CertID may name an issuer here. */
export type OcspHash = 'SHA-1' | 'SHA-256'

/** CertID (RFC 6960 section 4.1.1): names the certificate of a question. */
export interface OcspCertificateId {
  /** Null for any other hash. Then it cannot be told which issuer is meant. */
  readonly hash: OcspHash | null
  /** Lower-case hexadecimal of any length, as is the next. */
  readonly issuerNameHash: string
  readonly issuerKeyHash: string
  /** Lower-case hexadecimal without a sign octet, as `CertificateFacts` has it. */
  readonly serialNumber: string
  /** The CertID as it was sent. */
  readonly bytes: Uint8Array
}

export interface OcspRequest {
  /** At least one. RFC 5019 section 2.1.1 allows a client to ask for one only. */
  readonly ids: readonly OcspCertificateId[]
  /**
   * The extensions of the request and of all its questions. A nonce may stay unanswered (RFC 5019 section 4, RFC 9654
   * section 2.1). If a critical extension is not handled, there is no authoritative answer (RFC 6960 section 4.4).
   */
  readonly extensions: readonly Extension[]
}

/** A question has about 80 octets, a signed request with certificates a few thousand. */
const sizeLimit = 64 * 1024
const questionLimit = 20
/** RFC 5280 section 4.1.2.2, with the sign octet. */
const serialNumberLimit = 20

const hashes: readonly { readonly name: OcspHash; readonly identifier: string }[] = [
  { name: 'SHA-1', identifier: oid.sha1 },
  { name: 'SHA-256', identifier: oid.sha256 },
]

/**
 * Reads one OCSPRequest (RFC 6960 section 4.1.1) of at most 64 KiB and 20 questions. The requestor's name and signature
 * do not change the answer, so both are skipped.
 *
 * Throws MalformedDer, also for a serial number that no certificate can have (RFC 5280 section 4.1.2.2: negative, or
 * above 20 octets).
 */
export function readOcspRequest(der: Uint8Array): OcspRequest {
  if (der.length > sizeLimit) throw new MalformedDer('larger than 64 KiB')
  const parts = new DerSequence(readElement(der, tag.sequence))
  const request = parts.next(tag.sequence)
  requireDer(request)
  const signature = parts.optional(contextConstructed(0))
  if (signature !== undefined) readElement(signature.content, tag.sequence)
  parts.end()

  const fields = new DerSequence(request)
  const version = fields.optional(contextConstructed(0))
  if (version !== undefined && readSmallInteger(readElement(version.content)) !== 0) {
    throw new MalformedDer('not a request of version 1')
  }
  const requestor = fields.optional(contextConstructed(1))
  if (requestor !== undefined) readElement(requestor.content)
  const questions = new DerSequence(fields.next(tag.sequence)).rest(tag.sequence)
  const extensions = readOptionalExtensions(fields.optional(contextConstructed(2)))
  fields.end()

  if (questions.length === 0 || questions.length > questionLimit) throw new MalformedDer('no question, or too many')
  const read = questions.map(readQuestion)
  return {
    ids: read.map((question) => question.id),
    extensions: [...extensions, ...read.flatMap((question) => question.extensions)],
  }
}

function readQuestion(question: DerElement): { readonly id: OcspCertificateId; readonly extensions: Extension[] } {
  const parts = new DerSequence(question)
  const id = readCertificateId(parts.next(tag.sequence))
  const extensions = readOptionalExtensions(parts.optional(contextConstructed(0)))
  parts.end()
  return { id, extensions }
}

function readCertificateId(element: DerElement): OcspCertificateId {
  const parts = new DerSequence(element)
  const hash = readHash(parts.next(tag.sequence))
  const issuerNameHash = toHex(parts.next(tag.octetString).content)
  const issuerKeyHash = toHex(parts.next(tag.octetString).content)
  const serialNumber = parts.next(tag.integer)
  parts.end()
  if (readInteger(serialNumber).length > serialNumberLimit) throw new MalformedDer('serial number too long')
  return { hash, issuerNameHash, issuerKeyHash, serialNumber: toHex(readUnsigned(serialNumber)), bytes: element.bytes }
}

/** RFC 4055 section 2.1: NULL and absent parameters of a hash mean the same. */
function readHash(algorithm: DerElement): OcspHash | null {
  const parts = new DerSequence(algorithm)
  const identifier = readObjectIdentifier(parts.next(tag.objectIdentifier))
  const parameters = parts.done ? undefined : parts.next()
  parts.end()
  const isPlain = parameters === undefined || equalBytes(parameters.bytes, encodeElement(tag.null))
  return isPlain ? (hashes.find((hash) => hash.identifier === identifier)?.name ?? null) : null
}

function readOptionalExtensions(wrapped: DerElement | undefined): Extension[] {
  if (wrapped === undefined) return []
  const extensions = readExtensions(readElement(wrapped.content, tag.sequence))
  if (hasDuplicateExtension(extensions)) throw new MalformedDer('an extension stands twice')
  return extensions
}
