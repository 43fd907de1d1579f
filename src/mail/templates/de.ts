import type { MailWords, Paragraph, ShownChallenge, ShownOther, Words } from './words.ts'

const date = new Intl.DateTimeFormat('de-DE', { dateStyle: 'long', timeZone: 'UTC' })
const time = new Intl.DateTimeFormat('de-DE', { timeStyle: 'short', timeZone: 'UTC' })
const am = (moment: number): string => `${date.format(moment)} um ${time.format(moment)} Uhr (UTC)`

const device = (deviceType: string): string => (deviceType === '' ? '' : ` (${deviceType})`)

const uses = { sign: 'zum Signieren', encrypt: 'zum Verschlüsseln', dual: 'zum Signieren und Verschlüsseln' }
const audiences = { members: 'die Teilnehmer dieses Dienstes', public: 'alle' }
const reasons: Readonly<Record<string, string>> = {
  keyCompromise: 'sein privater Schlüssel ist vielleicht anderen bekannt',
  affiliationChanged: 'was es über Sie aussagt, hat sich geändert',
  superseded: 'ein anderes Zertifikat ist an seine Stelle getreten',
  cessationOfOperation: 'es wird nicht mehr benutzt',
  privilegeWithdrawn: 'es darf nicht mehr benutzt werden',
}

const nobodyElse =
  'Geben Sie weder den Code noch diese Nachricht weiter: Niemand wird Sie danach fragen, weder per Mail noch am Telefon.'
const unknownDevice =
  'Wenn Sie das nicht waren: Entfernen Sie in Ihrer Mail-App die Geräte, die Sie nicht kennen, und ändern Sie das ' +
  'Passwort Ihres Postfachs, denn vielleicht kann jemand anderes Ihre Mails lesen.'

const others = (also: readonly ShownOther[]): readonly Paragraph[] =>
  also.length === 0
    ? []
    : [
        'Diese Nachricht ist auch für andere Mail-Apps, die darum gebeten haben, diese Adresse zu registrieren, denn nicht ' +
          'jede bekommt eine eigene. Auch für sie ist nichts zu tun. Wenn eine davon Ihre ist und dieses Postfach nicht ' +
          'lesen kann, öffnen Sie deren eigene Adresse; wenn nicht, drücken Sie dort „Das war ich nicht“, oder lassen ' +
          'Sie sie liegen.',
        ...also.flatMap(({ deviceType, startedAt, link }) => [`${am(startedAt)}${device(deviceType)}:`, { link }]),
      ]

const registration = ({ deviceType, startedAt, link, also }: ShownChallenge): MailWords => {
  const page: readonly Paragraph[] =
    link === null
      ? ['Wenn Sie das nicht waren, lassen Sie diese Nachricht liegen.']
      : [
          'Wenn Sie das waren und die App dieses Postfach nicht lesen kann, öffnen Sie diese Adresse und geben Sie den ' +
            'Code ein, den Ihr Gerät zeigt:',
          { link },
          'Wenn Sie das nicht waren, öffnen Sie die Adresse und drücken Sie „Das war ich nicht“, oder lassen Sie diese ' +
            'Nachricht liegen.',
          nobodyElse,
        ]
  return {
    subject: 'Eine Mail-App möchte diese Adresse registrieren',
    paragraphs: [
      `Am ${am(startedAt)} hat eine Mail-App${device(deviceType)} darum gebeten, diese Adresse zu registrieren, um ` +
        'Zertifikate für signierte und verschlüsselte Mails zu erhalten.',
      'Wenn Sie diese App gerade für dieses Postfach einrichten, ist nichts zu tun: Sie findet diese Nachricht und ' +
        'macht weiter.',
      ...page,
      ...others(also),
      'Ohne Bestätigung wird nichts registriert, und die Anfrage verfällt nach 24 Stunden.',
    ],
  }
}

const addition = ({ deviceType, startedAt }: ShownChallenge): MailWords => ({
  subject: 'Eine Mail-App möchte diese Adresse hinzufügen',
  paragraphs: [
    `Am ${am(startedAt)} hat eine schon registrierte Mail-App${device(deviceType)} darum gebeten, diese Adresse ` +
      'hinzuzufügen, um Zertifikate für signierte und verschlüsselte Mails zu erhalten.',
    'Wenn Sie das waren, ist nichts zu tun: Die App findet diese Nachricht und macht weiter.',
    'Wenn Sie das nicht waren, lassen Sie diese Nachricht liegen. Ohne sie wird die Adresse nicht hinzugefügt, und die ' +
      'Anfrage verfällt nach 24 Stunden.',
  ],
})

const acts = {
  mailbox_add: 'ein Postfach hinzuzufügen',
  mailbox_end: 'ein Postfach zu entfernen',
  device_approve: 'ein anderes Gerät zuzulassen',
  device_end: 'ein Gerät zu entfernen',
}

const proof = ({ deviceType, startedAt, act }: ShownChallenge): MailWords => ({
  subject: 'Eine Mail-App möchte diese Adresse erneut nachweisen',
  paragraphs: [
    `Am ${am(startedAt)} hat eine Mail-App${device(deviceType)}, die für diese Adresse registriert ist, darum ` +
      `gebeten, erneut nachzuweisen, dass sie dieses Postfach lesen kann${act === null ? '' : `, um ${acts[act]}`}.`,
    'Wenn Sie das waren, ist nichts zu tun: Die App findet diese Nachricht und macht weiter.',
    'Wenn Sie das nicht waren, lassen Sie diese Nachricht liegen: Ohne sie wird nichts nachgewiesen, und die Anfrage ' +
      'verfällt nach 24 Stunden. Wenn Sie das Gerät nicht kennen, entfernen Sie es in Ihrer Mail-App.',
  ],
})

