import type { Certificate } from '../../../pki/certificate.ts'
import { MalformedDer } from '../../../pki/der.ts'
import { equalBytes, fromBase64 } from '../../../pki/encoding.ts'
import { readBasicConstraints } from '../../../pki/extensions.ts'
import { oid } from '../../../pki/object-identifiers.ts'
import { readCertificatesOnly } from '../../../pki/read-certificates-only.ts'
import type { OutgoingAnswer } from '../../../ports/outgoing-https.ts'
import type { CaOutcome } from '../contract.ts'
import { kindOfAnswer, retryAfterSeconds, said, textOf } from '../endpoint.ts'

/** The answers of an EST server: RFC 7030 sections 4.1.3 and 4.2.3, as RFC 8951 corrects them. */

const sequence = 0x30

/**
 * The certificates of a "certs-only" answer. Null if it holds none. By RFC 7030 it is base64. Servers send it in lines
 * of any length, as PEM, or not encoded, and their headers are often wrong about that.
 */
export function readCaCertificates(answer: OutgoingAnswer): Certificate[] | null {
  const { body } = answer
  const encoded = (): Uint8Array | null =>
    fromBase64(
      textOf(answer)
        .replaceAll(/-----(?:BEGIN|END) [A-Z0-9 ]{1,30}-----/g, '')
        .replaceAll(/\s+/g, ''),
    )
  const bytes = body[0] === sequence && (body[1] ?? 0) >= 0x80 ? body : encoded()
  if (bytes === null) return null
  try {
    const certificates = readCertificatesOnly(bytes)
    return certificates.length === 0 ? null : certificates
  } catch (error) {
    if (error instanceof MalformedDer) return null
    throw error
  }
}

/**
 * The server's words about a refusal. RFC 7030 section 4.2.3 wants plain text, also where no type is named. Everything
 * else, and every body of a success, is not of the protocol.
 */
export const wordsOf = (answer: OutgoingAnswer): string | null =>
  answer.status >= 400 && /^(?:text\/plain|$)/i.test(answer.headers['content-type'] ?? '') ? said(textOf(answer)) : null

function isCa({ extensions }: Certificate): boolean {
  const constraints = extensions.get(oid.basicConstraints)
  if (constraints === undefined) return false
  try {
    return readBasicConstraints(constraints.value).ca
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

/**
 * The ordered certificate, found by its key. If none has the key, but there is exactly one that is not a CA's, the CA
 * issued that one for the order; its verification says what is wrong with it.
 */
function orderedAmong(certificates: readonly Certificate[], spki: Uint8Array): Certificate | undefined {
  const ofSubscribers = certificates.filter((certificate) => !isCa(certificate))
  return (
    certificates.find((certificate) => equalBytes(certificate.spki, spki)) ??
    (ofSubscribers.length === 1 ? ofSubscribers[0] : undefined)
  )
}

/** The outcome of a successful answer. If it cannot be read, the CA may still have issued. */
function readSuccess(answer: OutgoingAnswer, spki: Uint8Array): CaOutcome {
  const certificates = readCaCertificates(answer) ?? []
  const ordered = orderedAmong(certificates, spki)
  if (ordered === undefined) return { kind: 'unknown', failure: 'answer_malformed', caSaid: kindOfAnswer(answer) }
  const chain = certificates.filter((certificate) => certificate !== ordered).map(({ der }) => der)
  return { kind: 'issued', certificate: ordered.der, chain }
}

/**
 * What an answer to `simpleenroll` means. `isPoll`: the server had said before that it has the order, so a refusal is
 * its decision.
 *
 * RFC 7030 section 4.2.3 allows 4xx and 5xx for every fault. Only a 4xx says that the server has not acted (RFC 9110
 * section 15.5). A 503 does not, even with Retry-After: Varnish sends that by itself if the server behind it took the
 * request and its answer was lost.
 */
export function readEnrolment(
  answer: OutgoingAnswer,
  spki: Uint8Array,
  about: { readonly now: number; readonly isPoll: boolean; readonly waitsFor: 'ca_mailbox_challenge' | null },
): CaOutcome {
  const { status } = answer
  const retryAfter = retryAfterSeconds(answer, about.now)
  if (status === 202) {
    return { kind: 'pending', state: null, retryAfterSeconds: retryAfter, waitsFor: about.waitsFor }
  }
  if (status >= 200 && status < 300) return readSuccess(answer, spki)
  const caSaid = wordsOf(answer) ?? `HTTP status ${status}`
  const later = { kind: 'transient', caSaid, retryAfterSeconds: retryAfter } as const
  if (status === 401 || status === 407) return { ...later, failure: 'credential_refused' }
  // The server at that URL does not know the path, the method or the host.
  if (status === 404 || status === 405 || status === 421) return { ...later, failure: 'ca_error' }
  if (status === 408 || status === 429) return { ...later, failure: 'busy' }
  if (status === 503 && retryAfter !== null) return { kind: 'unknown', failure: 'busy', caSaid }
  if (status >= 400 && status < 500) {
    return { kind: 'permanent', failure: about.isPoll ? 'rejected_by_ca' : 'request_refused', caSaid }
  }
  return { kind: 'unknown', failure: status >= 500 ? 'ca_error' : 'answer_malformed', caSaid }
}
