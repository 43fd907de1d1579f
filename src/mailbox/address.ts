import { DomainError } from '../errors.ts'
import { canonicalDomain } from './domain.ts'
import { hasWhiteSpaceOrInvisible, localPartKind, type LocalPartKind } from './local-part.ts'

/** A mailbox in its canonical form. This form is mailed to, matched and certified. */
export interface MailboxAddress {
  /** The local part as written, `@`, the domain as lower-case A-labels. */
  readonly address: string
  readonly localPart: string
  readonly domain: string
  /**
   * `ascii`: every server can be mailed with it, and it is certified as rfc822Name. `smtputf8`: the local part goes
   * beyond ASCII. It is mailed with SMTPUTF8 (RFC 6531) and certified as SmtpUTF8Mailbox (RFC 9598).
   */
  readonly kind: LocalPartKind
  /**
   * Equal for two addresses if and only if they mean the same mailbox. An ASCII local part has A-Z lowered; any other
   * stays octet for octet (policy rule 11).
   */
  readonly matchingKey: string
}

/** RFC 5321 section 4.5.3.1.1, in octets. */
const localPartLimit = 64
/** RFC 5321 section 4.5.3.1.3: a path has 256 octets, of which two are the angle brackets. */
const addressLimit = 254

const octetsOf = (text: string): number => new TextEncoder().encode(text).length

/**
 * Parses one Mailbox of RFC 5321 section 4.1.2 and RFC 6531 section 3.3 into its canonical form. Quoted strings and
 * address literals are refused. Nothing is trimmed or repaired: what is accepted is what will be certified.
 *
 * Throws DomainError: `address_malformed`, `address_quoted_local_part`, `address_comment`, `address_literal`,
 * `address_too_long`, `address_domain_invalid`, `address_local_part_not_nfc`.
 */
export function parseMailboxAddress(text: string): MailboxAddress {
  const at = text.lastIndexOf('@')
  const localPart = text.slice(0, Math.max(at, 0))
  const domainText = text.slice(at + 1)
  const kind = localPartKind(localPart)
  if (at < 1 || kind === undefined) throw refusedShape(text)
  if (octetsOf(localPart) > localPartLimit) {
    throw new DomainError('address_too_long', 'The part before the @ may have at most 64 octets.')
  }
  requireComposed(localPart)
  const domain = readDomain(domainText)
  const address = `${localPart}@${domain}`
  if (octetsOf(address) > addressLimit) throw tooLong()
  return {
    address,
    localPart,
    domain,
    kind,
    matchingKey: `${kind === 'ascii' ? lowerAscii(localPart) : localPart}@${domain}`,
  }
}

/**
 * Policy rule 11, RFC 6532 section 3.1: a local part beyond ASCII must come in the Unicode form NFC. It is not
 * converted here, because the receiving server compares octets. Characters such as the Kelvin sign are not NFC.
 */
function requireComposed(localPart: string): void {
  if (localPart.normalize('NFC') === localPart) return
  throw new DomainError(
    'address_local_part_not_nfc',
    'Send the part before the @ in Unicode normalisation form C (NFC), as the mail server writes it.',
  )
}

/** Lowers A-Z only. `toLowerCase` would also fold characters such as the Kelvin sign. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function tooLong(): DomainError {
  return new DomainError('address_too_long', 'An address may have at most 254 octets.')
}

function readDomain(text: string): string {
  if (text.startsWith('[')) {
    throw new DomainError('address_literal', 'Write the name of the mail domain after the @, not an IP address.')
  }
  if (/[()]/.test(text)) throw commentRefused()
  if (text === '' || hasWhiteSpaceOrInvisible(text)) throw malformed()
  // Limits the work of mapping. No honest name has four times the characters that its A-labels may have.
  if (text.length > (/^[\x00-\x7f]*$/.test(text) ? addressLimit : 4 * addressLimit)) throw tooLong()
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

/** Names the rule that a local part breaks. It may be slow: the address is refused anyway. */
function refusedShape(text: string): DomainError {
  if (text.endsWith('>')) return malformed()
  if (text.startsWith('"')) {
    return new DomainError(
      'address_quoted_local_part',
      'Addresses with quotation marks are not supported: use one without them.',
    )
  }
  if (/[()]/.test(text)) return commentRefused()
  return malformed()
}
