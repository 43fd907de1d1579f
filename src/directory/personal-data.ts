import { blindIndex, impersonal, linked, sealed, type TableDeclaration } from '../ports/personal-data.ts'

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
      authority_mac: impersonal('MAC of the row'),
    },
  },
  {
    database: 'main',
    table: 'ready_answers',
    holds: 'what a lookup of an exact address answers, ready to be sent',
    purpose: 'answering lookups at once',
    legalBasis: 'Art. 6(1)(a)',
    retention: 'until what is published changes; emptied in the same commit, and made anew within about a minute',
    recipients: ['members: subscribers of this service', 'public: anyone'],
    promises: ['S8', 'G1'],
    german: {
      holds: 'was die Abfrage einer genauen Adresse ergibt, fertig zum Versand',
      purpose: 'Abfragen sofort beantworten',
      legalBasis: 'Art. 6 Abs. 1 Buchst. a DSGVO',
      retention:
        'bis sich das Veröffentlichte ändert; im selben Schritt geleert und binnen etwa einer Minute neu erstellt',
      recipients: ['Mitglieder: Teilnehmer dieses Dienstes', 'öffentlich: alle'],
    },
    columns: {
      id: impersonal('number of the answer; none is given twice'),
      address_index: blindIndex('of the mailbox'),
      serves: linked('sum of whom and what it serves: members 1 sign, 2 encrypt; anyone 4 sign, 8 encrypt'),
      answer_sealed: sealed('the certificates without their chains; none where the answer is out of date'),
      valid_from: linked('from when on it holds, UTC milliseconds'),
      valid_until: linked('until when it holds, UTC milliseconds'),
    },
  },
]
