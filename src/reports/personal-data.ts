import { blindIndex, linked, sealed, type TableDeclaration } from '../ports/personal-data.ts'

export const personalData: readonly TableDeclaration[] = [
  {
    database: 'journal',
    table: 'check_ins',
    holds: 'the latest report of each device, without a history',
    purpose: 'telling a device what is due, and the support of the app versions in use',
    legalBasis: 'Art. 6(1)(b)',
    retention: 'until the night after the device has ended; 180 days after it was last seen',
    recipients: [],
    promises: ['S10', 'C1'],
    german: {
      holds: 'die letzte Meldung jedes Geräts, ohne Verlauf',
      purpose: 'dem Gerät sagen, was ansteht, und die verbreiteten App-Versionen betreuen',
      legalBasis: 'Art. 6 Abs. 1 Buchst. b DSGVO',
      retention: 'bis zur Nacht nach dem Ende des Geräts; 180 Tage, nachdem es zuletzt gesehen wurde',
      recipients: [],
    },
    columns: {
      device: linked('id of the device'),
      subscriber: linked('id of the subscriber'),
      seen_at: linked('when it was last seen, to the hour, UTC milliseconds'),
      facts_key: blindIndex('of the device with its facts, under the key of the month'),
      facts_sealed: sealed('app version, device type, OS version, language, serial number (Android only)'),
    },
  },
]
