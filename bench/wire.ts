/** What one connection of the load generator speaks: a question, and how much of an answer has come. */
export interface Conversation {
  /** The bytes of the next question. */
  next(): Buffer
  /** Takes what came; says what the answer is as soon as it is whole, until then null. Throws at what is no answer. */
  take(chunk: Buffer): Answered | null
}

export type Answered = 'found' | 'not found'

/** Collects what has come of an answer; most answers come in one piece, which is then not copied. */
export class Received {
  #bytes: Buffer = Buffer.alloc(0)

  add(chunk: Buffer): Buffer {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    return this.#bytes
  }

  clear(): void {
    this.#bytes = Buffer.alloc(0)
  }
}
