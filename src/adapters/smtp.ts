import { createTransport, type Transporter } from 'nodemailer'
import { DeliveryFailed, type Mailer, type OutgoingMessage } from '../ports/mailer.ts'

const responseCode = (error: unknown): number | null => {
  if (!(error instanceof Error) || !('responseCode' in error)) return null
  return typeof error.responseCode === 'number' ? error.responseCode : null
}

/** Hands mail to an SMTP server, `smtp://` or `smtps://` with user and password in the URL. */
export class Smtp implements Mailer {
  readonly #transport: Transporter

  constructor(url: string) {
    this.#transport = createTransport(url, {})
  }

  /** A 5yz reply is permanent (RFC 5321 4.2.1); everything else may pass. */
  async deliver(message: OutgoingMessage): Promise<void> {
    try {
      await this.#transport.sendMail({
        envelope: { from: message.from, to: message.to },
        raw: Buffer.from(message.raw),
      })
    } catch (cause) {
      const code = responseCode(cause)
      const permanent = code !== null && code >= 500
      throw new DeliveryFailed(`SMTP ${code ?? 'connection failed'}`, permanent, { cause })
    }
  }

  close(): void {
    this.#transport.close()
  }
}
