import { impersonal, linked, sealed, type TableDeclaration } from '../ports/personal-data.ts'

export const personalData: readonly TableDeclaration[] = [
  {
    database: 'main',
    table: 'administrators',
    holds: 'who may administrate the service, and as what',
    purpose: 'access control, and knowing later who did what',
    legalBasis: 'Art. 6(1)(f): security of the service; Art. 32',
    retention: 'the name until one year after the administrator ended, the rest as long as the audit log',
    recipients: [],
    promises: ['C1', 'G3'],
    german: {
      holds: 'wer den Dienst verwaltet, und in welcher Rolle',
      purpose: 'Zugangskontrolle, und später wissen, wer was getan hat',
      legalBasis: 'Art. 6 Abs. 1 Buchst. f DSGVO: Sicherheit des Dienstes; Art. 32 DSGVO',
      retention:
        'der Name bis ein Jahr nach dem Ende der Verwalterin oder des Verwalters, das Übrige so lange wie das Prüfprotokoll',
      recipients: [],
    },
    columns: {
      id: linked('random id'),
      name_sealed: sealed('the name'),
      roles: linked('owner, operator, approver, privacy, auditor'),
      credential_verifier: impersonal('keyed hash of the credential, with the id of the key'),
      credential_used_at: linked('when the credential was first used'),
      next_credential_verifier: impersonal('keyed hash of the credential of a rotation, until its first use'),
      created_at: linked('time, UTC milliseconds'),
      created_by: linked('id of the administrator who made it, or the way in which it was made'),
      seen_at: linked('day on which the credential was last used'),
      ended_at: linked('time, UTC milliseconds'),
      seen_mac: impersonal('MAC of seen_at'),
      authority_mac: impersonal('MAC of what lets the administrator in or keeps them out'),
    },
  },
]
