import type { MailboxAddress } from '../../mailbox/address.ts'
import type { PreparedChain } from '../../pki/chain.ts'
import type { KeyFacts } from '../../pki/key-policy.ts'
import type { CertificateUse } from '../../pki/key-usage.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'

/**
 * What a CA is asked for. The facts are verified. `content` is what the device sent, for CAs that want it as it was
 * signed.
 */
export interface CertificateOrder {
  /** The id of the request. A repeat of the order has the same id; no other order has it. */
  readonly request: string
  readonly provedBy: 'csr' | 'public_key'
  /** The CSR, byte for byte as the device sent it, or the SPKI where the key was proved by a challenge. */
  readonly content: Uint8Array
  readonly spki: Uint8Array
  readonly key: KeyFacts
  readonly mailbox: MailboxAddress
  readonly use: CertificateUse
  readonly notBefore: Date
  readonly notAfter: Date
  /** The name of the CA's own profile, from the routing rule. Null: the usual profile of the connection. */
  readonly profile: string | null
}

/** Why a CA did not do what it was asked to do. Operators see it. */
export type CaFailure =
  // No usable answer came; see `ExchangeFailed`.
  | 'unreachable'
  | 'tls_refused'
  | 'timed_out'
  | 'connection_lost'
  | 'answer_too_large'
  | 'answer_malformed'
  // What the CA answered.
  | 'credential_refused'
  | 'busy'
  | 'ca_offline'
  | 'ca_error'
  | 'request_refused'
  | 'profile_refused'
  | 'key_refused'
  | 'rejected_by_ca'
  | 'expired_at_ca'
  | 'unknown_to_ca'
  // The worker that sent the order is gone.
  | 'worker_lost'

/** The outcome of an order, or what is known of it now. */
export type CaOutcome =
  | {
      /** Nothing in it is believed before it is verified. */
      readonly kind: 'issued'
      readonly certificate: Uint8Array
      /** The other certificates of the answer, in any order. May be empty, and may hold unrelated ones. */
      readonly chain: readonly Uint8Array[]
    }
  | {
      readonly kind: 'pending'
      /** Handed back to `poll` and `find`. Only this adapter reads it. */
      readonly state: string | null
      readonly retryAfterSeconds: number | null
      readonly waitsFor: 'ca_mailbox_challenge' | null
    }
  /** The CA has certainly not issued. It may issue when it is asked again. */
  | (CaRefusal & { readonly kind: 'transient'; readonly retryAfterSeconds: number | null })
  /** The CA has certainly not issued, and never will for this order. */
  | (CaRefusal & { readonly kind: 'permanent' })
  /** The CA may have issued. An adapter that is not certain answers this. */
  | (CaRefusal & { readonly kind: 'unknown'; readonly state?: string | null })

interface CaRefusal {
  readonly failure: CaFailure
  /** The CA's own words, for operators, shortened and made readable. */
  readonly caSaid: string | null
}

/** What a search found of an order whose outcome was unknown. `absent`: the CA says that it knows no such order. */
export type FoundOutcome = CaOutcome | { readonly kind: 'absent' }

/** One certificate that its CA is to revoke. */
export interface CaRevocation {
  readonly certificate: Uint8Array
  readonly reason: RevocationReason | null
}

/**
 * The outcome of one try to revoke. It is repeated until it is confirmed, so a repeat must do no harm. "Already
 * revoked" is a confirmation.
 */
export type CaRevocationOutcome =
  | { readonly kind: 'confirmed' }
  | (CaRefusal & { readonly kind: 'transient'; readonly retryAfterSeconds: number | null })
  /** Another try cannot help: an operator has to act. */
  | (CaRefusal & { readonly kind: 'permanent' })

/** What a check of the CA found. A check changes nothing there. */
export type CaCheck =
  | {
      readonly kind: 'ready'
      /** Names and values that an operator wants to compare. */
      readonly facts: Readonly<Record<string, string>>
      /**
       * The certificates (DER) with which the CA says it issues, perhaps with CAs above them. Missing if it shows
       * none.
       */
      readonly issuers?: readonly Uint8Array[]
      /** The purposes of its usual profile. Set only if the CA names them and e-mail is not among them. */
      readonly usagesWithoutMail?: string
    }
  | (CaRefusal & { readonly kind: 'not_ready' })

/** What an adapter can do, and what it cannot. */
export interface CaDescription {
  /** Whether it certifies a bare public key. Otherwise it needs a CSR. */
  readonly acceptsPublicKey: boolean
  /** Whether the CA would copy names and extensions from the CSR. Intake then refuses them (policy rule 8). */
  readonly takesContentFromCsr: boolean
  readonly algorithms: readonly KeyFacts['algorithm'][]
  /**
   * Whether an order leaves nothing behind, here or elsewhere, until its certificate is kept. Such an order needs no
   * commit before the CA is called: intent and outcome are kept in one batch. After a crash the order is sent again.
   */
  readonly keepsNothing: boolean
  /**
   * Whether the CA answers a repeat of the identical order with the same certificate, also while its outcome is
   * unknown.
   */
  readonly answersAgain: boolean
  /** Whether a person carries the orders to the CA. */
  readonly byHand: boolean
}

/** One kind of CA, set up for one connection. No method throws because of what a CA answers, or does not answer. */
export interface CaAdapter {
  describe(): CaDescription
  /** Checks that the CA is there and lets this service in. Leaves nothing behind at the CA. */
  check(): Promise<CaCheck>
  submit(order: CertificateOrder): Promise<CaOutcome>
  /** Asks about an order that was `pending`, with the state that came with it. */
  readonly poll?: (order: CertificateOrder, state: string | null) => Promise<CaOutcome>
  /** Searches for the outcome of an order whose outcome is unknown. */
  readonly find?: (order: CertificateOrder, state: string | null) => Promise<FoundOutcome>
  readonly revoke?: (revocation: CaRevocation) => Promise<CaRevocationOutcome>
}

/** The CAs that a connection trusts to issue. */
export interface CaTrust {
  readonly anchors: readonly Uint8Array[]
  /** CAs between an anchor and the issued certificates, for CAs that do not send them. */
  readonly intermediates: readonly Uint8Array[]
  /** The prepared chain, if it is the same for every certificate: that of the CA inside. */
  readonly prepared?: PreparedChain
}
