import { byService } from '../audit/entries.ts'
import type { EndedPart } from '../registration/consequences.ts'
import { readRevocableOf } from './store.ts'
import type { CertificateDeps } from './deps.ts'
import { revokeCertificate } from './revoke.ts'
import { isTrustedCertificate } from './trusted-certificates.ts'

/** What one run does at most; the next one goes on. */
const stepsPerRun = 200

/**
 * Revokes what rests on a mailbox or device that has ended, and settles it when nothing is left. What nobody here made
 * rest on it stays as it is, and leaves it unsettled. Resolves to how many certificates it looked at; the failures go to
 * `failures`.
 */
async function drawFor(deps: CertificateDeps, part: EndedPart, atMost: number, failures: unknown[]): Promise<number> {
  const certificates = await readRevocableOf(deps.database, part, deps.clock(), atMost)
  for (const { id } of certificates.filter((row) => isTrustedCertificate(deps, row))) {
    await revokeCertificate(deps, id, 'cessationOfOperation', {
      by: byService,
      onlyWhile: part.requireStillEnded,
    }).catch((error: unknown) => failures.push(error))
  }
  const left = await readRevocableOf(deps.database, part, deps.clock(), 1)
  if (left.length === 0) await part.settle()
  return certificates.length
}

/**
 * Draws the consequences of what has ended: the certificates of a removed mailbox and of an ended device, and seven days
 * after a move those of the mailbox that moved away, are revoked. What fails holds up no other, and is tried again.
 */
export async function drawConsequences(deps: CertificateDeps): Promise<void> {
  const failures: unknown[] = []
  let steps = 0
  for await (const part of deps.registration.endedParts()) {
    if (steps >= stepsPerRun) break
    try {
      steps += 1 + (await drawFor(deps, part, stepsPerRun, failures))
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'what has ended could not be settled')
}
