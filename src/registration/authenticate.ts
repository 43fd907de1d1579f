import { dayOf, unusedAllowedMilliseconds } from '../api/credentials.ts'
import { bearerToken, type AuthenticateDevice, type DeviceCaller } from '../api/room.ts'
import { commit, type Change } from '../audit/commit.ts'
import type { AuditRoom } from '../audit/room.ts'
import { DomainError } from '../errors.ts'
import type { Database } from '../ports/database.ts'
import { StateCache } from '../ports/state-cache.ts'
import type { Clock } from '../ports/runtime.ts'
import { markCredentialUsed, markSeen, promoteNextCredential, readDeviceByCredential } from './device/store.ts'

const credentialsRemembered = 10_000

const unknownCredential = (): DomainError =>
  new DomainError('credential_invalid', 'The credential is unknown or has ended. Register the device again.')

interface AuthenticateDeps {
  readonly database: Database
  readonly clock: Clock
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly hashSecret: (secret: string) => Uint8Array
}

type FoundDevice = NonNullable<Awaited<ReturnType<typeof readDeviceByCredential>>>

const find = (deps: AuthenticateDeps, credentialSha256: Uint8Array): Promise<FoundDevice | null> =>
  readDeviceByCredential(deps.database, credentialSha256, deps.clock() - unusedAllowedMilliseconds)

/**
 * The change that the first use of a credential makes. If the credential came from a rotation, its first use ends the
 * one before.
 */
function firstUse(deps: AuthenticateDeps, { deviceId, isNext }: FoundDevice, credentialSha256: Uint8Array): Change {
  if (isNext === 0) return { commands: markCredentialUsed(deviceId, credentialSha256, deps.clock()) }
  return {
    commands: promoteNextCredential(deviceId, credentialSha256, deps.clock()),
    audit: {
      action: 'credential.rotated',
      actorKind: 'device',
      actor: deviceId,
      subjectKind: 'device',
      subject: deviceId,
    },
  }
}

/** Notes the first use: a used credential is not replaced. Throws `credential_invalid` if it was replaced just now. */
async function noteFirstUse(deps: AuthenticateDeps, found: FoundDevice, credentialSha256: Uint8Array): Promise<void> {
  await commit(deps, firstUse(deps, found, credentialSha256), async () => {
    if ((await find(deps, credentialSha256)) === null) throw unknownCredential()
  })
}

/** Recognises device credentials, and notes the day on which a device was seen. */
export function createAuthenticate(deps: AuthenticateDeps): AuthenticateDevice {
  const remembered = new StateCache<{ readonly caller: DeviceCaller; readonly day: number }>(
    deps.database,
    credentialsRemembered,
  )

  return async (authorization) => {
    const token = bearerToken(authorization)
    const readAt = remembered.refresh()
    const today = dayOf(deps.clock())
    const known = remembered.get(token)
    if (known?.day === today) return known.caller
    if (!token.startsWith('cb_dev_')) {
      if (/^cb_[a-z]+_/.test(token)) {
        throw new DomainError('credential_of_another_kind', 'This call takes the credential of a device (cb_dev_…).')
      }
      throw new DomainError('credential_invalid', 'The credential is not one of this service.')
    }
    const credentialSha256 = deps.hashSecret(token)
    const found = await find(deps, credentialSha256)
    if (found === null) throw unknownCredential()
    if (found.usedAt === null || found.isNext === 1) await noteFirstUse(deps, found, credentialSha256)
    if (found.seenAt < today) await deps.database.batch([markSeen(found.deviceId, today)])
    const caller = { subscriberId: found.subscriberId, deviceId: found.deviceId }
    remembered.set(readAt, token, { caller, day: today })
    return caller
  }
}
