import { byService, type AuditActor, type AuditEvent } from '../../audit/entries.ts'

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
): AuditEvent => ({ action: 'certificate.outcome_unknown', ...byService, ...ofRequest(request), facts })

/** A request is cancelled. */
export const cancelledEntry = (request: string, by: AuditActor = byService): AuditEvent => ({
  action: 'certificate.request_cancelled',
  ...by,
  ...ofRequest(request),
})
