import { commit } from '../audit/commit.ts'
import type { AuditEvent } from '../audit/entries.ts'
import { onLatestRows } from '../ports/authority.ts'
import type { RegistrationDeps } from './deps.ts'
import { countWrongTry, readRegistration } from './store.ts'
import { paidWith } from '../ports/row-budgets.ts'

/** How many wrong tries are allowed. The next one ends the registration or challenge. */
export const triesBeforeTheLast = 4

const reason = 'five wrong tries'

const endOf = (id: string): AuditEvent => ({
  action: 'registration.ended',
  actorKind: 'anyone',
  actor: null,
  subjectKind: 'registration',
  subject: id,
  facts: { reason },
})

/**
 * Counts one wrong try of a pending registration. Tokens and codes, by device and by link, count together. The fifth
 * ends it.
 */
export async function countTry(deps: RegistrationDeps, id: string): Promise<void> {
  await onLatestRows(async () => {
    for (;;) {
      const row = await readRegistration(deps, id)
      if (row?.state !== 'pending') return
      const last = row.wrongTries >= triesBeforeTheLast
      const counted = await commit(
        deps,
        {
          commands: countWrongTry(deps.keys, row, last),
          audit: last ? [endOf(id)] : [],
          payment: paidWith('registration'),
        },
        () => null,
      )
      if (counted !== null) {
        if (last) deps.events.registrationEnded({ registration: id, reason })
        return
      }
      // Another try was counted meanwhile, so this one is counted after it.
    }
  })
}
