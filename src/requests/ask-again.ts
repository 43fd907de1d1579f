import type { RequestRow } from './store.ts'

const shortestSeconds = 2
const longestSeconds = 3_600
/** Where a person has to act. */
const forPersonSeconds = 300
const forProofSeconds = 30

/**
 * How many seconds later a device asks again for a request that is under way; null for one that has an outcome. What
 * the service or the CA does by itself is asked about when it is next done, and the seldomer the longer it takes.
 */
export function askAgainSeconds({ state, dueAt, createdAt }: RequestRow, now: number): number | null {
  const within = (milliseconds: number): number =>
    Math.min(longestSeconds, Math.max(shortestSeconds, Math.ceil(milliseconds / 1_000)))
  const ofItsAge = (now - createdAt) / 10
  switch (state) {
    case 'awaiting_mailbox_proof':
      return forProofSeconds
    case 'awaiting_approval':
      return forPersonSeconds
    case 'submitting':
      return within(ofItsAge)
    case 'received':
    case 'pending':
    case 'outcome_unknown':
      return dueAt === null ? forPersonSeconds : within(Math.max(dueAt - now, ofItsAge))
    case 'issued':
    case 'rejected':
    case 'failed':
    case 'cancelled':
    case 'ended':
      return null
  }
}
