import type { DeviceCaller } from '../../api/room.ts'
import { DomainError } from '../../errors.ts'
import { GuardBroken } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { readRequest } from '../store.ts'
import { cancelRequest } from './store.ts'

/**
 * Cancels a request of the caller that no CA has seen yet. A repeat changes nothing. Throws `not_found`,
 * `request_not_cancellable`.
 */
export async function cancelCertificateRequest(deps: EnrolmentDeps, caller: DeviceCaller, id: string): Promise<void> {
  const read = async () => {
    const row = await readRequest(deps.database, id)
    if (row?.subscriber !== caller.subscriberId) throw new DomainError('not_found', 'You have no such request.')
    return row
  }
  if ((await read()).state === 'cancelled') return
  try {
    await deps.database.batch([
      ...cancelRequest(id, caller.subscriberId, deps.clock()),
      ...deps.audit.record({
        action: 'certificate.request_cancelled',
        actorKind: 'device',
        actor: caller.deviceId,
        subjectKind: 'certificate request',
        subject: id,
      }),
    ])
  } catch (error) {
    if (!(error instanceof GuardBroken)) throw error
    if ((await read()).state === 'cancelled') return
    throw new DomainError('request_not_cancellable', 'The request has an outcome already, or is with the CA.', {
      cause: error,
    })
  }
  deps.audit.sealSoon()
}
