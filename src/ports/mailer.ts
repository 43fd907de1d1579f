/** One message, ready to leave: RFC 5322 bytes and its SMTP envelope. */
export interface OutgoingMessage {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly raw: Uint8Array
}

/** Hands one message to the next mail system. */
export interface Mailer {
  /** Resolves when the next mail system has taken responsibility. Otherwise rejects with `DeliveryFailed`. */
  deliver(message: OutgoingMessage): Promise<void>
}

/** The message was not taken. `permanent`: another try cannot help. */
export class DeliveryFailed extends Error {
  readonly permanent: boolean

  constructor(reason: string, permanent: boolean, options?: ErrorOptions) {
    super(reason, options)
    this.name = 'DeliveryFailed'
    this.permanent = permanent
  }
}
