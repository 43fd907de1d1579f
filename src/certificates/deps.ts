import type { AuditRoom } from '../audit/room.ts'
import type { Authorities } from '../cas/inside/authorities.ts'
import type { Connections } from '../cas/contract.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { Command, Database } from '../ports/database.ts'
import type { KeyProver } from '../ports/key-prover.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { OutgoingHttps } from '../ports/outgoing-https.ts'
import type { Background, Clock, Random } from '../ports/runtime.ts'
import type { RegistrationRoom } from '../registration/room.ts'

/** The certificate that takes the place of another. */
export interface Successor {
  readonly id: string
  /** Of its mailbox. */
  readonly addressIndex: Uint8Array
}

/** What this room is given. Every function takes the part of it that it uses. */
export interface CertificateDeps {
  readonly database: Database
  readonly keys: Keys
  readonly crypto: Crypto
  /** Computes on brainpool curves, which Web Crypto lacks. Null where the runtime cannot. */
  readonly brainpool: Crypto | null
  readonly keyProver: KeyProver
  readonly sha256: Sha256
  /** The origin of PUBLIC_URL. */
  readonly origin: string
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly mail: Pick<MailRoom, 'sendSoon'>
  readonly background: Background
  readonly outgoing: OutgoingHttps
  readonly registration: Pick<RegistrationRoom, 'authenticate' | 'announcementCommands' | 'payAsNetwork' | 'endedParts'>
  readonly connections: Pick<Connections, 'open' | 'chainOf'>
  readonly authorities: Pick<Authorities, 'issuing'>
  /** What other rooms write in the batch in which certificates end. */
  readonly onCertificatesEnded: (certificates: readonly string[]) => Command[]
  /** What other rooms write in the batch in which one certificate takes the place of another. */
  readonly onCertificateSuperseded: (old: string, successor: Successor) => Promise<Command[]>
  /** Whether a key was ever asked a certificate for. */
  readonly isKeyRequested: (keyIndex: string) => Promise<boolean>
  /** Which of these certificates are published. */
  readonly publishedAmong: (certificates: readonly string[]) => Promise<ReadonlySet<string>>
  /** Tells the other CAs soon of what was revoked. */
  readonly tellCasSoon: () => void
}
