import { blindIndex, linked, type TableDeclaration } from '../ports/personal-data.ts'

export const personalData: readonly TableDeclaration[] = [
  {
    database: 'main',
    table: 'publications',
    holds: 'which certificates can be found in the directory, and by whom',
    purpose: 'letting senders find the certificate of an exact address',
    legalBasis: 'Art. 6(1)(a)',
    retention: 'until the subscriber withdraws, or the certificate ends',
    recipients: ['members: subscribers of this service', 'public: anyone'],
    promises: ['S8', 'G1'],
    german: {
      holds: 'welche Zertifikate im Verzeichnis zu finden sind, und für wen',
      purpose: 'Absender das Zertifikat zu einer genauen Adresse finden lassen',
      legalBasis: 'Art. 6 Abs. 1 Buchst. a DSGVO',
      retention: 'bis zum Widerruf oder bis das Zertifikat endet',
      recipients: ['Mitglieder: Teilnehmer dieses Dienstes', 'öffentlich: alle'],
    },
    columns: {
      certificate: linked('id of the certificate'),
      address_index: blindIndex('of its mailbox'),
      audience: linked('members or public'),
      consent: linked('id of the consent record'),
      published_at: linked('time, UTC milliseconds'),
    },
  },
]
