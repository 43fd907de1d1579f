import { isLoopbackHost } from '../ports/network.ts'
import { ExchangeFailed, type OutgoingRequest } from '../ports/outgoing-https.ts'

/**
 * Addresses at which clouds answer requests from inside with credentials: link-local addresses (RFC 3927, RFC 4291
 * section 2.5.6), also when mapped or translated into IPv6 (RFC 4291 section 2.5.5.2, RFC 6052), and addresses that
 * single clouds use.
 */
const ofTheMachineItself = [
  /^169\.254\./,
  /^100\.100\.100\.200$/,
  /^\[(?:::ffff|64:ff9b:):6464:64c8\]$/,
  /^\[fe[89ab][0-9a-f]:/,
  /^\[::ffff:a9fe:/,
  /^\[64:ff9b::a9fe:/,
  /^\[fd00:ec2::254\]$/,
]

/** An address as a URL writes it. URLs have one form for each address. */
const hostOfAddress = (address: string): string => {
  const host = address.includes(':') ? `[${address.replace(/%.*$/s, '')}]` : address
  return URL.canParse(`http://${host}/`) ? new URL(`http://${host}/`).hostname : address
}

/** Whether a request may go in clear: it holds nothing secret, and the answer (a revocation list) is signed. */
const mayGoInClear = ({ method, headers }: OutgoingRequest): boolean =>
  method === 'GET' && !Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')

/** Whether a request may go to an address. For a host name, it decides by the name as far as possible. */
export function isAllowedDestination(request: OutgoingRequest, addressOrHost: string): boolean {
  const host = hostOfAddress(addressOrHost)
  if (ofTheMachineItself.some((pattern) => pattern.test(host))) return false
  return new URL(request.url).protocol === 'https:' || mayGoInClear(request) || isLoopbackHost(host)
}

/** The refusal of a destination that requests must not go to. */
export const destinationRefused = (): ExchangeFailed =>
  new ExchangeFailed('unreachable', 'no', { cause: new Error('the address is not allowed for such a request') })
