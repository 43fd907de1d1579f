import { DeliveryFailed, withoutTls, type Mailer, type OutgoingMessage } from '../ports/mailer.ts'
import { ExchangeFailed, type OutgoingHttps } from '../ports/outgoing-https.ts'

/** Bad request, content too large, unprocessable content. */
const refusalsOfTheMessage = [400, 413, 422]

/** The limit of an answer that nobody reads. */
const answerBytes = 1024 * 1024

/** Headers hold ASCII only. Other addresses are percent-encoded; the message itself names them in full. */
const headerText = (address: string): string => (/^[ -~]*$/.test(address) ? address : encodeURIComponent(address))

/** Sends mail through an HTTPS endpoint of the operator: the RFC 5322 message is the body of a POST. */
export class MailHook implements Mailer {
  readonly #outgoing: OutgoingHttps
  readonly #url: string
  readonly #token: string | null

  constructor(outgoing: OutgoingHttps, url: string, token: string | null) {
    this.#outgoing = outgoing
    this.#url = url
    this.#token = token
  }

  /**
   * Any 2xx means accepted. Only a refusal of the message itself is permanent. A wrong token or path can be corrected,
   * and then the mail goes.
   */
  async deliver(message: OutgoingMessage): Promise<void> {
    const headers: Record<string, string> = {
      'Content-Type': 'message/rfc822',
      'Certbook-Mail-Id': message.id,
      'Certbook-Mail-From': headerText(message.from),
      'Certbook-Mail-To': headerText(message.to),
    }
    if (this.#token !== null) headers['Authorization'] = `Bearer ${this.#token}`
    const status = await this.#post(headers, message.raw)
    if (status >= 200 && status < 300) return
    throw new DeliveryFailed(`the mail hook answered ${status}`, refusalsOfTheMessage.includes(status))
  }

  async #post(headers: Readonly<Record<string, string>>, body: Uint8Array): Promise<number> {
    try {
      const { status } = await this.#outgoing.exchange({
        method: 'POST',
        url: this.#url,
        headers,
        body,
        trustAnchors: [],
        clientCertificate: null,
        timeoutMilliseconds: 30_000,
        maxBytes: answerBytes,
      })
      return status
    } catch (cause) {
      const lacksTls = cause instanceof ExchangeFailed && cause.failure === 'tls_refused'
      throw new DeliveryFailed(lacksTls ? withoutTls : 'the mail hook cannot be reached', false, { cause })
    }
  }
}
