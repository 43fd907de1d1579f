import type { MailWords, Paragraph } from './templates/words.ts'

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** A text as it may stand in HTML, between tags and within a quoted attribute. */
const escaped = (value: string): string => value.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? '')

const htmlParagraph = (paragraph: Paragraph): string => {
  if (typeof paragraph === 'string') return `<p>${escaped(paragraph)}</p>`
  const link = escaped(paragraph.link)
  return `<p><a href="${link}">${link}</a></p>`
}

/** A mail's words as plain text. */
export const textBody = ({ paragraphs }: MailWords): string =>
  `${paragraphs.map((paragraph) => (typeof paragraph === 'string' ? paragraph : paragraph.link)).join('\n\n')}\n`

/** The same words as HTML: nothing is fetched, and a link reads as the address that it opens. */
export const htmlBody = (words: MailWords, language: string): string =>
  [
    '<!doctype html>',
    `<html lang="${language}"><head><meta charset="utf-8"><title>${escaped(words.subject)}</title></head><body>`,
    ...words.paragraphs.map(htmlParagraph),
    '</body></html>',
    '',
  ].join('\n')
