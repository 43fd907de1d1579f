import { DomainError } from '../errors.ts'
import { GuardBroken, type Command, type Database, type Outcome } from '../ports/database.ts'
import type { Clock } from '../ports/runtime.ts'
import { requireProofSince } from './mailbox/store.ts'

/** Policy rule 13: what changes who can speak for somebody needs a proof of a mailbox that is younger than this. */
const recentMilliseconds = 15 * 60_000

/**
 * Runs commands as one batch that rests on a recent proof: an active mailbox of the subscriber was proved within 15
 * minutes. Throws `mailbox_proof_required` where none was, and then nothing is written.
 */
export async function batchAfterRecentProof(
  deps: { readonly database: Database; readonly clock: Clock },
  subscriber: string,
  commands: readonly Command[],
): Promise<Outcome[]> {
  const guard = requireProofSince(subscriber, deps.clock() - recentMilliseconds)
  try {
    const outcomes = await deps.database.batch([...guard, ...commands])
    return outcomes.slice(guard.length)
  } catch (error) {
    if (!(error instanceof GuardBroken) || error.code !== 'mailbox_proof_required') throw error
    throw new DomainError(
      'mailbox_proof_required',
      'Prove one of your mailboxes first: POST /v1/me/mailboxes/{id}/proof, and answer the mail within 15 minutes.',
      { cause: error },
    )
  }
}
