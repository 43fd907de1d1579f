import type { Room } from '../api/room.ts'
import { singleGauge } from '../ports/meter.ts'
import type { LogDay } from '../ports/lookup-log.ts'
import type { Background } from '../ports/runtime.ts'
import type { TreeHead } from '../pki/merkle-tree.ts'
import { createCheckpoints, type CheckpointDeps, type SignedCheckpoint } from './checkpoints.ts'
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
  /** `expectedHead` and `checkpoints` were kept elsewhere, and must still fit. */
  verify(expectedHead: string | null, checkpoints?: readonly TreeHead[]): Promise<AuditVerification>
  /** Signs the log as it is. Null without a note key. */
  checkpoint(): Promise<SignedCheckpoint | null>
}

/** The audit log: entries in the batch of each change, a sealer that chains them afterwards, and its verification. */
export function createAuditRoom(
  deps: AuditDeps &
    CheckpointDeps & { readonly background: Background; readonly queryLogDay: (day: string) => Promise<LogDay> },
): AuditRoom {
  let planned = false
  const seal = (): Promise<void> => sealEntries(deps)
  const checkpoints = createCheckpoints(deps)
  const verify: AuditRoom['verify'] = (head, kept = []) => verifyAudit(deps, { head, checkpoints: kept })
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
    checkpoint: () => checkpoints.sign(),
    routes: [],
    jobs: [
      { name: 'audit-seal', cron: '* * * * *', run: seal },
      {
        name: 'audit-checkpoint',
        cron: '17 3 * * *',
        run: async () => {
          await seal()
          await checkpoints.keep()
        },
      },
    ],
    warnings: async () => checkpoints.warnings(),
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
