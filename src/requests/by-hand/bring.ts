import { DomainError } from '../../errors.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { equalBytes } from '../../pki/encoding.ts'
import { certificatesOfPem } from '../../pki/pem.ts'
import { readCertificateOfRequest } from '../../certificates/store.ts'
import type { RequestDeps } from '../deps.ts'
import { keepIssued, type KeepDeps } from '../engine/keep.ts'
import { readOrder } from '../engine/order.ts'
import type { IssuedByCa } from '../../certificates/verify.ts'
import { openCertificate } from '../../certificates/present.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { MalformedDer } from '../../pki/der.ts'
import { readBasicConstraints } from '../../pki/extensions.ts'
import { oid } from '../../pki/object-identifiers.ts'
import type { IssuedFault } from '../../pki/verify-issued.ts'

const notInThatState = (detail: string): DomainError => new DomainError('request_not_in_that_state', detail)

function readBrought(pem: string): readonly [Uint8Array, ...Uint8Array[]] {
  const [first, ...others] = certificatesOfPem(pem) ?? []
  if (first !== undefined) return [first, ...others]
  throw new DomainError(
    'certificate_not_accepted',
    'Send the certificate as PEM, with its chain behind it, and nothing else.',
  )
}

/** The certificate for the key that was asked for, wherever it stands in the file; else the first. */
function issuedAmong(brought: readonly [Uint8Array, ...Uint8Array[]], spki: Uint8Array): IssuedByCa {
  const certificate = brought.find((one) => equalBytes(parseCertificate(one).spki, spki)) ?? brought[0]
  return { certificate, chain: brought.filter((one) => one !== certificate) }
}

/** Throws `request_not_in_that_state` unless the certificate that the request has is among those that were brought. */
async function requireTheSame(
  deps: Pick<RequestDeps, 'database' | 'keys'>,
  row: RequestRow,
  brought: readonly Uint8Array[],
): Promise<void> {
  const kept = await readCertificateOfRequest(deps.database, row.id)
  const known = kept === null ? null : openCertificate(deps.keys, kept).certificate
  if (known !== null && brought.some((one) => equalBytes(one, known))) return
  throw notInThatState('The request has its certificate already. Have the CA revoke the other one.')
}

export type BringDeps = KeepDeps & Pick<RequestDeps, 'connections'>

/** A certificate that an administrator brings. */
export interface Brought {
  readonly pem: string
  readonly by: string
}

/**
 * Takes a certificate that an operator brought from the CA of a request. It is verified as if the CA had answered with
 * it. Where the request waits for it, it is kept. Where the request was cancelled or has failed, it is revoked where it
 * was issued. One that breaks a rule leaves the request as it is. Throws `not_found`, `request_not_in_that_state`,
 * `certificate_not_accepted`.
 */
export async function bringCertificate(deps: BringDeps, id: string, { pem, by }: Brought): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row === null) throw new DomainError('not_found', 'There is no such request.')
  const isIssued = row.state === 'issued' || row.state === 'ended'
  const isAwaited = row.state === 'pending' || row.state === 'outcome_unknown'
  const isOpenAtCa = row.openAtCa === 1 && (row.state === 'cancelled' || row.state === 'failed')
  if (!isIssued && !isAwaited && !isOpenAtCa) {
    throw notInThatState('The request is not with its CA, so that no certificate can have come of it.')
  }
  const brought = readBrought(pem)
  if (isIssued) return requireTheSame(deps, row, brought)
  const request = await readOrder(deps, row)
  const issued = issuedAmong(brought, request.order.spki)
  const kept = await keepIssued(deps, request, issued, { by: { actorKind: 'administrator', actor: by } })
  // Where the request has moved on, the certificate was fit, and the request's state says what became of it.
  if (kept.refusal === null || kept.row !== row) return
  throw new DomainError(
    'certificate_not_accepted',
    `${faultInWords(kept.refusal, issued.certificate)} The request waits on, unchanged (${kept.refusal}).`,
  )
}

/** The rules of policy rule 15, told to whoever holds the certificate in their hand. */
const sentences: Readonly<Record<IssuedFault | 'serial_number_reused', string>> = {
  malformed: 'The certificate cannot be read, or breaks the rules of the format.',
  serial_number_unfit: 'Its serial number is negative, zero or longer than 20 bytes.',
  serial_number_reused: 'Its CA has given the same serial number to another certificate, which is kept here.',
  spki_differs: "The certificate certifies another key than the request's.",
  mailbox_differs: 'The certificate is for another mailbox than the request.',
  second_mailbox: "The certificate names other mailboxes beside the request's.",
  foreign_san_type: 'Its subjectAltName holds names that are no mailboxes.',
  subject_foreign: 'Its subject says more than the mailbox.',
  eku_unprofiled: 'Its extended key usage is not emailProtection, with at most clientAuth beside it.',
  key_usage_unfit: 'Its key usage does not fit what the request is for.',
  is_ca: "It is a CA's own certificate, not one that it issued to the mailbox.",
  unknown_critical_extension: 'It has a critical extension that is not known here.',
  not_yet_valid: 'It is not valid yet.',
  expired: 'It has run out.',
  validity_too_long: 'It is valid for longer than was asked for, or from before the request.',
  signature_invalid: 'Its signature is not that of the CA above it.',
  chain_untrusted:
    "Its chain does not lead to the connection's anchors: put the CAs in between behind it, or see whether another CA issued it.",
}

const known: ReadonlyMap<string, string> = new Map(Object.entries(sentences))

/** What follows the first broken rule was never looked at: it may be unreadable. */
function saysCa(basicConstraints: Uint8Array): boolean {
  try {
    return readBasicConstraints(basicConstraints).ca
  } catch (error) {
    if (error instanceof MalformedDer) return false
    throw error
  }
}

/** A better reason than the first broken rule, which a CA's own certificate and one without a name break beside others. */
function closerLook(reason: string, der: Uint8Array): string | undefined {
  if (reason !== 'spki_differs' && reason !== 'mailbox_differs') return undefined
  const { extensions } = parseCertificate(der)
  const constraints = extensions.get(oid.basicConstraints)
  if (constraints !== undefined && saysCa(constraints.value)) return sentences.is_ca
  const isNameless = reason === 'mailbox_differs' && !extensions.has(oid.subjectAltName)
  return isNameless ? 'The certificate names no mailbox in its subjectAltName.' : undefined
}

/** Why a certificate that was brought is not taken, in one sentence; `reason` is what verification said of it. */
const faultInWords = (reason: string, der: Uint8Array): string =>
  closerLook(reason, der) ?? known.get(reason) ?? 'The certificate is not one that may be kept.'
