import type { CertificateUse } from '../api/shapes.ts'
import type { CaKind } from '../api/ca-shapes.ts'
import type { KeyFacts } from '../pki/key-policy.ts'
import type { ProfileKind } from '../pki/key-usage.ts'
import type { CaAdapter, CaTrust } from './adapters/contract.ts'

/** The id of the connection to the CA inside. It is made with the CA. */
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
  /** The sender of the CA's own challenge mails. Null if it sends none. */
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
  /** The CA's own profile, if the rule names one. */
  readonly profile: string | null
  /** Null if no rule fits: then the CA inside is asked. */
  readonly rule: { readonly id: string; readonly author: string } | null
  readonly approvals: number
}

/** The CA connections, and the rules that lead to them. */
export interface Connections {
  /** Null if there is no such connection, or it was removed. */
  open(id: string): Promise<OpenConnection | null>
  /**
   * The route of a request. Throws `not_certified_here`, `ca_needs_csr` (the CA does not certify a bare key),
   * `ca_key_unsupported`.
   */
  route(asked: RoutedRequest & { readonly provedBy: 'csr' | 'public_key' }): Promise<Route>
  /** Who runs the CA of a connection, also of a removed one. */
  recipientOf(id: string): Promise<string>
  /** The chain of an authority, the issuing CA first. Empty if the authority is not known. Chains never change. */
  chainOf(authority: string): Promise<readonly Uint8Array[]>
}
