import { BlockList, isIP } from 'node:net'
import { forwardingHeaders, type Connection } from '../ports/connection.ts'
import { truncatedNetwork } from '../ports/network.ts'

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** Addresses and CIDR ranges. An IPv4 address mapped into IPv6 counts as the IPv4 address. */
export class AddressRanges {
  readonly #list = new BlockList()

  /** `ranges` are addresses, or ranges such as `10.0.0.0/8`. Throws for anything else. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/')
      if (prefix === undefined) this.#list.addAddress(address, family(address))
      else this.#list.addSubnet(address, Number(prefix), family(address))
    }
  }

  includes(address: string): boolean {
    const plain = address.replace(/%.*$/s, '')
    return isIP(plain) !== 0 && this.#list.check(plain, family(plain))
  }
}

const loopback = new AddressRanges(['127.0.0.0/8', '::1'])

/** What a listener sees of a request. */
export interface Reached {
  /** The other end of the socket. */
  readonly peer: string
  /** The socket itself speaks TLS. */
  readonly encrypted: boolean
  readonly pkiOnly: boolean
  readonly recognised?: (() => void) | undefined
  /** One header field, with its lines joined by commas. */
  header(name: string): string | undefined
}

/** An entry of X-Forwarded-For without its port. Some proxies add one. */
const withoutPort = (entry: string): string =>
  entry.replace(/^\[(.*)\](?::\d+)?$/s, '$1').replace(/^([\d.]+):\d+$/, '$1')

/**
 * The last entry of X-Forwarded-For that is not a declared proxy. The client may have invented the entries before it.
 */
const clientOf = (reached: Pick<Reached, 'peer' | 'header'>, proxies: AddressRanges): string => {
  const entries = reached.header('X-Forwarded-For')?.split(',') ?? []
  const addresses = [reached.peer, ...entries.map((entry) => withoutPort(entry.trim())).toReversed()]
  return addresses.find((address, index) => index > 0 && !proxies.includes(address)) ?? addresses.at(-1) ?? ''
}

/** The network of the client for whom a proxy speaks; that of the proxy itself where it names nobody. */
export const networkBehind = (
  peer: string,
  header: (name: string) => string | undefined,
  proxies: AddressRanges,
): string => truncatedNetwork(clientOf({ peer, header }, proxies))

/** Each proxy may have added a word. All of them must have been reached by TLS. */
const cameByTls = (reached: Reached): boolean => {
  const protocols = reached.header('X-Forwarded-Proto')?.split(',') ?? []
  return protocols.length > 0 && protocols.every((protocol) => protocol.trim().toLowerCase() === 'https')
}

/**
 * Whether the Host header names this machine. If a request from this machine names another host, it may come from a web
 * page whose name points here (DNS rebinding), or from an undeclared proxy.
 */
const namesThisMachine = (host: string | undefined): boolean =>
  /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host ?? '')

/**
 * How a request came. Behind a declared proxy: as the proxy says, and insecure if it does not say TLS. From anyone
 * else: as the socket shows, and forwarding headers are refused.
 */
export function connectionOf(reached: Reached, proxies: AddressRanges): Connection {
  const { peer, encrypted, pkiOnly, recognised } = reached
  const declared = proxies.includes(peer)
  const forwarded = declared && forwardingHeaders.some((name) => reached.header(name) !== undefined)
  if (forwarded && !pkiOnly) {
    const tls = cameByTls(reached)
    const address = clientOf(reached, proxies)
    const network = truncatedNetwork(address)
    return { secure: tls, tls, mayForward: true, pkiOnly, network, address, local: false, recognised }
  }
  const here = loopback.includes(peer)
  return {
    secure: encrypted || here,
    tls: encrypted,
    mayForward: declared,
    pkiOnly,
    network: truncatedNetwork(peer),
    address: peer,
    local: here && !pkiOnly && namesThisMachine(reached.header('Host')),
    recognised,
  }
}
