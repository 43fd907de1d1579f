import { z } from 'zod'
import { administratorRole, type AdministratorRole } from '../api/admin-shapes.ts'
import type { AdminCaller, AuthenticateAdministrator } from '../api/admin-route.ts'
import { dayOf, hashSecret, unusedAllowedMilliseconds } from '../api/credentials.ts'
import { bearerToken } from '../api/room.ts'
import { commit } from '../audit/commit.ts'
import { commandLine } from '../audit/entries.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { StateCache } from '../ports/state-cache.ts'
import { credentialPrefix, freshCredential } from './credentials.ts'
import type { AdminDeps } from './deps.ts'
import { markAdministratorCredentialUsed, noteSeen, promoteCredential, readByCredential } from './store.ts'

const credentialsRemembered = 1_000

const rolesShape = z.array(administratorRole)
export const parseRoles = (roles: string): AdministratorRole[] => rolesShape.parse(JSON.parse(roles))

const unknownCredential = (): DomainError =>
  new DomainError(
    'credential_invalid',
    'The credential is unknown, or has expired or ended. An owner can make another one.',
  )

type AuthenticateDeps = Pick<AdminDeps, 'database' | 'clock' | 'sha256' | 'random' | 'audit'>
type CredentialRow = NonNullable<Awaited<ReturnType<typeof readByCredential>>>

interface Remembered {
  readonly caller: AdminCaller
  readonly seenAt: number
}

export interface Authentication {
  readonly authenticate: AuthenticateAdministrator
  /**
   * The credential of whoever runs commands on the machine itself. It has every role. It is random and stays in the
   * memory of this process, so it is worth nothing in any other process.
   */
  readonly localOperator: () => string
}

/** Recognises administrators' credentials. */
export function createAuthentication(deps: AuthenticateDeps): Authentication {
  const remembered = new StateCache<Remembered>(deps.database, credentialsRemembered)
  let local: { readonly credential: string; readonly credentialSha256: Uint8Array } | null = null

  const noteFirstUse = async (row: CredentialRow, credentialSha256: Uint8Array): Promise<void> => {
    const change = row.isNext === 1 ? promoteCredential : markAdministratorCredentialUsed
    await commit(
      deps,
      {
        commands: change(row.id, credentialSha256, deps.clock()),
        audit: {
          action: row.isNext === 1 ? 'administrator.credential_rotated' : 'administrator.credential_first_used',
          actorKind: 'administrator',
          actor: row.id,
          subjectKind: 'administrator',
          subject: row.id,
        },
      },
      async () => {
        // Another call with the same credential was first, or the credential was replaced just now.
        if ((await readByCredential(deps.database, credentialSha256)) === null) throw unknownCredential()
      },
    )
  }

  const recognise = async (token: string, readAt: number | null): Promise<AdminCaller> => {
    const today = dayOf(deps.clock())
    const known = remembered.get(token)
    if (known !== undefined && known.seenAt === today) return known.caller
    const credentialSha256 = hashSecret(deps.sha256, token)
    const row = await readByCredential(deps.database, credentialSha256)
    if (row === null || deps.clock() - row.seenAt >= unusedAllowedMilliseconds) throw unknownCredential()
    if (row.isNext === 1 || row.credentialUsedAt === null) await noteFirstUse(row, credentialSha256)
    if (row.seenAt < today) await deps.database.batch([noteSeen(row.id, today)])
    const caller = { id: row.id, roles: parseRoles(row.roles), credentialSha256 }
    remembered.set(readAt, token, { caller, seenAt: Math.max(row.seenAt, today) })
    return caller
  }

  return {
    authenticate: async (authorization) => {
      const token = bearerToken(authorization)
      if (local !== null && equalSecrets(hashSecret(deps.sha256, token), local.credentialSha256)) {
        return { id: commandLine, roles: administratorRole.options, credentialSha256: null }
      }
      if (token.startsWith(credentialPrefix)) return recognise(token, remembered.refresh())
      if (/^cb_[a-z]+_/.test(token)) {
        throw new DomainError(
          'credential_of_another_kind',
          'This call takes the credential of an administrator (cb_adm_…).',
        )
      }
      throw new DomainError('credential_invalid', 'The credential is not one of this service.')
    },
    localOperator: () => {
      local ??= freshCredential(deps)
      return local.credential
    },
  }
}
