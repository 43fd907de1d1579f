import type { CertificateUse } from '../api/shapes.ts'
import type { OpenConnection, Route } from '../cas/contract.ts'
import { requireNotBlocked } from '../certificates/keys/blocklist.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { parseRequest, verifyRequest, type ParsedRequest } from '../pki/certificate-request.ts'
import { sha256Hex } from '../pki/encoding.ts'
import { checkPublicKey, type KeyFacts } from '../pki/key-policy.ts'
import { requireKeyFits } from '../pki/key-usage.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { RequestDeps } from './deps.ts'

/** A key whose holder has proved possession, by a CSR or by answering a challenge. */
export interface ProvedKey {
  readonly provedBy: 'csr' | 'public_key'
  /** What is kept and sent to the CA: the CSR, or the SubjectPublicKeyInfo itself. */
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly spkiSha256: string
  readonly key: KeyFacts
}

/** A proved key, and where its request goes. */
export interface RoutedKey extends ProvedKey {
  readonly route: Route
}

/** For whom a key is to be certified, and for what. */
export interface Purpose {
  readonly mailbox: OwnMailbox
  readonly use: CertificateUse
}

type CheckDeps = Pick<RequestDeps, 'keys' | 'crypto' | 'brainpool' | 'database'>
type RouteDeps = Pick<RequestDeps, 'connections'>

/** Where a request with such a key goes. Throws the refusals of `Connections.route`. */
const routeOf = (
  { connections }: RouteDeps,
  { mailbox: { address, accountType }, use }: Purpose,
  { algorithm }: KeyFacts,
  provedBy: ProvedKey['provedBy'],
): Promise<Route> => {
  const domain = address.slice(address.lastIndexOf('@') + 1)
  return connections.route({ domain, accountType, use, algorithm, provedBy })
}

/** Throws `key_blocked`. */
async function unblocked(deps: CheckDeps, key: Omit<ProvedKey, 'spkiSha256'>): Promise<ProvedKey> {
  const proved = { ...key, spkiSha256: await sha256Hex(deps.crypto, key.spki) }
  await requireNotBlocked(deps, proved)
  return proved
}

/** Verifies a CSR by the rules of its CA connection. Throws the refusals of `verifyRequest`, and `key_blocked`. */
async function provedByCsr(
  deps: CheckDeps,
  request: ParsedRequest,
  { mailbox, use }: Purpose,
  { keyPolicy, adapter }: OpenConnection,
): Promise<ProvedKey> {
  const otherContents = adapter.describe().takesContentFromCsr ? 'refused' : 'ignored'
  const rules = { use, profile: keyPolicy, brainpool: deps.brainpool, otherContents } as const
  await verifyRequest(deps.crypto, request, parseMailboxAddress(mailbox.address), rules)
  const { der, spki, key } = request
  return unblocked(deps, { provedBy: 'csr', content: der, spki, key })
}

/** Judges a bare key by the rules of its CA connection. Throws the refusals of `requireKeyFits`, and `key_blocked`. */
async function provedBare(
  deps: CheckDeps,
  { spki, key }: { readonly spki: Uint8Array; readonly key: KeyFacts },
  use: CertificateUse,
  { keyPolicy }: OpenConnection,
): Promise<ProvedKey> {
  requireKeyFits(key, { use, profile: keyPolicy })
  return unblocked(deps, { provedBy: 'public_key', content: spki, spki, key })
}

/**
 * Checks a CSR for a mailbox and a use, by the rules of the CA that it goes to. Throws the refusals of `parseRequest`,
 * `Connections.route` and `verifyRequest`, and `key_blocked`.
 */
export async function checkCsr(deps: CheckDeps & RouteDeps, der: Uint8Array, purpose: Purpose): Promise<RoutedKey> {
  const request = parseRequest(der)
  const route = await routeOf(deps, purpose, request.key, 'csr')
  return { ...(await provedByCsr(deps, request, purpose, route.connection)), route }
}

/**
 * Checks a bare public key for a mailbox and a use. Throws the refusals of `checkPublicKey`, `Connections.route` and
 * `requireKeyFits`, and `key_blocked`.
 */
export async function checkBareKey(
  deps: CheckDeps & RouteDeps,
  spki: Uint8Array,
  purpose: Purpose,
): Promise<RoutedKey> {
  const key = checkPublicKey(spki)
  const route = await routeOf(deps, purpose, key, 'public_key')
  return { ...(await provedBare(deps, { spki, key }, purpose.use, route.connection)), route }
}

/** Checks an accepted key again, for the connection of its route. Throws as when it came. */
export const checkAgain = (
  deps: CheckDeps,
  { content, provedBy }: Pick<ProvedKey, 'content' | 'provedBy'>,
  purpose: Purpose,
  connection: OpenConnection,
): Promise<ProvedKey> =>
  provedBy === 'csr'
    ? provedByCsr(deps, parseRequest(content), purpose, connection)
    : provedBare(deps, { spki: content, key: checkPublicKey(content) }, purpose.use, connection)

/** The key of a request that was checked when it came. It is not verified again. */
export const keyOf = (
  content: Uint8Array,
  provedBy: ProvedKey['provedBy'],
): { readonly spki: Uint8Array; readonly key: KeyFacts } =>
  provedBy === 'csr' ? parseRequest(content) : { spki: content, key: checkPublicKey(content) }
