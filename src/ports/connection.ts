/** How a request reached the service, as far as the runtime can vouch for it. */
export interface Connection {
  /** By TLS, from this machine, or by a declared proxy that vouches for TLS. */
  readonly secure: boolean
  /** TLS up to the client. RFC 6797 7.2 requires it before the client is told to use HTTPS only. */
  readonly tls: boolean
  /** Whether this peer may send forwarding headers. */
  readonly mayForward: boolean
  /** By the listener that serves only CRLs, OCSP and CA certificates, over plain HTTP, to anyone. */
  readonly pkiOnly: boolean
  /** The client's network, truncated to /24 (IPv4) or /48 (IPv6), as text; never a whole address. */
  readonly network: string
  /** The client's address, as far as it is known. It is for counting only: nothing but keyed hashes of it is kept. */
  readonly address: string
  /** Directly from this machine, without a proxy. */
  readonly local: boolean
  /** To be called when a valid credential came by it: the runtime keeps such connections longer. */
  readonly recognised?: (() => void) | undefined
}

/** The headers in which a proxy tells about its client. */
export const forwardingHeaders = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-real-ip',
] as const
