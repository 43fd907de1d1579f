import { impersonal, linked, type TableDeclaration } from '../ports/personal-data.ts'

export const personalData: readonly TableDeclaration[] = [
  {
    database: 'main',
    table: 'consent_records',
    holds: 'which text a subscriber was shown, and what they decided',
    purpose: 'shows that nothing is published or sent without consent',
    legalBasis: 'Art. 7(1)',
    retention: 'until the subscriber is erased',
    recipients: [],
    promises: ['S8', 'S12', 'G1', 'M1'],
    german: {
      holds: 'welcher Text gezeigt und wie entschieden wurde',
      purpose: 'zeigt, dass nichts ohne Einwilligung veröffentlicht oder gesandt wird',
      legalBasis: 'Art. 7 Abs. 1 DSGVO',
      retention: 'bis die Daten der Teilnehmerin oder des Teilnehmers gelöscht werden',
      recipients: [],
    },
    columns: {
      id: impersonal('random id'),
      subscriber: linked('id of the subscriber'),
      purpose: impersonal('terms, publication or crashReports'),
      act: linked('acknowledged, given or withdrawn'),
      subject: linked('id of what it is about, such as a certificate'),
      text_version: impersonal('version of the text shown'),
      text_sha256: impersonal('hash of the text shown'),
      language: impersonal('language of the text shown'),
      audience: linked('members or public, for a publication'),
      at: linked('time, UTC milliseconds'),
      device: linked('id of the device that asked'),
    },
  },
]
