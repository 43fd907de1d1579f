import { byService, type AuditActor, type AuditEvent, type OwnEvent } from '../../audit/entries.ts'
import { paidWith } from '../../ports/row-budgets.ts'

/** What follows from a request was paid for when it was made. */
export const paidByRequest = paidWith('certificate_request')

const ofRequest = (request: string) => ({ subjectKind: 'certificate request', subject: request })

/** A request ends without a certificate. */
export const refusedEntry = (request: string, reason: string | null, by: AuditActor = byService): AuditEvent => ({
  action: 'certificate.refused',
  ...by,
  ...ofRequest(request),
  facts: { reason },
})

/** Nobody knows what the CA made of a request. */
export const unknownEntry = (
  request: string,
  facts: { readonly connection: string; readonly failure: string | null },
): OwnEvent => ({ action: 'certificate.outcome_unknown', ...byService, ...ofRequest(request), facts })

/** A request is cancelled. */
export const cancelledEntry = (request: string, by: AuditActor = byService): AuditEvent => ({
  action: 'certificate.request_cancelled',
  ...by,
  ...ofRequest(request),
})
