import { unusedAllowedMilliseconds } from '../api/credentials.ts'
import type { AdministratorAnswer, AdministratorCredential, AdministratorRole } from '../api/admin-shapes.ts'
import { timestamp } from '../api/room.ts'
import { commit, type Change } from '../audit/commit.ts'
import { commandLine, type OwnEvent } from '../audit/entries.ts'
import { pageFrom, readCursor } from '../api/paging.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { onLatestRows } from '../ports/authority.ts'
import type { GuardBroken, Outcome } from '../ports/database.ts'
import { openText, sealText, type Keys } from '../ports/keys.ts'
import { randomId } from '../ports/runtime.ts'
import type { AdminCaller } from '../api/admin-route.ts'
import { parseRoles } from './authenticate.ts'
import { freshCredential } from './credentials.ts'
import type { AdminDeps } from './deps.ts'
import {
  endAdministrator,
  insertAdministrator,
  prepareCredential,
  readAdministrator,
  readAdministrators,
  replaceCredential,
  requireStillOwner,
  updateRoles,
  type AdministratorRow,
} from './store.ts'
import { dayOf } from '../ports/time.ts'

export type AdministratorDeps = Pick<
  AdminDeps,
  'database' | 'keys' | 'events' | 'sha256' | 'random' | 'clock' | 'audit'
>

/** The roles in their fixed order, each once. */
const ordered = (roles: readonly AdministratorRole[]): AdministratorRole[] => {
  const order: readonly AdministratorRole[] = ['owner', 'operator', 'approver', 'privacy', 'auditor']
  return order.filter((role) => roles.includes(role))
}

const namePlace = (id: string) => ({ table: 'administrators', column: 'name_sealed', row: id })

export const sealName = (keys: Keys, id: string, name: string): Uint8Array => sealText(keys.main, namePlace(id), name)

/** The name, or null after it was deleted. */
const openName = (keys: Keys, row: { id: string; nameSealed: Uint8Array }): string | null =>
  row.nameSealed.length === 0 ? null : openText(keys.main, namePlace(row.id), row.nameSealed)

const noSuchAdministrator = (): DomainError => new DomainError('not_found', 'There is no such administrator.')

const lastOwner = (): DomainError =>
  new DomainError('last_owner', 'This is the last owner whose credential works. Make another owner first.')

const entry = (
  action: string,
  actor: string,
  subject: string,
  more: Pick<OwnEvent, 'facts' | 'personal'> = {},
): OwnEvent => ({ action, actorKind: 'administrator', actor, subjectKind: 'administrator', subject, ...more })

/**
 * Commits a change that only an owner may make. Guard: the administrator `by` is still an owner, or is the command
 * line, which has no row. Throws `role_required` if that guard breaks. `broken` is told of all other guards, as in
 * `commit`.
 */
const commitAsOwner = <Instead = never>(
  deps: AdministratorDeps,
  by: string,
  { commands, ...change }: Change,
  broken?: (guard: GuardBroken) => Instead | Promise<Instead>,
): Promise<readonly Outcome[] | Instead> =>
  commit(
    deps,
    { ...change, commands: [...(by === commandLine ? [] : requireStillOwner(by)), ...commands] },
    (guard) => {
      if (guard.code === 'actor_not_owner') {
        throw new DomainError('role_required', 'You are no owner any more.', { cause: guard })
      }
      if (broken === undefined) throw guard
      return broken(guard)
    },
  )

/** Makes an administrator. `by` is the id of an administrator, or the command line. */
export async function createAdministrator(
  deps: AdministratorDeps,
  asked: { readonly name: string; readonly roles: readonly AdministratorRole[] },
  by: string,
): Promise<AdministratorCredential> {
  const id = randomId(deps.random)
  const roles = ordered(asked.roles)
  const { credential, credentialVerifier } = freshCredential(deps)
  const now = deps.clock()
  const row = {
    id,
    nameSealed: sealName(deps.keys, id, asked.name),
    roles,
    credentialVerifier,
    createdAt: now,
    createdBy: by,
    seenAt: dayOf(now),
  }
  const audit = entry('administrator.created', by, id, {
    facts: { roles: roles.join(' ') },
    personal: { name: asked.name },
  })
  await commitAsOwner(deps, by, { commands: [insertAdministrator(deps.keys, row)], audit })
  return { id, roles, credential }
}

async function requireActive(deps: AdministratorDeps, id: string): Promise<AdministratorRow> {
  const row = await readAdministrator(deps, id)
  if (row === null || row.endedAt !== null) throw noSuchAdministrator()
  return row
}

const ownersSeenSince = (deps: AdministratorDeps): number => deps.clock() - unusedAllowedMilliseconds

/** The answer to a broken guard of a change that only an owner may make. */
const refuseLastOwner = (guard: GuardBroken): never => {
  throw guard.code === 'last_owner' ? lastOwner() : guard
}

