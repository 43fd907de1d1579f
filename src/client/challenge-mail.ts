/** The headers of a mail: an object with `get`, pairs of name and value, or the text of the mail (RFC 5322). */
export type MailHeaders =
  | { get(name: string): string | null | undefined }
  | Iterable<readonly [name: string, value: string]>
  | string

/** The registration or mailbox that a mail challenges, and the token in it. */
export interface FoundChallenge<Pending> {
  readonly pending: Pending
  readonly token: string
}

const identifierForm = /^[\w-]{1,64}$/
const tokenForm = /^[\w-]{1,200}$/

/**
 * Finds the token in a received mail. The mail must answer one of the app's own pending registrations or mailbox
 * proofs, at the service that the app speaks with. Otherwise returns null, so a challenge that somebody else asked for
 * is never answered. A mail may answer others too: each in a line `Certbook-Also`. A mail that has a header twice does not come from the service. `origin` is the scheme and host of
 * the service. Without that check a hostile service could ask another service to challenge this mailbox, give the id of
 * that challenge as its own, and get the token.
 */
export function findChallenge<Pending extends { readonly id: string }>(
  headers: MailHeaders,
  pendings: readonly Pending[],
  origin: string,
): FoundChallenge<Pending> | null {
  if (oneValue(headers, 'Certbook-Origin') !== origin) return null
  const id = oneValue(headers, 'Certbook-Registration')
  const token = oneValue(headers, 'Certbook-Token')
  if (id === null || token === null) return null
  for (const answer of [[id, token], ...others(headers)]) {
    const found = findAnswered(answer, pendings)
    if (found !== null) return found
  }
  return null
}

function findAnswered<Pending extends { readonly id: string }>(
  [id = '', token = '', ...rest]: readonly string[],
  pendings: readonly Pending[],
): FoundChallenge<Pending> | null {
  if (rest.length > 0 || !identifierForm.test(id) || !tokenForm.test(token)) return null
  const pending = pendings.find((candidate) => candidate.id === id)
  return pending === undefined ? null : { pending, token }
}

/** Of the other registrations: id and token. Some parsers join the lines of one name by commas. */
function others(headers: MailHeaders): string[][] {
  const values = valuesOf(headers, 'Certbook-Also').flatMap((value) => value.split(','))
  return values.map((value) => value.trim().split(/\s+/))
}

function oneValue(headers: MailHeaders, name: string): string | null {
  const [value = null, second] = valuesOf(headers, name)
  return second === undefined ? value : null
}

function valuesOf(headers: MailHeaders, name: string): string[] {
  if (typeof headers === 'string') return valuesIn(fieldsOf(headers), name)
  if (Symbol.iterator in headers) return valuesIn(headers, name)
  const value = headers.get(name)
  return value === null || value === undefined ? [] : [value.trim()]
}

function valuesIn(fields: Iterable<readonly [string, string]>, name: string): string[] {
  const values: string[] = []
  for (const [key, value] of fields)
    if (key.trim().toLowerCase() === name.toLowerCase()) values.push(unfold(value).trim())
  return values
}

/** RFC 5322 section 2.2.3: a line that begins with white space continues the line before. */
function unfold(text: string): string {
  return text.replace(/\r?\n(?=[ \t])/g, '')
}

/** RFC 5322 section 2.1: the header ends at the first empty line. */
function fieldsOf(message: string): [string, string][] {
  const header = message.split(/\r?\n\r?\n/, 1)[0] ?? ''
  return unfold(header)
    .split(/\r?\n/)
    .map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, Math.max(colon, 0)), line.slice(colon + 1)]
    })
}
