import type { AuditRoom } from '../audit/room.ts'
import type { ConsentRoom } from '../consent/room.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { MailLanguage } from '../mail/content.ts'
import type { Command, Database } from '../ports/database.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { Clock, Random } from '../ports/runtime.ts'

/** What the registration room is given. */
export interface RegistrationDeps {
  readonly database: Database
  readonly keys: Keys
  readonly sha256: Sha256
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly mail: Pick<MailRoom, 'queue' | 'sendSoon'>
  readonly consent: Pick<ConsentRoom, 'requireTermsInForce' | 'acknowledgeTerms'>
  readonly mailLanguage: MailLanguage
  /** What the rooms to the left do in the batch in which a mailbox ends for a subscriber. */
  readonly onMailboxEnded: (mailbox: string) => Command[]
  /** What they do in the batch in which a device ends. */
  readonly onDeviceEnded: (device: string) => Command[]
  /** Told after a mailbox has been proved; what waited for it goes on soon. */
  readonly onMailboxProved: (mailbox: string) => void
  /** Told after something has ended whose consequences are due at once. */
  readonly onConsequencesDue: () => void
  /** SHA-256 of a bearer secret: 256 random bits need no salt and no stretching. */
  readonly hashSecret: (secret: string) => Uint8Array
}
