import { html, raw } from 'hono/html'
import type { MailLanguage } from '../../mail/content.ts'
import { toBase64 } from '../../pki/encoding.ts'
import type { Sha256 } from '../../ports/keys.ts'
import { linkScript } from './script.ts'
import { linkTexts } from './texts.ts'

const style = `
:root { color-scheme: light dark; }
body { margin: 0; font: 1.0625rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #ffffff; }
main { max-width: 34rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
dl { margin: 1rem 0; padding: 0.75rem 1rem; border: 1px solid #767676; border-radius: 0.5rem; }
dt { font-size: 0.9375rem; }
dd { margin: 0 0 0.5rem; font-weight: 600; overflow-wrap: anywhere; }
label { display: block; font-weight: 600; }
input { box-sizing: border-box; width: 100%; max-width: 14rem; min-height: 2.75rem; padding: 0.25rem 0.75rem;
  font: 1.25rem/1.5 ui-monospace, monospace; letter-spacing: 0.1em; text-transform: uppercase;
  color: inherit; background: transparent; border: 2px solid #595959; border-radius: 0.375rem; }
button { min-height: 2.75rem; padding: 0.25rem 1.25rem; font: inherit; font-weight: 600; border: 2px solid #0b4f8a;
  border-radius: 0.375rem; color: #ffffff; background: #0b4f8a; }
button[type='button'] { color: #8a1c0b; background: #ffffff; border-color: #8a1c0b; }
:focus-visible { outline: 3px solid #b35c00; outline-offset: 2px; }
[role='status']:not(:empty) { padding: 0.75rem 1rem; border-left: 0.25rem solid #0b4f8a; background: #eef4fa; }
[hidden] { display: none; }
@media (prefers-color-scheme: dark) {
  body { color: #f2f2f2; background: #161616; }
  input { border-color: #b0b0b0; }
  button { color: #10273b; background: #9fcbf2; border-color: #9fcbf2; }
  button[type='button'] { color: #ffb4a6; background: #161616; border-color: #ffb4a6; }
  [role='status']:not(:empty) { border-color: #9fcbf2; background: #22303c; }
}
`

// The Content-Security-Policy names these by their hash, so nothing may stand between the tags and the text.
const styleElement = raw(`<style>${style}</style>`)
const scriptElement = raw(`<script>${linkScript}</script>`)

/** The page behind every mailed link, in one language. It holds nothing about any registration. */
export async function linkPage(language: MailLanguage): Promise<string> {
  const texts = linkTexts[language]
  const messages = Object.entries(texts.messages).map(([code, words]) => html`<li data-code="${code}">${words}</li>`)
  const page = await html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${texts.title}</title>
        ${styleElement}
      </head>
      <body>
        <main>
          <h1>${texts.title}</h1>
          <noscript><p>${texts.withoutScript}</p></noscript>
          <p id="status" role="status" tabindex="-1"></p>
          <form id="request" hidden>
            <p>${texts.introduction}</p>
            <dl>
              <dt>${texts.deviceType}</dt>
              <dd id="device-type"></dd>
              <dt>${texts.appVersion}</dt>
              <dd id="app-version"></dd>
              <dt>${texts.osVersion}</dt>
              <dd id="os-version"></dd>
              <dt>${texts.startedAt}</dt>
              <dd id="started-at"></dd>
            </dl>
            <p>${texts.ifYou}</p>
            <label for="code">${texts.code}</label>
            <p id="code-hint">${texts.codeHint}</p>
            <p>
              <input
                id="code"
                type="text"
                required
                maxlength="20"
                autocomplete="off"
                autocapitalize="characters"
                spellcheck="false"
                aria-describedby="code-hint"
              />
            </p>
            <p><button type="submit">${texts.confirm}</button></p>
            <p>${texts.ifNotYou}</p>
            <p><button type="button" id="refuse">${texts.refuse}</button></p>
          </form>
          <ul id="messages" hidden>
            ${messages}
          </ul>
        </main>
        ${scriptElement}
      </body>
    </html> `
  return String(page)
}

/**
 * The headers of the page. Only the script and style written here run; the page speaks only to this service; no other
 * page can frame it; and its address is sent to nobody (no referrer).
 */
export function linkPageHeaders(sha256: Sha256): Record<string, string> {
  const hashOf = (content: string): string => `'sha256-${toBase64(sha256(new TextEncoder().encode(content)))}'`
  return {
    'Content-Security-Policy': [
      "default-src 'none'",
      `script-src ${hashOf(linkScript)}`,
      `style-src ${hashOf(style)}`,
      "connect-src 'self'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ].join('; '),
    'Referrer-Policy': 'no-referrer',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cache-Control': 'no-store',
    Vary: 'Accept-Language',
  }
}
