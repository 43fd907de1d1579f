import { DomainError, type ErrorCode } from '../../errors.ts'
import type { CaDescription } from '../adapters/contract.ts'
import { embeddedConnection, type OpenConnection, type Route, type RoutedRequest } from '../contract.ts'
import { requireKeyFits, type KeyPurpose } from '../../pki/key-usage.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import type { AuthorityDeps } from '../../ports/authority.ts'
import type { Database } from '../../ports/database.ts'
import { readTrustedRules, type RuleRow } from './store.ts'

/** A request as it is routed, with how its key was proved. */
export type AskedRoute = RoutedRequest & { readonly provedBy: 'csr' | 'public_key' }

/** How rules and questions name the kinds of keys. */
export const ofKey = { rsa: 'RSA', ec: 'EC', ed25519: 'Ed25519', x25519: 'X25519' } as const

const below = '*.'

/** `example.com` fits only that domain; `*.example.com` fits every domain below it. */
function fitsDomain(pattern: string, domain: string): boolean {
  return pattern.startsWith(below) ? domain.endsWith(pattern.slice(below.length - 1)) : domain === pattern
}

function fits(rule: RuleRow, asked: RoutedRequest): boolean {
  return (
    (rule.domain === null || fitsDomain(rule.domain, asked.domain)) &&
    (rule.accountType === null || rule.accountType === asked.accountType) &&
    (rule.use === null || rule.use === asked.use) &&
    (rule.algorithm === null || ofKey[rule.algorithm] === asked.algorithm)
  )
}

/** Where a rule leads, or the CA inside without one. `connection` is null if a rule refuses the request. */
interface Destination {
  readonly rule: RuleRow | null
  readonly connection: OpenConnection | null
}

/** What finding a way needs. */
export interface RouteDeps extends AuthorityDeps {
  readonly database: Database
  readonly open: (id: string) => Promise<OpenConnection | null>
}

/** How often the search is repeated if the connection of the rule was removed meanwhile. */
const readings = 3

/**
 * The first rule that fits, and its connection. Without such a rule, the CA inside. Where somebody else than administrators
 * wrote the rules or the connection, nothing is certified.
 */
export async function findDestination(deps: RouteDeps, asked: RoutedRequest): Promise<Destination> {
  for (let reading = 0; reading < readings; reading += 1) {
    const set = await readTrustedRules(deps)
    if (set === null) break
    const rule = set.rules.find((candidate) => fits(candidate, asked)) ?? null
    const id = rule === null ? embeddedConnection : rule.connection
    if (id === null) return { rule, connection: null }
    const connection = await deps.open(id)
    if (connection !== null) return { rule, connection }
  }
  return { rule: null, connection: null }
}

/** Why intake refuses a request for this connection. Null if the connection takes it. */
export function refusalOfRequest(
  description: CaDescription,
  asked: Pick<AskedRoute, 'algorithm' | 'provedBy'>,
): 'ca_needs_csr' | 'ca_key_unsupported' | null {
  if (asked.provedBy === 'public_key' && !description.acceptsPublicKey) return 'ca_needs_csr'
  return description.algorithms.includes(asked.algorithm) ? null : 'ca_key_unsupported'
}

/** For each kind of key, one that every profile with this kind accepts. */
const usualKeys: Readonly<Record<KeyFacts['algorithm'], KeyFacts>> = {
  RSA: { algorithm: 'RSA', bits: 3072 },
  EC: { algorithm: 'EC', curve: 'P-256' },
  Ed25519: { algorithm: 'Ed25519' },
  X25519: { algorithm: 'X25519' },
}

/** Why a kind of key is refused for a purpose. Null if it is not. */
export function refusalOfKey(algorithm: KeyFacts['algorithm'], purpose: KeyPurpose): ErrorCode | null {
  try {
    requireKeyFits(usualKeys[algorithm], purpose)
    return null
  } catch (error) {
    if (error instanceof DomainError) return error.code
    throw error
  }
}

const words = {
  not_certified_here:
    'No certificate authority is set up for this mailbox, use and kind of key. Ask your administrator.',
  ca_needs_csr: 'The CA for this mailbox certifies no bare public keys: send a certificate signing request.',
  ca_key_unsupported: 'The CA for this mailbox takes no keys of this kind: make a key of another kind.',
} as const

/** See `Connections.route`. */
export async function routeRequest(deps: RouteDeps, asked: AskedRoute): Promise<Route> {
  const { rule, connection } = await findDestination(deps, asked)
  if (connection === null) throw new DomainError('not_certified_here', words.not_certified_here)
  const refusal = refusalOfRequest(connection.adapter.describe(), asked)
  if (refusal !== null) throw new DomainError(refusal, words[refusal])
  return {
    connection,
    profile: rule?.profile ?? null,
    rule: rule === null ? null : { id: rule.id, author: rule.author },
    approvals: rule?.approvals ?? 0,
  }
}
