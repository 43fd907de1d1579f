import { DomainError } from '../errors.ts'
import { parseMailboxAddress, type MailboxAddress } from '../mailbox/address.ts'
import type { Extension } from './extensions.ts'
import { readGeneralNames, readName, type NameAttribute } from './names.ts'
import { oid } from './object-identifiers.ts'

/** What a certificate request holds besides its key and signature. */
export interface RequestContents {
  readonly subject: readonly (readonly NameAttribute[])[]
  /** The types of its attributes, RFC 2985 section 5.4. */
  readonly attributes: readonly string[]
  readonly extensions: readonly Extension[]
}

/** Stands for a name that can never be the mailbox: no address is empty. */
const neverTheMailbox = ''

/**
 * All addresses of the subject and the alternative names. Throws MalformedDer, and DomainError
 * `csr_smtputf8_mailbox_ascii`.
 */
export function addressesOf({ subject, extensions }: RequestContents): string[] {
  const alternativeNames = extensions.filter((extension) => extension.oid === oid.subjectAltName)
  return [
    ...addressesInName(subject),
    ...alternativeNames.flatMap(({ value }) =>
      readGeneralNames(value).flatMap((name) => {
        if (name.kind === 'rfc822Name') return [name.text]
        if (name.kind === 'smtpUtf8Mailbox') return [requireInternationalAddress(name.text)]
        return name.kind === 'directoryName' ? addressesInName(readName(name.name)) : []
      }),
    ),
  ]
}

/** Policy rule 10, RFC 9598 section 3: SmtpUTF8Mailbox is only for a local part beyond ASCII. */
function requireInternationalAddress(address: string): string {
  if (!/^[\x00-\x7f]*@/.test(address)) return address
  throw new DomainError(
    'csr_smtputf8_mailbox_ascii',
    'Name an address whose part before the @ is ASCII as rfc822Name, not as SmtpUTF8Mailbox.',
  )
}

/** RFC 8550 section 3: emailAddress holds an address. So does a common name with an `@`. */
function addressesInName(name: RequestContents['subject']): string[] {
  return name.flat().flatMap((attribute) => {
    if (attribute.oid === oid.emailAddress) return [attribute.text ?? neverTheMailbox]
    return attribute.oid === oid.commonName && attribute.text?.includes('@') === true ? [attribute.text] : []
  })
}

/** Policy rule 8: refuses a request in which an address is not the mailbox that it was sent for. */
export function requireOnlyMailbox(addresses: readonly string[], mailbox: MailboxAddress): void {
  if (addresses.every((address) => isMailbox(address, mailbox))) return
  throw new DomainError(
    'csr_address_mismatch',
    'The request names another address: name only the mailbox it is sent for, or none.',
  )
}

function isMailbox(address: string, mailbox: MailboxAddress): boolean {
  try {
    return parseMailboxAddress(address).matchingKey === mailbox.matchingKey
  } catch (error) {
    if (error instanceof DomainError) return false
    throw error
  }
}

/**
 * Policy rule 8, for a CA that copies the request: refuses everything but addresses, which `requireOnlyMailbox` checks.
 * Throws MalformedDer, and DomainError `csr_content_refused`.
 */
export function requireNothingElse({ subject, attributes, extensions }: RequestContents): void {
  const isBare =
    subject.flat().every(isAddress) &&
    attributes.every((type) => type === oid.extensionRequest || type === oid.microsoftExtensionRequest) &&
    extensions.every(
      ({ oid: type, value }) =>
        type === oid.subjectAltName &&
        readGeneralNames(value).every(({ kind }) => kind === 'rfc822Name' || kind === 'smtpUtf8Mailbox'),
    )
  if (isBare) return
  throw new DomainError(
    'csr_content_refused',
    'This CA takes the request as it is: name the mailbox at most, and ask for no other names, attributes or extensions.',
  )
}

function isAddress({ oid: type, text }: NameAttribute): boolean {
  return type === oid.emailAddress || (type === oid.commonName && text?.includes('@') === true)
}
