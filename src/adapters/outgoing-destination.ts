import { isLoopbackHost } from '../ports/network.ts'
import { ExchangeFailed, type OutgoingRequest } from '../ports/outgoing-https.ts'

/**
 * Where this machine's cloud answers whoever asks from inside, with credentials in the answer: link-local addresses
 * (RFC 3927, RFC 4291 section 2.5.6), also mapped or translated into IPv6 (RFC 4291 section 2.5.5.2, RFC 6052), and
 * those that clouds have chosen beside them.
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

/** A host as a URL has it, in the one way that there is to write its address. */
const hostOfAddress = (address: string): string => {
  const host = address.includes(':') ? `[${address.replace(/%.*$/s, '')}]` : address
  return URL.canParse(`http://${host}/`) ? new URL(`http://${host}/`).hostname : address
}

/** Nothing in it is secret or has to be kept from change: a list that is signed by itself. */
const mayGoInClear = ({ method, headers }: OutgoingRequest): boolean =>
  method === 'GET' && !Object.keys(headers).some((name) => name.toLowerCase() === 'authorization')

/** Whether a request may go to an address, or to a host that is none, as far as can be told from its name. */
export function isAllowedDestination(request: OutgoingRequest, addressOrHost: string): boolean {
  const host = hostOfAddress(addressOrHost)
  if (ofTheMachineItself.some((pattern) => pattern.test(host))) return false
  return new URL(request.url).protocol === 'https:' || mayGoInClear(request) || isLoopbackHost(host)
}

/** A request that goes nowhere: its destination is not one for requests to others. */
export const destinationRefused = (): ExchangeFailed =>
  new ExchangeFailed('unreachable', 'no', { cause: new Error('the address is not allowed for such a request') })
