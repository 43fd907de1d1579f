import type { CertificateFacts } from '../../pki/certificate-facts.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { MalformedDer } from '../../pki/der.ts'
import { sha256Hex } from '../../pki/encoding.ts'
import { orderChain } from '../../pki/order-chain.ts'
import { verifyIssuedCertificate, type IssuedFault } from '../../pki/verify-issued.ts'
import type { Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { termMilliseconds, type OpenRequest } from './order.ts'
import { insertConnectedAuthority } from './outcome-store.ts'

/** What a CA issued, or somebody brought from there. */
export interface IssuedByCa {
  readonly certificate: Uint8Array
  /** In any order; may be empty. */
  readonly chain: readonly Uint8Array[]
}

/** What verification told of a certificate that may be kept. */
export interface Verified {
  readonly facts: CertificateFacts
  readonly authority: string
  /** What must be kept beside it so that its chain can be shown. */
  readonly commands: readonly Command[]
}

/** CAs count the last second, or do not, and set the beginning back beside. */
const roundingMilliseconds = 3_600_000

/** Longer ones are no certificates, whatever they say, and are not kept for anybody to look at. */
export const certificateBytes = 64 * 1024

/** A CA by its name and its key, whichever certificate of its own it shows. */
async function identityOf(crypto: Crypto, certificate: Uint8Array): Promise<string> {
  const { subject, spki } = parseCertificate(certificate)
  return sha256Hex(crypto, Uint8Array.from([...subject.bytes, ...spki]))
}

async function connectedAuthorities(
  deps: Pick<EnrolmentDeps, 'crypto' | 'clock'>,
  chain: readonly Uint8Array[],
): Promise<{ authority: string; commands: Command[] }> {
  const hashes = await Promise.all(chain.map((certificate) => sha256Hex(deps.crypto, certificate)))
  const idAt = (position: number): string => `ca-${(hashes[position] ?? '').slice(0, 40)}`
  const commands = await Promise.all(
    chain.map(async (certificate, position) =>
      insertConnectedAuthority({
        id: idAt(position),
        slot: `connected-${hashes[position]}`,
        issuer: idAt(Math.min(position + 1, chain.length - 1)),
        certificate,
        identity: await identityOf(deps.crypto, certificate),
        createdAt: deps.clock(),
      }),
    ),
  )
  return { authority: idAt(0), commands: commands.toReversed() }
}

/** Policy rule 15, with the chain put together from what the connection trusts and what came with it. */
export async function verifyFor(
  deps: EnrolmentDeps,
  { connection, order, issuedAfter }: OpenRequest,
  { certificate, chain: sent }: IssuedByCa,
): Promise<{ ok: true; verified: Verified } | { ok: false; reason: IssuedFault }> {
  if (certificate.length > certificateBytes) return { ok: false, reason: 'malformed' }
  const { trust } = connection
  let chain: readonly Uint8Array[]
  try {
    chain = trust.prepared === undefined ? await orderChain(deps.crypto, certificate, trust, sent) : []
  } catch (error) {
    if (error instanceof MalformedDer) return { ok: false, reason: 'malformed' }
    throw error
  }
  const verdict = await verifyIssuedCertificate(deps.crypto, {
    certificate,
    chain,
    anchors: trust.anchors,
    prepared: trust.prepared,
    spki: order.spki,
    mailbox: order.mailbox,
    use: order.use,
    notBefore: issuedAfter,
    notAfter: order.notAfter,
    at: new Date(deps.clock()),
  })
  if (!verdict.ok) return verdict
  const term = verdict.facts.notAfter.getTime() - verdict.facts.notBefore.getTime()
  if (term > termMilliseconds + roundingMilliseconds) return { ok: false, reason: 'validity_too_long' }
  if (trust.prepared !== undefined) {
    return { ok: true, verified: { facts: verdict.facts, authority: deps.authorities.issuing.id, commands: [] } }
  }
  return { ok: true, verified: { facts: verdict.facts, ...(await connectedAuthorities(deps, chain)) } }
}
