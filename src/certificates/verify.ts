import type { CertificateOrder } from '../cas/adapters/contract.ts'
import type { OpenConnection } from '../cas/contract.ts'
import { insertConnectedAuthority } from '../cas/store.ts'
import type { CertificateFacts } from '../pki/certificate-facts.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { MalformedDer } from '../pki/der.ts'
import { sha256Hex } from '../pki/encoding.ts'
import { orderChain } from '../pki/order-chain.ts'
import { verifyIssuedCertificate, type IssuedFault } from '../pki/verify-issued.ts'
import type { Command } from '../ports/database.ts'
import type { CertificateDeps } from './deps.ts'

/** What a CA issued, or an administrator brought from there. Nothing in it is believed yet. */
export interface IssuedByCa {
  readonly certificate: Uint8Array
  /** The CAs above, in any order. May be empty. */
  readonly chain: readonly Uint8Array[]
}

/** What a certificate must be in order to be kept. */
export interface Ordered {
  readonly connection: Pick<OpenConnection, 'trust'>
  readonly order: Pick<CertificateOrder, 'spki' | 'mailbox' | 'use' | 'notAfter'>
  /** What was issued before this is not the certificate that was ordered. */
  readonly issuedAfter: Date
}

/** A certificate that may be kept. */
export interface Verified {
  readonly certificate: Uint8Array
  readonly facts: CertificateFacts
  /** The id of the CA that issued it. */
  readonly authority: string
  /** Keep the CAs above it, so that its chain can be shown. */
  readonly commands: readonly Command[]
}

/** The longest term, 397 days with the last second included. */
export const termMilliseconds = 397 * 86_400_000 - 1_000
/** Some CAs do not count the last second, or set the beginning back and not the end. */
const roundingMilliseconds = 3_600_000

/** Longer answers are no certificates. They are not kept for operators either. */
export const certificateBytes = 64 * 1024

/** A CA is its name and its key, whichever certificate of its own it shows. */
async function identityOf(crypto: Crypto, certificate: Uint8Array): Promise<string> {
  const { subject, spki } = parseCertificate(certificate)
  return sha256Hex(crypto, Uint8Array.from([...subject.bytes, ...spki]))
}

async function connectedAuthorities(
  deps: Pick<CertificateDeps, 'crypto' | 'clock'>,
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
  // A CA must be there before those that it certified.
  return { authority: idAt(0), commands: commands.toReversed() }
}

/**
 * Verifies what a CA issued by policy rule 15. The chain is made of what the connection trusts and of what came with the
 * certificate. Never throws for what a CA sent.
 */
export async function verifyIssued(
  deps: Pick<CertificateDeps, 'crypto' | 'clock' | 'authorities'>,
  { connection, order, issuedAfter }: Ordered,
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
  const { facts } = verdict
  const term = facts.notAfter.getTime() - facts.notBefore.getTime()
  if (term > termMilliseconds + roundingMilliseconds) return { ok: false, reason: 'validity_too_long' }
  const issuer =
    trust.prepared === undefined
      ? await connectedAuthorities(deps, chain)
      : { authority: deps.authorities.issuing.id, commands: [] }
  return { ok: true, verified: { certificate, facts, ...issuer } }
}
