import type { AuditEvent } from '../audit/entries.ts'
import type { AdminCaller } from './authenticate.ts'
import type { AdminDeps } from './deps.ts'

/** At what somebody looks, and why. */
type Look = Pick<AuditEvent, 'action' | 'subjectKind' | 'subject' | 'facts' | 'personal'>

/**
 * Writes down that an administrator looks at what names a person. It resolves once the entries are durable, so call it
 * before anything is shown: a look that cannot be written down does not happen.
 */
export async function noteLooks(
  deps: Pick<AdminDeps, 'database' | 'audit'>,
  caller: AdminCaller,
  ...looks: readonly Look[]
): Promise<void> {
  if (looks.length === 0) return
  const by = { actorKind: 'administrator', actor: caller.id } as const
  await deps.database.batch(looks.flatMap((look) => deps.audit.record({ ...look, ...by })))
  deps.audit.sealSoon()
}
