import { isSecretOf } from '../api/credentials.ts'
import { commit } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import { onLatestRows } from '../ports/authority.ts'
import type { RegistrationDeps } from './deps.ts'
import { confirmRegistration, readRegistration, type RegistrationRow } from './store.ts'
import { countTry } from './wrong-tries.ts'
import { paidWith } from '../ports/row-budgets.ts'

/** The refusal when a registration has ended. */
export const ended = (): DomainError =>
  new DomainError('registration_ended', 'This registration has ended. Start a new one with POST /v1/registrations.')

/**
 * Finds a registration and checks its device secret. An unknown id and a wrong secret get the same
 * `credential_invalid`, so nobody can find out which ids exist.
 */
export async function requireRegistration(
  deps: RegistrationDeps,
  id: string,
  deviceSecret: string,
): Promise<RegistrationRow> {
  const row = await readRegistration(deps, id)
  const given = { secret: deviceSecret, verifier: row?.deviceSecretVerifier ?? null }
  if (!isSecretOf(deps.keys, 'registrations.device_secret', given) || row === null) {
    throw new DomainError('credential_invalid', 'The device secret is not the one of this registration.')
  }
  return row
}

/** The state that the device is shown. A completed registration is `confirmed`; an expired one has `ended`. */
export const stateOf = (row: RegistrationRow, now: number): 'pending' | 'confirmed' | 'ended' => {
  if (row.state === 'completed') return 'confirmed'
  if (row.state === 'ended' || row.expiresAt <= now) return 'ended'
  return row.state
}

/**
 * Proves the mailbox with the token from the mail. A repeat with the same token gets the same answer. Throws
 * `token_wrong`; throws `registration_ended` at the fifth wrong token.
 */
export async function confirm(deps: RegistrationDeps, row: RegistrationRow, token: string): Promise<void> {
  const now = deps.clock()
  const rightToken = isSecretOf(deps.keys, 'registrations.token', { secret: token, verifier: row.tokenVerifier })
  const state = stateOf(row, now)
  if (state === 'ended') throw ended()
  if (!rightToken) return refuseToken(deps, row)
  if (state === 'confirmed') return undefined
  return markConfirmed(deps, row, 'mailed token')
}

/** Confirms a pending registration whose token was checked. If several calls race, one writes and all succeed. */
export async function markConfirmed(
  deps: RegistrationDeps,
  row: RegistrationRow,
  by: 'mailed token' | 'link and code',
): Promise<void> {
  const now = deps.clock()
  const isFirst = await onLatestRows(async () => {
    const latest = await readRegistration(deps, row.id)
    const state = latest === null ? 'ended' : stateOf(latest, now)
    if (latest === null || state === 'ended') throw ended()
    if (state === 'confirmed') return false
    await commit(deps, {
      commands: confirmRegistration(deps.keys, latest, now),
      audit: {
        action: 'registration.confirmed',
        actorKind: 'anyone',
        actor: null,
        subjectKind: 'registration',
        subject: row.id,
        facts: { by },
      },
      payment: paidWith('registration'),
    })
    return true
  })
  if (isFirst) deps.events.registrationConfirmed({ registration: row.id })
}

async function refuseToken(deps: RegistrationDeps, row: RegistrationRow): Promise<never> {
  await countTry(deps, row.id)
  const after = await readRegistration(deps, row.id)
  if (after?.state === 'ended') throw ended()
  throw new DomainError(
    'token_wrong',
    'Send the token that the newest mail has for this registration: in Certbook-Token, or behind its id in Certbook-Also.',
  )
}
