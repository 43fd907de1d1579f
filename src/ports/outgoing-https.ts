/** One request to a server that somebody else runs. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  /**
   * `https:`. `http:` is allowed to this machine, and for answers that are signed themselves, such as revocation lists.
   */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
  /** Certificates (DER) that verify the server's. Empty: those that the runtime trusts. */
  readonly trustAnchors: readonly Uint8Array[]
  readonly clientCertificate: ClientCertificate | null
  /** The limit of the whole exchange, from the name lookup to the last byte of the answer. */
  readonly timeoutMilliseconds: number
  /** The limit of the answer's body. */
  readonly maxBytes: number
}

/** The certificate and key by which this service identifies itself in TLS. */
export interface ClientCertificate {
  /** DER, the service's own first. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array
}

/** A server's answer, whatever its status. Redirects are answers and are not followed. */
export interface OutgoingAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Why there is no answer. */
export type ExchangeFailure =
  | 'unreachable'
  /** The server's certificate is not trusted, or the server refused this service's certificate. */
  | 'tls_refused'
  | 'timed_out'
  | 'connection_lost'
  | 'answer_too_large'
  | 'answer_malformed'

/**
 * There is no usable answer. `sent` says whether the server may have acted on the request: `no` is certain, everything
 * else is `maybe`.
 */
export class ExchangeFailed extends Error {
  readonly failure: ExchangeFailure
  readonly sent: 'no' | 'maybe'

  constructor(failure: ExchangeFailure, sent: 'no' | 'maybe', options?: ErrorOptions) {
    super(
      `no answer that can be used: ${failure} (${sent === 'no' ? 'nothing was sent' : 'it may have been sent'})`,
      options,
    )
    this.name = 'ExchangeFailed'
    this.failure = failure
    this.sent = sent
  }
}

/** Requests to other servers. Each has a connection of its own, because a kept one might just be closing. */
export interface OutgoingHttps {
  /** What this runtime can do. A CA connection that needs more is refused when it is made. */
  readonly can: { readonly ownTrustAnchors: boolean; readonly clientCertificates: boolean }
  /** Throws `ExchangeFailed`. */
  exchange(request: OutgoingRequest): Promise<OutgoingAnswer>
}
