import type { Room } from '../api/room.ts'
import type { Events } from '../events.ts'
import type { Database } from '../ports/database.ts'
import { singleGauge } from '../ports/meter.ts'
import type { Background } from '../ports/runtime.ts'
import {
  createEraseAuditValues,
  createRecordAudit,
  type AuditDeps,
  type EraseAuditValues,
  type RecordAudit,
} from './entries.ts'
import { personalData } from './personal-data.ts'
import { countUnsealed } from './store.ts'
import { sealEntries } from './seals.ts'
import { verifyAudit, type AuditVerification } from './verify.ts'

export interface AuditRoom extends Room {
  readonly record: RecordAudit
  readonly erase: EraseAuditValues
  /** Seals soon. Call it after the commit of a batch with an entry. */
  sealSoon(): void
  verify(expectedHead: string | null): Promise<AuditVerification>
}

/** The audit log: entries in the batch of each change, a sealer that chains them afterwards, and its verification. */
export function createAuditRoom(
  deps: AuditDeps & { readonly database: Database; readonly events: Events; readonly background: Background },
): AuditRoom {
  let planned = false
  const seal = (): Promise<void> => sealEntries(deps)
  const verify = (expectedHead: string | null): Promise<AuditVerification> => verifyAudit(deps, expectedHead)
  return {
    record: createRecordAudit(deps),
    erase: createEraseAuditValues(deps),
    sealSoon: () => {
      if (planned) return
      planned = true
      deps.background.run('audit-seal', async () => {
        planned = false
        await seal()
      })
    },
    verify,
    routes: [],
    jobs: [{ name: 'audit-seal', cron: '* * * * *', run: seal }],
    personalData,
    gauges: [
      singleGauge('certbook_audit_entries_unsealed', 'audit entries that no seal covers yet', async () => {
        const unsealed = await countUnsealed(deps.database)
        return unsealed?.entries ?? null
      }),
    ],
    checks: [{ name: 'audit chain whole', run: async () => [...(await verify(null)).faults] }],
  }
}
