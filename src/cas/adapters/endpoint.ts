import { MalformedDer, type DerElement } from '../../pki/der.ts'
import { nameToString } from '../../pki/names.ts'
import {
  ExchangeFailed,
  type ClientCertificate,
  type OutgoingAnswer,
  type OutgoingHttps,
} from '../../ports/outgoing-https.ts'
import type { CaCheck, CaFailure } from './contract.ts'

/** More than any answer of a CA: a certificate, its chain and some words. */
const answerBytes = 1024 * 1024
/** What of a CA's words is looked at, and what of that is kept for operators. */
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
  /** Behind the endpoint's URL, with a slash at its beginning. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | null
}

/** An answer, or why there is none that can be used: `transient` where nothing was sent, else `unknown`. */
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

/** What a look at a CA tells that is not there, or does not let this service in. */
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

/** An answer's body as JSON; undefined where it is none, so that a schema refuses it. */
export function jsonOf(answer: OutgoingAnswer): unknown {
  try {
    return JSON.parse(textOf(answer))
  } catch {
    return undefined
  }
}

/** PEM, also where its line breaks are escaped; the rest of it may be cut off. */
const pemBlock = /-----BEGIN [A-Z0-9 ]{1,40}-----[\w+/=\\ ]*(?:-----END [A-Z0-9 ]{1,40}-----)?/g

/** A CA's own words as an operator may read them: one line, without tags, control characters and PEM, cut. */
export function said(text: string | null | undefined): string | null {
  const readable = (text ?? '')
    .slice(0, readCharacters)
    // Each run ends before the next `<`: a page of nothing else must not be read again from each of them.
    .replace(/<[^<>]*>/g, ' ')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .replace(pemBlock, '(PEM)')
    .trim()
  return readable === '' ? null : readable.slice(0, saidCharacters)
}

/** A name (RFC 4514) that a CA shows, as an operator may read it; empty where it cannot be read. */
export function nameSaid(name: DerElement): string {
  try {
    return said(nameToString(name)) ?? ''
  } catch (error) {
    if (error instanceof MalformedDer) return ''
    throw error
  }
}

/** No CA can put anything off for longer at a time, by malice or by mistake. */
const longestRetrySeconds = 86_400

/** RFC 9110 section 10.2.3: seconds, or a date, a day at most; null where there is none or it cannot be read. */
export function retryAfterSeconds({ headers }: OutgoingAnswer, now: number): number | null {
  const value = headers['retry-after']?.trim()
  if (value === undefined || value === '') return null
  const asked = /^\d{1,9}$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1_000)
  return Number.isNaN(asked) ? null : Math.min(longestRetrySeconds, Math.max(0, asked))
}
