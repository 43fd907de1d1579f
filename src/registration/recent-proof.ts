import type { DeviceCaller } from '../api/room.ts'
import type { GuardedAct } from '../api/shapes.ts'
import { commit, type Change, type CommitDeps } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import type { GuardBroken, Outcome } from '../ports/database.ts'
import type { Clock } from '../ports/runtime.ts'
import { takeProofForAct } from './mailbox/store.ts'

/** Policy rule 13: a proof counts for so long for what its device asked for, and a registration for all of it. */
export const recentMilliseconds = 15 * 60_000

/**
 * Commits an act if its device has proved a mailbox for it within 15 minutes, or was itself registered within 15 minutes.
 * The proof is used up. Throws `mailbox_proof_required` otherwise. `broken` is told of all other guards, as in `commit`.
 */
export const commitAfterRecentProof = <Instead = never>(
  deps: CommitDeps & { readonly clock: Clock },
  { caller, act }: { readonly caller: DeviceCaller; readonly act: GuardedAct },
  { commands, ...change }: Change,
  broken?: (guard: GuardBroken) => Instead | Promise<Instead>,
): Promise<readonly Outcome[] | Instead> => {
  const now = deps.clock()
  const proof = takeProofForAct(caller, act, now, now - recentMilliseconds)
  return commit(deps, { ...change, commands: [...proof, ...commands] }, (guard) => {
    if (guard.code === 'mailbox_proof_required') {
      throw new DomainError(
        'mailbox_proof_required',
        `Prove one of your mailboxes for this first: POST /v1/me/mailboxes/{id}/proof with {"act":"${act}"}, and answer the mail with this device. Then do it within 15 minutes.`,
        { cause: guard },
      )
    }
    if (broken === undefined) throw guard
    return broken(guard)
  })
}
