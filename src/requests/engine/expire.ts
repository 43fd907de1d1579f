import { commitUnlessTaken } from '../../ports/database.ts'
import { toEach } from '../../ports/bounded.ts'
import type { EnrolmentDeps } from '../deps.ts'
import { refusedEntry } from './entries.ts'
import { toFailedUnanswered } from '../transitions.ts'
import { readOlder } from './store.ts'

const dayMilliseconds = 86_400_000
const perRun = 200

/** How long a request stays in a state that somebody else has to end, and why it fails then. */
const patience = [
  { state: 'awaiting_approval', days: 30, reason: 'not_approved_in_time' },
  { state: 'received', days: 60, reason: 'ca_not_available_in_time' },
  { state: 'pending', days: 60, reason: 'not_answered_in_time' },
] as const

/**
 * Gives up the requests that nobody answers. One whose outcome at the CA is unknown is not among them: somebody has to
 * look at the CA.
 */
export async function expireRequests(deps: EnrolmentDeps): Promise<void> {
  for (const { state, days, reason } of patience) {
    const now = deps.clock()
    const old = await readOlder(deps.database, state, now - days * dayMilliseconds, perRun)
    await toEach(old, async ({ id }) => {
      const given = await commitUnlessTaken(deps.database, [
        ...toFailedUnanswered(id, state, reason, now),
        ...refusedEntry(deps, id, reason),
      ])
      if (!given) return
      deps.audit.sealSoon()
      deps.events.certificateRequestExpired({ request: id, state })
    })
  }
}
