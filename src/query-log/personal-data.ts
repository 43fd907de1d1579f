import { blindIndex, impersonal, linked, sealed, type TableDeclaration } from '../ports/personal-data.ts'

const columns = {
  id: impersonal('place in time'),
  at: linked('time, UTC milliseconds'),
  asker: linked('id of the subscriber who asked; of an anonymous asker the truncated network, /24 or /48'),
  device: linked('id of the device that asked; none of an anonymous asker'),
  interface: impersonal('the way it was asked'),
  status: impersonal('what came back'),
  address_key: blindIndex('of the recipient address asked for, under the key of the month'),
  payer: linked(
    'number of who paid for it on that day: the account of a subscriber’s mailbox, or an anonymous address, which is not kept',
  ),
  address_sealed: sealed('the recipient address asked for'),
}

const common = {
  database: 'journal',
  purpose: "control of abuse, security evidence, the asker's own record",
  legalBasis: 'Art. 6(1)(f)',
  recipients: [],
  promises: ['S9', 'C1', 'C5'],
} as const

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
    ...common,
    columns,
    table: 'query_log_recent',
    holds: 'every recipient address of the lookups of the last minute or so',
    retention: 'about a minute, then moved to query_log',
    german: {
      holds: 'jede Empfängeradresse der Abfragen etwa der letzten Minute',
      purpose: 'Kontrolle von Missbrauch, Nachweis für die Sicherheit, Aufzeichnung der fragenden Person',
      legalBasis: 'Art. 6 Abs. 1 Buchst. f DSGVO',
      retention: 'etwa eine Minute, dann in query_log',
      recipients: [],
    },
  },
  {
    ...common,
    columns: {
      ...columns,
      salt: impersonal('random salt of the commitment'),
      commitment: impersonal('salted hash of what a row said that was blanked; it tells nothing without the salt'),
    },
    table: 'query_log',
    holds: 'every recipient address of every lookup',
    retention: 'QUERY_LOG_DAYS, 90 days by default and never more than 365',
    german: {
      holds: 'jede Empfängeradresse jeder Abfrage',
      purpose: 'Kontrolle von Missbrauch, Nachweis für die Sicherheit, Aufzeichnung der fragenden Person',
      legalBasis: 'Art. 6 Abs. 1 Buchst. f DSGVO',
      retention: 'QUERY_LOG_DAYS, von Haus aus 90 Tage und nie mehr als 365',
      recipients: [],
    },
  },
  {
    ...budget,
    table: 'lookup_payers',
    holds: 'whose budgets the lookups of one day are counted against',
    german: {
      holds: 'auf wessen Kontingente die Abfragen eines Tages gezählt werden',
      purpose: 'niemand soll das Verzeichnis mit geratenen Adressen ablesen können',
      legalBasis: 'Art. 6 Abs. 1 Buchst. f DSGVO',
      retention: 'der Tag (UTC) und bis zum Lauf der nächsten Nacht',
      recipients: [],
    },
    columns: {
      day: impersonal('UTC days since 1970'),
      number: linked('of the payer on that day'),
      scopes: blindIndex(
        'of the day with the account of a mailbox, a domain, an anonymous address or a network around it, one after the other',
      ),
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
      scope: blindIndex(
        'of the day with the account of a mailbox, a domain, an anonymous address or a network around it',
      ),
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
