import type { SubscriberReading } from '../api/admin-shapes.ts'
import type { AdminCaller } from '../api/admin-route.ts'
import { describeSubscriber, holderOf } from '../registration/describe.ts'
import { readSubscriberCertificates } from '../certificates/readings.ts'
import type { AdminDeps } from './deps.ts'
import { noteLooks } from '../audit/look.ts'

async function readSubscriber(deps: AdminDeps, id: string): Promise<SubscriberReading | null> {
  const known = await describeSubscriber(deps, id)
  return known === null ? null : { ...known, certificates: await readSubscriberCertificates(deps, id) }
}

/**
 * Finds the subscriber who has the mailbox of an address now. The search is written down in either case, with address
 * and reason sealed. Throws the refusals of addresses.
 */
export async function searchSubscriber(
  deps: AdminDeps,
  caller: AdminCaller,
  { address, reason }: { readonly address: string; readonly reason: string },
): Promise<SubscriberReading[]> {
  const holder = await holderOf(deps, address)
  await noteLooks(deps, caller, {
    action: 'subscriber.searched',
    subjectKind: 'subscriber',
    subject: holder ?? 'none',
    personal: { address, reason },
  })
  const found = holder === null ? null : await readSubscriber(deps, holder)
  return found === null ? [] : [found]
}

/** A subscriber by id. If there is none, returns null and writes nothing down. */
export async function lookAtSubscriber(
  deps: AdminDeps,
  caller: AdminCaller,
  id: string,
  reason: string,
): Promise<SubscriberReading | null> {
  const found = await readSubscriber(deps, id)
  if (found === null) return null
  await noteLooks(deps, caller, {
    action: 'subscriber.read',
    subjectKind: 'subscriber',
    subject: id,
    personal: { reason },
  })
  return found
}
