import { MalformedDer, type DerElement } from '../../pki/der.ts'
import { nameToString } from '../../pki/names.ts'
import {
  ExchangeFailed,
  type ClientCertificate,
  type OutgoingAnswer,
  type OutgoingHttps,
} from '../../ports/outgoing-https.ts'
import type { CaCheck, CaFailure } from './contract.ts'

/** The limit of an answer: more than a certificate, its chain and some words. */
const answerBytes = 1024 * 1024
/** How much of a CA's text is read, and how much of that is kept for operators. */
const readCharacters = 20_000
const saidCharacters = 500

/** A CA's server as one connection reaches it. */
export interface CaEndpoint {
  readonly outgoing: OutgoingHttps
  /** Without a slash at its end. */
  readonly url: string
  readonly tlsAnchors: readonly Uint8Array[]
  readonly clientCertificate: ClientCertificate | null
  readonly timeoutMilliseconds: number
}

interface CaCall {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** Added to the endpoint's URL. Begins with a slash. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | null
}

/** An answer, or why there is no usable one. `transient`: nothing was sent. `unknown`: it may have been sent. */
export type CaAnswer =
  | { readonly kind: 'answer'; readonly answer: OutgoingAnswer }
  | {
      readonly kind: 'transient' | 'unknown'
      readonly failure: CaFailure
      readonly caSaid: null
      readonly retryAfterSeconds: null
    }

/** One exchange with a CA. Never throws for what the CA does. */
export async function callCa(endpoint: CaEndpoint, call: CaCall): Promise<CaAnswer> {
  const { body = null } = call
  try {
    const answer = await endpoint.outgoing.exchange({
      method: call.method,
      url: endpoint.url + call.path,
      headers: call.headers ?? {},
      body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
      trustAnchors: endpoint.tlsAnchors,
      clientCertificate: endpoint.clientCertificate,
      timeoutMilliseconds: endpoint.timeoutMilliseconds,
      maxBytes: answerBytes,
    })
    return { kind: 'answer', answer }
  } catch (error) {
    if (!(error instanceof ExchangeFailed)) throw error
    const kind = error.sent === 'no' ? 'transient' : 'unknown'
    return { kind, failure: error.failure, caSaid: null, retryAfterSeconds: null }
  }
}

/** The check of a CA that is not there or does not let this service in. */
export const notReady = ({
  failure,
  caSaid,
}: Pick<Extract<CaCheck, { kind: 'not_ready' }>, 'failure' | 'caSaid'>): CaCheck => ({
  kind: 'not_ready',
  failure,
  caSaid,
})

const decoder = new TextDecoder('utf-8', { fatal: false })

/** An answer's body as text. */
export const textOf = ({ body }: OutgoingAnswer): string => decoder.decode(body)

/** An answer's body as JSON. `undefined` if it is not JSON: every schema refuses that. */
export function jsonOf(answer: OutgoingAnswer): unknown {
  try {
    return JSON.parse(textOf(answer))
  } catch {
    return undefined
  }
}

/** PEM, also with escaped line breaks, and also if its end is cut off. */
const pemBlock = /-----BEGIN [A-Z0-9 ]{1,40}-----[\w+/=\\ ]*(?:-----END [A-Z0-9 ]{1,40}-----)?/g

/** A CA's words for an operator: one line, without tags, control characters and PEM, and shortened. */
export function said(text: string | null | undefined): string | null {
  const readable = (text ?? '')
    .slice(0, readCharacters)
    // Each match ends before the next `<`. Otherwise a page of only `<` would be read again from each of them.
    .replace(/<[^<>]*>/g, ' ')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .replace(pemBlock, '(PEM)')
    .trim()
  return readable === '' ? null : readable.slice(0, saidCharacters)
}

/** A media type (RFC 6838 section 4.2), without its parameters. */
const mediaType = /^[a-z]{1,20}\/[a-z0-9][a-z0-9.+-]{0,60}/i

/**
 * What kind of answer came, where it is not one of the CA's protocol. Its words are not shown: they may be those of
 * another server, to which a URL leads by mistake or by intent.
 */
export function kindOfAnswer({ status, headers }: OutgoingAnswer): string {
  const type = mediaType.exec(headers['content-type'] ?? '')?.[0]
  return `not an answer of this kind of CA: HTTP status ${status}${type === undefined ? '' : `, ${type.toLowerCase()}`}`
}

/** A name from a CA (RFC 4514), for an operator. Empty if it cannot be read. */
export function nameSaid(name: DerElement): string {
  try {
    return said(nameToString(name)) ?? ''
  } catch (error) {
    if (error instanceof MalformedDer) return ''
    throw error
  }
}

/** The longest time by which a CA can delay anything with one answer. */
const longestRetrySeconds = 86_400

/** RFC 9110 section 10.2.3: seconds or a date, at most a day. Null if there is none, or it cannot be read. */
export function retryAfterSeconds({ headers }: OutgoingAnswer, now: number): number | null {
  const value = headers['retry-after']?.trim()
  if (value === undefined || value === '') return null
  const asked = /^\d{1,9}$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1_000)
  return Number.isNaN(asked) ? null : Math.min(longestRetrySeconds, Math.max(0, asked))
}
