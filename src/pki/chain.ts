import { MalformedDer } from './der.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import { equalBytes } from './encoding.ts'
import { readBasicConstraints, readExtendedKeyUsage, readKeyUsage } from './extensions.ts'
import { oid } from './object-identifiers.ts'
import { signatureVerifier, verifySignature } from './signature.ts'

/** The extensions that are checked here or may be ignored. Any other critical extension refuses its certificate. */
const understood: ReadonlySet<string> = new Set([
  oid.basicConstraints,
  oid.keyUsage,
  oid.extKeyUsage,
  oid.subjectAltName,
  oid.certificatePolicies,
  oid.subjectKeyIdentifier,
  oid.authorityKeyIdentifier,
])

/** RFC 5280 section 4.2: an unknown critical extension refuses the certificate. */
export function hasUnknownCriticalExtension({ extensions }: Certificate): boolean {
  return [...extensions.values()].some((extension) => extension.critical && !understood.has(extension.oid))
}

/**
 * A chain of CAs, issuing CA first, prepared for many certificates: parsed, signatures verified, key of the issuing CA
 * imported.
 */
export interface PreparedChain {
  /** Whether a certificate names the issuing CA and has its signature, RFC 5280 section 6.1.3 (a)(1) and (4). */
  hasIssued(certificate: Certificate): Promise<boolean>
  /** Whether the chain leads to an anchor, and all its CAs may issue for S/MIME and are valid at a time. */
  isTrusted(at: Date): boolean
}

/**
 * Prepares a chain of at least one CA: each must be signed by the next, and the last must be an anchor or be signed by
 * one (RFC 5280 section 6.1). Name constraints are not processed. So a chain with a constrained CA is not trusted,
 * because the CA may not be allowed to vouch for an address. Policy mappings are not processed either: if they are
 * critical, the chain is not trusted. Throws MalformedDer.
 */
export async function prepareChain(
  crypto: Crypto,
  chain: readonly Uint8Array[],
  anchors: readonly Uint8Array[],
): Promise<PreparedChain> {
  const certificates = chain.map(parseCertificate)
  const [issuer] = certificates
  if (issuer === undefined) throw new RangeError('a chain without a CA')
  const path = await pathToAnchors(crypto, certificates, anchors)
  const verifies = signatureVerifier(crypto, issuer.spki)
  return {
    hasIssued: async (certificate) =>
      equalBytes(certificate.issuer.bytes, issuer.subject.bytes) && (await verifies(certificate.signature)),
    isTrusted: (at) =>
      path.cas.every((ca, position) => isCaForMail(ca, position, at)) &&
      path.ends.some((end) => isCaForMail(end, path.cas.length, at)),
  }
}

/**
 * The CAs below an anchor, and the anchors that the last of them leads to. Without CAs: the anchors that may have
 * issued the certificate. Empty if the chain breaks.
 */
interface Path {
  readonly cas: readonly Certificate[]
  readonly ends: readonly Certificate[]
}

async function pathToAnchors(
  crypto: Crypto,
  chain: readonly Certificate[],
  anchors: readonly Uint8Array[],
): Promise<Path> {
  for (const [position, certificate] of chain.entries()) {
    const cas = chain.slice(0, position)
    if (anchors.some((anchor) => equalBytes(anchor, certificate.der))) return { cas, ends: [certificate] }
    const next = chain[position + 1]
    if (next !== undefined && !(await isIssuedBy(crypto, certificate, next))) return { cas, ends: [] }
  }
  const last = chain.at(-1)
  const ends: Certificate[] = []
  for (const anchor of anchors.map(parseCertificate)) {
    if (last !== undefined && (await isIssuedBy(crypto, last, anchor))) ends.push(anchor)
  }
  return { cas: chain, ends }
}

async function isIssuedBy(crypto: Crypto, certificate: Certificate, issuer: Certificate): Promise<boolean> {
  return (
    equalBytes(certificate.issuer.bytes, issuer.subject.bytes) &&
    (await verifySignature(crypto, issuer.spki, certificate.signature))
  )
}

/** RFC 5280 section 6.1.4 (k) to (n), and section 4.2.1.12 as it is applied to CAs. */
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
      !extensions.has(oid.nameConstraints) &&
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
