import { createTransport, type Transporter } from 'nodemailer'
import { DeliveryFailed, type Mailer, type OutgoingMessage } from '../ports/mailer.ts'

/** The reply that the server gave, and the library's word for the step that it ended. */
const replyOf = (error: unknown): { reply: number | null; step: unknown } => {
  if (!(error instanceof Error)) return { reply: null, step: null }
  const reply = 'responseCode' in error && typeof error.responseCode === 'number' ? error.responseCode : null
  return { reply, step: 'code' in error ? error.code : null }
}

/** Why no reply came, as a code alone, such as ECONNREFUSED: texts of errors name hosts, and may name more. */
const causeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'originalCode' in error ? error.originalCode : 'code' in error ? error.code : null
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : 'unknown'
}

/** Replies to MAIL, RCPT and DATA judge the message; those to the connection or the login judge the settings. */
const stepsOfTheMessage: readonly unknown[] = ['EENVELOPE', 'EMESSAGE']
/** RFC 4954 section 6: given to MAIL where a login was needed first. */
const authenticationRequired = 530

/** Hands mail to an SMTP server, `smtp://` or `smtps://` with user and password in the URL. */
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

  /** A 5yz reply to the message is permanent (RFC 5321 4.2.1); everything else may pass. */
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
