import { createTransport, type Transporter } from 'nodemailer'
import { DeliveryFailed, type Mailer, type OutgoingMessage } from '../ports/mailer.ts'

/** The server's reply, and the library's word for the step that it ended. */
const replyOf = (error: unknown): { reply: number | null; step: unknown } => {
  if (!(error instanceof Error)) return { reply: null, step: null }
  const reply = 'responseCode' in error && typeof error.responseCode === 'number' ? error.responseCode : null
  return { reply, step: 'code' in error ? error.code : null }
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

/** Sends mail through an SMTP server: `smtp://` or `smtps://`, with user and password in the URL. */
export class Smtp implements Mailer {
  readonly #transport: Transporter

  constructor(url: string) {
    this.#transport = createTransport({
      url,
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
