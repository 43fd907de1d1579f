import type { AdminRoute } from '../api/admin-route.ts'
import type { AuditRoom } from '../audit/room.ts'
import type { Events } from '../events.ts'
import type { Database } from '../ports/database.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { Clock, Random } from '../ports/runtime.ts'
import type { QueryLogRoom } from '../query-log/room.ts'

export interface AdminDeps {
  readonly database: Database
  readonly keys: Keys
  readonly events: Events
  readonly sha256: Sha256
  readonly random: Random
  readonly clock: Clock
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon' | 'verify' | 'checkpoint'>
  readonly queryLog: Pick<QueryLogRoom, 'search'>
  readonly adminRoute: AdminRoute
  /** Which of these certificates are published. */
  readonly publishedAmong: (certificates: readonly string[]) => Promise<ReadonlySet<string>>
  /** SHA-256, in hex, of the secret that makes the first administrator. Null: nobody may. */
  readonly bootstrapSha256: string | null
  /** The warnings of `/readyz`, as it shows them to this machine. */
  readonly warnings: () => Promise<readonly string[]>
}
