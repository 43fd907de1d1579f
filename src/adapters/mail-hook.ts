import { DeliveryFailed, type Mailer, type OutgoingMessage } from '../ports/mailer.ts'

/** Bad request, content too large, unprocessable content. */
const refusalsOfTheMessage = [400, 413, 422]

/** Headers hold ASCII only. Other addresses are percent-encoded; the message itself names them in full. */
const headerText = (address: string): string => (/^[ -~]*$/.test(address) ? address : encodeURIComponent(address))

/** Sends mail through an HTTPS endpoint of the operator: the RFC 5322 message is the body of a POST. */
export class MailHook implements Mailer {
  readonly #url: string
  readonly #token: string | null

  constructor(url: string, token: string | null) {
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
    let status: number
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers,
        body: new Uint8Array(message.raw),
        redirect: 'manual',
        signal: AbortSignal.timeout(30_000),
      })
      status = response.status
      await response.body?.cancel()
    } catch (cause) {
      throw new DeliveryFailed('the mail hook cannot be reached', false, { cause })
    }
    if (status >= 200 && status < 300) return
    throw new DeliveryFailed(`the mail hook answered ${status}`, refusalsOfTheMessage.includes(status))
  }
}
