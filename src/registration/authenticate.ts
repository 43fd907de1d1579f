import { bearerToken, type AuthenticateDevice, type DeviceCaller } from '../api/room.ts'
import { DomainError } from '../errors.ts'
import { GuardBroken, type Database } from '../ports/database.ts'
import { StateCache } from '../ports/state-cache.ts'
import type { Clock } from '../ports/runtime.ts'
import { markCredentialUsed, readDeviceByCredential } from './store.ts'

const credentialsRemembered = 10_000

const unknownCredential = (): DomainError =>
  new DomainError('credential_invalid', 'The credential is unknown or has ended. Register the device again.')

/** Recognises device credentials. */
export function createAuthenticate(deps: {
  database: Database
  clock: Clock
  hashSecret: (secret: string) => Uint8Array
}): AuthenticateDevice {
  const remembered = new StateCache<DeviceCaller>(deps.database, credentialsRemembered)

  /** From its first use on a credential is not replaced any more; one that was replaced just now is not served. */
  const noteFirstUse = async (device: string, credentialSha256: Uint8Array): Promise<void> => {
    try {
      await deps.database.batch(markCredentialUsed(device, credentialSha256, deps.clock()))
    } catch (error) {
      if (!(error instanceof GuardBroken)) throw error
      if ((await readDeviceByCredential(deps.database, credentialSha256)) === null) throw unknownCredential()
    }
  }

  return async (authorization) => {
    const token = bearerToken(authorization)
    const readAt = remembered.refresh()
    const known = remembered.get(token)
    if (known !== undefined) return known
    if (!token.startsWith('cb_dev_')) {
      if (/^cb_[a-z]+_/.test(token)) {
        throw new DomainError('credential_of_another_kind', 'This call takes the credential of a device (cb_dev_…).')
      }
      throw new DomainError('credential_invalid', 'The credential is not one of this service.')
    }
    const credentialSha256 = deps.hashSecret(token)
    const device = await readDeviceByCredential(deps.database, credentialSha256)
    if (device === null) throw unknownCredential()
    if (device.usedAt === null) await noteFirstUse(device.deviceId, credentialSha256)
    const caller = { subscriberId: device.subscriberId, deviceId: device.deviceId }
    remembered.set(readAt, token, caller)
    return caller
  }
}
