import { parseCertificate } from './certificate.ts'
import {
  contextConstructed,
  contextPrimitive,
  encodeElement,
  encodeObjectIdentifier,
  encodeUnsigned,
  tag,
} from './der.ts'
import { encodeGeneralizedTime } from './der-time.ts'
import { toBufferSource, toHex } from './encoding.ts'
import { readSpki } from './spki.ts'
import { fromHex } from './hexadecimal.ts'
import { oid } from './object-identifiers.ts'
import type { OcspHash } from './ocsp-request.ts'
import { revocationReasonCodes, type RevocationReason } from './revocation-reason.ts'
import { signAsBitString, signatureAlgorithmOf, type SigningCa } from './signing.ts'
import { dayMilliseconds, hourMilliseconds } from '../ports/time.ts'

/** How a CertID names an issuer: by hashes of its name and its key, in lower-case hexadecimal. */
export interface OcspIssuer {
  readonly nameHash: string
  readonly keyHash: string
}

/** CertStatus (RFC 6960 section 4.2.1). A serial number that was never issued is `unknown`. */
type OcspCertificateStatus =
  | { readonly kind: 'good' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'revoked'; readonly at: Date; readonly reason: RevocationReason | null }

export interface OcspResponseParameters extends SigningCa {
  readonly producedAt: Date
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** The CertID to answer. `serialNumber` is written as in `OcspCertificateId`. */
  readonly id: OcspIssuer & { readonly hash: OcspHash; readonly serialNumber: string }
  readonly status: OcspCertificateStatus
}

/** The errors of OCSPResponseStatus (RFC 6960 section 4.2.1) that are answered here. */
const errorCodes = { malformedRequest: 1, internalError: 2, tryLater: 3, unauthorized: 6 } as const

const shortestInterval = 8 * hourMilliseconds
const longestInterval = 10 * dayMilliseconds

/** Clients ask with NULL parameters and are answered so: some compare the whole CertID. */
const hashAlgorithms: Readonly<Record<OcspHash, Uint8Array>> = {
  'SHA-1': encodeElement(tag.sequence, encodeObjectIdentifier(oid.sha1), encodeElement(tag.null)),
  'SHA-256': encodeElement(tag.sequence, encodeObjectIdentifier(oid.sha256), encodeElement(tag.null)),
}

/** How CertIDs with this hash name the CA of a certificate (RFC 6960 section 4.1.1). Throws MalformedDer. */
export async function ocspIssuer(crypto: Crypto, certificateDer: Uint8Array, hash: OcspHash): Promise<OcspIssuer> {
  const certificate = parseCertificate(certificateDer)
  const [name, key] = await Promise.all([
    digest(crypto, hash, certificate.subject.bytes),
    digest(crypto, hash, readSpki(certificate.spki).key),
  ])
  return { nameHash: toHex(name), keyHash: toHex(key) }
}

/**
 * Makes a successful OCSPResponse with one answer (RFC 6960 section 4.2.1, narrowed by RFC 5019 section 2.2). The CA
 * itself signs it and is named by its key. It has no nonce and no certificates, so it can be made in advance, and kept
 * until its next update.
 *
 * Throws RangeError unless it is valid for 8 hours to 10 days, the last second included (S/MIME BR 4.9.10), and for a
 * time that it cannot hold. Throws TypeError for an id that is not hexadecimal.
 */
export async function createOcspResponse(crypto: Crypto, parameters: OcspResponseParameters): Promise<Uint8Array> {
  requireInterval(parameters)
  const { producedAt } = parameters
  // RFC 6960 section 4.2.1: KeyHash is SHA-1, whatever hash the CertID uses. No security rests on it.
  const keyHash = await digest(crypto, 'SHA-1', readSpki(parseCertificate(parameters.issuer).spki).key)
  const responseData = encodeElement(
    tag.sequence,
    encodeElement(contextConstructed(2), encodeElement(tag.octetString, keyHash)),
    encodeGeneralizedTime(producedAt),
    encodeElement(tag.sequence, encodeSingleResponse(parameters)),
  )
  const basic = encodeElement(
    tag.sequence,
    responseData,
    signatureAlgorithmOf(parameters.issuerKeyKind),
    await signAsBitString(crypto, parameters, responseData),
  )
  const responseBytes = encodeElement(
    tag.sequence,
    encodeObjectIdentifier(oid.ocspBasic),
    encodeElement(tag.octetString, basic),
  )
  return encodeElement(
    tag.sequence,
    encodeElement(tag.enumerated, Uint8Array.of(0)),
    encodeElement(contextConstructed(0), responseBytes),
  )
}

/** An unsigned OCSPResponse that says why there is no answer (RFC 6960 section 2.3). */
export function ocspError(status: keyof typeof errorCodes): Uint8Array {
  return encodeElement(tag.sequence, encodeElement(tag.enumerated, Uint8Array.of(errorCodes[status])))
}

function encodeSingleResponse({ id, status, thisUpdate, nextUpdate }: OcspResponseParameters): Uint8Array {
  const certificateId = encodeElement(
    tag.sequence,
    hashAlgorithms[id.hash],
    encodeElement(tag.octetString, fromHex(id.nameHash)),
    encodeElement(tag.octetString, fromHex(id.keyHash)),
    encodeUnsigned(fromHex(id.serialNumber)),
  )
  return encodeElement(
    tag.sequence,
    certificateId,
    encodeStatus(status),
    encodeGeneralizedTime(thisUpdate),
    encodeElement(contextConstructed(0), encodeGeneralizedTime(nextUpdate)),
  )
}

/** In the module of RFC 6960 appendix B, tags are implicit. */
function encodeStatus(status: OcspCertificateStatus): Uint8Array {
  switch (status.kind) {
    case 'good':
      return encodeElement(contextPrimitive(0))
    case 'unknown':
      return encodeElement(contextPrimitive(2))
    case 'revoked':
      return encodeElement(
        contextConstructed(1),
        encodeGeneralizedTime(status.at),
        ...(status.reason === null ? [] : [encodeReason(status.reason)]),
      )
  }
}

function encodeReason(reason: RevocationReason): Uint8Array {
  const code = encodeElement(tag.enumerated, Uint8Array.of(revocationReasonCodes[reason]))
  return encodeElement(contextConstructed(0), code)
}

function requireInterval({ thisUpdate, nextUpdate }: OcspResponseParameters): void {
  const seconds = Math.floor(nextUpdate.getTime() / 1000) - Math.floor(thisUpdate.getTime() / 1000) + 1
  if (!(seconds * 1000 >= shortestInterval && seconds * 1000 <= longestInterval)) {
    throw new RangeError('an answer is valid for 8 hours to 10 days')
  }
}

async function digest(crypto: Crypto, hash: OcspHash, bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(hash, toBufferSource(bytes)))
}
