import type { AuditRoom } from '../audit/room.ts'
import type { AuthenticateDevice } from '../api/room.ts'
import type { ConsentRoom } from '../consent/room.ts'
import type { Events } from '../events.ts'
import type { Database } from '../ports/database.ts'
import type { Keys } from '../ports/keys.ts'
import type { Clock } from '../ports/runtime.ts'
import type { RecordLookup } from '../query-log/record.ts'

/** What the directory room is given. */
export interface DirectoryDeps {
  readonly database: Database
  readonly keys: Keys
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly consent: Pick<ConsentRoom, 'requirePublicationText' | 'givePublication' | 'withdrawPublication'>
  readonly authenticate: AuthenticateDevice
  readonly recordLookup: RecordLookup
  readonly chainOf: (authority: string) => readonly Uint8Array[]
}
