import { authorityOf, type AuthorityDeps } from '../ports/authority.ts'

/** What of a mailbox grants or ends authority. */
export const mailboxAuthority = authorityOf('mailboxes', [
  'id',
  'subscriber',
  'addressIndex',
  'accountType',
  'verifiedAt',
  'endedAt',
  'endReason',
])

/** Whether the MAC of a mailbox fits; an event says so where it does not. */
export const isTrustedMailbox = (deps: AuthorityDeps, row: Parameters<typeof mailboxAuthority.fits>[1]): boolean =>
  mailboxAuthority.trusted(deps, row) !== null
