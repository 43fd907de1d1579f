import { authorityOf, type AuthorityDeps } from '../ports/authority.ts'

/** What decides whose a certificate is, and what it is for. It never changes. The state has no MAC. */
export const certificateAuthority = authorityOf('certificates', [
  'id',
  'request',
  'subscriber',
  'device',
  'mailbox',
  'use',
  'connection',
  'requestedAt',
  'authority',
  'serialNumberIndex',
  'keyIndex',
  'createdAt',
])

/** Whether the MAC of a certificate fits; an event says so where it does not. */
export const isTrustedCertificate = (
  deps: AuthorityDeps,
  row: Parameters<typeof certificateAuthority.fits>[1],
): boolean => certificateAuthority.trusted(deps, row) !== null
