import type { DeviceCaller } from '../api/room.ts'
import type { GuardedAct } from '../api/shapes.ts'
import { commit, type Change } from '../audit/commit.ts'
import { DomainError } from '../errors.ts'
import { equalSecrets } from '../pki/encoding.ts'
import type { Command, GuardBroken, Outcome } from '../ports/database.ts'
import type { RegistrationDeps } from './deps.ts'
import { readDevice } from './device/store.ts'
import { readMailboxesOf, readProofsForAct, requireMember, useUpProof } from './mailbox/store.ts'
import { readRegistration, requireRegistrationAsRead } from './store.ts'

/** Policy rule 13: a proof counts for so long for what its device asked for, and a registration for all of it. */
export const recentMilliseconds = 15 * 60_000

type ProofDeps = Pick<RegistrationDeps, 'database' | 'keys' | 'events' | 'clock' | 'audit'>

/** An act, and the device that does it. */
interface Act {
  readonly caller: DeviceCaller
  readonly act: GuardedAct
}

/**
 * Makes the commands that an act begins with: guards that the registration of the device is recent, or those that use up
 * one of its proofs. Null where it has neither. All rows are verified as they are read, and guards `requireUnchanged`
 * and `requireAsRead` name them.
 */
async function recentProofCommands(deps: ProofDeps, { caller, act }: Act): Promise<Command[] | null> {
  const now = deps.clock()
  const [device, mailboxes] = await Promise.all([
    readDevice(deps, caller.deviceId),
    readMailboxesOf(deps, caller.subscriberId),
  ])
  const active = mailboxes.filter(({ endedAt }) => endedAt === null)
  const [anyMailbox] = active
  if (device === null || device.endedAt !== null || anyMailbox === undefined) return null
  const registration = await readRegistration(deps, device.registration)
  if (registration !== null && (registration.confirmedAt ?? 0) > now - recentMilliseconds) {
    return [requireMember(device, anyMailbox), requireRegistrationAsRead(registration)]
  }
  for (const proof of await readProofsForAct(deps, device.id, act, now)) {
    const proved = active.find(({ addressIndex }) => equalSecrets(addressIndex, proof.addressIndex))
    if (proved !== undefined) return [requireMember(device, proved), ...useUpProof(deps.keys, proof)]
  }
  return null
}

/**
 * Commits an act if its device has proved a mailbox for it within 15 minutes, or was itself registered within 15 minutes.
 * The proof is used up. Throws `mailbox_proof_required` otherwise. `broken` is told of other guards, as in `commit`. Call
 * it within `onLatestRows`.
 */
export async function commitAfterRecentProof<Instead = never>(
  deps: ProofDeps,
  act: Act,
  { commands, ...change }: Change,
  broken?: (guard: GuardBroken) => Instead | Promise<Instead>,
): Promise<readonly Outcome[] | Instead> {
  const proof = await recentProofCommands(deps, act)
  if (proof === null) {
    throw new DomainError(
      'mailbox_proof_required',
      `Prove one of your mailboxes for this first: POST /v1/me/mailboxes/{id}/proof with {"act":"${act.act}"}, and answer the mail with this device. Then do it within 15 minutes.`,
    )
  }
  return commit(deps, { ...change, commands: [...proof, ...commands] }, broken)
}
