import { addressGroups, isLoopbackHost, networkGroups, type NetworkGroups } from '../ports/network.ts'
import { ExchangeFailed, type OutgoingRequest } from '../ports/outgoing-https.ts'

/**
 * Addresses at which clouds and hosts answer requests from inside with credentials: link-local ones (RFC 3927, RFC 4291
 * section 2.5.6), and those of single clouds. No setting opens them.
 */
const ofTheMachineItself = networksOf([
  '169.254.0.0/16',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  'fe80::/10',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
])

/**
 * The special-purpose registries of IANA (RFC 6890) for IPv4 and, within 2000::/3, for IPv6; and multicast. Entries that
 * lie within others are left out.
 */
const specialPurpose = networksOf([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '2001::/23',
  '2001:db8::/32',
  '2620:4f:8000::/48',
  '3fff::/20',
])

/** Every other IPv6 address has a special purpose, or none yet (RFC 4291 section 2.4). */
const globalUnicast = networksOf(['2000::/3'])
const ipv4Mapped = networksOf(['::ffff:0:0/96'])
/** RFC 6052: the IPv4 address stands at the end. */
const translated = networksOf(['64:ff9b::/96'])
/** RFC 3056: the IPv4 address follows the prefix. */
const sixToFour = networksOf(['2002::/16'])

type Groups = readonly number[]

function networksOf(texts: readonly string[]): NetworkGroups[] {
  return texts.map((text) => {
    const network = networkGroups(text)
    if (network === null) throw new Error(`${text} is no network`)
    return network
  })
}

const startsAlike = (groups: Groups, { prefix, bits }: NetworkGroups): boolean =>
  prefix.every((group, index) => {
    const open = Math.min(16, Math.max(0, 16 * (index + 1) - bits))
    return group >>> open === (groups[index] ?? 0) >>> open
  })

const isIn = (groups: Groups, networks: readonly NetworkGroups[]): boolean =>
  networks.some((network) => startsAlike(groups, network))

/** The address itself, and the IPv4 address that a translator or a relay would send to. */
function reached(groups: Groups): Groups[] {
  const mapped = (high: number | undefined, low: number | undefined): Groups => [
    0,
    0,
    0,
    0,
    0,
    0xff_ff,
    high ?? 0,
    low ?? 0,
  ]
  if (isIn(groups, translated)) return [groups, mapped(groups[6], groups[7])]
  if (isIn(groups, sixToFour)) return [groups, mapped(groups[1], groups[2])]
  return [groups]
}

const isPublic = (groups: Groups): boolean =>
  !isIn(groups, specialPurpose) && (isIn(groups, globalUnicast) || isIn(groups, ipv4Mapped) || isIn(groups, translated))

/** Whether a request may go in clear: it holds nothing secret, and the answer (a revocation list) is signed. */
const mayGoInClear = ({ method, headers }: OutgoingRequest): boolean =>
  method === 'GET' && !Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')

/** Where requests to other servers may go. */
export interface Destinations {
  /** Whether a request may go to an address, or to a host name that only the runtime can look up. */
  allow(request: OutgoingRequest, addressOrHost: string): boolean
}

/**
 * Reads the entries of EGRESS_ALLOW, which are checked: host names, addresses, networks, and the word `only`. Without
 * `only` public addresses are allowed too. A host that is named may have any address, except those of the machine
 * itself.
 */
export function readDestinations(entries: readonly string[]): Destinations {
  const only = entries.includes('only')
  const networks = entries.map(networkGroups).filter((network) => network !== null)
  const hosts = new Set(entries.filter((entry) => networkGroups(entry) === null).map((host) => host.toLowerCase()))

  const mayReach = (host: string, groups: Groups): boolean => {
    const all = reached(groups)
    if (all.some((each) => isIn(each, ofTheMachineItself))) return false
    return hosts.has(host) || all.every((each) => isIn(each, networks) || (!only && isPublic(each)))
  }
  return {
    allow: (request, addressOrHost) => {
      const { hostname, protocol } = new URL(request.url)
      const host = hostname.replace(/\.$/, '')
      const groups = addressGroups(addressOrHost === 'localhost' ? '127.0.0.1' : addressOrHost)
      if (groups === null ? only && !hosts.has(host) : !mayReach(host, groups)) return false
      return protocol === 'https:' || mayGoInClear(request) || isLoopbackHost(addressOrHost)
    },
  }
}

/** The refusal of a destination that requests must not go to. */
export const destinationRefused = (): ExchangeFailed =>
  new ExchangeFailed('unreachable', 'no', { cause: new Error('the address is not allowed for such a request') })
