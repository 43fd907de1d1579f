import type { AuditRoom } from '../audit/room.ts'
import type { Events } from '../events.ts'
import type { Command, Database } from '../ports/database.ts'
import type { Keys } from '../ports/keys.ts'
import type { OutgoingHttps } from '../ports/outgoing-https.ts'
import type { Clock, Random } from '../ports/runtime.ts'
import type { Authorities } from './inside/authorities.ts'
import type { EmbeddedCa } from './inside/embedded.ts'

/** How many requests of a connection wait to be sent, are at the CA, or need an operator. */
export interface RequestCounts {
  readonly waiting: number
  readonly pending: number
  /** Nobody knows whether the CA has issued. */
  readonly unknown: number
  /** Failed or cancelled here, but the CA may still make a certificate, or may have made one. */
  readonly left: number
}

/** What other rooms know about the requests, certificates and revocations of a connection. */
export interface ConnectionUses {
  /** By the id of the connection. A connection without requests is not in it. */
  countRequests(): Promise<ReadonlyMap<string, RequestCounts>>
  /** How many revocations an operator has to make at each CA, by the id of the connection. */
  countRevocationsByHand(): Promise<ReadonlyMap<string, number>>
  /** How many valid certificates came through a connection. */
  countValidCertificates(connection: string): Promise<number>
  /** The connections among these whose CA was sent a request. */
  sentThrough(connections: readonly string[]): Promise<ReadonlySet<string>>
  /** The connections among these of which a request or a revocation is still stored. */
  keptThrough(connections: readonly string[]): Promise<ReadonlySet<string>>
  /** Guard `connection_has_orders`: the CA may have, or may make, a certificate that is not kept here. */
  requireNothingAtCa(connection: string): Command
  /**
   * Guards of a removal: `connection_owes_revocations`, `connection_has_certificates` (valid ones),
   * `connection_has_requests` (without an outcome), `connection_has_orders`.
   */
  requireUnused(connection: string): readonly Command[]
}

/** What the room is given. Every function takes the part of it that it uses. */
export interface CaDeps {
  readonly database: Database
  readonly keys: Keys
  readonly crypto: Crypto
  readonly random: Random
  readonly clock: Clock
  readonly events: Events
  readonly audit: Pick<AuditRoom, 'record' | 'sealSoon'>
  readonly outgoing: OutgoingHttps
  readonly authorities: Authorities
  readonly embedded: EmbeddedCa
  readonly uses: ConnectionUses
  /** The commands of other rooms for the batch that resumes a connection: requests that wait for it are due at once. */
  readonly onConnectionResumed: (connection: string) => readonly Command[]
  /** Called after a connection became usable again, so that its requests go on soon. */
  readonly onConnectionUsable: (id: string) => void
}
