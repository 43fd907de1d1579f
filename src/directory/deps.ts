import type { AuditRoom } from '../audit/room.ts'
import type { ConsentRoom } from '../consent/room.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { Database } from '../ports/database.ts'
import type { Keys } from '../ports/keys.ts'
import type { Background, Clock } from '../ports/runtime.ts'
import type { RecordLookup } from '../query-log/record.ts'
import type { RegistrationRoom } from '../registration/room.ts'

/** How many distinct addresses may be asked for on one UTC day. */
interface LookupLimits {
  readonly subscriber: number
  /** In the first 24 hours. */
  readonly newSubscriber: number
  /** For all subscribers of one registrable domain together: the sum of their own counts. */
  readonly domain: number
  /** For anonymous askers at one address (/64 of IPv6). The networks around it have several times as much. */
  readonly network: number
}

/** What the directory room is given. */
export interface DirectoryDeps {
  readonly database: Database
  readonly keys: Keys
  readonly clock: Clock
  readonly background: Background
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly consent: Pick<ConsentRoom, 'requirePublicationText' | 'givePublication' | 'withdrawPublication'>
  readonly mail: Pick<MailRoom, 'sendSoon'>
  readonly authenticate: RegistrationRoom['authenticate']
  readonly announcementCommands: RegistrationRoom['announcementCommands']
  readonly mailboxesOf: RegistrationRoom['mailboxesOf']
  readonly membershipOf: RegistrationRoom['membershipOf']
  /** Whether anyone may look up, or members only. */
  readonly directoryAccess: 'members' | 'public'
  readonly lookupBudgets: LookupLimits
  readonly recordLookup: RecordLookup
  readonly chainOf: (authority: string) => Promise<readonly Uint8Array[]>
}
