const loopbackHosts = ['::1', '[::1]', 'localhost']

/** Whether a host of a socket or URL is this machine. */
export const isLoopbackHost = (host: string): boolean =>
  loopbackHosts.includes(host) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)

const octet = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`
const ipv4 = new RegExp(String.raw`^(${octet})\.(${octet})\.(${octet})\.(${octet})$`)

const hex = (high: string, low: string): string => (Number(high) * 256 + Number(low)).toString(16)

/** RFC 4291 2.2.3: the last four octets may be written as an IPv4 address. */
const withoutDottedEnd = (address: string): string => {
  const end = address.slice(address.lastIndexOf(':') + 1)
  const [, first, second, third, fourth] = ipv4.exec(end) ?? []
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) return address
  return `${address.slice(0, -end.length)}${hex(first, second)}:${hex(third, fourth)}`
}

/** The eight groups of an IPv6 address. Null if the text is none. */
function ipv6Groups(address: string): number[] | null {
  const [head = '', tail, more] = withoutDottedEnd(address).split('::')
  if (more !== undefined) return null
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = 8 - front.length - back.length
  if (tail === undefined ? missing !== 0 : missing < 1) return null
  const groups = [...front, ...Array.from({ length: missing }, () => '0'), ...back]
  return groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))
    ? groups.map((group) => Number.parseInt(group, 16))
    : null
}

/** ::ffff:0:0/96, RFC 4291 2.5.5.2. */
const isMapped = (groups: readonly number[]): boolean =>
  groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xff_ff

/** How many bits of an address tell a client from others. */
interface Prefix {
  readonly ipv4: 16 | 24 | 32
  readonly ipv6: 32 | 48 | 56 | 64
}

const ofIpv4 = (octets: readonly number[], bits: Prefix['ipv4']): string =>
  bits === 32 ? octets.join('.') : `${octets.map((octet, index) => (8 * index < bits ? octet : 0)).join('.')}/${bits}`

const ofIpv6 = (groups: readonly number[], bits: Prefix['ipv6']): string => {
  const kept = groups.slice(0, Math.ceil(bits / 16))
  const shown = kept.map((group, index) => (16 * (index + 1) > bits ? group & 0xff_00 : group).toString(16))
  return `${shown.join(':')}::/${bits}`
}

const prefixOf = (groups: readonly number[], { ipv4: bits, ipv6: bitsOfIpv6 }: Prefix): string => {
  const [, , , , , , high = 0, low = 0] = groups
  return isMapped(groups) ? ofIpv4([high >> 8, high & 0xff, low >> 8, low & 0xff], bits) : ofIpv6(groups, bitsOfIpv6)
}

/** All clients whose addresses cannot be read are one. */
const unknownClient = 'unknown'

const clientPrefix = (address: string, prefix: Prefix): string => {
  const groups = addressGroups(address)
  return groups === null ? unknownClient : prefixOf(groups, prefix)
}

/**
 * The network of a client address: /24 of IPv4 (also if mapped into IPv6), /48 of IPv6. It tells no single line of a
 * subscriber. Text that is not an address is `unknown`; all such clients share one budget.
 */
export const truncatedNetwork = (address: string): string => clientPrefix(address, { ipv4: 24, ipv6: 48 })

/**
 * The line of a client address: the address itself of IPv4 (also if mapped into IPv6), the /64 of IPv6. It tells who is
 * asking, so it is kept in memory only, as long as the client is connected.
 */
export const clientLine = (address: string): string => clientPrefix(address, { ipv4: 32, ipv6: 64 })

/** A network that a client is in, and how many times the allowance of one line it has. */
export interface NestedNetwork {
  readonly name: string
  readonly times: number
}

/**
 * The line of a client address and the networks around it, the narrowest first: /24 and /16 of IPv4; /56, /48 and /32 of
 * IPv6. None has so much that one of those in it has all of it. The name of the line is not to be kept: keep a keyed hash.
 */
export function networksOf(address: string): NestedNetwork[] {
  const groups = addressGroups(address)
  if (groups === null) return [{ name: unknownClient, times: 1 }]
  const nested = [
    { name: prefixOf(groups, { ipv4: 32, ipv6: 64 }), times: 1 },
    { name: prefixOf(groups, { ipv4: 32, ipv6: 56 }), times: 2 },
    { name: prefixOf(groups, { ipv4: 24, ipv6: 48 }), times: 4 },
    { name: prefixOf(groups, { ipv4: 16, ipv6: 32 }), times: 16 },
  ]
  return nested.filter(({ name }, index) => name !== nested[index - 1]?.name)
}

/**
 * The eight groups of an address. An IPv4 address is as if mapped into IPv6. Brackets and a zone are left away. Null if
 * the text is no address.
 */
export function addressGroups(text: string): number[] | null {
  const address = text.replaceAll(/^\[|\]$/g, '').replace(/%.*$/s, '')
  const mapped = ipv4.test(address) ? `::ffff:${address}` : address
  return mapped.includes(':') ? ipv6Groups(mapped) : null
}

/** A network: its first address, and how many bits of it count. */
export interface NetworkGroups {
  readonly prefix: readonly number[]
  readonly bits: number
}

/** A network such as 10.0.0.0/8, or one address. Null if the text is neither. */
export function networkGroups(text: string): NetworkGroups | null {
  const [, address = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const prefix = addressGroups(address)
  if (prefix === null) return null
  const before = ipv4.test(address) ? 96 : 0
  const bits = length === undefined ? 128 : before + Number(length)
  return bits > 128 ? null : { prefix, bits }
}
