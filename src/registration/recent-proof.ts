import { commit, type Change, type CommitDeps } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import type { GuardBroken, Outcome } from '../ports/database.ts'
import type { Clock } from '../ports/runtime.ts'
import { requireProofSince } from './mailbox/store.ts'

/** Policy rule 13: whoever changes which devices speak for a subscriber must have proved a mailbox within this time. */
const recentMilliseconds = 15 * 60_000

/**
 * Commits a change if an active mailbox of the subscriber was proved within 15 minutes. Throws `mailbox_proof_required`
 * otherwise. `broken` is told of all other guards, as in `commit`.
 */
export const commitAfterRecentProof = <Instead = never>(
  deps: CommitDeps & { readonly clock: Clock },
  subscriber: string,
  { commands, ...change }: Change,
  broken?: (guard: GuardBroken) => Instead | Promise<Instead>,
): Promise<readonly Outcome[] | Instead> =>
  commit(
    deps,
    { ...change, commands: [...requireProofSince(subscriber, deps.clock() - recentMilliseconds), ...commands] },
    (guard) => {
      if (guard.code === 'mailbox_proof_required') {
        throw new DomainError(
          'mailbox_proof_required',
          'Prove one of your mailboxes first: POST /v1/me/mailboxes/{id}/proof, and answer the mail within 15 minutes.',
          { cause: guard },
        )
      }
      if (broken === undefined) throw guard
      return broken(guard)
    },
  )
