import { longestTerm } from '../pki/subscriber-template.ts'
import type { CaTrust, CertificateOrder } from '../cas/adapters/contract.ts'
import type { OpenConnection } from '../cas/contract.ts'
import { insertConnectedAuthority } from '../cas/inside/store.ts'
import type { CertificateFacts } from '../pki/certificate-facts.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { prepareChain, type PreparedChain } from '../pki/chain.ts'
import { MalformedDer } from '../pki/der.ts'
import { equalBytes, sha256Hex } from '../pki/encoding.ts'
import { orderChain } from '../pki/order-chain.ts'
import { verifyIssuedCertificate, type IssuedFault } from '../pki/verify-issued.ts'
import type { Command } from '../ports/database.ts'
import type { CertificateDeps } from './deps.ts'
import { hourMilliseconds } from '../ports/time.ts'

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

/** From notBefore to notAfter of the longest term, which includes the last second. */
export const termMilliseconds = longestTerm - 1_000
/** Some CAs do not count the last second, or set the beginning back and not the end. */
const roundingMilliseconds = hourMilliseconds

/** Longer answers are no certificates. They are not kept for operators either. */
export const certificateBytes = 64 * 1024

/** A chain that does not change from one certificate under it to the next. */
interface Chain {
  /** Null where an anchor itself may have issued: `verifyIssuedCertificate` tries each. */
  readonly prepared: PreparedChain | null
  /** The id of the issuing CA. */
  readonly authority: string
  /** Keep the CAs of the chain. */
  readonly commands: readonly Command[]
}

/**
 * The chain under which a connection issued last, for as long as the connection stays as it is set up. Its CAs are taken
 * apart and verified once, and not for every certificate.
 */
const lastChains = new WeakMap<CaTrust, { readonly sent: readonly Uint8Array[]; readonly chain: Chain }>()

/** Whether the CA sent the same certificates again. Another chain is judged by itself, also when this one would fit. */
const isSame = (sent: readonly Uint8Array[], before: readonly Uint8Array[]): boolean =>
  sent.length === before.length && sent.every((ca, position) => equalBytes(ca, before[position] ?? new Uint8Array()))

/** A CA is its name and its key, whichever certificate of its own it shows. */
async function identityOf(crypto: Crypto, certificate: Uint8Array): Promise<string> {
  const { subject, spki } = parseCertificate(certificate)
  return sha256Hex(crypto, Uint8Array.from([...subject.bytes, ...spki]))
}

/** Puts together the chain of a certificate of another CA. Throws MalformedDer. */
async function chainOf(
  deps: Pick<CertificateDeps, 'crypto' | 'clock' | 'keys'>,
  trust: CaTrust,
  { certificate, chain: sent }: IssuedByCa,
): Promise<Chain> {
  const chain = await orderChain(deps.crypto, certificate, trust, sent)
  const hashes = await Promise.all(chain.map((ca) => sha256Hex(deps.crypto, ca)))
  const idAt = (position: number): string => `ca-${(hashes[position] ?? '').slice(0, 40)}`
  const commands = await Promise.all(
    chain.map(async (ca, position) =>
      insertConnectedAuthority(deps.keys, {
        id: idAt(position),
        slot: `connected-${hashes[position]}`,
        issuer: idAt(Math.min(position + 1, chain.length - 1)),
        certificate: ca,
        identity: await identityOf(deps.crypto, ca),
        createdAt: deps.clock(),
      }),
    ),
  )
  return {
    prepared: chain.length === 0 ? null : await prepareChain(deps.crypto, chain, trust.anchors),
    authority: idAt(0),
    // A CA must be there before those that it certified.
    commands: commands.toReversed(),
  }
}

type Verdict = { readonly ok: true; readonly verified: Verified } | { readonly ok: false; readonly reason: IssuedFault }

/** What a chain that does not fit says. Another chain may fit. */
const faultsOfChain: ReadonlySet<IssuedFault> = new Set(['signature_invalid', 'chain_untrusted'])

/**
 * Verifies what a CA issued by policy rule 15. The chain is made of what the connection trusts and of what came with the
 * certificate. Never throws for what a CA sent.
 */
export async function verifyIssued(
  deps: Pick<CertificateDeps, 'crypto' | 'clock' | 'keys' | 'authorities'>,
  ordered: Ordered,
  issued: IssuedByCa,
): Promise<Verdict> {
  if (issued.certificate.length > certificateBytes) return { ok: false, reason: 'malformed' }
  const { trust } = ordered.connection
  if (trust.prepared !== undefined) {
    const inside = { prepared: trust.prepared, authority: deps.authorities.issuing.id, commands: [] }
    return verifyUnder(deps, ordered, issued.certificate, inside)
  }
  const last = lastChains.get(trust)
  if (last !== undefined && isSame(issued.chain, last.sent)) {
    const verdict = await verifyUnder(deps, ordered, issued.certificate, last.chain)
    if (verdict.ok || !faultsOfChain.has(verdict.reason)) return verdict
  }
  let chain: Chain
  try {
    chain = await chainOf(deps, trust, issued)
  } catch (error) {
    if (error instanceof MalformedDer) return { ok: false, reason: 'malformed' }
    throw error
  }
  const verdict = await verifyUnder(deps, ordered, issued.certificate, chain)
  if (verdict.ok && chain.prepared !== null) lastChains.set(trust, { sent: issued.chain, chain })
  return verdict
}

/** Verifies a certificate under one chain. */
async function verifyUnder(
  deps: Pick<CertificateDeps, 'crypto' | 'clock'>,
  { connection, order, issuedAfter }: Ordered,
  certificate: Uint8Array,
  { prepared, authority, commands }: Chain,
): Promise<Verdict> {
  const verdict = await verifyIssuedCertificate(deps.crypto, {
    certificate,
    chain: [],
    anchors: connection.trust.anchors,
    prepared: prepared ?? undefined,
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
  return { ok: true, verified: { certificate, facts, authority, commands } }
}
