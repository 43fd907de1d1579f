import type { Context } from 'hono'
import { getDomain } from 'tldts'
import { deviceCaller, type ClientConnection } from '../api/room.ts'
import type { Audience } from '../api/shapes.ts'
import { DomainError } from '../errors.ts'
import { toHex } from '../pki/encoding.ts'
import type { LookupScope } from '../ports/lookup-log.ts'
import { networksOf } from '../ports/network.ts'
import type { Caller } from '../registration/authenticate.ts'
import type { DirectoryDeps } from './deps.ts'
import { largeProviders } from './large-providers.ts'
import { dayMilliseconds } from '../ports/time.ts'

const firstDayMilliseconds = dayMilliseconds

/** Who looks up: the name for the query log, what they may find, and the budgets that pay. */
export interface Asker {
  /** Of the subscriber, or the truncated network. */
  readonly id: string
  /** The asker's own scope comes first. */
  readonly scopes: readonly LookupScope[]
  /** Null of an anonymous asker. */
  readonly device: string | null
  /** `members` find what is published to members and to all; `public` only what is published to all. */
  readonly audience: Audience
}

/**
 * Recognises who asks for a lookup. Without an `Authorization` header, in a public directory, this is a network. A
 * wrong credential never makes a caller anonymous. Rejects as `AuthenticateDevice`, and with `mailbox_moved`.
 */
export type AskerOf = (context: Context) => Promise<Asker>

type AskerDeps = Pick<DirectoryDeps, 'authenticate' | 'membershipOf' | 'directoryAccess' | 'lookupBudgets' | 'clock'>

/**
 * The domain that one buys from a registry (the ICANN part of the public suffix list), or the domain itself if there
 * is none. The private part of the list is ignored: names below the domain of a host cost nothing, and with a hundred
 * of them somebody would have a hundred budgets.
 */
const registrableDomain = (domain: string): string =>
  getDomain(domain, { allowPrivateDomains: false, extractHostname: false, validateHostname: false, detectIp: false }) ??
  domain

export function createAskerOf(deps: AskerDeps): AskerOf {
  const { subscriber, newSubscriber, domain: domainLimit, network: networkLimit } = deps.lookupBudgets

  // Registering a mailbox again, or with another tag, makes a new subscriber each time. All of them share one budget, and
  // on their first day a small one.
  const ownScopes = (accountIndex: Uint8Array, createdAt: number): LookupScope[] => {
    const kind = 'subscriber'
    const account = toHex(accountIndex)
    const whole = { kind, name: `account:${account}`, limit: subscriber } as const
    if (deps.clock() >= createdAt + firstDayMilliseconds) return [whole]
    return [{ kind, name: `mailbox:${account}`, limit: newSubscriber }, whole]
  }

  const domainScopes = (domain: string): LookupScope[] =>
    largeProviders.has(domain)
      ? []
      : [{ kind: 'domain', name: `domain:${registrableDomain(domain)}`, limit: domainLimit }]

  const member = (caller: Caller): Asker => {
    const { subscriberId, deviceId, subscriberSince } = caller
    const { mailbox } = deps.membershipOf(caller)
    if (mailbox === null) {
      throw new DomainError('mailbox_moved', 'You have no mailbox here any more. Prove one again to look up.')
    }
    return {
      id: subscriberId,
      device: deviceId,
      audience: 'members',
      scopes: [...ownScopes(mailbox.accountIndex, subscriberSince), ...domainScopes(mailbox.domain)],
    }
  }

  // A changed caller is a new object. The end of the first day does not change the caller, so there are two maps.
  const first = new WeakMap<Caller, Asker>()
  const later = new WeakMap<Caller, Asker>()
  const remembered = (caller: Caller): Asker => {
    const askers = deps.clock() < caller.subscriberSince + firstDayMilliseconds ? first : later
    const known = askers.get(caller)
    if (known !== undefined) return known
    const asker = member(caller)
    askers.set(caller, asker)
    return asker
  }

  const anonymous = ({ network, address }: ClientConnection): Asker => ({
    id: `network:${network}`,
    device: null,
    audience: 'public',
    scopes: networksOf(address).map(({ name, times }) => ({
      kind: 'network',
      name: `network:${name}`,
      limit: times * networkLimit,
    })),
  })

  return async (context) => {
    const authorization = context.req.header('Authorization')
    if (authorization === undefined && deps.directoryAccess === 'public') {
      return anonymous(context.get('client'))
    }
    return remembered(await deviceCaller(context, deps.authenticate))
  }
}
