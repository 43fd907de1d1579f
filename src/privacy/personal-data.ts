import { impersonal, type TableDeclaration } from '../ports/personal-data.ts'

const bookkeeping = {
  legalBasis: 'none needed: no personal data',
  retention: 'as long as the database',
  recipients: [],
  promises: [],
} as const

const guard = {
  ...bookkeeping,
  table: 'batch_guard',
  holds: 'nothing, ever: a row that would be written here undoes its batch',
  purpose: 'conditions inside a batch',
  german: {
    holds: 'nie etwas: Eine Zeile, die hier geschrieben würde, macht ihren Stapel rückgängig',
    purpose: 'Bedingungen innerhalb eines Stapels von Änderungen',
    legalBasis: 'keine nötig: keine personenbezogenen Daten',
    retention: 'so lange wie die Datenbank',
    recipients: [],
  },
  columns: { broken: impersonal('code of the condition that did not hold') },
} as const

const ledger = {
  ...bookkeeping,
  table: 'd1_migrations',
  holds: 'which migrations the database has been through',
  purpose: 'bringing the schema up to the code',
  german: {
    holds: 'welche Änderungen ihres Aufbaus die Datenbank erfahren hat',
    purpose: 'den Aufbau auf den Stand der Software bringen',
    legalBasis: 'keine nötig: keine personenbezogenen Daten',
    retention: 'so lange wie die Datenbank',
    recipients: [],
  },
  columns: {
    id: impersonal('order'),
    name: impersonal('file name of the migration'),
    applied_at: impersonal('when it ran'),
  },
} as const

/** The tables that belong to no room. */
export const personalData: readonly TableDeclaration[] = [
  { ...guard, database: 'main' },
  { ...guard, database: 'journal' },
  { ...guard, database: 'keys' },
  { ...ledger, database: 'main' },
  { ...ledger, database: 'journal' },
  { ...ledger, database: 'keys' },
  {
    ...bookkeeping,
    database: 'keys',
    table: 'key_ring',
    holds: 'the key ring, wrapped by DATA_KEY (on Node it is a file)',
    purpose: 'encryption at rest',
    retention: 'as long as the data that it opens',
    promises: ['C1', 'G3'],
    german: {
      holds: 'der Schlüsselbund, verschlüsselt mit DATA_KEY (auf Node eine Datei)',
      purpose: 'Verschlüsselung der gespeicherten Daten',
      legalBasis: 'keine nötig: keine personenbezogenen Daten',
      retention: 'so lange wie die Daten, die er öffnet',
      recipients: [],
    },
    columns: {
      id: impersonal('main, or the month'),
      wrapped: impersonal('the wrapped secret'),
      created_at: impersonal('time, UTC milliseconds'),
    },
  },
]
