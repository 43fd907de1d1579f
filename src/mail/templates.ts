/** The languages that mail is written in. */
export type MailLanguage = 'de' | 'en'

/**
 * The mails that may be sent, as a closed list: the service sends no other. A kind is added here, in the schema's
 * CHECK and in the disclosures together.
 */
export interface MailParameters {
  readonly challenge: {
    readonly registration: string
    readonly token: string
    readonly deviceType: string
    readonly startedAt: string
  }
}
export type MailKind = keyof MailParameters

/** A mail's words and its extra headers. */
export interface RenderedMail {
  readonly subject: string
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

type Template<K extends MailKind> = (parameters: MailParameters[K]) => RenderedMail

const challengeHeaders = (parameters: MailParameters['challenge']): Record<string, string> => ({
  'Certbook-Registration': parameters.registration,
  'Certbook-Token': parameters.token,
  'Auto-Submitted': 'auto-generated',
})

const templates: Readonly<Record<MailLanguage, { readonly [K in MailKind]: Template<K> }>> = {
  en: {
    challenge: (parameters) => ({
      subject: 'Your mail app asks to register this address',
      headers: challengeHeaders(parameters),
      text: [
        `A mail app (${parameters.deviceType}) asked at ${parameters.startedAt} to register this address, so that`,
        'others can send you encrypted mail.',
        '',
        'If you set it up just now, there is nothing to do: the app finds this message by itself and goes on.',
        '',
        'If it was not you, ignore this message. Nothing is registered without it, and it expires in 24 hours.',
        '',
      ].join('\n'),
    }),
  },
  de: {
    challenge: (parameters) => ({
      subject: 'Ihre Mail-App möchte diese Adresse registrieren',
      headers: challengeHeaders(parameters),
      text: [
        `Eine Mail-App (${parameters.deviceType}) hat um ${parameters.startedAt} darum gebeten, diese Adresse zu`,
        'registrieren, damit andere Ihnen verschlüsselte Nachrichten senden können.',
        '',
        'Wenn Sie die App gerade einrichten, ist nichts zu tun: Sie findet diese Nachricht selbst und macht weiter.',
        '',
        'Wenn Sie das nicht waren, lassen Sie die Nachricht liegen. Ohne Bestätigung wird nichts registriert, und',
        'sie verfällt nach 24 Stunden.',
        '',
      ].join('\n'),
    }),
  },
}

/** The words of one mail. */
export const renderMail = <K extends MailKind>(
  kind: K,
  language: MailLanguage,
  parameters: MailParameters[K],
): RenderedMail => templates[language][kind](parameters)

/** The mail language for a device's language tag (RFC 5646), else `fallback`. */
export const mailLanguageFor = (tag: string, fallback: MailLanguage): MailLanguage => {
  const primary = tag.toLowerCase().split('-')[0]
  return primary === 'de' || primary === 'en' ? primary : fallback
}
