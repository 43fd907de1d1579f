import type { z } from 'zod'
import { DomainError } from '../errors.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { AuthorityDeps } from '../ports/authority.ts'
import { timestamp } from '../api/room.ts'
import type { ownMailbox } from '../api/shapes.ts'
import type { Database } from '../ports/database.ts'
import { openText, type Keys } from '../ports/keys.ts'
import { readMailboxesOf, type MailboxRow } from './mailbox/store.ts'

/** A mailbox of a subscriber, with its address in plain. */
export interface OwnMailbox {
  readonly id: string
  readonly address: string
  readonly addressIndex: Uint8Array
  readonly accountType: 'imap' | 'exchange'
  /** `moved`: another subscriber has proved it. `removed`: its subscriber removed it. */
  readonly state: 'active' | 'moved' | 'removed'
  /** When it moved away or was removed. */
  readonly endedAt: number | null
  /** Whether the consequences of its end have happened. It cannot come back then. */
  readonly settled: boolean
  readonly verifiedAt: number
  readonly createdAt: number
}

interface MailboxDeps extends AuthorityDeps {
  readonly database: Database
  readonly keys: Keys
}

/** Opens the sealed address of a row. */
export const openMailbox = (keys: Keys, row: MailboxRow): OwnMailbox => ({
  id: row.id,
  address: openText(keys.main, { table: 'mailboxes', column: 'address_sealed', row: row.id }, row.addressSealed),
  addressIndex: row.addressIndex,
  accountType: row.accountType,
  state: row.endReason ?? 'active',
  endedAt: row.endedAt,
  settled: row.settledAt !== null,
  verifiedAt: row.verifiedAt,
  createdAt: row.createdAt,
})

/** All mailboxes that a subscriber has or had, oldest first. Requests and certificates still name the ended ones. */
export async function mailboxesOf(deps: MailboxDeps, subscriber: string): Promise<OwnMailbox[]> {
  return (await readMailboxesOf(deps, subscriber)).map((row) => openMailbox(deps.keys, row))
}

/** A mailbox as its subscriber sees it. A mailbox that cannot come back is left out. */
export function presentMailbox(mailbox: OwnMailbox): z.infer<typeof ownMailbox>[] {
  const { id, address, accountType, state, verifiedAt, createdAt } = mailbox
  if (state === 'removed' || mailbox.settled) return []
  return [{ id, address, accountType, state, verifiedAt: timestamp(verifiedAt), createdAt: timestamp(createdAt) }]
}

const moved = (): DomainError =>
  new DomainError(
    'mailbox_moved',
    'Your mailbox is registered elsewhere now. Prove it again with POST /v1/me/mailboxes/{id}/proof to have it back.',
  )

/**
 * Chooses the active mailbox of a request: the one that it names, or the only one. Throws `mailbox_required`,
 * `mailbox_not_yours`, `mailbox_moved`, and the refusals of addresses.
 */
export async function chooseMailbox(
  deps: MailboxDeps,
  subscriber: string,
  named: string | undefined,
): Promise<OwnMailbox> {
  const own = (await mailboxesOf(deps, subscriber)).filter(({ state }) => state === 'active')
  const [only, second] = own
  if (only === undefined) throw moved()
  if (named === undefined) {
    if (second === undefined) return only
    throw new DomainError('mailbox_required', 'You have several mailboxes: name one in "mailbox".')
  }
  const { matchingKey } = parseMailboxAddress(named)
  const found = own.find((mailbox) => parseMailboxAddress(mailbox.address).matchingKey === matchingKey)
  if (found === undefined) {
    throw new DomainError('mailbox_not_yours', 'That mailbox is not proved for you: register it first.')
  }
  return found
}
