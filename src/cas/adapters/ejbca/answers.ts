import { z } from 'zod'
import { parseCertificate } from '../../../pki/certificate.ts'
import { MalformedDer, tag } from '../../../pki/der.ts'
import { fromBase64 } from '../../../pki/encoding.ts'
import type { OutgoingAnswer } from '../../../ports/outgoing-https.ts'
import type { CaFailure } from '../contract.ts'
import { jsonOf, said } from '../endpoint.ts'

/**
 * The answers of EJBCA's REST interface, as its sources write them. Newer versions spell fields in snake_case, older
 * ones in camelCase; both are read.
 */

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (capital) => `_${capital.toLowerCase()}`)

const spelledEitherWay = z
  .record(z.string(), z.unknown())
  .transform((fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [snakeCase(name), value])))

const text = z.string().max(10_000)
const base64 = z.string().max(200_000)

const issuedShape = spelledEitherWay.pipe(
  z.object({ certificate: base64, certificate_chain: z.array(base64).max(20).nullish() }),
)
const pendingShape = spelledEitherWay.pipe(
  z.object({ request_id: z.union([z.int(), z.string().regex(/^-?\d{1,20}$/)]).nullish(), link: text.nullish() }),
)
const errorShape = spelledEitherWay.pipe(z.object({ error_code: z.int(), error_message: text.nullish() }))
const foundShape = spelledEitherWay.pipe(
  z.object({
    certificates: z.array(spelledEitherWay.pipe(z.object({ certificate: base64 }))).max(400),
    more_results: z.boolean(),
  }),
)
const statusShape = spelledEitherWay.pipe(z.object({ status: text, version: text.nullish(), revision: text.nullish() }))
const revokedShape = spelledEitherWay.pipe(z.object({ revoked: z.boolean() }))

const parsed = <T extends z.ZodType>(shape: T, answer: OutgoingAnswer): z.output<T> | null =>
  shape.safeParse(jsonOf(answer)).data ?? null

/**
 * One certificate, DER. A search encodes it in base64 twice (the server encodes a text as if it were bytes); the
 * answer to an order encodes it once.
 */
function certificateOf(value: string): Uint8Array | null {
  const once = fromBase64(value)
  if (once === null) return null
  const der = once[0] === tag.sequence ? once : fromBase64(new TextDecoder().decode(once))
  return der !== null && isCertificate(der) ? der : null
}

