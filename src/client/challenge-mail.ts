/** The headers of a mail: an object with `get`, name and value pairs, or the text of RFC 5322 itself. */
export type MailHeaders =
  | { get(name: string): string | null | undefined }
  | Iterable<readonly [name: string, value: string]>
  | string

/** What a challenge mail answers, and with what. */
export interface FoundChallenge<Pending> {
  readonly pending: Pending
  readonly token: string
}

const identifierForm = /^[\w-]{1,64}$/
const tokenForm = /^[\w-]{1,200}$/

/**
 * The token of a received mail, where the mail is the challenge to one of the app's own pending registrations or
 * mailbox proofs, of the very service that the app speaks with; else null. A challenge that somebody else has asked for
 * is so never answered, and a mail that carries a header twice is none of the service's. `origin` is the scheme and
 * host of the service: a hostile one could ask another service to challenge this mailbox, give out that id as its own,
 * and be handed the token.
 */
export function findChallenge<Pending extends { readonly id: string }>(
  headers: MailHeaders,
  pendings: readonly Pending[],
  origin: string,
): FoundChallenge<Pending> | null {
  if (oneValue(headers, 'Certbook-Origin') !== origin) return null
  const id = oneValue(headers, 'Certbook-Registration')
  const token = oneValue(headers, 'Certbook-Token')
  if (id === null || token === null || !identifierForm.test(id) || !tokenForm.test(token)) return null
  const pending = pendings.find((candidate) => candidate.id === id)
  return pending === undefined ? null : { pending, token }
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

/** RFC 5322 section 2.2.3: a line that begins with white space goes on from the one before. */
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