/** Changes an administrator's roles. A repeat changes nothing. Throws `not_found`, `last_owner`. */
export const changeRoles = (
  deps: AdministratorDeps,
  id: string,
  asked: readonly AdministratorRole[],
  by: string,
): Promise<AdministratorAnswer> =>
  onLatestRows(async () => {
    const before = await requireActive(deps, id)
    const roles = ordered(asked)
    if (before.roles === JSON.stringify(roles)) return present(deps, before)
    const facts = { before: parseRoles(before.roles).join(' '), after: roles.join(' ') }
    const change = {
      commands: updateRoles(deps.keys, before, roles, ownersSeenSince(deps)),
      audit: entry('administrator.roles_changed', by, id, { facts }),
    }
    await commitAsOwner(deps, by, change, refuseLastOwner)
    return present(deps, await requireActive(deps, id))
  })

/** Ends an administrator and all their credentials. A repeat changes nothing. Throws `not_found`, `last_owner`. */
export const removeAdministrator = (deps: AdministratorDeps, id: string, by: string): Promise<void> =>
  onLatestRows(async () => {
    const row = await readAdministrator(deps, id)
    if (row === null) throw noSuchAdministrator()
    if (row.endedAt !== null) return
    const change = {
      commands: endAdministrator(deps.keys, row, deps.clock(), ownersSeenSince(deps)),
      audit: entry('administrator.ended', by, id),
    }
    await commitAsOwner(deps, by, change, refuseLastOwner)
  })

/** Replaces the credential of an administrator who lost it. The old one stops working at once. Throws `not_found`. */
export const renewLostCredential = (
  deps: AdministratorDeps,
  id: string,
  by: string,
): Promise<AdministratorCredential> =>
  onLatestRows(async () => {
    const row = await requireActive(deps, id)
    const { credential, credentialVerifier } = freshCredential(deps)
    await commitAsOwner(deps, by, {
      commands: replaceCredential(deps.keys, row, credentialVerifier, dayOf(deps.clock())),
      audit: entry('administrator.credential_replaced', by, id),
    })
    return { id, roles: parseRoles(row.roles), credential }
  })

/**
 * Makes the caller's next credential. The present one works until the next one is first used, so a lost answer locks
 * nobody out. Throws `credential_of_another_kind` for the command line, which has no credential.
 */
export async function rotateAdministratorCredential(
  deps: AdministratorDeps,
  caller: AdminCaller,
): Promise<AdministratorCredential> {
  if (caller.credentialVerifier === null) {
    throw new DomainError('credential_of_another_kind', 'The command line has no credential that could be rotated.')
  }
  const present = caller.credentialVerifier
  const { credential, credentialVerifier } = freshCredential(deps)
  await onLatestRows(async () => {
    const row = await readAdministrator(deps, caller.id)
    if (row === null || row.endedAt !== null || !equalSecrets(row.credentialVerifier, present)) {
      throw new DomainError('credential_invalid', 'The credential has been replaced meanwhile. Use the newest one.')
    }
    await commit(deps, {
      commands: prepareCredential(deps.keys, row, credentialVerifier),
      audit: entry('administrator.credential_prepared', caller.id, caller.id),
    })
  })
  return { id: caller.id, roles: [...caller.roles], credential }
}

function present(deps: Pick<AdministratorDeps, 'keys' | 'clock'>, row: AdministratorRow): AdministratorAnswer {
  const expired = deps.clock() - row.seenAt > unusedAllowedMilliseconds
  return {
    id: row.id,
    name: openName(deps.keys, row),
    roles: parseRoles(row.roles),
    state: row.endedAt !== null ? 'ended' : expired ? 'expired' : 'active',
    createdAt: timestamp(row.createdAt),
    createdBy: row.createdBy,
    lastSeenAt: timestamp(row.seenAt),
    endedAt: row.endedAt === null ? null : timestamp(row.endedAt),
  }
}

/** One page of administrators, newest first. It shows ended ones too, because the audit log names them by id. */
export async function listAdministrators(
  deps: AdministratorDeps,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ items: AdministratorAnswer[]; next: string | null }> {
  const page = pageFrom(await readAdministrators(deps.database, readCursor(cursor), limit + 1), limit)
  return { items: page.rows.map((row) => present(deps, row)), next: page.next }
}

/** Describes the calling administrator. */
export async function describeSelf(deps: AdministratorDeps, caller: AdminCaller) {
  const row = await readAdministrator(deps, caller.id)
  return {
    id: caller.id,
    name: row === null ? null : openName(deps.keys, row),
    roles: [...caller.roles],
    credentialExpiresAt: row === null ? null : timestamp(row.seenAt + unusedAllowedMilliseconds),
  }
}