function isCertificate(der: Uint8Array): boolean {
  try {
    parseCertificate(der)
    return true
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

const certificatesOf = (values: readonly string[]): Uint8Array[] | null => {
  const certificates = values.map(certificateOf).filter((certificate) => certificate !== null)
  return certificates.length === values.length ? certificates : null
}

/** The certificate and the chain from the answer to an order. Null if it holds none. */
export function readIssued(answer: OutgoingAnswer): { certificate: Uint8Array; chain: Uint8Array[] } | null {
  const found = parsed(issuedShape, answer)
  const certificate = found === null ? null : certificateOf(found.certificate)
  const chain = certificatesOf(found?.certificate_chain ?? [])
  return certificate === null || chain === null ? null : { certificate, chain }
}

/**
 * EJBCA's number for an order that waits for approval there: in a field, or in the link that finishes it. Null if
 * there is none.
 */
export function readRequestId(answer: OutgoingAnswer): string | null {
  const found = parsed(pendingShape, answer)
  if (found === null) return null
  const inLink = /\/(-?\d{1,20})\/finalize\/?$/.exec(found.link ?? '')?.[1] ?? null
  return found.request_id === null || found.request_id === undefined ? inLink : String(found.request_id)
}

/** The certificates that a search found, and whether these are all. Null if the answer cannot be used. */
export function readFound(answer: OutgoingAnswer): { certificates: Uint8Array[]; complete: boolean } | null {
  const found = answer.status === 200 ? parsed(foundShape, answer) : null
  const certificates = certificatesOf((found?.certificates ?? []).map(({ certificate }) => certificate))
  return found === null || certificates === null ? null : { certificates, complete: !found.more_results }
}

/** What the server says about itself. Null if it is not an EJBCA. */
export function readServerStatus(answer: OutgoingAnswer): Record<string, string> | null {
  const found = answer.status === 200 ? parsed(statusShape, answer) : null
  if (found?.status.toUpperCase() !== 'OK') return null
  const named = { interface: said(found.version), server: said(found.revision) }
  return Object.fromEntries(Object.entries(named).flatMap(([name, value]) => (value === null ? [] : [[name, value]])))
}

/** Whether the answer confirms a revocation. */
export const saysRevoked = (answer: OutgoingAnswer): boolean => parsed(revokedShape, answer)?.revoked === true

/** Why EJBCA itself refused. */
export interface EjbcaRefusal {
  readonly kind: 'transient' | 'permanent' | 'unknown'
  readonly failure: CaFailure
  readonly caSaid: string | null
}

/**
 * What the words of an error mean; the first that fits counts. The status is not enough, because the same fault comes
 * as 400 or as 503. If an operator there has to correct something (a profile's name, a token that is not activated),
 * the request waits.
 */
const meanings: readonly (readonly [RegExp, EjbcaRefusal['kind'], CaFailure])[] = [
  [/could not find resource/i, 'transient', 'ca_error'],
  [/\boff-?line\b|\bunavailable\b|not active|isn't activated|not activated/i, 'transient', 'ca_offline'],
  // The order waits for an approval whose number was lost.
  [/waiting for approval|approval.*(?:already|exists)|already.*approval/i, 'unknown', 'busy'],
  // These count without a search, so the words must not fit anything else: other faults name the CA too.
  [
    /\b(?:profile|CA|certificate authority)\b.*(?:\bnot exist|n't exist|\bnot found)|\b(?:no|unknown) (?:such )?(?:(?:certificate |end entity )?profile|CA|certificate authority)\b/i,
    'transient',
    'profile_refused',
  ],
  [
    /\bkey\b.*(?:length|size|spec|algorithm|allowed|permitted|accepted)|(?:algorithm|illegal).*\bkey\b/i,
    'permanent',
    'key_refused',
  ],
]

/** EJBCA's own refusal. Null if the answer is not EJBCA's, or not a refusal. */
export function readRefusal(answer: OutgoingAnswer): EjbcaRefusal | null {
  const error = answer.status < 400 ? null : parsed(errorShape, answer)
  if (error === null) return null
  const caSaid = said(error.error_message)
  if (answer.status === 401 || answer.status === 403) {
    return { kind: 'transient', failure: 'credential_refused', caSaid }
  }
  for (const [words, kind, failure] of meanings) if (words.test(caSaid ?? '')) return { kind, failure, caSaid }
  if (answer.status === 503) return { kind: 'transient', failure: 'ca_offline', caSaid }
  if (answer.status >= 500) return { kind: 'transient', failure: 'ca_error', caSaid }
  return { kind: 'permanent', failure: 'request_refused', caSaid }
}

/** Why a server in front of EJBCA did not pass the call on. Null if that is not certain. */
export function readTurnedAway({ status }: OutgoingAnswer): CaFailure | null {
  if (status === 401 || status === 403) return 'credential_refused'
  if (status === 429) return 'busy'
  // The interface does not exist at that URL.
  return status === 404 || status === 405 ? 'ca_error' : null
}

/** How an order that waited for approval ended, by the words of `finalize`. */
export function readEnd(refusal: EjbcaRefusal): 'rejected' | 'expired' | 'failed' | 'finished_before' | null {
  const words = refusal.caSaid ?? ''
  if (/has been rejected/i.test(words)) return 'rejected'
  if (/has expired/i.test(words)) return 'expired'
  if (/could not be executed/i.test(words)) return 'failed'
  return /already been finali[sz]ed/i.test(words) ? 'finished_before' : null
}
