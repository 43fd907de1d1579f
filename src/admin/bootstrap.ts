import { hashSecret } from '../api/credentials.ts'
import type { AdministratorCredential } from '../api/admin-shapes.ts'
import { bearerToken } from '../api/room.ts'
import { commit } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import { fromHex } from '../pki/hexadecimal.ts'
import { onLatestRows } from '../ports/authority.ts'
import { randomId } from '../ports/runtime.ts'
import { sealName, type AdministratorDeps } from './administrators.ts'
import { freshCredential } from './credentials.ts'
import { insertFirstAdministrator, readBootstrapped, replaceBootstrapped } from './store.ts'
import { paidWith } from '../ports/row-budgets.ts'
import { dayOf } from '../ports/time.ts'

/** The maker of the first administrator, as the row and the audit log name it. */
const bootstrap = 'bootstrap'

/** Anyone can call this, so a short secret could be guessed from its answers. A secret of 32 characters cannot. */
const leastSecretLength = 32

const closed = (): DomainError =>
  new DomainError(
    'bootstrap_closed',
    `There is or was an administrator, or ADMIN_BOOTSTRAP_SHA256 is not the SHA-256 of this secret, which needs ${leastSecretLength} characters or more. Ask an owner, or use certbook admin create.`,
  )

/**
 * Makes the first administrator, an owner, for whoever knows the secret behind ADMIN_BOOTSTRAP_SHA256. Until the
 * credential is first used a repeat replaces it, so a lost answer locks nobody out. Later, and for anybody else, the
 * refusal is always the same: `bootstrap_closed`.
 */
export async function bootstrapAdministrator(
  deps: AdministratorDeps & { readonly bootstrapSha256: string | null },
  authorization: string | undefined,
  name: string,
): Promise<AdministratorCredential> {
  const secret = bearerToken(authorization)
  const given = hashSecret(deps.sha256, secret)
  const expected = deps.bootstrapSha256 === null ? new Uint8Array(given.length) : fromHex(deps.bootstrapSha256)
  if (!equalSecrets(given, expected) || secret.length < leastSecretLength) throw closed()
  return onLatestRows(() => makeBootstrapped(deps, name))
}

async function makeBootstrapped(deps: AdministratorDeps, name: string): Promise<AdministratorCredential> {
  const before = await readBootstrapped(deps, bootstrap)
  const id = before?.id ?? randomId(deps.random)
  const { credential, credentialVerifier } = freshCredential(deps)
  const now = deps.clock()
  const row = {
    id,
    nameSealed: sealName(deps.keys, id, name),
    roles: ['owner'] as const,
    credentialVerifier,
    createdAt: now,
    createdBy: bootstrap,
    seenAt: dayOf(now),
  }
  await commit(
    deps,
    {
      commands:
        before === null ? insertFirstAdministrator(deps.keys, row) : replaceBootstrapped(deps.keys, before, row),
      audit: {
        action: before === null ? 'administrator.created' : 'administrator.credential_replaced',
        actorKind: 'anyone',
        actor: bootstrap,
        subjectKind: 'administrator',
        subject: id,
        facts: { roles: 'owner' },
        personal: { name },
      },
      payment: paidWith('bootstrap'),
    },
    () => {
      throw closed()
    },
  )
  return { id, roles: ['owner'], credential }
}
