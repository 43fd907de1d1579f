import type { DeviceCaller } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { GuardBroken } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import type { AuditActor } from '../../audit/entries.ts'
import { readRequest } from '../store.ts'
import { toCancelled } from '../transitions.ts'

/**
 * Cancels a request of the caller that has no outcome. A repeat changes nothing. Throws `not_found`,
 * `request_not_cancellable`.
 */
export async function cancelCertificateRequest(deps: EnrolmentDeps, caller: DeviceCaller, id: string): Promise<void> {
  const row = await readRequest(deps.database, id)
  if (row?.subscriber !== caller.subscriberId) throw new DomainError('not_found', 'You have no such request.')
  await cancelFor(deps, id, { actorKind: 'device', actor: caller.deviceId })
}

/** The same for whoever may: a device, or an administrator. Throws `request_not_cancellable`. */
export async function cancelFor(deps: EnrolmentDeps, id: string, by: AuditActor): Promise<void> {
  const isCancelled = async (): Promise<boolean> => (await readRequest(deps.database, id))?.state === 'cancelled'
  if (await isCancelled()) return
  try {
    await deps.database.batch([
      ...toCancelled(id, deps.clock()),
      ...deps.audit.record({
        action: 'certificate.request_cancelled',
        ...by,
        subjectKind: 'certificate request',
        subject: id,
      }),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    if (await isCancelled()) return
    throw new DomainError(
      'request_not_cancellable',
      'The request has an outcome already, or is being sent to the CA: read it again in a moment.',
      { cause: error },
    )
  }
  deps.audit.sealSoon()
}
