import { parseCertificate, type Certificate } from '../../pki/certificate.ts'
import { MalformedDer } from '../../pki/der.ts'
import { equalBytes } from '../../pki/encoding.ts'
import { readKeyUsage } from '../../pki/extensions.ts'
import { oid } from '../../pki/object-identifiers.ts'
import type { ForeignList } from '../../pki/read-foreign-crl.ts'
import { verifySignature } from '../../pki/signature.ts'
import type { CaTrust } from '../../cas/adapters/contract.ts'
import type { CertificateDeps } from '../deps.ts'
import { readConnectedAuthorities } from '../../cas/inside/store.ts'

/** Whose list it is. */
export type ListIssuer =
  /** The ids of the authorities here that it speaks for; none where nothing of theirs was kept yet. */
  | { readonly kind: 'known'; readonly authorities: readonly string[] }
  | { readonly kind: 'failed'; readonly failure: 'list_issuer_unknown' | 'list_signature_invalid' }

type IssuerDeps = Pick<CertificateDeps, 'database' | 'keys' | 'events' | 'crypto' | 'brainpool'>

/** RFC 5280 section 6.3.3 (f): a CA whose key usage is said may sign lists only where that says so. */
function maySignLists({ extensions }: Certificate): boolean {
  const usage = extensions.get(oid.keyUsage)
  try {
    return usage === undefined || readKeyUsage(usage.value).has('cRLSign')
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

/**
 * The CA that has signed a list: one that has issued what is kept here, or one that the connection trusts. Its name
 * alone proves nothing; its signature does, wherever the list was fetched.
 */
export async function issuerOf(deps: IssuerDeps, trust: CaTrust, list: ForeignList): Promise<ListIssuer> {
  const candidates = [
    ...(await readConnectedAuthorities(deps)),
    ...[...trust.anchors, ...trust.intermediates].map((certificate) => ({ id: null, certificate })),
  ]
    .map(({ id, certificate }) => ({ id, ca: parseCertificate(certificate) }))
    .filter(({ ca }) => equalBytes(ca.subject.bytes, list.issuer))
  if (candidates.length === 0) return { kind: 'failed', failure: 'list_issuer_unknown' }
  const signers: (string | null)[] = []
  for (const { id, ca } of candidates) {
    const hasSigned = maySignLists(ca) && (await verifySignature(deps.crypto, ca.spki, list.signature, deps.brainpool))
    if (hasSigned) signers.push(id)
  }
  if (signers.length === 0) return { kind: 'failed', failure: 'list_signature_invalid' }
  return { kind: 'known', authorities: signers.filter((id) => id !== null) }
}
