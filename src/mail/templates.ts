import { de } from './templates/de.ts'
import { en } from './templates/en.ts'
import type { MailKind, MailLanguage, MailParameters } from './content.ts'
import type { MailSender, MailWords, Paragraph, Words } from './templates/words.ts'

export type MailSubject = {
  readonly [K in MailKind]: { readonly kind: K; readonly parameters: MailParameters[K] }
}[MailKind]

interface MailHeader {
  readonly key: string
  readonly value: string
}

interface RenderedMail {
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly headers: MailHeader[]
}

const languages: Readonly<Record<MailLanguage, Words>> = { de, en }

/**
 * The device chose this text, and somebody reads it who may never have asked for the mail. So nothing in it may become
 * a link, and it is too short for a message.
 */
const shownDeviceType = (deviceType: string): string =>
  deviceType
    .replaceAll(/[^\p{L}\p{N}-]+/gu, ' ')
    .trim()
    .slice(0, 30)

/** The page of a registration. The token stands after `#`, which a browser sends to no server. */
const linkOf = ({ registration, token }: { registration: string; token: string }, publicUrl: string): string =>
  `${publicUrl}/confirm/${registration}#${token}`

const wordsOf = (words: Words, mail: MailSubject, publicUrl: string): MailWords => {
  switch (mail.kind) {
    case 'challenge': {
      const { parameters } = mail
      return words.challenge({
        ...parameters,
        deviceType: shownDeviceType(parameters.deviceType),
        link: parameters.purpose === 'registration' ? linkOf(parameters, publicUrl) : null,
        also: parameters.also.map((other) => ({
          deviceType: shownDeviceType(other.deviceType),
          startedAt: other.startedAt,
          link: linkOf(other, publicUrl),
        })),
      })
    }
    case 'new_device':
      return words.new_device({ ...mail.parameters, deviceType: shownDeviceType(mail.parameters.deviceType) })
    case 'new_certificate':
      return words.new_certificate(mail.parameters)
    case 'new_publication':
      return words.new_publication(mail.parameters)
    case 'mailbox_moved':
      return words.mailbox_moved(mail.parameters)
    case 'revocation':
      return words.revocation(mail.parameters)
    case 'running_out':
      return words.running_out(mail.parameters)
  }
}

/** By `Certbook-Origin` a mail client knows which service sent the tokens. It hands them to no other. */
const challengeHeaders = ({ registration, token, also }: MailParameters['challenge'], origin: string): MailHeader[] => [
  { key: 'Certbook-Registration', value: registration },
  { key: 'Certbook-Token', value: token },
  { key: 'Certbook-Origin', value: origin },
  ...also.map((other) => ({ key: 'Certbook-Also', value: `${other.registration} ${other.token}` })),
]

/** RFC 3834 5: no program answers such a mail. */
const headersOf = (mail: MailSubject, { origin }: URL): MailHeader[] => [
  ...(mail.kind === 'challenge' ? challengeHeaders(mail.parameters, origin) : []),
  { key: 'Auto-Submitted', value: 'auto-generated' },
]

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes text for HTML, between tags and in quoted attributes. */
const escaped = (value: string): string => value.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? '')

const htmlParagraph = (paragraph: Paragraph): string => {
  if (typeof paragraph === 'string') return `<p>${escaped(paragraph)}</p>`
  const link = escaped(paragraph.link)
  return `<p><a href="${link}">${link}</a></p>`
}

const textBody = ({ paragraphs }: MailWords): string =>
  `${paragraphs.map((paragraph) => (typeof paragraph === 'string' ? paragraph : paragraph.link)).join('\n\n')}\n`

/** The same words as HTML. It loads nothing, and each link shows the address that it opens. */
const htmlBody = (words: MailWords, language: string): string =>
  [
    '<!doctype html>',
    `<html lang="${language}"><head><meta charset="utf-8"><title>${escaped(words.subject)}</title></head><body>`,
    ...words.paragraphs.map(htmlParagraph),
    '</body></html>',
    '',
  ].join('\n')

/** Renders one mail as text and as HTML. */
export function renderMail(
  mail: MailSubject,
  language: MailLanguage,
  service: { readonly publicUrl: string; readonly controller: string | null },
): RenderedMail {
  const words = languages[language]
  const address = new URL(service.publicUrl)
  const sender: MailSender = { host: address.host, controller: service.controller }
  const { subject, paragraphs } = wordsOf(words, mail, service.publicUrl)
  const whole = { subject, paragraphs: [...paragraphs, ...words.ending(sender)] }
  return { subject, text: textBody(whole), html: htmlBody(whole, language), headers: headersOf(mail, address) }
}

/** The mail language for a device's language tag (RFC 5646), or `fallback`. */
export const mailLanguageFor = (tag: string, fallback: MailLanguage): MailLanguage => {
  const primary = tag.toLowerCase().split('-')[0]
  return primary === 'de' || primary === 'en' ? primary : fallback
}
