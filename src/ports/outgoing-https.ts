/** One request to a server that somebody else runs. */
export interface OutgoingRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** `https:`; `http:` for this machine, and for what is signed by itself, such as revocation lists. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | null
  /** Certificates (DER) that the server's is verified with, instead of those that the runtime trusts; empty for those. */
  readonly trustAnchors: readonly Uint8Array[]
  readonly clientCertificate: ClientCertificate | null
  /** For the whole exchange, from the name lookup to the last byte of the answer. */
  readonly timeoutMilliseconds: number
  /** Of the answer's body. */
  readonly maxBytes: number
}

/** How this service proves itself in TLS. */
export interface ClientCertificate {
  /** DER, its own first. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array
}

/** What a server answered, whatever its status; redirects are answers like others, and not followed. */
export interface OutgoingAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Why there is no answer. */
export type ExchangeFailure =
  | 'unreachable'
  /** The server's certificate is not trusted, or the server refused this service's. */
  | 'tls_refused'
  | 'timed_out'
  | 'connection_lost'
  | 'answer_too_large'
  | 'answer_malformed'

/**
 * There is no answer, or none that can be used. `sent` says whether the server can have acted on the request: `no` is
 * certain, and everything that is not certain is `maybe`.
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

/** Requests to other servers. Each has a connection of its own, so that none is sent into one that is just closing. */
export interface OutgoingHttps {
  /** What this runtime can do; what it cannot is refused where a connection is made. */
  readonly can: { readonly ownTrustAnchors: boolean; readonly clientCertificates: boolean }
  /** Throws `ExchangeFailed`. */
  exchange(request: OutgoingRequest): Promise<OutgoingAnswer>
}
