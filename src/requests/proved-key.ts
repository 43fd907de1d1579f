import type { CertificateUse } from '../api/shapes.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import { checkCertificateRequest } from '../pki/certificate-request.ts'
import { sha256Hex } from '../pki/encoding.ts'
import { checkPublicKey, type KeyFacts } from '../pki/key-policy.ts'
import { requireKeyFits } from '../pki/key-usage.ts'
import type { OwnMailbox } from '../registration/mailboxes.ts'
import type { OpenConnection, Route } from '../cas/contract.ts'
import type { EnrolmentDeps } from './deps.ts'
import { requireNotBlocked } from '../certificates/keys/blocklist.ts'

/** A key that its holder has proved to hold, by a CSR or by a challenge. */
export interface ProvedKey {
  readonly provedBy: 'csr' | 'public_key'
  /** What is kept and passed on: the CSR, or the SPKI itself. */
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly spkiSha256: string
  readonly key: KeyFacts
}

/** A proved key, and where its request goes. */
export interface RoutedKey extends ProvedKey {
  readonly route: Route
}

type CheckDeps = Pick<EnrolmentDeps, 'crypto' | 'brainpool' | 'database' | 'connections'>

type RouteDecided = Pick<Route, 'connection'>

/** Where a request with such a key goes. Throws the refusals of `Connections.route`. */
const routeOf = (
  deps: Pick<EnrolmentDeps, 'connections'>,
  { address, accountType }: OwnMailbox,
  use: CertificateUse,
  { algorithm }: KeyFacts,
  provedBy: ProvedKey['provedBy'],
): Promise<Route> => {
  const domain = address.slice(address.lastIndexOf('@') + 1)
  return deps.connections.route({ domain, accountType, use, algorithm, provedBy })
}

async function checkCsrWith<R extends RouteDecided>(
  deps: CheckDeps,
  der: Uint8Array,
  mailbox: OwnMailbox,
  use: CertificateUse,
  decide: (key: KeyFacts) => Promise<R>,
): Promise<ProvedKey & { readonly route: R }> {
  const { crypto, brainpool } = deps
  let route: R | undefined
  const checked = await checkCertificateRequest(crypto, der, parseMailboxAddress(mailbox.address), async (key) => {
    route = await decide(key)
    const { keyPolicy, adapter } = route.connection
    const otherContents = adapter.describe().takesContentFromCsr ? 'refused' : 'ignored'
    return { use, profile: keyPolicy, brainpool, otherContents }
  })
  if (route === undefined) throw new Error('a request was checked without its rules')
  await requireNotBlocked(deps, checked)
  return { ...checked, provedBy: 'csr', content: checked.der, route }
}

async function checkKeyWith<R extends RouteDecided>(
  deps: CheckDeps,
  spki: Uint8Array,
  use: CertificateUse,
  decide: (key: KeyFacts) => Promise<R>,
): Promise<ProvedKey & { readonly route: R }> {
  const key = checkPublicKey(spki)
  const route = await decide(key)
  requireKeyFits(key, { use, profile: route.connection.keyPolicy })
  const spkiSha256 = await sha256Hex(deps.crypto, spki)
  await requireNotBlocked(deps, { spki, spkiSha256 })
  return { provedBy: 'public_key', content: spki, spki, spkiSha256, key, route }
}

/**
 * Checks a CSR for a mailbox and a use, by the rules of the CA that it goes to. Throws the refusals of
 * `checkCertificateRequest` and of `Connections.route`, and `key_blocked`.
 */
export const checkCsr = (
  deps: CheckDeps,
  der: Uint8Array,
  mailbox: OwnMailbox,
  use: CertificateUse,
): Promise<RoutedKey> => checkCsrWith(deps, der, mailbox, use, (key) => routeOf(deps, mailbox, use, key, 'csr'))

/** Checks a bare public key for a mailbox and a use. Throws the refusals of the key policy and of the route, and `key_blocked`. */
export const checkBareKey = (
  deps: CheckDeps,
  spki: Uint8Array,
  mailbox: OwnMailbox,
  use: CertificateUse,
): Promise<RoutedKey> => checkKeyWith(deps, spki, use, (key) => routeOf(deps, mailbox, use, key, 'public_key'))

/** Checks once more what was accepted, for the connection that it was routed to then. Throws as when it came. */
export const checkAgain = (
  deps: CheckDeps,
  content: Uint8Array,
  of: { readonly provedBy: ProvedKey['provedBy']; readonly use: CertificateUse },
  mailbox: OwnMailbox,
  connection: OpenConnection,
): Promise<ProvedKey> => {
  const decided = async () => ({ connection })
  return of.provedBy === 'csr'
    ? checkCsrWith(deps, content, mailbox, of.use, decided)
    : checkKeyWith(deps, content, of.use, decided)
}
