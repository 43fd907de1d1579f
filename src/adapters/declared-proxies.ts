import { BlockList, isIP } from 'node:net'
import { forwardingHeaders, type Connection } from '../ports/connection.ts'
import { truncatedNetwork } from '../ports/network.ts'

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4')

/** Addresses and CIDR ranges. An IPv4 address that is mapped into IPv6 counts as itself. */
export class AddressRanges {
  readonly #list = new BlockList()

  /** `ranges` are addresses, or ranges such as `10.0.0.0/8`. Throws where one is neither. */
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
  /** One header field, its lines joined by commas. */
  header(name: string): string | undefined
}

/** An entry of X-Forwarded-For without the port that some proxies add. */
const withoutPort = (entry: string): string =>
  entry.replace(/^\[(.*)\](?::\d+)?$/s, '$1').replace(/^([\d.]+):\d+$/, '$1')

/** The last entry that no declared proxy stands for: what stands before it, its sender may have made up. */
const clientOf = (reached: Reached, proxies: AddressRanges): string => {
  const entries = reached.header('X-Forwarded-For')?.split(',') ?? []
  const addresses = [reached.peer, ...entries.map((entry) => withoutPort(entry.trim())).toReversed()]
  return addresses.find((address, index) => index > 0 && !proxies.includes(address)) ?? addresses.at(-1) ?? ''
}

/** Each proxy on the way may have added a word; all of them must have been reached by TLS. */
const cameByTls = (reached: Reached): boolean => {
  const protocols = reached.header('X-Forwarded-Proto')?.split(',') ?? []
  return protocols.length > 0 && protocols.every((protocol) => protocol.trim().toLowerCase() === 'https')
}

/**
 * Another name than this machine's own on a request from this machine: a web page whose name was pointed here (DNS
 * rebinding), or a proxy that nobody declared.
 */
const namesThisMachine = (host: string | undefined): boolean =>
  /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host ?? '')

/**
 * How a request came. Behind a declared proxy it is what the proxy says of its client, and without a word on TLS it is
 * not secure. From anyone else it is what the socket says, and forwarding headers may not stand.
 */
export function connectionOf(reached: Reached, proxies: AddressRanges): Connection {
  const { peer, encrypted, pkiOnly } = reached
  const declared = proxies.includes(peer)
  const forwarded = declared && forwardingHeaders.some((name) => reached.header(name) !== undefined)
  if (forwarded && !pkiOnly) {
    const tls = cameByTls(reached)
    const network = truncatedNetwork(clientOf(reached, proxies))
    return { secure: tls, tls, mayForward: true, pkiOnly, network, local: false }
  }
  const here = loopback.includes(peer)
  return {
    secure: encrypted || here,
    tls: encrypted,
    mayForward: declared,
    pkiOnly,
    network: truncatedNetwork(peer),
    local: here && !pkiOnly && namesThisMachine(reached.header('Host')),
  }
}
