import { commit } from '../../audit/commit.ts'
import { DomainError } from '../../errors.ts'
import { equalSecrets } from '../../pki/encoding.ts'
import { openText } from '../../ports/keys.ts'
import { ended, markConfirmed, stateOf } from '../confirm.ts'
import type { RegistrationDeps } from '../deps.ts'
import { factsOfRegistration } from '../device-facts.ts'
import { readRegistration, type RegistrationRow } from '../store.ts'
import { countTry } from '../wrong-tries.ts'
import { refuseRegistration } from './store.ts'

/** What a person is shown of the device that started a registration. */
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

/** The registration that a link belongs to, or null: an unknown id and a wrong token differ in nothing. */
async function readLinked(deps: RegistrationDeps, id: string, token: string): Promise<RegistrationRow | null> {
  const row = await readRegistration(deps.database, id)
  const rightToken = equalSecrets(row?.tokenSha256 ?? new Uint8Array(32), deps.hashSecret(token))
  return rightToken ? row : null
}

/** As `readLinked`, for what a link does: a wrong token is counted. Throws `token_wrong`, whatever the state. */
async function requireLinked(deps: RegistrationDeps, id: string, token: string): Promise<RegistrationRow> {
  const row = await readLinked(deps, id, token)
  if (row !== null) return row
  await countTry(deps, id)
  throw tokenWrong()
}

/** What a device says of itself is shown to a stranger: a few words and numbers, and no room for a message. */
const shownFact = (value: string): string =>
  value
    .replaceAll(/[^\p{L}\p{N}.-]+/gu, ' ')
    .trim()
    .slice(0, 30)

/**
 * What the page behind a link shows; nothing is changed, not even for a wrong token, of which 256 random bits cannot
 * be guessed. Throws `token_wrong`, `registration_ended`.
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

/** People type a code with or without its hyphen, and in small letters. */
const plainCode = (code: string): string => code.replaceAll(/[\s-]/g, '').toUpperCase()

const isRightCode = (deps: RegistrationDeps, row: RegistrationRow, userCode: string): boolean => {
  const place = { table: 'registrations', column: 'user_code_sealed', row: row.id }
  const expected = openText(deps.keys.main, place, row.userCodeSealed)
  // Hashes are of one length, so that the comparison tells nothing of the code's.
  return equalSecrets(deps.hashSecret(plainCode(expected)), deps.hashSecret(plainCode(userCode)))
}

/**
 * Confirms a registration by its mailed link and the code that the starting device shows. A repeat with both gets the
 * same answer. Throws `token_wrong`, `code_wrong` and, at the fifth wrong code, `registration_ended`.
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
  const after = await readRegistration(deps.database, row.id)
  if (after === null || stateOf(after, deps.clock()) === 'ended') throw ended()
  throw codeWrong()
}

/**
 * Ends a registration that the person behind the mailbox did not start; a repeat changes nothing. Throws
 * `token_wrong`, and `registration_completed` where the device has become one of the subscriber already.
 */
export async function refuseByLink(deps: RegistrationDeps, id: string, token: string): Promise<void> {
  await requireLinked(deps, id, token)
  const refused = await commit(
    deps,
    {
      commands: refuseRegistration(id),
      audit: {
        action: 'registration.refused',
        actorKind: 'anyone',
        actor: null,
        subjectKind: 'registration',
        subject: id,
      },
    },
    async (cause) => {
      const again = await readRegistration(deps.database, id)
      if (again?.state !== 'completed') return null
      throw new DomainError(
        'registration_completed',
        'The device is registered already. Remove it with another device, and change the password of the mailbox.',
        { cause },
      )
    },
  )
  if (refused === null) return
  deps.events.registrationEnded({ registration: id, reason: 'refused by the mailbox' })
}
