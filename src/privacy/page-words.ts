import type { PageLanguage } from '../api/page.ts'

/** What `/privacy` says itself. The rest comes from the declarations of the rooms and the settings of the operator. */
export interface PrivacyWords {
  readonly title: string
  readonly skip: string
  readonly introduction: string
  readonly inForce: (day: string) => string
  readonly who: {
    readonly heading: string
    readonly controller: string
    readonly officer: string
    readonly notNamed: string
    readonly noOfficer: string
  }
  readonly others: {
    readonly heading: string
    readonly paragraphs: (facts: { days: number; isPublic: boolean }) => readonly string[]
  }
  readonly directory: {
    readonly heading: string
    readonly members: string
    readonly public: string
    readonly choice: string
  }
  readonly authorities: {
    readonly heading: string
    readonly introduction: string
    readonly gets: string
    /** For a CA that is no longer connected. */
    readonly got: string
    readonly embedded: string
    readonly external: (connection: string) => string
  }
  readonly rights: {
    readonly heading: string
    readonly list: readonly string[]
    readonly how: string
    readonly complain: (authority: string) => string
    readonly anyAuthority: string
  }
  readonly held: {
    readonly heading: string
    readonly introduction: string
    readonly groups: Readonly<Record<'contract' | 'use' | 'impersonal', string>>
    readonly purpose: string
    readonly legalBasis: string
    readonly retention: string
    readonly recipients: string
    readonly nobody: string
    readonly promises: string
    readonly noPromises: string
  }
  readonly promises: { readonly heading: string }
}

const english: PrivacyWords = {
  title: 'Privacy',
  skip: 'To the content',
  introduction:
    'This service is a directory of certificates for encrypted mail (S/MIME). This page is made from what the ' +
    'software itself declares: what it holds, what for, on which legal basis, for how long, and who gets it.',
  inForce: (day) => `As the service runs on ${day}.`,
  who: {
    heading: 'Who is responsible',
    controller: 'Controller',
    officer: 'Data protection officer',
    notNamed: 'Not named: this service runs for trial on one machine.',
    noOfficer: 'None is named; write to the controller.',
  },
  others: {
    heading: 'If you are not a subscriber',
    paragraphs: ({ days, isPublic }) => [
      'Somebody who writes to you may ask this service whether there is a certificate for your address. Then your ' +
        'address is logged here although you have nothing to do with the service (Art. 14 GDPR): your address, who ' +
        'asked, when, and what came back. It came from the person who asked.',
      'The log serves to find and stop abuse, such as somebody trying out addresses, as evidence for security, and ' +
        'as the record of the one who asked, who can read it (Art. 6(1)(f) GDPR). The interest of those who write ' +
        'encrypted mail in a directory that cannot be harvested was weighed against yours: the address is encrypted ' +
        'where it is stored, and beside the one who asked only persons whom the controller has charged with it can ' +
        'read it, each time for a reason that is itself logged.',
      `Lookups are deleted after ${days} days.`,
      isPublic
        ? 'Anyone may ask, also without a registration; then the shortened network address stands in the log in the place of a person.'
        : 'Only registered subscribers may ask.',
      'You can object, and ask what is logged about your address: write to the controller, from that address.',
    ],
  },
  directory: {
    heading: 'Who can find a certificate',
    members:
      'This directory is for members: only subscribers of this service can look certificates up, by the exact address.',
    public:
      'This directory is public: anyone can look certificates up by the exact address, and then finds what its ' +
      'subscriber published to everyone. Subscribers also find what was published to members.',
    choice: 'Nothing is published without the consent of the subscriber, who can withdraw it at any time.',
  },
  authorities: {
    heading: 'Certificate authorities',
    introduction: 'To have a certificate issued, the address of the mailbox and the public key are passed to:',
    gets: 'gets the address and the public key of each certificate request that the rules of the service send there',
    got: 'got them until it was disconnected, and gets none any more',
    embedded: 'run by the controller as a part of this service',
    external: (connection) => `connected as “${connection}”`,
  },
  rights: {
    heading: 'Your rights',
    list: [
      'to know what is held about you, and to have a copy (Art. 15 GDPR)',
      'to have it corrected (Art. 16) and deleted (Art. 17)',
      'to have its processing restricted (Art. 18)',
      'to take it with you in a common format (Art. 20)',
      'to object where the basis is a legitimate interest (Art. 21)',
      'to withdraw a consent for the future (Art. 7(3))',
    ],
    how: 'Your app shows what is held about you as a subscriber. For everything else, write to the controller.',
    complain: (authority) => `You can complain to a supervisory authority: ${authority}.`,
    anyAuthority: 'the one where you live or work',
  },
  held: {
    heading: 'What is held',
    introduction: 'Every table of the databases is listed here.',
    groups: {
      contract: 'Kept for the registration and its certificates',
      use: 'Kept of the use of the service, for a limited time',
      impersonal: 'Bookkeeping without personal data',
    },
    purpose: 'Purpose',
    legalBasis: 'Legal basis (GDPR)',
    retention: 'Kept',
    recipients: 'Passed to',
    nobody: 'nobody',
    promises: 'Promises',
    noPromises: 'none',
  },
  promises: { heading: 'What is promised' },
}

