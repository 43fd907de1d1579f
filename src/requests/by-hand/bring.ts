import { DomainError } from '../../errors.ts'
import { parseCertificate } from '../../pki/certificate.ts'
import { equalBytes } from '../../pki/encoding.ts'
import { certificatesOfPem } from '../../pki/pem.ts'
import { readCertificateOfRequest } from '../../certificates/store.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { openRequest } from '../engine/order.ts'
import { keepIssued } from '../engine/keep.ts'
import type { IssuedByCa } from '../../certificates/verify.ts'
import { openCertificate } from '../../certificates/present.ts'
import { readRequest, type RequestRow } from '../store.ts'
import { faultInWords } from './faults.ts'

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

/** The same certificate a second time is no news; another one for a request that has one is not taken. */
async function requireTheSame(
  deps: Pick<EnrolmentDeps, 'database' | 'keys'>,
  row: RequestRow,
  brought: readonly Uint8Array[],
): Promise<void> {
  const kept = await readCertificateOfRequest(deps.database, row.id)
  const known = kept === null ? null : openCertificate(deps.keys, kept).certificate
  if (known !== null && brought.some((one) => equalBytes(one, known))) return
  throw notInThatState('The request has its certificate already. Have the CA revoke the other one.')
}

/**
 * Takes a certificate that an operator brought from the CA of a request, verified as if the CA had answered with it. It
 * is kept where the request waits for it; for one that was cancelled, or given up, it is revoked where it was issued.
 * What breaks a rule leaves the request as it is. Throws `not_found`, `request_not_in_that_state`,
 * `certificate_not_accepted`.
 */
export async function bringCertificate(deps: EnrolmentDeps, id: string, pem: string, by: string): Promise<void> {
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
  const request = await openRequest(deps, row)
  const issued = issuedAmong(brought, request.order.spki)
  const kept = await keepIssued(deps, request, issued, { actorKind: 'administrator', actor: by })
  // Where the request has moved on, the certificate was fit, and the request's state says what became of it.
  if (kept.kept || kept.row !== row) return
  throw new DomainError(
    'certificate_not_accepted',
    `${faultInWords(kept.reason, issued.certificate)} The request waits on, unchanged (${kept.reason}).`,
  )
}
