import { DomainError } from '../errors.ts'
import { canonicalDomain } from './domain.ts'

/** One mailbox in its one form: the form that is mailed to, matched and certified. */
export interface MailboxAddress {
  /** Local part as written, `@`, domain as lower-case A-labels. */
  readonly address: string
  readonly localPart: string
  readonly domain: string
  /** Equal for two addresses exactly when they mean the same mailbox: the local part with A-Z lowered. */
  readonly matchingKey: string
}

/** RFC 5321 section 4.5.3.1.1, in octets. */
const localPartLimit = 64
/** RFC 5321 section 4.5.3.1.3: a path has 256 octets, two of which are its angle brackets. */
const addressLimit = 254

/** Dot-atom of RFC 5321 section 4.1.2 (`Dot-string`), ASCII only. */
const dotAtom = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/

const whiteSpaceOrSymbol = /[\p{White_Space}\p{Cc}\p{Cs}\p{Co}\p{Bidi_Control}\ufeff\u00ad\u200b\u2060]/u
const ascii = /^[\x00-\x7f]*$/

/**
 * Reads one address as RFC 5321 section 4.1.2 writes a Mailbox, without quoted strings and address literals, and
 * brings it into its one form. Nothing is trimmed or repaired: what is accepted is what will be certified.
 *
 * Throws DomainError: `address_malformed`, `address_quoted_local_part`, `address_comment`, `address_literal`,
 * `address_too_long`, `address_domain_invalid`, `address_local_part_not_ascii`.
 */
export function parseMailboxAddress(text: string): MailboxAddress {
  const at = text.lastIndexOf('@')
  const localPart = text.slice(0, Math.max(at, 0))
  const domainText = text.slice(at + 1)
  if (at < 1 || !dotAtom.test(localPart)) throw refusedShape(text, localPart, domainText)
  if (localPart.length > localPartLimit) {
    throw new DomainError('address_too_long', 'The part before the @ may have at most 64 characters.')
  }
  const domain = readDomain(domainText)
  const address = `${localPart}@${domain}`
  if (address.length > addressLimit) throw tooLong()
  return { address, localPart, domain, matchingKey: `${lowerAscii(localPart)}@${domain}` }
}

/** Lowers A-Z only: `toLowerCase` alone would fold the Kelvin sign and its like, if it ever met them. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function tooLong(): DomainError {
  return new DomainError('address_too_long', 'An address may have at most 254 characters.')
}

function readDomain(text: string): string {
  if (text.startsWith('[')) {
    throw new DomainError('address_literal', 'Write the name of the mail domain after the @, not an IP address.')
  }
  if (/[()]/.test(text)) throw commentRefused()
  if (text === '' || whiteSpaceOrSymbol.test(text)) throw malformed()
  // Bounds the work of mapping; no honest name is written in four times the characters its A-labels may have.
  if (text.length > (ascii.test(text) ? addressLimit : 4 * addressLimit)) throw tooLong()
  const domain = canonicalDomain(text)
  if (domain === null) {
    throw new DomainError(
      'address_domain_invalid',
      'Check the part after the @: it must be a full domain name, such as example.com.',
    )
  }
  return domain
}

function malformed(): DomainError {
  return new DomainError(
    'address_malformed',
    'Send one address of the form name@example.com, without spaces, names or brackets.',
  )
}

function commentRefused(): DomainError {
  return new DomainError('address_comment', 'Leave out comments: send the address without parentheses.')
}

/** Says which rule a local part breaks; slow paths are fine here, since the address is refused anyway. */
function refusedShape(text: string, localPart: string, domainText: string): DomainError {
  if (text.endsWith('>')) return malformed()
  if (text.startsWith('"')) {
    return new DomainError(
      'address_quoted_local_part',
      'Addresses with quotation marks are not supported: use one without them.',
    )
  }
  if (/[()]/.test(text)) return commentRefused()
  if (localPart === '' || domainText === '' || whiteSpaceOrSymbol.test(text)) return malformed()
  if (!ascii.test(localPart)) {
    return new DomainError(
      'address_local_part_not_ascii',
      'The part before the @ may hold only ASCII letters, digits and signs; use another address of this mailbox.',
    )
  }
  return malformed()
}
