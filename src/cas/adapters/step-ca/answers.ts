import { z } from 'zod'
import { certificatesOfPem } from '../../../pki/pem.ts'
import type { OutgoingAnswer } from '../../../ports/outgoing-https.ts'
import type { CaFailure } from '../contract.ts'
import { jsonOf, kindOfAnswer, said } from '../endpoint.ts'

/** The answers of step-ca, as version 0.19.0 writes them. */

const pem = z.string().max(50_000)
const text = z.string().max(10_000)

const signedShape = z.object({
  crt: pem,
  ca: z.string().max(50_000).nullish(),
  certChain: z.array(pem).max(20).nullish(),
})
const okShape = z.object({ status: z.literal('ok') })
const refusedShape = z.object({ status: z.int(), message: text })
const provisionersShape = z.object({
  provisioners: z
    .array(
      z.object({
        type: text,
        name: text,
        key: z.object({ kid: text.nullish() }).nullish(),
        claims: z.object({ maxTLSCertDuration: text.nullish() }).nullish(),
      }),
    )
    .max(1_000),
  nextCursor: text.nullish(),
})

/** Why step-ca refused, and whether it certainly did not issue. */
export interface StepCaRefusal {
  readonly kind: 'transient' | 'permanent' | 'unknown'
  readonly failure: CaFailure
  readonly caSaid: string | null
}

/** The certificate and its chain, DER. Null if the answer holds none. */
export function readSigned(answer: OutgoingAnswer): { certificate: Uint8Array; chain: Uint8Array[] } | null {
  const signed = answer.status === 201 ? signedShape.safeParse(jsonOf(answer)).data : undefined
  if (signed === undefined) return null
  const [certificate, ...more] = certificatesOfPem(signed.crt) ?? []
  if (certificate === undefined || more.length > 0) return null
  const { ca, certChain } = signed
  // The chain begins with the certificate itself. Older versions send only the issuing CA.
  const above = certChain?.slice(1) ?? (ca ? [ca] : [])
  const chain = above.length === 0 ? [] : certificatesOfPem(above.join('\n'))
  return chain === null ? null : { certificate, chain }
}

/** Whether step-ca answers that it is well, or that it is done. */
export const isOk = (answer: OutgoingAnswer): boolean =>
  answer.status === 200 && okShape.safeParse(jsonOf(answer)).success

/** One page of the provisioners. Null if the answer does not have that form. */
export function readProvisioners(answer: OutgoingAnswer): z.output<typeof provisionersShape> | null {
  return answer.status === 200 ? (provisionersShape.safeParse(jsonOf(answer)).data ?? null) : null
}

/**
 * What a refusal means for an order. step-ca refuses with 400, 401 and 403 before it signs. A later failure is a 500,
 * and the certificate may exist. An answer in another form is not step-ca's.
 */
export function readRefusal(answer: OutgoingAnswer): StepCaRefusal {
  const refused = refusedShape.safeParse(jsonOf(answer)).data
  if (refused === undefined || refused.status !== answer.status) {
    const failure = answer.status >= 500 ? 'ca_error' : 'answer_malformed'
    return { kind: 'unknown', failure, caSaid: kindOfAnswer(answer) }
  }
  const caSaid = said(refused.message)
  switch (refused.status) {
    case 401:
      return { kind: 'transient', failure: 'credential_refused', caSaid }
    case 400:
    case 403:
      return { kind: 'permanent', failure: 'request_refused', caSaid }
    default:
      return { kind: 'unknown', failure: 'ca_error', caSaid }
  }
}

/** Whether an order was refused only because of its term. */
export const isTermTooLong = ({ status }: OutgoingAnswer, { caSaid }: StepCaRefusal): boolean =>
  status === 403 && /requested duration of \S+ is more than the authorized maximum/.test(caSaid ?? '')

/** Whether a certificate could not be revoked because it is revoked already. */
export const isRevokedAlready = ({ status }: OutgoingAnswer, { caSaid }: StepCaRefusal): boolean =>
  status === 400 && /is already revoked/.test(caSaid ?? '')
