import { z } from 'zod'
import { administratorRole, type AdministratorRole } from '../api/admin-shapes.ts'
import type { AdminCaller, AuthenticateAdministrator } from '../api/admin-route.ts'
import {
  findBySecret,
  hashSecret,
  unusedAllowedMilliseconds,
  verifiersOf,
  type FoundBySecret,
  type Verifiers,
} from '../api/credentials.ts'
import { bearerToken } from '../api/room.ts'
import { commit, type Change } from '../audit/commit.ts'
import { commandLine } from '../audit/entries.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { onLatestRows } from '../ports/authority.ts'
import { randomSecret } from '../ports/runtime.ts'
import { StateCache } from '../ports/state-cache.ts'
import { credentialPrefix } from './credentials.ts'
import type { AdminDeps } from './deps.ts'
import {
  markAdministratorCredentialUsed,
  noteSeen,
  promoteCredential,
  readByCredential,
  type AdministratorRow,
} from './store.ts'
import { dayOf } from '../ports/time.ts'

const credentialsRemembered = 1_000

const rolesShape = z.array(administratorRole)
export const parseRoles = (roles: string): AdministratorRole[] => rolesShape.parse(JSON.parse(roles))

const unknownCredential = (): DomainError =>
  new DomainError(
    'credential_invalid',
    'The credential is unknown, or has expired or ended. An owner can make another one.',
  )

type AuthenticateDeps = Pick<AdminDeps, 'database' | 'keys' | 'events' | 'clock' | 'sha256' | 'random' | 'audit'>

/**
 * The change that the use of a credential makes: see that of devices. Null where nothing changes. Each first use of a
 * credential stands in the audit log.
 */
function changeOfUse(deps: AuthenticateDeps, found: FoundBySecret<AdministratorRow>): Change | null {
  const {
    row,
    verifier,
    verifiers: [newest],
  } = found
  const isNext = !equalSecrets(row.credentialVerifier, verifier)
  const isKnown = !isNext && row.credentialUsedAt !== null
  if (isKnown && verifier === newest) return null
  const commands = (isNext ? promoteCredential : markAdministratorCredentialUsed)(deps.keys, row, newest, deps.clock())
  if (isKnown) return { commands }
  return {
    commands,
    audit: {
      action: isNext ? 'administrator.credential_rotated' : 'administrator.credential_first_used',
      actorKind: 'administrator',
      actor: row.id,
      subjectKind: 'administrator',
      subject: row.id,
    },
  }
}

/** Finds the administrator of a credential, and notes its use. Throws `credential_invalid`. */
const use = (deps: AuthenticateDeps, verifiers: Verifiers): Promise<AdministratorRow> =>
  onLatestRows(async () => {
    const found = await findBySecret(verifiers, (verifier) => readByCredential(deps, verifier))
    if (found === null || deps.clock() - found.row.seenAt >= unusedAllowedMilliseconds) throw unknownCredential()
    const change = changeOfUse(deps, found)
    if (change !== null) await commit(deps, change)
    return found.row
  })

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
  let local: string | null = null

  const recognise = async (token: string, readAt: number | null): Promise<AdminCaller> => {
    const today = dayOf(deps.clock())
    const known = remembered.get(token)
    if (known !== undefined && known.seenAt === today) return known.caller
    const verifiers = verifiersOf(deps.keys, 'administrators.credential', token)
    const row = await use(deps, verifiers)
    if (row.seenAt < today) await deps.database.batch([noteSeen(deps.keys, row.id, today)])
    const caller = { id: row.id, roles: parseRoles(row.roles), credentialVerifier: verifiers[0] }
    remembered.set(readAt, token, { caller, seenAt: Math.max(row.seenAt, today) })
    return caller
  }

  return {
    authenticate: async (authorization) => {
      const token = bearerToken(authorization)
      if (local !== null && equalSecrets(hashSecret(deps.sha256, token), hashSecret(deps.sha256, local))) {
        return { id: commandLine, roles: administratorRole.options, credentialVerifier: null }
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
      local ??= randomSecret(deps.random, credentialPrefix)
      return local
    },
  }
}
