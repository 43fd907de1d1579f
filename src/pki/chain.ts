import { MalformedDer } from './der.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import { equalBytes } from './encoding.ts'
import { readBasicConstraints, readExtendedKeyUsage, readKeyUsage } from './extensions.ts'
import { oid } from './object-identifiers.ts'
import { verifySignature } from './signature.ts'

/** The extensions that are acted on or may be passed over; a critical one besides them refuses its certificate. */
const understood: ReadonlySet<string> = new Set([
  oid.basicConstraints,
  oid.keyUsage,
  oid.extKeyUsage,
  oid.subjectAltName,
  oid.certificatePolicies,
  oid.subjectKeyIdentifier,
  oid.authorityKeyIdentifier,
])

/** RFC 5280 section 4.2: a critical extension that is not understood refuses the certificate. */
export function hasUnknownCriticalExtension({ extensions }: Certificate): boolean {
  return [...extensions.values()].some((extension) => extension.critical && !understood.has(extension.oid))
}

/** Whether `certificate` names `issuer` and carries its signature, RFC 5280 section 6.1.3 (a)(1) and (4). */
export async function isIssuedBy(crypto: Crypto, certificate: Certificate, issuer: Certificate): Promise<boolean> {
  return (
    equalBytes(certificate.issuer.bytes, issuer.subject.bytes) &&
    (await verifySignature(crypto, issuer.spki, certificate.signature))
  )
}

/**
 * Whether a chain of CAs, the issuing one first, leads to an anchor: each is a CA for S/MIME and valid `at` that time,
 * each is signed by the next, and the last is an anchor or is signed by one (RFC 5280 section 6.1). Name constraints
 * and policy mappings are not processed; where they are critical the chain is not trusted.
 */
export async function leadsToAnchor(
  crypto: Crypto,
  chain: readonly Certificate[],
  anchors: readonly Uint8Array[],
  at: Date,
): Promise<boolean> {
  for (const [position, certificate] of chain.entries()) {
    if (!isCaForMail(certificate, position, at)) return false
    if (anchors.some((anchor) => equalBytes(anchor, certificate.der))) return true
    const next = chain[position + 1]
    if (next === undefined) return await isIssuedByAnchor(crypto, certificate, anchors, position + 1, at)
    if (!(await isIssuedBy(crypto, certificate, next))) return false
  }
  return false
}

async function isIssuedByAnchor(
  crypto: Crypto,
  certificate: Certificate,
  anchors: readonly Uint8Array[],
  position: number,
  at: Date,
): Promise<boolean> {
  for (const der of anchors) {
    const anchor = parseCertificate(der)
    if (isCaForMail(anchor, position, at) && (await isIssuedBy(crypto, certificate, anchor))) return true
  }
  return false
}

/** RFC 5280 section 6.1.4 (k) to (n), and the purpose of section 4.2.1.12 as it is read for CAs. */
function isCaForMail(certificate: Certificate, casBelow: number, at: Date): boolean {
  const { extensions } = certificate
  const constraints = extensions.get(oid.basicConstraints)
  const keyUsage = extensions.get(oid.keyUsage)
  const purposes = extensions.get(oid.extKeyUsage)
  try {
    if (constraints === undefined) return false
    const { ca, pathLength = Infinity } = readBasicConstraints(constraints.value)
    return (
      ca &&
      casBelow <= pathLength &&
      (keyUsage === undefined || readKeyUsage(keyUsage.value).has('keyCertSign')) &&
      (purposes === undefined || readExtendedKeyUsage(purposes.value).some(coversMail)) &&
      certificate.notBefore <= at &&
      at <= certificate.notAfter &&
      !hasUnknownCriticalExtension(certificate)
    )
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

function coversMail(purpose: string): boolean {
  return purpose === oid.emailProtection || purpose === oid.anyExtendedKeyUsage
}
