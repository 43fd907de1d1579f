import { isLoopbackHost } from './network.ts'

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

/** Why a mail was held back: it leaves this machine through TLS only, with a certificate that is trusted. */
export const withoutTls = 'held back: the mail system offers no TLS that can be trusted'

/** The message was not taken. `permanent`: another try cannot help. */
export class DeliveryFailed extends Error {
  readonly permanent: boolean

  constructor(reason: string, permanent: boolean, options?: ErrorOptions) {
    super(reason, options)
    this.name = 'DeliveryFailed'
    this.permanent = permanent
  }
}

/** Whether an SMTP server is on this machine, where mail may go in clear. */
export const isLocalMailServer = (url: URL): boolean => isLoopbackHost(url.hostname.toLowerCase())

/**
 * The parameters of an SMTP URL that would let mail leave this machine in clear, or go to anybody who calls himself the
 * server.
 */
export const parametersAgainstTls = (url: URL): string[] =>
  isLocalMailServer(url)
    ? []
    : [...url.searchParams]
        .filter(
          ([name, value]) =>
            /tls|secure/i.test(name) && name !== 'tls.servername' && `${name}=${value}` !== 'requireTLS=true',
        )
        .map(([name]) => name)
