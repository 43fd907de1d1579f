import { z } from 'zod'
import { certificatesOfPem } from '../../../pki/pem.ts'
import type { OutgoingAnswer } from '../../../ports/outgoing-https.ts'
import type { CaFailure } from '../contract.ts'
import { jsonOf, kindOfAnswer, said, textOf } from '../endpoint.ts'

/** The answers of `cfssl serve`, from version 1.2.0 on. */

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

/** Why CFSSL refused, and whether it certainly did not issue. */
export interface CfsslRefusal {
  readonly kind: 'transient' | 'permanent' | 'unknown'
  readonly failure: CaFailure
  readonly caSaid: string | null
  /** CFSSL's own number of the error. Null if the answer does not have CFSSL's form. */
  readonly code: number | null
}

/** The certificate (DER) in a text. Null if the text holds none, or more than one. */
function oneCertificate(text: string): Uint8Array | null {
  const certificates = certificatesOfPem(text)
  return certificates?.length === 1 ? (certificates[0] ?? null) : null
}

/** The certificate of an answer to `sign` or `authsign`. Null if it holds none. */
export function readSigned(answer: OutgoingAnswer): Uint8Array | null {
  const signed = answer.status === 200 ? signedShape.safeParse(jsonOf(answer)).data : undefined
  return signed === undefined ? null : oneCertificate(signed.result.certificate)
}

/** What `info` says about the CA and a profile. */
export interface CfsslInfo {
  readonly issuer: Uint8Array
  readonly usages: string
  /** False if the profile names its purposes and e-mail is not among them. */
  readonly isForMail: boolean
  readonly term: string
}

/** CFSSL's names for id-kp-emailProtection of RFC 5280 section 4.2.1.12. */
const mailUsages: ReadonlySet<string> = new Set(['email protection', 's/mime'])

/** The answer to `info`. Null if it does not have that form. */
export function readInfo(answer: OutgoingAnswer): CfsslInfo | null {
  const info = answer.status === 200 ? infoShape.safeParse(jsonOf(answer)).data : undefined
  const issuer = info === undefined ? null : oneCertificate(info.result.certificate)
  if (info === undefined || issuer === null) return null
  const { usages, expiry } = info.result
  const isForMail = !usages?.length || usages.some((usage) => mailUsages.has(usage))
  return { issuer, usages: said(usages?.join(', ')) ?? '', isForMail, term: said(expiry) ?? '' }
}

/** Whether CFSSL answers a bare success. */
export const isDone = (answer: OutgoingAnswer): boolean =>
  answer.status === 200 && doneShape.safeParse(jsonOf(answer)).success

/** CFSSL's number for a certificate that is not in its database. */
export const recordNotFound = 11_200

/**
 * What a refusal means for an order. Only errors from before the signature are certain. The database (11000 and up),
 * the certificate transparency logs (10000) and a CFSSL behind this one (6000, 7000) fail after it.
 */
export function readRefusal(answer: OutgoingAnswer): CfsslRefusal {
  const refused = answer.status === 400 ? refusedShape.safeParse(jsonOf(answer)).data : undefined
  const [error] = refused?.errors ?? []
  if (error !== undefined) {
    const caSaid = said(`${error.code}: ${error.message}`)
    return { ...meaningOf(error.code, error.message), caSaid, code: error.code }
  }
  // Go's answer for an unknown path. CFSSL leaves out an endpoint for which it is not set up.
  if (answer.status === 404 && textOf(answer).trim() === '404 page not found') {
    return { kind: 'transient', failure: 'ca_error', caSaid: '404 page not found', code: null }
  }
  const failure = answer.status >= 500 ? 'ca_error' : 'answer_malformed'
  return { kind: 'unknown', failure, caSaid: kindOfAnswer(answer), code: null }
}

const credentialWords = /^(?:authentication required|invalid token|no authentication provider)$/

function meaningOf(code: number, message: string): Pick<CfsslRefusal, 'kind' | 'failure'> {
  if (code === 400) {
    return credentialWords.test(message)
      ? { kind: 'transient', failure: 'credential_refused' }
      : { kind: 'permanent', failure: 'request_refused' }
  }
  // PolicyError: the profile cannot sign or does not exist, or it forbids a name.
  if (code === 5_100 || code === 5_200 || code === 5_400) return { kind: 'permanent', failure: 'profile_refused' }
  if (code >= 5_000 && code < 6_000) return { kind: 'permanent', failure: 'request_refused' }
  // CSRError: CFSSL cannot verify the signature. Intake has verified it, so CFSSL does not know this kind of key.
  if (code === 9_300) return { kind: 'permanent', failure: 'key_refused' }
  if (code >= 9_000 && code < 10_000) return { kind: 'permanent', failure: 'request_refused' }
  return { kind: 'unknown', failure: 'ca_error' }
}