const german: PrivacyWords = {
  title: 'Datenschutz',
  skip: 'Zum Inhalt',
  introduction:
    'Dieser Dienst ist ein Verzeichnis von Zertifikaten für verschlüsselte E-Mail (S/MIME). Diese Seite entsteht aus ' +
    'dem, was die Software selbst angibt: was sie speichert, wozu, auf welcher Rechtsgrundlage, wie lange, und wer ' +
    'es bekommt.',
  inForce: (day) => `Stand des laufenden Dienstes: ${day}.`,
  who: {
    heading: 'Wer verantwortlich ist',
    controller: 'Verantwortlicher',
    officer: 'Kontakt für Datenschutz',
    notNamed: 'Nicht genannt: Dieser Dienst läuft zur Probe auf einem einzelnen Rechner.',
    noOfficer: 'Nicht benannt; bitte schreiben Sie an den Verantwortlichen.',
  },
  others: {
    heading: 'Wenn Sie nicht registriert sind',
    paragraphs: ({ days, isPublic }) => [
      'Wer Ihnen schreibt, fragt diesen Dienst möglicherweise, ob es für Ihre Adresse ein Zertifikat gibt. Dann wird ' +
        'Ihre Adresse hier protokolliert, obwohl Sie mit dem Dienst nichts zu tun haben (Art. 14 DSGVO): Ihre ' +
        'Adresse, wer gefragt hat, wann, und mit welchem Ergebnis. Sie stammt von der Person, die gefragt hat.',
      'Das Protokoll dient dazu, Missbrauch wie das Ausprobieren von Adressen zu erkennen und zu beenden, als ' +
        'Nachweis für die Sicherheit und als Aufzeichnung der fragenden Person, die es lesen kann (Art. 6 Abs. 1 ' +
        'Buchst. f DSGVO). Abgewogen wurde Ihr Interesse gegen das Interesse derer, die verschlüsselt schreiben, an ' +
        'einem Verzeichnis, das sich nicht abernten lässt: Die Adresse liegt verschlüsselt vor, und außer der fragenden ' +
        'Person können sie nur Beauftragte des Verantwortlichen lesen, jeweils mit einem Grund, der selbst ' +
        'protokolliert wird.',
      `Abfragen werden nach ${days} Tagen gelöscht.`,
      isPublic
        ? 'Fragen darf jeder, auch ohne Registrierung; dann steht statt einer Person die gekürzte Netzadresse im Protokoll.'
        : 'Fragen dürfen nur registrierte Teilnehmer.',
      'Sie können widersprechen und Auskunft darüber verlangen, was zu Ihrer Adresse protokolliert ist: Schreiben Sie ' +
        'von dieser Adresse aus an den Verantwortlichen.',
    ],
  },
  directory: {
    heading: 'Wer ein Zertifikat finden kann',
    members:
      'Dieses Verzeichnis ist für Mitglieder: Nur Teilnehmer dieses Dienstes können Zertifikate nachschlagen, mit der genauen Adresse.',
    public:
      'Dieses Verzeichnis ist öffentlich: Jeder kann mit der genauen Adresse nachschlagen und findet, was für alle ' +
      'veröffentlicht wurde. Teilnehmer finden auch, was für Mitglieder veröffentlicht wurde.',
    choice:
      'Veröffentlicht wird nur mit der Einwilligung der Teilnehmerin oder des Teilnehmers; sie lässt sich jederzeit widerrufen.',
  },
  authorities: {
    heading: 'Zertifizierungsstellen',
    introduction:
      'Damit ein Zertifikat ausgestellt werden kann, gehen Adresse und öffentlicher Schlüssel des Postfachs an:',
    gets: 'erhält Adresse und öffentlichen Schlüssel jeder Zertifikatsanfrage, die nach den Regeln des Dienstes dorthin geht',
    got: 'erhielt sie, bis die Verbindung entfernt wurde, und erhält keine mehr',
    embedded: 'betrieben vom Verantwortlichen als Teil dieses Dienstes',
    external: (connection) => `angebunden als „${connection}“`,
  },
  rights: {
    heading: 'Ihre Rechte',
    list: [
      'Auskunft und Kopie (Art. 15 DSGVO)',
      'Berichtigung (Art. 16) und Löschung (Art. 17)',
      'Einschränkung der Verarbeitung (Art. 18)',
      'Übertragung in einem gängigen Format (Art. 20)',
      'Widerspruch, wo die Grundlage ein berechtigtes Interesse ist (Art. 21)',
      'Widerruf einer Einwilligung für die Zukunft (Art. 7 Abs. 3)',
    ],
    how: 'Ihre App zeigt, was über Sie als Teilnehmer gespeichert ist. Wegen allem anderen schreiben Sie an den Verantwortlichen.',
    complain: (authority) => `Sie können sich bei einer Aufsichtsbehörde beschweren: ${authority}.`,
    anyAuthority: 'bei der Behörde Ihres Wohn- oder Arbeitsortes',
  },
  held: {
    heading: 'Was gespeichert wird',
    introduction: 'Hier steht jede Tabelle der Datenbanken.',
    groups: {
      contract: 'Für die Registrierung und ihre Zertifikate',
      use: 'Von der Benutzung des Dienstes, für begrenzte Zeit',
      impersonal: 'Buchführung ohne personenbezogene Daten',
    },
    purpose: 'Zweck',
    legalBasis: 'Rechtsgrundlage',
    retention: 'Dauer',
    recipients: 'Geht an',
    nobody: 'niemanden',
    promises: 'Zusagen',
    noPromises: 'keine',
  },
  promises: { heading: 'Was zugesagt ist' },
}

export const privacyWords: Readonly<Record<PageLanguage, PrivacyWords>> = { de: german, en: english }
