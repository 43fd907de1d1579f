import type { AuditRoom } from '../audit/room.ts'
import type { DeviceCaller } from '../api/room.ts'
import type { CertificateUse } from '../api/shapes.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { Command, Database } from '../ports/database.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { OutgoingHttps } from '../ports/outgoing-https.ts'
import type { Background, Clock, Random } from '../ports/runtime.ts'
import type { RegistrationRoom } from '../registration/room.ts'
import type { Authorities } from '../cas/inside/authorities.ts'
import type { Connections } from '../cas/contract.ts'

/** What the enrolment room is given. */
export interface EnrolmentDeps {
  readonly database: Database
  readonly keys: Keys
  readonly crypto: Crypto
  /** What computes on brainpool curves, which Web Crypto lacks; null where the runtime has nothing. */
  readonly brainpool: Crypto | null
  readonly sha256: Sha256
  readonly origin: string
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly mail: Pick<MailRoom, 'sendSoon'>
  readonly background: Background
  readonly outgoing: OutgoingHttps
  readonly registration: Pick<
    RegistrationRoom,
    | 'authenticate'
    | 'chooseMailbox'
    | 'mailboxesOf'
    | 'announce'
    | 'withinNetworkBudget'
    | 'challengeUnlessAsked'
    | 'endedParts'
  >
  readonly connections: Connections
  /** How long a caller waits for a CA before it is told to ask again. */
  readonly patienceMilliseconds: number
  readonly authorities: Authorities
  /** The directory's part of a batch in which certificates end. */
  readonly onCertificatesEnded: (certificates: readonly string[]) => Command[]
  /** The directory's part of the batch in which one certificate takes another's place. */
  readonly onCertificateSuperseded: (old: string, successor: string) => Command[]
  readonly publishedAmong: (certificates: readonly string[]) => Promise<ReadonlySet<string>>
  /** Has the CAs elsewhere told soon of what was revoked. */
  readonly tellCasSoon: () => void
}

/** One request for a certificate, as the routes hand it on. */
export interface AskedCertificate {
  readonly caller: DeviceCaller
  readonly csr: string | Uint8Array
  readonly use: CertificateUse
  readonly mailbox: string | undefined
}
