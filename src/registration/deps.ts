import type { AuditRoom } from '../audit/room.ts'
import type { ConsentRoom } from '../consent/room.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { MailLanguage } from '../mail/templates.ts'
import type { Database } from '../ports/database.ts'
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
  /** SHA-256 of a bearer secret: 256 random bits need no salt and no stretching. */
  readonly hashSecret: (secret: string) => Uint8Array
}
