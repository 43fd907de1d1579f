import { hashSecret, isSecretOf } from '../../api/credentials.ts'
import { commit } from '../../audit/commit.ts'
import { DomainError } from '../../errors.ts'
import { equalSecrets } from '../../pki/encoding.ts'
import { onLatestRows } from '../../ports/authority.ts'
import { openText } from '../../ports/keys.ts'
import { ended, markConfirmed, stateOf } from '../confirm.ts'
import type { RegistrationDeps } from '../deps.ts'
import { factsOfRegistration } from '../device-facts.ts'
import { endRegistration, readRegistration, type RegistrationRow } from '../store.ts'
import { countTry } from '../wrong-tries.ts'
import { paidWith } from '../../ports/row-budgets.ts'

/** What the page shows of the device that started the registration. */
interface ShownFacts {
  readonly deviceType: string
  readonly appVersion: string
  readonly osVersion: string
  /** UTC milliseconds. */
  readonly startedAt: number
}

const tokenWrong = (): DomainError =>
  new DomainError('token_wrong', 'The link does not fit. Open the link of the newest mail, as a whole.')

const codeWrong = (): DomainError =>
  new DomainError('code_wrong', 'Send the code that the device shows which started the registration.')

/** Finds the registration of a link. Null for an unknown id and for a wrong token alike. */
async function readLinked(deps: RegistrationDeps, id: string, token: string): Promise<RegistrationRow | null> {
  const row = await readRegistration(deps, id)
  const rightToken = isSecretOf(deps.keys, 'registrations.token', {
    secret: token,
    verifier: row?.tokenVerifier ?? null,
  })
  return rightToken ? row : null
}

/**
 * Does what `readLinked` does, for links that change something: it counts a wrong token. Throws `token_wrong` in every
 * state.
 */
async function requireLinked(deps: RegistrationDeps, id: string, token: string): Promise<RegistrationRow> {
  const row = await readLinked(deps, id, token)
  if (row !== null) return row
  await countTry(deps, id)
  throw tokenWrong()
}

/** The device chose this text, and a stranger reads it. So it is cut to a few words, with no room for a message. */
const shownFact = (value: string): string =>
  value
    .replaceAll(/[^\p{L}\p{N}.-]+/gu, ' ')
    .trim()
    .slice(0, 30)

/**
 * What the page shows. It changes nothing, and does not count a wrong token: nobody guesses 256 random bits. Throws
 * `token_wrong`, `registration_ended`.
 */
export async function factsByLink(deps: RegistrationDeps, id: string, token: string): Promise<ShownFacts> {
  const row = await readLinked(deps, id, token)
  if (row === null) throw tokenWrong()
  if (stateOf(row, deps.clock()) === 'ended') throw ended()
  const facts = factsOfRegistration(deps.keys, row)
  return {
    deviceType: shownFact(facts.deviceType),
    appVersion: shownFact(facts.appVersion),
    osVersion: shownFact(facts.osVersion),
    startedAt: row.createdAt,
  }
}

/** People type a code with or without the hyphen, and in small letters. */
const plainCode = (code: string): string => code.replaceAll(/[\s-]/g, '').toUpperCase()

const isRightCode = (deps: RegistrationDeps, row: RegistrationRow, userCode: string): boolean => {
  const place = { table: 'registrations', column: 'user_code_sealed', row: row.id }
  const expected = openText(deps.keys.main, place, row.userCodeSealed)
  // Hashes have one length, so the time of the comparison does not tell the length of the code.
  return equalSecrets(hashSecret(deps.sha256, plainCode(expected)), hashSecret(deps.sha256, plainCode(userCode)))
}

/**
 * Confirms a registration with the mailed link and the code that the device shows. A repeat with both gets the same
 * answer. Throws `token_wrong`, `code_wrong`; throws `registration_ended` at the fifth wrong code.
 */
export async function confirmByLink(
  deps: RegistrationDeps,
  id: string,
  { token, userCode }: { token: string; userCode: string },
): Promise<void> {
  const row = await requireLinked(deps, id, token)
  const state = stateOf(row, deps.clock())
  if (state === 'ended') throw ended()
  if (!isRightCode(deps, row, userCode)) return refuseCode(deps, row)
  if (state === 'pending') await markConfirmed(deps, row, 'link and code')
}

async function refuseCode(deps: RegistrationDeps, row: RegistrationRow): Promise<never> {
  await countTry(deps, row.id)
  const after = await readRegistration(deps, row.id)
  if (after === null || stateOf(after, deps.clock()) === 'ended') throw ended()
  throw codeWrong()
}

/**
 * Ends a registration that the owner of the mailbox did not start. A repeat changes nothing. Throws `token_wrong`;
 * throws `registration_completed` if the device is a subscriber's device already.
 */
export async function refuseByLink(deps: RegistrationDeps, id: string, token: string): Promise<void> {
  const hasEnded = await onLatestRows(async () => {
    const row = await requireLinked(deps, id, token)
    if (row.state === 'completed') {
      throw new DomainError(
        'registration_completed',
        'The device is registered already. Remove it with another device, and change the password of the mailbox.',
      )
    }
    if (row.state === 'ended') return false
    await commit(deps, {
      commands: endRegistration(deps.keys, row),
      audit: {
        action: 'registration.refused',
        actorKind: 'anyone',
        actor: null,
        subjectKind: 'registration',
        subject: id,
      },
      payment: paidWith('registration'),
    })
    return true
  })
  if (hasEnded) deps.events.registrationEnded({ registration: id, reason: 'refused by the mailbox' })
}
