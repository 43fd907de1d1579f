import type { Context } from 'hono'

/** Pages for people: plain HTML without scripts, which loads nothing from elsewhere. */

export type PageLanguage = 'de' | 'en'

/** Safe HTML. Only `markup` makes it. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')

type Value = string | number | Html | readonly Html[]

const render = (value: Value): string => {
  if (value instanceof Html) return value.text
  if (typeof value === 'string' || typeof value === 'number') return escape(String(value))
  return value.map(({ text }) => text).join('')
}

/** Makes HTML from a template. It escapes every value that is not HTML itself. */
export const markup = (parts: TemplateStringsArray, ...values: readonly Value[]): Html =>
  new Html(parts.map((part, index) => part + (index < values.length ? render(values[index] ?? '') : '')).join(''))

/** The language of a page by `Accept-Language` (RFC 9110, 12.5.4): German if it is preferred to English. */
export function pageLanguage(acceptLanguage: string | undefined): PageLanguage {
  const asked = (acceptLanguage ?? '').split(',').map((range) => {
    const [tag = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    const quality = weight === undefined ? 1 : Number(weight.slice(2))
    return { language: tag.split('-')[0] ?? '', quality: Number.isFinite(quality) ? quality : 0 }
  })
  const best = (language: string): number =>
    Math.max(0, ...asked.filter((range) => range.language === language).map(({ quality }) => quality))
  return best('de') > best('en') ? 'de' : 'en'
}

const style = `
:root{color-scheme:light dark;--text:#1c1f24;--back:#fff;--soft:#f1f3f6;--line:#8a919c;--link:#0b4f9c}
@media (prefers-color-scheme:dark){:root{--text:#e8eaee;--back:#15181d;--soft:#22262d;--line:#808896;--link:#8fc1ff}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;font:1rem/1.55 system-ui,sans-serif;color:var(--text);background:var(--back);overflow-wrap:anywhere}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
h1{line-height:1.2}
h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
dl{display:grid;grid-template-columns:minmax(7rem,12rem) 1fr;gap:.25rem 1rem;margin:.5rem 0}
dt{font-weight:600}
dd{margin:0}
@media (max-width:40rem){dl{display:block}dd{margin-bottom:.5rem}}
section.entry{padding:.25rem 0 .75rem}
pre{background:var(--soft);padding:.75rem;white-space:pre-wrap;margin:.5rem 0}
code{font-family:ui-monospace,monospace;font-size:.95em}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid var(--line)}
.skip{position:absolute;left:-999rem}
.skip:focus{position:static}
`

interface Page {
  readonly language: PageLanguage
  readonly title: string
  /** The words of the link that lets keyboard users skip the start of the page. */
  readonly skip: string
  readonly body: Html
}

const document = ({ language, title, skip, body }: Page): string =>
  [
    '<!doctype html>',
    `<html lang="${language}">`,
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escape(title)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    `<a class="skip" href="#main">${escape(skip)}</a>`,
    `<main id="main">${body.text}</main>`,
    '</body>',
    '</html>',
    '',
  ].join('\n')

let styleHash: Promise<string> | null = null

/** The hash by which the Content-Security-Policy allows the style of these pages (CSP3, 6.7.3). */
const hashOfStyle = (): Promise<string> =>
  (styleHash ??= crypto.subtle
    .digest('SHA-256', new TextEncoder().encode(style))
    .then((digest) => btoa(String.fromCharCode(...new Uint8Array(digest)))))

/** The text of pages that are shown more than once: anyone may ask for them. */
const documents = new WeakMap<Page, string>()

const documentOf = (page: Page): string => {
  const made = documents.get(page) ?? document(page)
  documents.set(page, made)
  return made
}

/** The answer with a page. Nothing may run in it, be loaded by it, or frame it. */
export async function pageAnswer(context: Context, page: Page): Promise<Response> {
  const policy = [
    `default-src 'none'`,
    `style-src 'sha256-${await hashOfStyle()}'`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ]
  return context.body(documentOf(page), 200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Language': page.language,
    'Content-Security-Policy': policy.join('; '),
    'Referrer-Policy': 'no-referrer',
    Vary: 'Accept-Language',
  })
}
