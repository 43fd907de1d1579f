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
    columns: {
      certificate: linked('id of the certificate'),
      address_index: blindIndex('of its mailbox'),
      audience: linked('members or public'),
      consent: linked('id of the consent record'),
      published_at: linked('time, UTC milliseconds'),
    },
  },
]
