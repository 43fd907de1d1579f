import { commit, type CommitDeps } from './commit.ts'
import type { AuditEvent } from './entries.ts'

/** At what somebody looks, and why. */
type Look = Pick<AuditEvent, 'action' | 'subjectKind' | 'subject' | 'facts' | 'personal'>

/**
 * Writes down that an administrator looks at what names a person. It resolves once the entries are durable. Call it
 * before anything is shown: a look that cannot be written down does not happen.
 */
export async function noteLooks(
  deps: CommitDeps,
  { id }: { readonly id: string },
  ...looks: readonly Look[]
): Promise<void> {
  if (looks.length === 0) return
  const audit = looks.map((look): AuditEvent => ({ ...look, actorKind: 'administrator', actor: id }))
  await commit(deps, { commands: [], audit })
}
