import type { CertificateUse } from '../api/shapes.ts'
import type { CaKind } from '../api/ca-shapes.ts'
import type { KeyFacts } from '../pki/key-policy.ts'
import type { ProfileKind } from '../pki/key-usage.ts'
import type { CaAdapter, CaTrust } from './adapters/contract.ts'

/** The id of the connection to the CA inside, which is there from the first migration on. */
export const embeddedConnection = 'embedded'

/** A connection ready to be used. */
export interface OpenConnection {
  readonly id: string
  readonly kind: CaKind
  readonly name: string
  readonly state: 'active' | 'paused'
  /** The key policy under which it issues. */
  readonly keyPolicy: ProfileKind
  readonly adapter: CaAdapter
  readonly trust: CaTrust
  /** From whom the CA's own challenge to a mailbox comes; null where it sends none. */
  readonly mailboxChallengeSender: string | null
}

/** What decides where a request goes. */
export interface RoutedRequest {
  readonly domain: string
  readonly accountType: 'imap' | 'exchange'
  readonly use: CertificateUse
  readonly algorithm: KeyFacts['algorithm']
}

/** Where a request goes. */
export interface Route {
  readonly connection: OpenConnection
  /** The CA's own profile that the rule names. */
  readonly profile: string | null
  /** Null where no rule fits, and the CA inside is asked. */
  readonly rule: { readonly id: string; readonly author: string } | null
  readonly approvals: number
}

/** The CA connections, and the rules that lead to them. */
export interface Connections {
  /** Null where there is none of that id, or it was removed. */
  open(id: string): Promise<OpenConnection | null>
  /**
   * Where a request goes, and whether it can: throws `not_certified_here`, `ca_needs_csr` (for a bare key at a CA that
   * wants a CSR), `ca_key_unsupported`.
   */
  route(asked: RoutedRequest & { readonly provedBy: 'csr' | 'public_key' }): Promise<Route>
  /** Who runs the CA of a connection, removed ones included. */
  recipientOf(id: string): Promise<string>
  /** The chain under an authority, the issuing CA first; empty where it is not known. Chains never change. */
  chainOf(authority: string): Promise<readonly Uint8Array[]>
}
