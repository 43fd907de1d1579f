import { commit, type CommitDeps } from './commit.ts'
import type { AuditEvent, OwnEvent } from './entries.ts'

/** What somebody looks at, and why. */
type Look = Pick<AuditEvent, 'action' | 'subjectKind' | 'subject' | 'facts' | 'personal'>

/**
 * Writes down that an administrator looks at personal data. Resolves once the entries are durable. Call it before you
 * show anything: a look that cannot be written down does not happen.
 */
export async function noteLooks(
  deps: CommitDeps,
  { id }: { readonly id: string },
  ...looks: readonly Look[]
): Promise<void> {
  if (looks.length === 0) return
  const audit = looks.map((look): OwnEvent => ({ ...look, actorKind: 'administrator', actor: id }))
  await commit(deps, { commands: [], audit })
}
