import type { AuditRoom } from '../audit/room.ts'
import type { ConsentRoom } from '../consent/room.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { MailLanguage } from '../mail/content.ts'
import type { Command, Database } from '../ports/database.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { Clock, Random } from '../ports/runtime.ts'

export interface RegistrationDeps {
  readonly database: Database
  readonly keys: Keys
  readonly sha256: Sha256
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly mail: Pick<MailRoom, 'queue' | 'queueChallenge' | 'sendSoon'>
  readonly consent: Pick<ConsentRoom, 'requireTermsInForce' | 'acknowledgeTerms'>
  readonly mailLanguage: MailLanguage
  /** Makes the commands of other rooms for the batch in which a mailbox ends for its subscriber. */
  readonly onMailboxEnded: (mailbox: string) => Command[]
  /** Makes the commands of other rooms for the batch in which a device ends. */
  readonly onDeviceEnded: (device: string) => Command[]
  /** Called after a mailbox was proved. Requests that waited for the proof go on soon. */
  readonly onMailboxProved: (mailbox: string) => void
  /** Called when something has ended whose consequences are due now. */
  readonly onConsequencesDue: () => void
}
