import { Received, type Answered, type Conversation } from './wire.ts'

/** HTTP/1.1 on a connection that stays open, as little of it as a load generator needs. */

/** A POST of JSON with a credential. */
export const requestOf = (host: string, path: string, credential: string, content: object): Buffer => {
  const body = JSON.stringify(content)
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${credential}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

const endOfHead = Buffer.from('\r\n\r\n')
const foundWord = Buffer.from('"status":"found"')

/** Reads the answers of one connection. Throws at a refusal, and at an answer without Content-Length. */
class Answers {
  readonly #received = new Received()
  /** How long the answer is with its head; 0 until the head has come. */
  #length = 0

  take(chunk: Buffer): Answered | null {
    const bytes = this.#received.add(chunk)
    if (this.#length === 0) this.#length = lengthOf(bytes)
    if (this.#length === 0 || bytes.length < this.#length) return null
    if (bytes.length > this.#length) throw new Error('more came than was asked for')
    this.#received.clear()
    this.#length = 0
    return bytes.includes(foundWord) ? 'found' : 'not found'
  }
}

function lengthOf(bytes: Buffer): number {
  const end = bytes.indexOf(endOfHead)
  if (end < 0) return 0
  const head = bytes.toString('latin1', 0, end)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) throw new Error(`no answer: ${bytes.toString()}`)
  return end + endOfHead.length + Number(length)
}

/** Asks what `next` makes, one request after the other. */
export function httpConversation(next: () => Buffer): Conversation {
  const answers = new Answers()
  return { next, take: (chunk) => answers.take(chunk) }
}