/** The mails in German. */
export const de: Words = {
  challenge: (parameters) => {
    if (parameters.purpose === 'add') return addition(parameters)
    return parameters.purpose === 'prove' ? proof(parameters) : registration(parameters)
  },
  new_device: ({ deviceType, at: moment }) => ({
    subject: 'Ein neues Gerät ist für diese Adresse registriert',
    paragraphs: [
      `Am ${am(moment)} wurde ein neues Gerät${device(deviceType)} für diese Adresse registriert. Es kann Zertifikate ` +
        'anfordern und veröffentlichen.',
      'Wenn Sie das waren, ist nichts zu tun.',
      unknownDevice,
    ],
  }),
  new_certificate: ({ use, at: moment, notAfter }) => ({
    subject: 'Ein neues Zertifikat für diese Adresse',
    paragraphs: [
      `Am ${am(moment)} wurde für diese Adresse ein Zertifikat ${uses[use]} ausgestellt. Es gilt bis zum ` +
        `${am(notAfter)}.`,
      'Wenn Sie eine Mail-App benutzen, die für diese Adresse registriert ist, ist nichts zu tun: Apps erneuern ' +
        'Zertifikate von selbst.',
      `${unknownDevice} Widerrufen Sie dann das Zertifikat in Ihrer Mail-App.`,
    ],
  }),
  new_publication: ({ audience, at: moment }) => ({
    subject: 'Ein Zertifikat dieser Adresse ist veröffentlicht',
    paragraphs: [
      `Am ${am(moment)} wurde ein Zertifikat dieser Adresse für ${audiences[audience]} veröffentlicht. Wer die Adresse ` +
        'kennt, kann das Zertifikat jetzt finden und Ihnen verschlüsselte Mails senden.',
      'Wenn Sie das waren, ist nichts zu tun. Sie können die Veröffentlichung jederzeit in Ihrer Mail-App zurücknehmen.',
      unknownDevice,
    ],
  }),
  mailbox_moved: ({ which, at: moment, until }) => {
    const [subject, mailbox] =
      which === 'this'
        ? ['Ein anderes Gerät hat diese Adresse neu registriert', 'dieses Postfach']
        : [
            'Ein anderes Gerät hat eine weitere Adresse von Ihnen neu registriert',
            'ein weiteres Postfach Ihrer Mail-App',
          ]
    return {
      subject,
      paragraphs: [
        `Am ${am(moment)} hat ein anderes Gerät nachgewiesen, dass es ${mailbox} lesen kann, und dessen Adresse neu ` +
          'registriert. Die bisherigen Zertifikate für jene Adresse stehen nicht mehr im Verzeichnis.',
        `Sie werden am ${am(until)} widerrufen, außer ein bisheriges Gerät weist jenes Postfach bis dahin erneut nach.`,
        'Wenn Sie das waren, ist nichts zu tun.',
        'Wenn Sie das nicht waren: Lassen Sie Ihre Mail-App jenes Postfach vorher erneut nachweisen, und ändern Sie ' +
          'dessen Passwort, denn vielleicht kann jemand anderes Ihre Mails lesen.',
      ],
    }
  },
  revocation: ({ reason, at: moment }) => {
    const words = reason === null ? undefined : reasons[reason]
    return {
      subject: 'Ein Zertifikat dieser Adresse ist widerrufen',
      paragraphs: [
        `Am ${am(moment)} wurde ein Zertifikat dieser Adresse widerrufen${words === undefined ? '' : `: ${words}`}. Das ` +
          'ist endgültig; niemand sollte es noch benutzen.',
        'Wenn Sie das waren, ist nichts zu tun. Behalten Sie den privaten Schlüssel trotzdem: Mails, die für ihn ' +
          'verschlüsselt wurden, lassen sich mit nichts anderem öffnen.',
        'Wenn Sie das nicht waren: Fordern Sie in Ihrer Mail-App ein neues Zertifikat mit einem neuen Schlüssel an, und ' +
          'entfernen Sie die Geräte, die Sie nicht kennen.',
      ],
    }
  },
  running_out: ({ use, which, at: moment, notAfter }) => {
    const isLast = which === 'twelfth'
    return {
      subject: isLast
        ? 'Ein Zertifikat dieser Adresse läuft sehr bald ab'
        : 'Ein Zertifikat dieser Adresse läuft bald ab',
      paragraphs: [
        `Ein Zertifikat dieser Adresse ${uses[use]} gilt nur noch bis zum ${am(notAfter)}. Am ${am(moment)} war noch ` +
          'kein neues an seine Stelle getreten.',
        'Öffnen Sie die Mail-App auf dem Gerät, für das es ausgestellt wurde: Apps erneuern Zertifikate von selbst, wenn ' +
          'sie laufen.',
        ...(isLast
          ? [
              'Zeigt die App, dass die Erneuerung auf jemanden wartet, fragen Sie dort nach: Es ist nicht mehr viel Zeit.',
            ]
          : []),
        'Wenn Sie das Zertifikat nicht mehr brauchen, ist nichts zu tun. Behalten Sie den privaten Schlüssel trotzdem: ' +
          'Mails, die für ihn verschlüsselt wurden, lassen sich mit nichts anderem öffnen.',
      ],
    }
  },
  ending: ({ host, controller }) => [
    `Diese Nachricht kommt vom Dienst unter ${host}${controller === null ? '' : `, betrieben von ${controller}`}. ` +
      'Sie berichtet, was dort mit dieser Adresse geschieht, und nichts anderes.',
  ],
}
