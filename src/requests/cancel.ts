import type { DeviceCaller } from '../api/room.ts'
import { commit } from '../audit/commit.ts'
import type { AuditActor } from '../audit/entries.ts'
import { DomainError } from '../errors.ts'
import type { CommitDeps, RequestDeps } from './deps.ts'
import { cancelledEntry, paidByRequest } from './engine/entries.ts'
import { readRequest } from './store.ts'
import { toCancelled } from './transitions.ts'

type CancelDeps = CommitDeps & Pick<RequestDeps, 'clock'>

/** Cancels a request of the caller's subscriber. Throws `not_found`, and the refusals of `cancelRequest`. */
export async function cancelOwnRequest(deps: CancelDeps, caller: DeviceCaller, id: string): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row?.subscriber !== caller.subscriberId) throw new DomainError('not_found', 'You have no such request.')
  await cancelRequest(deps, id, { actorKind: 'device', actor: caller.deviceId })
}

/** Cancels a request that has no outcome. A repeat changes nothing. Throws `request_not_cancellable`. */
export async function cancelRequest(deps: CancelDeps, id: string, by: AuditActor): Promise<void> {
  const isCancelled = async (): Promise<boolean> => (await readRequest(deps.database, id))?.state === 'cancelled'
  if (await isCancelled()) return
  const change = { commands: toCancelled(id, deps.clock()), audit: cancelledEntry(id, by), payment: paidByRequest }
  await commit(deps, change, async (cause) => {
    if (await isCancelled()) return
    throw new DomainError(
      'request_not_cancellable',
      'The request has an outcome already, or is being sent to the CA: read it again in a moment.',
      { cause },
    )
  })
}
