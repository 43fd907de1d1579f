import { byService, type AuditActor } from '../../audit/entries.ts'
import type { Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'

type EntryDeps = Pick<EnrolmentDeps, 'audit'>

/** The audit entry of a request that ends without a certificate. */
export const refusedEntry = (
  deps: EntryDeps,
  request: string,
  reason: string | null,
  by: AuditActor = byService,
): Command[] =>
  deps.audit.record({
    action: 'certificate.refused',
    ...by,
    subjectKind: 'certificate request',
    subject: request,
    facts: { reason },
  })

/** The audit entry of a request of which nobody knows what its CA made of it. */
export const unknownEntry = (
  deps: EntryDeps,
  request: string,
  facts: { readonly connection: string; readonly failure: string | null },
): Command[] =>
  deps.audit.record({
    action: 'certificate.outcome_unknown',
    ...byService,
    subjectKind: 'certificate request',
    subject: request,
    facts,
  })
