import { GuardBroken, type Command } from '../../ports/database.ts'
import type { EnrolmentDeps } from '../deps.ts'

/** Commits; false where another worker was faster. */
export async function commitUnlessTaken(
  deps: Pick<EnrolmentDeps, 'database'>,
  commands: readonly Command[],
): Promise<boolean> {
  try {
    await deps.database.batch(commands)
    return true
  } catch (error) {
    if (error instanceof GuardBroken) return false
    throw error
  }
}
