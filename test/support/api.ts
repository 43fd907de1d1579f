import { setTimeout } from 'node:timers/promises'
import { z } from 'zod'
/** One HTTP exchange, over a socket or straight into the service. */
export type Ask = (path: string, init?: RequestInit) => Promise<Response>

/**
 * Asks over a socket, as a patient client does: while the service has too much to do, which a slow machine makes of few
 * requests, it waits as long as the answer says and asks again.
 */
export const askOver =
  (base: string): Ask =>
  async (path, init) => {
    for (;;) {
      const answer = await fetch(base + path, init)
      const seconds = Number(answer.headers.get('Retry-After'))
      if (answer.status !== 503 || seconds === 0) return answer
      const { code } = z.object({ code: z.string() }).parse(await answer.clone().json())
      if (code !== 'overloaded') return answer
      await setTimeout(seconds * 1_000)
    }
  }

/** JSON as a test reads it: any path may be asked for, and what is not there is undefined. */
// oxlint-disable-next-line typescript/no-explicit-any -- an answer has the shape that the test is about to assert
export type Json = any

/** An answer with its JSON body (null where it has none); tests look into it freely. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Json
}

/** Speaks JSON to the service, with one credential or none. */
export class Api {
  readonly #ask: Ask
  readonly #credential: string | null

  constructor(ask: Ask, credential: string | null = null) {
    this.#ask = ask
    this.#credential = credential
  }

  with(credential: string): Api {
    return new Api(this.#ask, credential)
  }

  get(path: string): Promise<Answer> {
    return this.send('GET', path)
  }

  post(path: string, body?: unknown): Promise<Answer> {
    return this.send('POST', path, body)
  }

  put(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.send('PUT', path, body, headers)
  }

  delete(path: string): Promise<Answer> {
    return this.send('DELETE', path)
  }

  async send(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    return this.raw(method, path, body === undefined ? undefined : JSON.stringify(body), 'application/json', headers)
  }

  /** Sends a body as it is. */
  async raw(
    method: string,
    path: string,
    body: BodyInit | undefined,
    contentType: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = { ...more }
    if (this.#credential !== null) headers['Authorization'] = `Bearer ${this.#credential}`
    if (body !== undefined) headers['Content-Type'] = contentType
    const response = await this.#ask(path, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await response.text()
    const json = response.headers.get('Content-Type')?.includes('json') === true
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text || null }
  }
}
