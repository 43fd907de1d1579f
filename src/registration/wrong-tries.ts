import { GuardBroken, type Command } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import { countWrongTry, readRegistration } from './store.ts'

/** The wrong tries that something bears; the next one ends it. */
export const triesBeforeTheLast = 4

const reason = 'five wrong tries'

const recordEnd = (deps: RegistrationDeps, id: string): Command[] =>
  deps.audit.record({
    action: 'registration.ended',
    actorKind: 'anyone',
    actor: null,
    subjectKind: 'registration',
    subject: id,
    facts: { reason },
  })

/**
 * Counts one wrong try of a registration that is pending; the fifth, of tokens and codes together, by device and by
 * link, ends it.
 */
export async function countTry(deps: RegistrationDeps, id: string): Promise<void> {
  for (;;) {
    const row = await readRegistration(deps.database, id)
    const before = row?.wrongTries ?? 0
    const last = before === triesBeforeTheLast
    try {
      await deps.database.batch([...countWrongTry(id, before), ...(last ? recordEnd(deps, id) : [])])
    } catch (error) {
      if (!(error instanceof GuardBroken)) throw error
      const again = await readRegistration(deps.database, id)
      // Another try was counted meanwhile: this one counts after it, while there is something to count for.
      if (again?.state === 'pending' && again.wrongTries !== before) continue
      return
    }
    if (!last) return
    deps.audit.sealSoon()
    deps.events.registrationEnded({ registration: id, reason })
    return
  }
}
