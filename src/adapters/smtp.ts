import { createTransport, type Transporter } from 'nodemailer'
import {
  DeliveryFailed,
  isLocalMailServer,
  parametersAgainstTls,
  withoutTls,
  type Mailer,
  type OutgoingMessage,
} from '../ports/mailer.ts'

/** The server's reply, and the library's word for the step that it ended. */
const replyOf = (error: unknown): { reply: number | null; step: unknown } => {
  if (!(error instanceof Error)) return { reply: null, step: null }
  const reply = 'responseCode' in error && typeof error.responseCode === 'number' ? error.responseCode : null
  return { reply, step: 'code' in error ? error.code : null }
}

const codeOf = (error: Error, name: 'code' | 'originalCode'): string => {
  const code: unknown = Reflect.get(error, name)
  return typeof code === 'string' ? code : ''
}

/** Why there was no reply: only a code such as ECONNREFUSED, because texts of errors name hosts and more. */
const causeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'originalCode' in error ? error.originalCode : 'code' in error ? error.code : null
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : 'unknown'
}

/**
 * Replies to MAIL, RCPT and DATA are about the message. Replies to the connection or the login are about the settings.
 */
const stepsOfTheMessage: readonly unknown[] = ['EENVELOPE', 'EMESSAGE']
/** RFC 4954 section 6: the reply to MAIL when a login is needed first. */
const authenticationRequired = 530

/** The codes of Node and of the library that say that TLS did not come about, and of certificates that are not trusted. */
const codesOfTls =
  /^(?:ETLS|EPROTO|ERR_(?:TLS|SSL)_\w+|CERT_\w+|\w*_SIGNED_CERT\w*|UNABLE_TO_\w+|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)$/

/** Whether TLS was refused, or is not what this service trusts. Nothing of the message was sent then. */
const lacksTls = (error: unknown): boolean =>
  error instanceof Error && [codeOf(error, 'code'), codeOf(error, 'originalCode')].some((code) => codesOfTls.test(code))

/** The URL with TLS required, where it leads to another machine. The library reads its parameters as options. */
const withTls = (url: URL): string => {
  if (isLocalMailServer(url)) return url.href
  for (const name of parametersAgainstTls(url)) url.searchParams.delete(name)
  if (url.protocol === 'smtp:') url.searchParams.set('requireTLS', 'true')
  return url.href
}

/**
 * Sends mail through an SMTP server: `smtp://` or `smtps://`, with user and password in the URL. To another machine
 * nothing is sent without TLS: neither a login nor a mail, also where the server no longer offers STARTTLS (RFC 3207
 * section 6).
 */
export class Smtp implements Mailer {
  readonly #transport: Transporter

  constructor(url: string) {
    this.#transport = createTransport({
      url: withTls(new URL(url)),
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      socketTimeout: 30_000,
    })
  }

  /** A 5yz reply to the message is permanent (RFC 5321 4.2.1). All other failures may pass. */
  async deliver(message: OutgoingMessage): Promise<void> {
    try {
      await this.#transport.sendMail({
        envelope: { from: message.from, to: message.to },
        raw: Buffer.from(message.raw),
      })
    } catch (cause) {
      if (lacksTls(cause)) throw new DeliveryFailed(withoutTls, false, { cause })
      const { reply, step } = replyOf(cause)
      const permanent =
        reply !== null && reply >= 500 && reply !== authenticationRequired && stepsOfTheMessage.includes(step)
      throw new DeliveryFailed(`SMTP ${reply ?? `connection failed (${causeOf(cause)})`}`, permanent, { cause })
    }
  }

  close(): void {
    this.#transport.close()
  }
}
