import { DomainError } from '../errors.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { Database } from '../ports/database.ts'
import { openText, type Keys } from '../ports/keys.ts'
import { readMailboxesOf } from './store.ts'

/** A mailbox of a subscriber, opened. */
export interface OwnMailbox {
  readonly id: string
  readonly address: string
  readonly addressIndex: Uint8Array
  readonly accountType: 'imap' | 'exchange'
  readonly verifiedAt: number
  readonly createdAt: number
}

interface MailboxDeps {
  readonly database: Database
  readonly keys: Keys
}

/** The mailboxes that a subscriber has proved, oldest first. */
export async function mailboxesOf(deps: MailboxDeps, subscriber: string): Promise<OwnMailbox[]> {
  const rows = await readMailboxesOf(deps.database, subscriber)
  return rows.map((row) => ({
    id: row.id,
    address: openText(deps.keys.main, { table: 'mailboxes', column: 'address_sealed', row: row.id }, row.addressSealed),
    addressIndex: row.addressIndex,
    accountType: row.accountType,
    verifiedAt: row.verifiedAt,
    createdAt: row.createdAt,
  }))
}

/**
 * The mailbox that a request is for: the named one, or the only one. Throws `mailbox_required`,
 * `mailbox_not_yours` and address refusals.
 */
export async function chooseMailbox(
  deps: MailboxDeps,
  subscriber: string,
  named: string | undefined,
): Promise<OwnMailbox> {
  const own = await mailboxesOf(deps, subscriber)
  if (named === undefined) {
    const [only, second] = own
    if (only !== undefined && second === undefined) return only
    throw new DomainError('mailbox_required', 'You have several mailboxes: name one in "mailbox".')
  }
  const { matchingKey } = parseMailboxAddress(named)
  const found = own.find((mailbox) => parseMailboxAddress(mailbox.address).matchingKey === matchingKey)
  if (found === undefined) {
    throw new DomainError('mailbox_not_yours', 'That mailbox is not proved for you: register it first.')
  }
  return found
}
