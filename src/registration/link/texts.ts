/** What the page says, named by the code of a refusal or by what happened. */
type Message =
  | 'loading'
  | 'confirmed'
  | 'refused'
  | 'token_missing'
  | 'token_wrong'
  | 'code_wrong'
  | 'registration_ended'
  | 'registration_completed'
  | 'unreachable'
  | 'failed'

/** The words of the page, in one language. */
interface LinkTexts {
  readonly title: string
  readonly withoutScript: string
  readonly introduction: string
  readonly deviceType: string
  readonly appVersion: string
  readonly osVersion: string
  readonly startedAt: string
  readonly ifYou: string
  readonly code: string
  readonly codeHint: string
  readonly confirm: string
  readonly ifNotYou: string
  readonly refuse: string
  readonly messages: Readonly<Record<Message, string>>
}

const en: LinkTexts = {
  title: 'Confirm your mailbox',
  withoutScript:
    'This page needs JavaScript, so that the secret of your link stays in your browser. Please turn it on.',
  introduction: 'This device asks to be registered for the mailbox that the link was sent to:',
  deviceType: 'Device',
  appVersion: 'Version of the app',
  osVersion: 'Version of the system',
  startedAt: 'Asked on',
  ifYou: 'If this is your device, enter the code that it shows now.',
  code: 'Code',
  codeHint:
    'Eight letters and digits. Read the code from your own device; if somebody tells it to you, do not enter it.',
  confirm: 'Confirm',
  ifNotYou: 'If you do not know this device, end its registration.',
  refuse: 'This was not me',
  messages: {
    loading: 'One moment, please.',
    confirmed: 'Confirmed. Your device goes on by itself, and you can close this page.',
    refused: 'Thank you. The registration has ended, and nothing was registered. You can close this page.',
    token_missing: 'Open the link in the mail once more: this page was opened without it, or loaded again.',
    token_wrong: 'This link does not fit. Open the link of the newest mail, as a whole.',
    code_wrong: 'That is not the code. Read it once more from the device; after five wrong ones it must start again.',
    registration_ended:
      'This registration has ended: it is too old, was refused, or had too many wrong codes. Start again on your device.',
    registration_completed:
      'This device is registered already. If you do not know it, remove it in your mail app, and change the password of your mailbox.',
    unreachable: 'The service cannot be reached at the moment. Please try again.',
    failed: 'That did not work. Please try again later.',
  },
}

const de: LinkTexts = {
  title: 'Postfach bestätigen',
  withoutScript:
    'Diese Seite braucht JavaScript, damit das Geheimnis Ihres Links in Ihrem Browser bleibt. Bitte schalten Sie es ein.',
  introduction: 'Dieses Gerät möchte für das Postfach registriert werden, an das der Link ging:',
  deviceType: 'Gerät',
  appVersion: 'Version der App',
  osVersion: 'Version des Systems',
  startedAt: 'Angefragt am',
  ifYou: 'Wenn das Ihr Gerät ist, geben Sie den Code ein, den es jetzt zeigt.',
  code: 'Code',
  codeHint:
    'Acht Buchstaben und Ziffern. Lesen Sie den Code von Ihrem eigenen Gerät ab; wenn jemand ihn Ihnen nennt, geben Sie ihn nicht ein.',
  confirm: 'Bestätigen',
  ifNotYou: 'Wenn Sie dieses Gerät nicht kennen, beenden Sie seine Registrierung.',
  refuse: 'Das war ich nicht',
  messages: {
    loading: 'Einen Moment, bitte.',
    confirmed: 'Bestätigt. Ihr Gerät macht von selbst weiter, und Sie können diese Seite schließen.',
    refused: 'Danke. Die Registrierung ist beendet, und nichts wurde registriert. Sie können diese Seite schließen.',
    token_missing: 'Öffnen Sie den Link in der Mail noch einmal: Diese Seite wurde ohne ihn geöffnet oder neu geladen.',
    token_wrong: 'Dieser Link passt nicht. Öffnen Sie den Link der neuesten Mail, und zwar den ganzen.',
    code_wrong:
      'Das ist nicht der Code. Lesen Sie ihn noch einmal vom Gerät ab; nach fünf falschen muss es von vorn anfangen.',
    registration_ended:
      'Diese Registrierung ist beendet: Sie ist zu alt, wurde abgelehnt oder hatte zu viele falsche Codes. Fangen Sie auf Ihrem Gerät von vorn an.',
    registration_completed:
      'Dieses Gerät ist schon registriert. Wenn Sie es nicht kennen, entfernen Sie es in Ihrer Mail-App, und ändern Sie das Passwort Ihres Postfachs.',
    unreachable: 'Der Dienst ist gerade nicht zu erreichen. Bitte versuchen Sie es noch einmal.',
    failed: 'Das hat nicht geklappt. Bitte versuchen Sie es später noch einmal.',
  },
}

export const linkTexts = { de, en }
