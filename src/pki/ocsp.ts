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

/** How a CertID names an issuer: hashes of its name and of its key, lower-case hexadecimal. */
export interface OcspIssuer {
  readonly nameHash: string
  readonly keyHash: string
}

/** CertStatus of RFC 6960 section 4.2.1. A serial number that was never issued is `unknown`. */
type OcspCertificateStatus =
  | { readonly kind: 'good' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'revoked'; readonly at: Date; readonly reason: RevocationReason | null }

export interface OcspResponseParameters extends SigningCa {
  readonly producedAt: Date
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** The CertID to answer; `serialNumber` as `OcspCertificateId` has it. */
  readonly id: OcspIssuer & { readonly hash: OcspHash; readonly serialNumber: string }
  readonly status: OcspCertificateStatus
}

/** Every OCSPResponseStatus of RFC 6960 section 4.2.1 that is an error and is given here. */
const errorCodes = { malformedRequest: 1, internalError: 2, tryLater: 3, unauthorized: 6 } as const

const hour = 60 * 60 * 1000
const shortestInterval = 8 * hour
const longestInterval = 10 * 24 * hour

/** Asked for by NULL parameters everywhere in the field, and answered so: some clients compare CertIDs whole. */
const hashAlgorithms: Readonly<Record<OcspHash, Uint8Array>> = {
  'SHA-1': encodeElement(tag.sequence, encodeObjectIdentifier(oid.sha1), encodeElement(tag.null)),
  'SHA-256': encodeElement(tag.sequence, encodeObjectIdentifier(oid.sha256), encodeElement(tag.null)),
}

/** How CertIDs by this hash name the CA with this certificate (RFC 6960 section 4.1.1). Throws MalformedDer. */
export async function ocspIssuer(crypto: Crypto, certificateDer: Uint8Array, hash: OcspHash): Promise<OcspIssuer> {
  const certificate = parseCertificate(certificateDer)
  const [name, key] = await Promise.all([
    digest(crypto, hash, certificate.subject.bytes),
    digest(crypto, hash, readSpki(certificate.spki).key),
  ])
  return { nameHash: toHex(name), keyHash: toHex(key) }
}

/**
 * A successful OCSPResponse with one answer (RFC 6960 section 4.2.1 as RFC 5019 section 2.2 narrows it), signed by the
 * CA itself and named by its key. It has no nonce and no certificates, so it can be made before it is asked for, and
 * kept until its next update.
 *
 * Throws RangeError unless it is valid for 8 hours to 10 days, the last second included (S/MIME BR 4.9.10), or for a
 * time that it cannot hold; TypeError for an id that is not hexadecimal.
 */
export async function createOcspResponse(crypto: Crypto, parameters: OcspResponseParameters): Promise<Uint8Array> {
  requireInterval(parameters)
  const { producedAt } = parameters
  // RFC 6960 section 4.2.1: KeyHash is SHA-1, whatever the CertID is hashed with. No security rests on it.
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

/** An OCSPResponse that says why there is no answer (RFC 6960 section 2.3). It is not signed. */
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

/** The tags of the module in RFC 6960 appendix B are implicit. */
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
