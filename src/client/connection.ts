import type { z } from 'zod'
import { problemDocument } from '../api/shapes.ts'
import { readBounded } from './bounded.ts'
import { CertbookError, isCertbookError, isServiceCode } from './errors.ts'
import { aborted, withRetries, type Repeating, type RetryRules } from './retry.ts'

/** What the library needs of `fetch`. */
export type Fetch = (url: string, init: RequestInit & { readonly body?: string }) => Promise<Response>

export interface ConnectionOptions {
  readonly baseUrl: string
  readonly fetch: Fetch
  /** UTC milliseconds. */
  readonly now: () => number
  /** A try without an answer ends after this time. */
  readonly timeoutMilliseconds: number
  readonly retries: RetryRules
}

/** One call of the API. `Answer` is the shape of the answer. A call without one expects no content. */
export interface Call<Answer extends z.ZodType | null> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  /** The device secret or credential, sent as Bearer. */
  readonly credential?: string | undefined
  readonly body?: object | undefined
  readonly answer: Answer
  readonly repeating: Repeating
  readonly signal?: AbortSignal | undefined
}

type AnswerOf<Answer> = Answer extends z.ZodType ? z.output<Answer> : null

/** An answer, and after how many seconds the service wants to be asked again. */
export interface Answered<Value> {
  readonly value: Value
  readonly retryAfterSeconds: number | null
}

/** HTTP with one service: makes calls, repeats them, and gives typed answers or refusals. */
export class Connection {
  /** The scheme and host to which proofs are bound, RFC 6454. */
  readonly origin: string
  readonly retries: RetryRules
  readonly #base: string
  readonly #options: ConnectionOptions

  /** Throws CertbookError `base_url_refused`. */
  constructor(options: ConnectionOptions) {
    const url = readBaseUrl(options.baseUrl)
    this.origin = url.origin
    this.retries = options.retries
    this.#base = url.origin + url.pathname.replace(/\/+$/, '')
    this.#options = options
  }

  /** Makes a call. Rejects with CertbookError only. */
  async call<Answer extends z.ZodType | null>(call: Call<Answer>): Promise<AnswerOf<Answer>> {
    return (await this.ask(call)).value
  }

  /** Makes a call, and also returns when to ask again. */
  async ask<Answer extends z.ZodType | null>(call: Call<Answer>): Promise<Answered<AnswerOf<Answer>>> {
    return await withRetries(this.#options.retries, call.repeating, call.signal, async (attempt) => {
      const { response, text } = await this.#send(call)
      const retryAfterSeconds = this.#retryAfter(response)
      // The first try may have deleted it although its answer was lost. So a later 404 means success.
      const isGoneByFirstTry = call.method === 'DELETE' && attempt > 1 && response.status === 404
      if (response.ok || isGoneByFirstTry) {
        return { value: readAnswer(call.answer, isGoneByFirstTry ? '' : text), retryAfterSeconds }
      }
      throw refusalOf(response.status, text, retryAfterSeconds)
    })
  }

  async #send({ method, path, credential, body, signal }: Call<z.ZodType | null>) {
    requireGoingOn(signal)
    const headers = headersOf(credential, body)
    const controller = new AbortController()
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      controller.abort()
    }, this.#options.timeoutMilliseconds)
    const forward = (): void => controller.abort()
    signal?.addEventListener('abort', forward, { once: true })
    try {
      const response = await this.#options.fetch(this.#base + path, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: controller.signal,
        // A redirect would carry the question elsewhere. Cookies and caches are not needed.
        redirect: 'error',
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
      })
      return { response, text: await readBounded(response) }
    } catch (cause) {
      requireGoingOn(signal)
      if (isCertbookError(cause)) throw cause
      if (isLate) throw new CertbookError('timeout', 'The service did not answer in time.', { cause })
      throw new CertbookError('network_failed', 'The service could not be reached, or its answer was lost.', { cause })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', forward)
    }
  }

  /** RFC 9110 section 10.2.3: seconds, or a date. */
  #retryAfter(response: Response): number | null {
    const text = response.headers.get('Retry-After')?.trim() ?? ''
    if (/^\d{1,9}$/.test(text)) return Number(text)
    const date = Date.parse(text)
    return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - this.#options.now()) / 1000))
  }
}

function requireGoingOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted(signal)
}

/** Requires TLS, except for a service on the same machine. */
function readBaseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const isLoopback = url !== null && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  const isSafe = url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback))
  if (isSafe && url.username === '' && url.password === '' && url.search === '' && url.hash === '') return url
  throw new CertbookError('base_url_refused', 'Give the https: address of the service, without credentials or query.')
}

/**
 * Throws CertbookError `credential_invalid` for text that no header can hold. The runtime's own error would repeat the
 * credential.
 */
function headersOf(credential: string | undefined, body: object | undefined): Record<string, string> {
  if (credential !== undefined && !/^[!-~]+$/.test(credential)) {
    throw new CertbookError('credential_invalid', 'The credential is none: it holds characters that none has.')
  }
  return {
    Accept: 'application/json',
    ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    ...(credential === undefined ? {} : { Authorization: `Bearer ${credential}` }),
  }
}

function readAnswer<Answer extends z.ZodType | null>(shape: Answer, text: string): AnswerOf<Answer>
function readAnswer(shape: z.ZodType | null, text: string): unknown {
  if (shape === null) return null
  const read = shape.safeParse(parseJson(text))
  if (read.success) return read.data
  throw new CertbookError('answer_malformed', 'The answer is not one of this service: look at the base URL.')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const problem = problemDocument.pick({ code: true, detail: true })

const longestDetail = 1_000

/** Text of the service goes to logs and screens, so it is cut to one short line. */
const shownDetail = (detail: string): string => detail.slice(0, longestDetail).replaceAll(/\p{Cc}+/gu, ' ')

function refusalOf(status: number, text: string, retryAfterSeconds: number | null): CertbookError {
  const read = problem.safeParse(parseJson(text))
  if (read.success && isServiceCode(read.data.code)) {
    return new CertbookError(read.data.code, shownDetail(read.data.detail), { status, retryAfterSeconds })
  }
  const detail = read.success ? shownDetail(read.data.detail) : `The answer has the status ${status} and no reason.`
  return new CertbookError('refusal_unknown', detail, { status, retryAfterSeconds })
}
