import { blindIndex, impersonal, linked, type TableDeclaration } from '../ports/personal-data.ts'

const budget = {
  database: 'journal',
  purpose: 'nobody can list the directory by asking for guessed addresses',
  legalBasis: 'Art. 6(1)(f)',
  retention: 'the UTC day, and until the job of the next night',
  recipients: [],
  promises: ['S9'],
} as const

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
  {
    ...budget,
    table: 'lookup_budgets',
    holds: 'how many distinct addresses were asked for on one day',
    german: {
      holds: 'nach wie vielen verschiedenen Adressen an einem Tag gefragt wurde',
      purpose: 'niemand soll das Verzeichnis mit geratenen Adressen ablesen können',
      legalBasis: 'Art. 6 Abs. 1 Buchst. f DSGVO',
      retention: 'der Tag (UTC) und bis zum Lauf der nächsten Nacht',
      recipients: [],
    },
    columns: {
      day: impersonal('UTC days since 1970'),
      scope: blindIndex('of the day with a subscriber, a mailbox, a domain or a truncated network'),
      used: linked('count'),
    },
  },
  {
    ...budget,
    table: 'lookup_budget_addresses',
    holds: 'what was counted, so that an address that is asked for again costs nothing',
    german: {
      holds: 'was gezählt wurde, damit eine erneut erfragte Adresse nichts kostet',
      purpose: 'niemand soll das Verzeichnis mit geratenen Adressen ablesen können',
      legalBasis: 'Art. 6 Abs. 1 Buchst. f DSGVO',
      retention: 'der Tag (UTC) und bis zum Lauf der nächsten Nacht',
      recipients: [],
    },
    columns: {
      day: impersonal('UTC days since 1970'),
      address_key: blindIndex('of the day with whom is charged and the address, in one'),
    },
  },
]
