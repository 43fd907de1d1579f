/** How a request reached the service, as far as the runtime can vouch for it. */
export interface Connection {
  /** TLS, or from this machine itself, or by a declared proxy that vouches for TLS. */
  readonly secure: boolean
  /** By TLS as far as the client: what RFC 6797 7.2 asks before a client is told to stay with HTTPS. */
  readonly tls: boolean
  /** Whether forwarding headers of this peer may stand. */
  readonly mayForward: boolean
  /** By the listener that answers for CRLs, OCSP and CA certificates only, over plain HTTP to anyone. */
  readonly pkiOnly: boolean
  /** The client's network, truncated to /24 (IPv4) or /48 (IPv6), as text; never a whole address. */
  readonly network: string
  /** Straight from this machine itself, with no proxy between. */
  readonly local: boolean
}

/** The headers by which a proxy tells what it has seen of its client. */
export const forwardingHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-real-ip',
] as const
