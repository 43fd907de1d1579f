import type { z } from 'zod'
import type { foundLookup, QueryLogSearch } from '../api/admin-shapes.ts'
import { timestamp } from '../api/room.ts'
import { parseMailboxAddress } from '../mailbox/address.ts'
import type { AdminCaller } from '../api/admin-route.ts'
import type { AdminDeps } from './deps.ts'
import { noteLooks } from '../audit/look.ts'

type FoundLookup = z.infer<typeof foundLookup>

/**
 * One page of the query log, newest first. Each page is a look, written down before a row is read: whose lookups, from
 * when to when, the reason, and the address if one is searched for. Address and reason are sealed. Throws the refusals
 * of addresses.
 */
export async function searchQueryLog(
  deps: AdminDeps,
  caller: AdminCaller,
  { asker, address, from, to, reason, limit, cursor }: QueryLogSearch,
): Promise<{ items: FoundLookup[]; next: string | null }> {
  const matchingKey = address === undefined ? null : parseMailboxAddress(address).matchingKey
  await noteLooks(deps, caller, {
    action: 'query_log.searched',
    subjectKind: 'query log',
    subject: asker ?? 'everybody',
    facts: { from: timestamp(from), to: timestamp(to) },
    personal: { reason, ...(address === undefined ? {} : { address }) },
  })
  const page = await deps.queryLog.search({ asker: asker ?? null, matchingKey, from, to, limit, cursor })
  return { items: page.items.map((row) => ({ ...row, at: timestamp(row.at) })), next: page.next }
}
