import { MalformedDer } from './der.ts'
import { parseCertificate, type Certificate } from './certificate.ts'
import { equalBytes } from './encoding.ts'
import { verifySignature } from './signature.ts'

/** No hierarchy is longer. A longer chain is cut here. */
const longestChain = 6
const candidatesLooked = 20

function readable(der: Uint8Array): Certificate[] {
  try {
    return [parseCertificate(der)]
  } catch (error) {
    if (error instanceof MalformedDer) return []
    throw error
  }
}

const isAmong = (certificates: readonly Uint8Array[], certificate: Certificate): boolean =>
  certificates.some((one) => equalBytes(one, certificate.der))

/**
 * Puts together the chain of a certificate, issuing CA first, from the CAs that a connection trusts and those that came
 * with the certificate in any order. Leaves out what does not belong to it. The chain ends at an anchor, or where
 * nothing leads on. `verifyIssuedCertificate` decides whether it can be trusted. RFC 5280 section 6.1.3 (a)(1) and (4).
 * Throws MalformedDer if the certificate itself cannot be read.
 */
export async function orderChain(
  crypto: Crypto,
  certificate: Uint8Array,
  trusted: { readonly anchors: readonly Uint8Array[]; readonly intermediates: readonly Uint8Array[] },
  sent: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const candidates = [...trusted.anchors, ...trusted.intermediates, ...sent.slice(0, candidatesLooked)].flatMap(
    readable,
  )
  const chain: Uint8Array[] = []
  let below = parseCertificate(certificate)
  while (chain.length < longestChain) {
    const issuer = await issuerAmong(crypto, below, candidates)
    if (issuer === undefined || isAmong(chain, issuer)) break
    chain.push(issuer.der)
    if (isAmong(trusted.anchors, issuer)) break
    below = issuer
  }
  return chain
}

async function issuerAmong(
  crypto: Crypto,
  certificate: Certificate,
  candidates: readonly Certificate[],
): Promise<Certificate | undefined> {
  for (const candidate of candidates) {
    const isNamed = equalBytes(certificate.issuer.bytes, candidate.subject.bytes)
    if (isNamed && (await verifySignature(crypto, candidate.spki, certificate.signature))) return candidate
  }
  return undefined
}
