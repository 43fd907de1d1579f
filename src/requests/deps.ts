import type { AuditRoom } from '../audit/room.ts'
import type { Connections } from '../cas/contract.ts'
import type { Authorities } from '../cas/inside/authorities.ts'
import type { Successor } from '../certificates/deps.ts'
import type { Events } from '../events.ts'
import type { MailRoom } from '../mail/room.ts'
import type { Command, Database } from '../ports/database.ts'
import type { Keys, Sha256 } from '../ports/keys.ts'
import type { Background, Clock, Random } from '../ports/runtime.ts'
import type { RegistrationRoom } from '../registration/room.ts'

/** What this room is given. Every function takes the part of it that it uses. */
export interface RequestDeps {
  readonly database: Database
  readonly keys: Keys
  readonly crypto: Crypto
  /** Computes on brainpool curves, which Web Crypto lacks. Null where the runtime cannot. */
  readonly brainpool: Crypto | null
  readonly sha256: Sha256
  /** The origin of PUBLIC_URL. */
  readonly origin: string
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly mail: Pick<MailRoom, 'sendSoon'>
  readonly background: Background
  readonly registration: Pick<
    RegistrationRoom,
    'authenticate' | 'chooseMailbox' | 'mailboxesOf' | 'announcementCommands' | 'challengeUnlessAsked' | 'openChallenge'
  >
  readonly connections: Connections
  readonly authorities: Pick<Authorities, 'issuing'>
  /** How long a caller waits for a CA. After that the caller is told to ask again. */
  readonly patienceMilliseconds: number
  /** The commands of other rooms for the batch in which certificates end. */
  readonly onCertificatesEnded: (certificates: readonly string[]) => Command[]
  /** The commands of other rooms for the batch in which one certificate replaces another. */
  readonly onCertificateSuperseded: (old: string, successor: Successor) => Promise<Command[]>
  /** Which of these certificates are published. */
  readonly publishedAmong: (certificates: readonly string[]) => Promise<ReadonlySet<string>>
  /** Soon tells the CAs what was revoked. */
  readonly tellCasSoon: () => void
}

/** What a commit with its audit entries needs. */
export type CommitDeps = Pick<RequestDeps, 'database' | 'audit'>
