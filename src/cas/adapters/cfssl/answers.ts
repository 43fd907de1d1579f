import { z } from 'zod'
import { certificatesOfPem } from '../../../pki/pem.ts'
import type { OutgoingAnswer } from '../../../ports/outgoing-https.ts'
import type { CaFailure } from '../contract.ts'
import { jsonOf, said, textOf } from '../endpoint.ts'

/** What `cfssl serve` answers, as versions from 1.2.0 on write it. */

const shortText = z.string().max(1_000)
const pem = z.string().max(200_000)

const signedShape = z.object({ success: z.literal(true), result: z.object({ certificate: pem }) })
const infoShape = z.object({
  success: z.literal(true),
  result: z.object({ certificate: pem, usages: z.array(shortText).max(50).nullish(), expiry: shortText.nullish() }),
})
const doneShape = z.object({ success: z.literal(true) })
const refusedShape = z.object({
  success: z.literal(false),
  errors: z.array(z.object({ code: z.int(), message: z.string().max(100_000) })).length(1),
})

/** Why CFSSL did not do what it was asked for, and whether it is certain that it did not. */
export interface CfsslRefusal {
  readonly kind: 'transient' | 'permanent' | 'unknown'
  readonly failure: CaFailure
  readonly caSaid: string | null
  /** CFSSL's own number; null where the answer is not in its form. */
  readonly code: number | null
}

/** The one certificate (DER) in text; null where it holds none, or more. */
function oneCertificate(text: string): Uint8Array | null {
  const certificates = certificatesOfPem(text)
  return certificates?.length === 1 ? (certificates[0] ?? null) : null
}

/** The certificate of an answer to `sign` and `authsign`; null where the answer holds none. */
export function readSigned(answer: OutgoingAnswer): Uint8Array | null {
  const signed = answer.status === 200 ? signedShape.safeParse(jsonOf(answer)).data : undefined
  return signed === undefined ? null : oneCertificate(signed.result.certificate)
}

/** What `info` tells of the CA and of a profile. */
export interface CfsslInfo {
  readonly issuer: Uint8Array
  readonly usages: string
  /** False where the profile says what it is for, and certificates for e-mail are not among it. */
  readonly isForMail: boolean
  readonly term: string
}

/** The names that CFSSL has for the purpose of RFC 5280 section 4.2.1.12, id-kp-emailProtection. */
const mailUsages: ReadonlySet<string> = new Set(['email protection', 's/mime'])

/** The answer to `info`; null where it is none. */
export function readInfo(answer: OutgoingAnswer): CfsslInfo | null {
  const info = answer.status === 200 ? infoShape.safeParse(jsonOf(answer)).data : undefined
  const issuer = info === undefined ? null : oneCertificate(info.result.certificate)
  if (info === undefined || issuer === null) return null
  const { usages, expiry } = info.result
  const isForMail = !usages?.length || usages.some((usage) => mailUsages.has(usage))
  return { issuer, usages: said(usages?.join(', ')) ?? '', isForMail, term: said(expiry) ?? '' }
}

/** Whether CFSSL says that it has done what it was asked for, and there is nothing to tell of it. */
export const isDone = (answer: OutgoingAnswer): boolean =>
  answer.status === 200 && doneShape.safeParse(jsonOf(answer)).success

/** CFSSL's own number for a certificate that its database does not hold. */
export const recordNotFound = 11_200

/**
 * What an answer that is no success means for an order. Only what CFSSL says before it signs is certain; its database
 * (11000 and up), its certificate transparency logs (10000) and a CFSSL behind it (6000, 7000) fail after that.
 */
export function readRefusal(answer: OutgoingAnswer): CfsslRefusal {
  const refused = answer.status === 400 ? refusedShape.safeParse(jsonOf(answer)).data : undefined
  const [error] = refused?.errors ?? []
  if (error !== undefined) {
    const caSaid = said(`${error.code}: ${error.message}`)
    return { ...meaningOf(error.code, error.message), caSaid, code: error.code }
  }
  // Go's own answer for a path that nobody serves: CFSSL leaves out an endpoint that it is not set up for.
  if (answer.status === 404 && textOf(answer).trim() === '404 page not found') {
    return { kind: 'transient', failure: 'ca_error', caSaid: '404 page not found', code: null }
  }
  const failure = answer.status >= 500 ? 'ca_error' : 'answer_malformed'
  return { kind: 'unknown', failure, caSaid: said(textOf(answer)), code: null }
}

const credentialWords = /^(?:authentication required|invalid token|no authentication provider)$/

function meaningOf(code: number, message: string): Pick<CfsslRefusal, 'kind' | 'failure'> {
  if (code === 400) {
    return credentialWords.test(message)
      ? { kind: 'transient', failure: 'credential_refused' }
      : { kind: 'permanent', failure: 'request_refused' }
  }
  // PolicyError: a profile that cannot sign, or one that does not exist; else a name that the profile forbids.
  if (code === 5_100 || code === 5_200 || code === 5_400) return { kind: 'permanent', failure: 'profile_refused' }
  if (code >= 5_000 && code < 6_000) return { kind: 'permanent', failure: 'request_refused' }
  // CSRError: a signature that it cannot verify is, after intake, one of a key that it does not know.
  if (code === 9_300) return { kind: 'permanent', failure: 'key_refused' }
  if (code >= 9_000 && code < 10_000) return { kind: 'permanent', failure: 'request_refused' }
  return { kind: 'unknown', failure: 'ca_error' }
}
